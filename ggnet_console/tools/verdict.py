# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inspector's process tells the process that started it; apart, for it must load fast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Flaw(StrEnum):
    """What is wrong with a file whose disk can be read all the same."""

    LAST_FOOTER_DAMAGED = "last-footer-damaged"
    FIRST_FOOTER_DAMAGED = "first-footer-damaged"
    """Of the two of a dynamic VHD."""
    ONLY_FOOTER_DAMAGED = "only-footer-damaged"
    """Of a fixed VHD."""
    LONGER = "longer"
    """A VHD's file goes on behind what its footer describes."""
    ODD_LENGTH = "odd-length"
    """Of the file: no whole number of sectors, as after a download that broke off."""


@dataclass(frozen=True)
class Verdict:
    """What the inspector found; ``why`` says in the middle of a sentence why it is not safe."""

    format: str
    """``raw qcow2 vhd vhd-fixed vhdx vmdk``; a word of ``file_kinds``; or another format's name."""
    virtual_size: int
    """Bytes of the disk; 0 when the format does not say."""
    safe: bool
    why: str = ""
    damaged: bool = False
    """Whether ``why`` is a damage, not how such files are."""
    by_geometry: bool = False
    """A VHD whose disk ends with its geometry, see ``vhd.Footer``."""
    flaws: tuple[str, ...] = ()
    """Of ``Flaw``."""
    last_footer_at: int = 0
    """Of a dynamic VHD: where its last footer is, or belongs."""
