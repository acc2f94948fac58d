# SPDX-License-Identifier: GPL-3.0-or-later
"""iSCSI names and unit serials."""

from __future__ import annotations

import pytest

from ggnet_console.errors import FieldError
from ggnet_console.values import initiator_iqn, is_ours, parse_iqn, target_iqn


def test_names_follow_from_the_mac_address() -> None:
    assert target_iqn("52:54:00:00:00:01") == "iqn.2026-11.net.ggnet:target.525400000001"
    assert initiator_iqn("52-54-00-00-00-01") == "iqn.2026-11.net.ggnet:initiator.525400000001"
    assert parse_iqn(target_iqn("525400000001")) == target_iqn("525400000001")


def test_our_names_are_told_from_others_that_begin_alike() -> None:
    assert is_ours(target_iqn("525400000001"))
    assert not is_ours("iqn.2026-11.net.ggnet-else:target.525400000001")
    assert not is_ours("iqn.2003-01.org.example:iqn.2026-11.net.ggnet:x")


@pytest.mark.parametrize(
    "name",
    [
        "iqn.2001-04.com.example",
        "iqn.2001-04.com.example:storage.tape1.sys1.xyz",
        "iqn.1991-05.com.microsoft:pc-01.lab:2",
        "  IQN.2001-04.COM.Example:Disk  ",
    ],
)
def test_valid_names_are_accepted_in_lower_case(name: str) -> None:
    assert parse_iqn(name) == name.strip().lower()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "eui.02004567a425678d",
        "iqn.2001-4.com.example:a",
        "iqn.2001-13.com.example:a",
        "iqn.2001-04.example",
        "iqn.2001-04.com.example:",
        "iqn.2001-04.com.example:under_score",
        "iqn.2001-04.com.example:white space",
        "iqn.2001-04.com.example:line\nfeed",
        "iqn.2001-04.com.exämple:a",
        "iqn.2001-04.com..example:a",
        "iqn.2001-04.com.-example:a",
        "iqn.2001-04.com.example:" + "a" * 200,
    ],
)
def test_other_names_are_refused_at_their_field(name: str) -> None:
    with pytest.raises(FieldError) as caught:
        parse_iqn(name)
    assert caught.value.field == "iqn"


def test_a_name_may_have_223_bytes() -> None:
    name = "iqn.2001-04.com.example:"
    longest = name + "a" * (223 - len(name))
    assert parse_iqn(longest) == longest
