# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pure conversions of the field's values, shared by services, command line and window."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

from .errors import FieldError, Sentence, sentence

_HEX12 = re.compile(r"[0-9a-f]{12}\Z")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_IQN = re.compile(rf"iqn\.\d{{4}}-(?:0[1-9]|1[0-2])(?:\.{_LABEL}){{2,}}(?::[a-z0-9.:-]+)?\Z")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
"""RFC 791, 3.2; the reserved ones (RFC 1112, 4) include the broadcast."""
_UNICAST = (ipaddress.ip_network("2000::/3"), ipaddress.ip_network("fc00::/7"))
"""Global (RFC 4291, 2.4) and unique local (RFC 4193) addresses: no others are given to computers."""
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks without a shape (Unicode, DerivedCoreProperties: Default_Ignorable), the blank
of braille."""
_DIGEST_DIGITS = {"SHA-256": 64, "MD5": 32}
_IQN_AUTHORITY = "iqn.2026-11.net.ggnet"
IQN_MAX_BYTES = 223
"""RFC 3720, 3.2.6.1."""
NOT_UTF8 = sentence("A text is not UTF-8; have the terminal or the script use UTF-8.")
"""Of a text that nobody may repeat: it may be a password."""
NAME_MOST = 64
"""Characters of a machine's, an image's or a user's name."""


def tidy(name: str) -> str:
    """A name as it is stored and looked for: composed (Unicode NFC), with plain spaces, trimmed.

    What is typed on one computer and pasted from another looks the same and is the same then.
    """
    return composed(name).strip()


def composed(text: str) -> str:
    """With composed letters (Unicode NFC) and plain spaces."""
    return _plain(unicodedata.normalize("NFC", text))


def _plain(text: str) -> str:
    """With plain spaces in place of the no-break and other ones."""
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)


def parse_name(text: str, refused: Sentence) -> str:
    """``tidy`` of a name; FieldError("name"): ``refused`` for none or one of too many characters.

    And for a character that nobody sees, which is named.
    """
    name = tidy(parse_text("name", text))
    if not name or len(name) > NAME_MOST:
        raise FieldError("name", refused)
    for character in name:
        named = unicodedata.name(character, f"U+{ord(character):04X}")
        if unicodedata.category(character) == "Cf" or _UNSEEN.match(character):
            raise FieldError(
                "name",
                sentence(
                    "A name cannot contain {character}, which nobody sees; type it anew.",
                    character=named,
                ),
            )
        if not character.isprintable():
            raise FieldError(
                "name",
                sentence("A name cannot contain {character}; leave it out.", character=named),
            )
    return name


def parse_line(field: str, text: str) -> str:
    """``tidy`` of a short text; FieldError as ``parse_text``."""
    return tidy(parse_text(field, text))


def parse_text(field: str, text: str) -> str:
    """``text``, composed (Unicode NFC).

    FieldError for what is no text: bytes that are not UTF-8 (surrogateescape), and NUL.
    """
    if "\0" in text:
        raise FieldError(field, sentence("This text cannot contain a NUL character."))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FieldError(
            field,
            sentence(
                "“{text}” is no text in UTF-8; have the terminal or the script use UTF-8.",
                text=shown(text),
            ),
        ) from None
    return unicodedata.normalize("NFC", text)


def shown(text: object) -> str:
    """A text or file name fit for the screen: control characters and bytes that are no text escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in _plain(str(text)))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: one byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def parse_mac(text: str) -> str:
    """A MAC address in any usual notation as ``aa:bb:cc:dd:ee:ff``.

    Raises FieldError("mac") for anything else, and for group (IEEE 802 I/G bit) or all-zero
    addresses, which no network card can have.
    """
    digits = re.sub(r"[\s:.\-]", "", text).lower()
    if not _HEX12.match(digits):
        raise FieldError(
            "mac",
            sentence(
                "“{text}” is not a MAC address: 12 hexadecimal digits are needed.",
                text=text.strip(),
            ),
        )
    if int(digits[:2], 16) & 1:
        raise FieldError(
            "mac",
            sentence(
                "“{text}” is a group address; a network card's own address is needed.",
                text=text.strip(),
            ),
        )
    if digits == "0" * 12:
        raise FieldError("mac", sentence("The MAC address of a network card cannot be all zeros."))
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def parse_ip(text: str) -> str | None:
    """An IPv4 or IPv6 host address in its usual form, None for an empty text.

    Raises FieldError("ip") for anything else, and for addresses no machine can have (multicast,
    unspecified, loopback, broadcast, reserved) or that say nothing outside one wire (link-local).
    """
    if not text.strip():
        return None
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise FieldError(
            "ip",
            sentence(
                "“{text}” is not an IP address, such as 10.0.2.11 or fd00::11.", text=text.strip()
            ),
        ) from None
    if (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or (address.version == 4 and (address.is_reserved or address in _THIS_NETWORK))
        or (address.version == 6 and not any(address in network for network in _UNICAST))
        # A scope (%eth0) means something to one host only; a mapped address is IPv4's other coat.
        or (address.version == 6 and (address.scope_id or address.ipv4_mapped))
    ):
        raise FieldError(
            "ip",
            sentence(
                "{address} cannot be the address of a machine; give the one at which other "
                "computers reach it, or none.",
                address=address,
            ),
        )
    return str(address)


def parse_iqn(text: str) -> str:
    """An iSCSI qualified name (``iqn.YYYY-MM.reversed.domain:name``) in lower case.

    The letters are those of RFC 3720 3.2.6.1 (after RFC 3722 folding: a-z, 0-9, dash, dot,
    colon), at least two parts after the month as LIO's rtslib wants them, no underscore.
    Raises FieldError("iqn") for anything else.
    """
    name = text.strip().lower()
    if len(name.encode()) > IQN_MAX_BYTES:
        raise FieldError(
            "iqn", sentence("An iSCSI name has at most {most} bytes.", most=IQN_MAX_BYTES)
        )
    if not _IQN.match(name):
        raise FieldError(
            "iqn",
            sentence(
                "“{text}” is not an iSCSI name such as {authority}:name (letters, digits, dash, "
                "dot and colon only).",
                text=text.strip(),
                authority=_IQN_AUTHORITY,
            ),
        )
    return name


def target_iqn(mac: str) -> str:
    """The name of the one target of the machine with this MAC address."""
    return f"{_IQN_AUTHORITY}:target.{_bare_mac(mac)}"


def is_ours(iqn: str) -> bool:
    """Whether a target carries a name that ``target_iqn`` gives: GGnet Console made it."""
    name, _, mac = iqn.rpartition(".")
    return name == f"{_IQN_AUTHORITY}:target" and bool(_HEX12.match(mac))


def initiator_iqn(mac: str) -> str:
    """The name with which the machine with this MAC address logs in."""
    return f"{_IQN_AUTHORITY}:initiator.{_bare_mac(mac)}"


def initiator_mac(iqn: str) -> str | None:
    """The MAC address in a name that ``initiator_iqn`` gives; None of any other name."""
    name, _, mac = iqn.rpartition(".")
    if name != f"{_IQN_AUTHORITY}:initiator" or not _HEX12.match(mac):
        return None
    return ":".join(mac[i : i + 2] for i in range(0, 12, 2))


def parse_digest(text: str | None, kind: str) -> str | None:
    """A hexadecimal SHA-256 or MD5 (``kind``) as people paste them; None for an empty text.

    Raises FieldError for anything else.
    """
    digits = re.sub(r"[\s:]", "", text or "").lower()
    if not digits:
        return None
    length = _DIGEST_DIGITS[kind]
    if not re.fullmatch(rf"[0-9a-f]{{{length}}}", digits):
        raise FieldError(
            kind.replace("-", "").lower(),
            sentence(
                "“{text}” is not {X} {kind}: {length} hexadecimal digits are needed.",
                text=(text or "").strip(),
                X="an" if kind == "MD5" else "a",
                kind=kind,
                length=length,
            ),
        )
    return digits


def _bare_mac(mac: str) -> str:
    return parse_mac(mac).replace(":", "")


def format_size(size_bytes: int) -> str:
    """Bytes as people read them, in binary units: ``1.5 GiB``."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            if unit == "bytes":
                return sentence("{bytes} bytes", bytes=size_bytes)
            return f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def count(number: int, noun: str) -> str:
    """“1 target”, “3 targets”."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
