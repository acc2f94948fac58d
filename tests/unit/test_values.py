# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC and IP addresses and sizes, as people write and read them."""

from __future__ import annotations

import pytest

from ggnet_console.cli.output import fitted
from ggnet_console.errors import FieldError, sentence
from ggnet_console.values import (
    format_size,
    parse_digest,
    parse_ip,
    parse_line,
    parse_mac,
    parse_name,
    shown,
)

NAME = sentence("A name has 1 to 64 characters.")


@pytest.mark.parametrize(
    "text",
    [
        "52:54:00:ab:cd:ef",
        "52-54-00-AB-CD-EF",
        "5254.00ab.cdef",
        "525400ABCDEF",
        " 52 54 00 ab cd ef\n",
    ],
)
def test_a_mac_address_in_any_usual_notation_is_one_and_the_same(text: str) -> None:
    assert parse_mac(text) == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "12 hexadecimal digits"),
        ("52:54:00:ab:cd", "12 hexadecimal digits"),
        ("52:54:00:ab:cd:ef:01", "12 hexadecimal digits"),
        ("52:54:00:ab:cd:eg", "12 hexadecimal digits"),
        ("52:54:00:ab:cd:e\N{ARABIC-INDIC DIGIT ONE}", "12 hexadecimal digits"),
        ("ff:ff:ff:ff:ff:ff", "group address"),
        ("01:00:5e:00:00:fb", "group address"),
        ("00:00:00:00:00:00", "all zeros"),
    ],
)
def test_what_no_network_card_can_have_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FieldError, match=reason) as caught:
        parse_mac(text)
    assert caught.value.field == "mac"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.2.11", "10.0.2.11"),
        (" 192.168.0.1 ", "192.168.0.1"),
        ("FD00:0:0::0011", "fd00::11"),
        ("", None),
        ("  ", None),
    ],
)
def test_an_ip_address_comes_back_in_its_usual_form(text: str, address: str | None) -> None:
    assert parse_ip(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "10.0.2",
        "10.0.2.256",
        "10.0.2.011",
        "10.0.2.11/24",
        "pc-01",
        "fd00::1::2",
        "0.0.0.0",
        "127.0.0.1",
        "::1",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "0.1.2.3",
        "169.254.7.7",
        "fe80::1",
    ],
)
def test_what_no_machine_can_have_is_refused(text: str) -> None:
    with pytest.raises(FieldError) as caught:
        parse_ip(text)
    assert caught.value.field == "ip"
    assert text in caught.value.summary


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "fe80::1%" + "x" * 20, "::ffff:127.0.0.1", "::ffff:224.0.0.1"]
)
def test_addresses_the_database_or_no_machine_could_have_are_refused(text: str) -> None:
    with pytest.raises(FieldError):
        parse_ip(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536 * 2**20, "1.5 GiB"),
        (16 * 2**40, "16.0 TiB"),
        (2**50, "1.0 PiB"),
    ],
)
def test_sizes_are_shown_in_binary_units(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "kind", "digest"),
    [
        (None, "MD5", None),
        (" ", "SHA-256", None),
        ("D41D8CD9 8F00B204\tE9800998 ECF8427E", "MD5", "d41d8cd98f00b204e9800998ecf8427e"),
        ("AB:" * 31 + "AB", "SHA-256", "ab" * 32),
    ],
)
def test_a_digest_is_understood_as_people_paste_it(
    text: str | None, kind: str, digest: str | None
) -> None:
    assert parse_digest(text, kind) == digest


@pytest.mark.parametrize(
    ("text", "kind"), [("zzz", "SHA-256"), ("ab" * 32, "MD5"), ("0" * 63, "SHA-256")]
)
def test_what_is_no_digest_is_said_before_anything_is_copied(text: str, kind: str) -> None:
    with pytest.raises(FieldError, match=rf"is not an? {kind}: \d\d hexadecimal digits"):
        parse_digest(text, kind)


@pytest.mark.parametrize(
    "text",
    ["::5", "::127.0.0.1", "64:ff9b::7f00:1", "fec0::1", "100::1", "200::1", "4000::1", "8000::1"],
)
def test_what_no_computer_is_given_is_no_address(text: str) -> None:
    with pytest.raises(FieldError, match="give the one at which other computers reach it"):
        parse_ip(text)


@pytest.mark.parametrize(
    ("character", "named"),
    [
        ("\u200f", "RIGHT-TO-LEFT MARK, which nobody sees"),
        ("\u3164", "HANGUL FILLER, which nobody sees"),
        ("\ufe0f", "VARIATION SELECTOR-16, which nobody sees"),
        ("\u2800", "BRAILLE PATTERN BLANK, which nobody sees"),
        ("\u034f", "COMBINING GRAPHEME JOINER, which nobody sees"),
        ("\n", r"U\+000A; leave it out"),
        ("\ue000", r"U\+E000; leave it out"),
    ],
)
def test_a_name_cannot_contain_what_is_not_seen(character: str, named: str) -> None:
    with pytest.raises(FieldError, match=f"A name cannot contain {named}"):
        parse_name(f"PC{character}1", NAME)


def test_a_name_is_composed_with_plain_spaces() -> None:
    assert parse_name(" Z\u030cabac\u00a01\u2003", NAME) == "Žabac 1"
    assert parse_line("room", " E\u0301cole\u00a02 ") == "École 2"


def test_what_is_shown_is_one_line_of_what_can_be_seen() -> None:
    assert shown("a\u00a0b\n\udce8\u200f") == "a b\\n\\xe8\\u200f"


def test_columns_give_way_texts_first_and_addresses_last() -> None:
    widths, needed = [40, 17, 9, 60], [40, 17, 1, 60]
    assert fitted(widths, needed, 200) == widths
    assert fitted(widths, needed, 100) == [34, 17, 9, 34]
    assert fitted(widths, needed, 66) == [17, 17, 9, 17]
    assert fitted(widths, needed, 60) == [17, 17, 3, 17]
    assert fitted(widths, needed, 42) == [8, 17, 3, 8]
    assert fitted(widths, needed, 20) == [3, 4, 3, 4]
    assert fitted(widths, needed, 3) == [3, 3, 3, 3]
