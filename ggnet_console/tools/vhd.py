# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VHD says of itself: its footers, the size of its disk, whether its blocks are there.

Virtual Hard Disk Image Format Specification 1.0 (Microsoft, 2006). Numbers are big-endian.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import BinaryIO

from .read_at import read_at

FOOTER_BYTES = 512
_OLD_FOOTER_BYTES = 511
"""Of versions before Virtual PC 2004."""
_COOKIE = b"conectix"
_FOOTER = struct.Struct(">8s4x4xQ4x4s4x4xQQHBBII")
"""Cookie, offset of the dynamic header, creator, original and current size, geometry, type, checksum."""
_CHECKSUM_AT = 64
_DYNAMIC = struct.Struct(">8s8xQ4xIII")
"""Of the dynamic header: cookie, offset of the block table, its entries, bytes of a block, checksum."""
_DYNAMIC_BYTES = 1024
_DYNAMIC_CHECKSUM_AT = 36
_DYNAMIC_COOKIE = b"cxsparse"
_UNUSED = 0xFFFFFFFF
NO_HEADER = 0xFFFFFFFFFFFFFFFF
"""The offset of the dynamic header of a disk that has none."""
_SECTOR_BYTES = 512
_SEARCHED_BYTES = 2**16
"""Of the end of a file, for its footer."""
_MOST_ENTRIES = 2**24
"""Of the block table; more than any disk that qemu opens needs."""
_LARGEST_GEOMETRY = (65535, 16, 255)
_BY_GEOMETRY = frozenset({b"vpc ", b"vs  ", b"qemu"})
"""Virtual PC, Virtual Server and qemu before 2.0: only for these is the geometry the size."""


class DiskType(IntEnum):
    """What the footer says of how the disk is stored."""

    FIXED = 2
    DYNAMIC = 3
    DIFFERENCING = 4


@dataclass(frozen=True)
class Footer:
    """The fields of a footer that say where the disk is and how large."""

    creator: bytes
    """Four bytes that name the program that wrote it: ``vbox``, ``win `` …"""
    header_at: int
    """Offset of the dynamic header; ``NO_HEADER`` for a fixed disk."""
    current_size: int
    geometry: tuple[int, int, int]
    """Cylinders, heads, sectors a track."""
    type: int
    sound: bool
    """Whether the checksum is right."""

    @property
    def by_geometry(self) -> bool:
        """Whether the disk ends where the geometry does, before the current size."""
        return (
            self.creator in _BY_GEOMETRY
            and self.geometry != _LARGEST_GEOMETRY
            and self._geometry_bytes < self.current_size
        )

    @property
    def disk_bytes(self) -> int:
        """The size of the disk in bytes."""
        return self._geometry_bytes if self.by_geometry else self.current_size

    @property
    def _geometry_bytes(self) -> int:
        cylinders, heads, sectors = self.geometry
        return cylinders * heads * sectors * _SECTOR_BYTES

    def tells_the_same(self, other: Footer) -> bool:
        """Whether both describe one disk."""
        return (self.header_at, self.current_size, self.disk_bytes, self.type) == (
            other.header_at,
            other.current_size,
            other.disk_bytes,
            other.type,
        )


def footer_at(file: BinaryIO, offset: int) -> Footer | None:
    """The footer at ``offset``, None when there is none; at the end of a file it may be cut off."""
    found = read_at(file, offset, FOOTER_BYTES)
    if not found.startswith(_COOKIE):
        return None
    data = found.ljust(FOOTER_BYTES, b"\0")
    _, header_at, creator, _, size, cylinders, heads, sectors, kind, checksum = _FOOTER.unpack_from(
        data
    )
    return Footer(
        creator,
        header_at,
        size,
        (cylinders, heads, sectors),
        kind,
        _checksum(data, _CHECKSUM_AT) == checksum and len(found) >= _OLD_FOOTER_BYTES,
    )


def last_footer(
    file: BinaryIO, size_bytes: int, behind: int = FOOTER_BYTES
) -> tuple[Footer, int] | None:
    """The footer behind the disk of a file of ``size_bytes``, and its offset.

    Some programs fill the file up behind it, and a file may be cut off within it. What is known to
    be data ends at ``behind``.
    """
    end = -(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
    first = max(end - _SEARCHED_BYTES, behind)
    for at in range(end - _SECTOR_BYTES, first - 1, -_SECTOR_BYTES):
        footer = footer_at(file, at)
        if footer is not None:
            return footer, at
    return None


def _checksum(data: bytes, at: int) -> int:
    """One's complement of the sum of all bytes but the checksum's own at ``at``."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


def restore_footers(fd: int, last_at: int, *, from_first: bool) -> None:
    """Write the sound one of an open dynamic VHD's two footers over the other.

    ``last_at`` is where the last one is, or belongs; what the file has behind it goes.
    """
    footer = os.pread(fd, FOOTER_BYTES, 0 if from_first else last_at).ljust(FOOTER_BYTES, b"\0")
    os.pwrite(fd, footer, last_at if from_first else 0)
    os.ftruncate(fd, last_at + FOOTER_BYTES)


def blocks_end(file: BinaryIO, footer: Footer) -> int | None:
    """Offset behind the last block of a dynamic disk; None when header or table are damaged."""
    header = read_at(file, footer.header_at, _DYNAMIC_BYTES)
    if len(header) < _DYNAMIC_BYTES:
        return None
    table_at: int
    entries: int
    block_bytes: int
    checksum: int
    cookie, table_at, entries, block_bytes, checksum = _DYNAMIC.unpack_from(header)
    if (
        cookie != _DYNAMIC_COOKIE
        or _checksum(header, _DYNAMIC_CHECKSUM_AT) != checksum
        or block_bytes < _SECTOR_BYTES
        or block_bytes % _SECTOR_BYTES
        or entries * block_bytes < footer.disk_bytes
    ):
        return None
    needed = -(-footer.disk_bytes // block_bytes)
    if not 0 < needed <= _MOST_ENTRIES:
        return None
    data = read_at(file, table_at, needed * 4)
    if len(data) < needed * 4:
        return None
    table = array("I", data)
    if sys.byteorder == "little":
        table.byteswap()
    used = sorted(at for at in table if at != _UNUSED)
    bitmap_bytes = -(-block_bytes // _SECTOR_BYTES // 8 // _SECTOR_BYTES) * _SECTOR_BYTES
    step = (bitmap_bytes + block_bytes) // _SECTOR_BYTES
    if any(after - before < step for before, after in pairwise(used)):
        return None  # two blocks at one place
    if used and used[0] * _SECTOR_BYTES < footer.header_at + _DYNAMIC_BYTES:
        return None
    return (used[-1] + step) * _SECTOR_BYTES if used else table_at + needed * 4
