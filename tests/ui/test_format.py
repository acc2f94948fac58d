# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ggnet_console.ui.kit import format as fmt

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**30, "1.0 GiB"),
        (int(38.25 * 2**30), "38.2 GiB"),
        (127 * 2**30, "127 GiB"),
        (1023 * 2**30, "1.0 TiB"),
        (16 * 2**40, "16.0 TiB"),
    ],
)
def test_sizes_are_in_iec_units(count, text):
    assert fmt.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "just now"),
        (12, "12 s ago"),
        (60, "1 min ago"),
        (3 * 60 + 50, "3 min ago"),
        (2 * 3600, "2 h ago"),
        (3 * 86400, "3 d ago"),
    ],
)
def test_times_are_relative(seconds, text):
    assert fmt.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_old_time_is_a_date_and_none_is_a_dash():
    assert fmt.ago(NOW - timedelta(days=60), NOW) == "2026-09-24"
    assert fmt.ago(None) == fmt.exact(None) == fmt.duration(None) == fmt.speed(None) == "–"


def test_the_exact_time_is_local_and_names_its_zone():
    local = NOW.astimezone()
    assert fmt.exact(NOW) == f"{local:%Y-%m-%d %H:%M:%S %Z}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (90, "1 min 30 s"),
        (600, "10 min"),
        (2 * 3600 + 14 * 60, "2 h 14 min"),
        (3600, "1 h"),
        (25 * 3600, "1 d 1 h"),
    ],
)
def test_durations_show_their_two_largest_units(seconds, text):
    assert fmt.duration(seconds) == text


def test_time_left_is_rounded_as_far_as_anybody_can_know():
    assert fmt.time_left(None) == ""
    assert fmt.time_left(118) == "2 min left"
    assert fmt.time_left(12) == "12 s left"


def test_a_hundred_percent_is_shown_only_when_all_is_done():
    assert fmt.percent(0.999) == "99 %"
    assert fmt.percent(1.0) == "100 %"
    assert fmt.percent(0.57) == "57 %"


def test_names_in_a_sentence_are_joined_and_cut():
    assert fmt.names(["PC-01"]) == "PC-01"
    assert fmt.names(["PC-01", "PC-02"]) == "PC-01 and PC-02"
    assert fmt.names(["a", "b", "c"], 2) == "a, b and c"  # no shorter as “1 more”
    assert fmt.names(["a", "b", "c", "d"], 2) == "a, b and 2 more"
