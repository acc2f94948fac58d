# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VHDX says of itself that qemu only calls an error: its sectors, and whether it is a part.

[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format. Numbers are little-endian.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import BinaryIO

from .read_at import read_at

_REGIONS_AT = (192 * 1024, 256 * 1024)
"""Of the region table and its copy."""
_REGIONS = struct.Struct("<4s4xI4x")
_REGION = struct.Struct("<16sQI4x")
_METADATA = struct.Struct("<8s2xH20x")
_ITEM = struct.Struct("<16sIII4x")
_MOST_ENTRIES = 2047
"""In either table."""
_METADATA_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_HAS_PARENT = 0x2
"""Of the flags in the file parameters."""


@dataclass(frozen=True)
class Metadata:
    """Of a VHDX, what decides whether its disk can be served."""

    has_parent: bool
    """It holds only the differences from another file."""
    sector_bytes: int
    """Of the disk's logical sectors."""


def metadata(file: BinaryIO) -> Metadata | None:
    """None when it cannot be read: the file is damaged."""
    for regions_at in _REGIONS_AT:
        region_at = _metadata_region(file, regions_at)
        if region_at is not None:
            break
    else:
        return None
    items = _items(file, region_at)
    parameters = _read(file, items.get(_FILE_PARAMETERS), "<4xI")
    sector_bytes = _read(file, items.get(_LOGICAL_SECTOR_SIZE), "<I")
    if parameters is None or sector_bytes is None:
        return None
    return Metadata(bool(parameters & _HAS_PARENT), sector_bytes)


def _metadata_region(file: BinaryIO, table_at: int) -> int | None:
    table = read_at(file, table_at, _REGIONS.size + _MOST_ENTRIES * _REGION.size)
    if len(table) < _REGIONS.size:
        return None
    signature, count = _REGIONS.unpack_from(table)
    entries = table[_REGIONS.size : _REGIONS.size + count * _REGION.size]
    if signature != b"regi" or len(entries) < count * _REGION.size:
        return None
    for name, at, _length in _REGION.iter_unpack(entries):
        if uuid.UUID(bytes_le=name) == _METADATA_REGION:
            return int(at)
    return None


def _items(file: BinaryIO, region_at: int) -> dict[uuid.UUID, int]:
    """Offsets in the file of the metadata's items."""
    table = read_at(file, region_at, _METADATA.size + _MOST_ENTRIES * _ITEM.size)
    if len(table) < _METADATA.size:
        return {}
    signature, count = _METADATA.unpack_from(table)
    entries = table[_METADATA.size : _METADATA.size + count * _ITEM.size]
    if signature != b"metadata" or len(entries) < count * _ITEM.size:
        return {}
    return {
        uuid.UUID(bytes_le=name): region_at + at
        for name, at, _length, _flags in _ITEM.iter_unpack(entries)
    }


def _read(file: BinaryIO, at: int | None, layout: str) -> int | None:
    if at is None:
        return None
    data = read_at(file, at, struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        return None
    (number,) = struct.unpack(layout, data)
    return int(number)
