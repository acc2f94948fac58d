# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and time left of long work, on a clock that the test turns."""

from __future__ import annotations

import pytest

from ggnet_console.workers import progress_pace
from ggnet_console.workers.progress_pace import REPORT_S, ProgressPace, rest_s

MIB = 2**20


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_pace, "time", clock)
    return clock


def test_the_first_report_is_due_at_once_and_the_next_after_a_while(clock: Clock) -> None:
    one = ProgressPace()
    assert one.due()
    assert not one.due()
    clock.now += REPORT_S * 0.9
    assert not one.due()
    clock.now += REPORT_S * 0.2
    assert one.due()
    assert not one.due()


def test_nothing_is_known_at_first_and_then_speed_and_time_left(clock: Clock) -> None:
    one = ProgressPace()
    assert one.measure(0, 100 * MIB) == (None, None)
    clock.now += 1
    assert one.measure(10 * MIB, 100 * MIB) == (10 * MIB, 9)


def test_the_speed_is_that_of_the_last_seconds(clock: Clock) -> None:
    one, done = ProgressPace(), 0
    for speed, seconds in ((100, 20), (10, 20)):
        for _ in range(seconds):
            done += speed * MIB
            clock.now += 1
            found = one.measure(done, 4000 * MIB)
    assert found == (10 * MIB, 180)


def test_a_standstill_has_no_time_left(clock: Clock) -> None:
    one = ProgressPace()
    one.measure(5, 100)
    for _ in range(20):
        clock.now += 1
        found = one.measure(5, 100)
    assert found == (None, None)


def test_another_phase_begins_anew(clock: Clock) -> None:
    one = ProgressPace()
    one.measure(0, 100 * MIB)
    clock.now += 1
    one.measure(100 * MIB, 100 * MIB)
    clock.now += 1
    assert one.measure(0, 50 * MIB) == (None, None)
    clock.now += 1
    assert one.measure(25 * MIB, 50 * MIB) == (25 * MIB, 1)


def test_at_the_end_no_time_is_left(clock: Clock) -> None:
    one = ProgressPace()
    one.measure(0, 10 * MIB)
    clock.now += 2
    assert one.measure(10 * MIB, 10 * MIB) == (5 * MIB, 0)


def test_what_follows_takes_its_share_of_the_time() -> None:
    assert rest_s(20.0, (0.0, 40.0)) == 30
    assert rest_s(20.0, (40.0, 100.0)) == 0
