# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the partition tables of a disk and names what is in its partitions.

GPT as in the UEFI Specification 2.10, chapter 5; MBR as PCs have it. Numbers are little-endian.
"""

from __future__ import annotations

import binascii
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

SECTOR_BYTES = 512
_LARGE_SECTOR_BYTES = 4096
_MOST_LOGICAL = 60
"""Logical partitions that are followed; an extended one of more is taken for a loop."""

_GPT = struct.Struct("<8sIII4xQQQQ16sQIII")
"""Signature, revision, header's bytes and CRC, own and other LBA, first and last usable LBA, GUID,
LBA, number, bytes and CRC of the entries."""
_GPT_SIGNATURE = b"EFI PART"
_GPT_ENTRY = struct.Struct("<16s16sQQ")
_GPT_MOST_BYTES = 2**20
_MBR_ENTRY = struct.Struct("<B3xB3xII")
_MBR_AT, _MBR_SIGNATURE = 446, b"\x55\xaa"
_PROTECTIVE = 0xEE
_EXTENDED = frozenset({0x05, 0x0F, 0x85})

_GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Windows data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "Windows dynamic disk",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "Windows dynamic disk",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux boot",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
}
_MBR_TYPES = {
    0x01: "FAT12", 0x04: "FAT16", 0x06: "FAT16", 0x0B: "FAT32", 0x0C: "FAT32", 0x0E: "FAT16",
    0x07: "NTFS or exFAT", 0x27: "Windows recovery", 0x42: "Windows dynamic disk",
    0x82: "Linux swap", 0x83: "Linux", 0x8E: "Linux LVM", 0xFD: "Linux RAID", 0xEF: "EFI system",
    0xA5: "FreeBSD", 0xA8: "macOS", 0xAF: "macOS", 0xFB: "VMFS",
}  # fmt: skip
_FILE_SYSTEMS: tuple[tuple[int, bytes, str], ...] = (
    (3, b"NTFS    ", "NTFS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (3, b"EXFAT   ", "exFAT"),
    (3, b"ReFS\0\0\0\0", "ReFS"),
    (82, b"FAT32   ", "FAT32"),
    (54, b"FAT16   ", "FAT16"),
    (54, b"FAT12   ", "FAT12"),
    (0, b"XFSB", "XFS"),
    (0, b"hsqs", "squashfs"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (32, b"NXSB", "APFS"),
    (512, b"LABELONE", "LVM"),
    (1024, b"H+\0\x04", "HFS+"),
    (1024, b"HX\0\x05", "HFS+"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (4096, b"\xfc\x4e\x2b\xa9", "Linux RAID"),
    (4086, b"SWAPSPACE2", "Linux swap"),
    (32769, b"CD001", "ISO 9660"),
    (32769, b"BEA01", "UDF"),
    (65600, b"_BHRfS_M", "Btrfs"),
)
"""Offset, magic and name of what can be in a partition, as file systems define them."""
_WITH_BOOT_CODE = frozenset({"NTFS", "BitLocker", "exFAT", "ReFS", "FAT32", "FAT16", "FAT12"})
"""What has jump and boot code in its first sector, and 55 AA at its end."""
_TOLD_SURELY = _WITH_BOOT_CODE | {"ext2", "ext3", "ext4", "XFS", "Btrfs"}
"""By more than two or three bytes."""
_CONTENT_BYTES = max(at + len(magic) for at, magic, _ in _FILE_SYSTEMS)
_EXT_SUPERBLOCK_AT = 1024
_EXT_AT, _EXT = 1024 + 56, b"\x53\xef"
_EXT_MOST_LOG = 6
"""Blocks of 64 KiB."""
_ISO_VOLUME_AT = 32768
_EXT_FEATURES = struct.Struct("<3I")
_EXT_FEATURES_AT = 1024 + 92
_EXT3_JOURNAL, _EXT4_INCOMPATIBLE = 0x4, 0x2C0
"""Of the features: has_journal; extents, 64bit and flex_bg, which ext3 does not know."""


class Fault(StrEnum):
    """What is wrong with what is on a disk."""

    CUT_OFF = "cut-off"
    """The table is of a larger disk."""
    NO_COPY = "no-copy"
    """The GPT's copy at the end of the disk is missing or damaged."""
    ONLY_COPY = "only-copy"
    """The GPT at the beginning is damaged, its copy at the end is right."""
    DAMAGED = "damaged"
    """There should be a GPT, and neither of the two is right."""
    UNPROTECTED = "unprotected"
    """A GPT without a protective MBR (UEFI 5.2.3): nobody looks for it."""
    LARGE_SECTORS = "large-sectors"
    """The table is of a disk with sectors of 4096 bytes."""
    NOTHING = "nothing"
    """There is data of which nothing is known."""


@dataclass(frozen=True)
class Partition:
    """A partition: what its table calls it, and what was found at its beginning."""

    start: int
    """Offset in bytes."""
    size: int
    """Bytes."""
    type: str
    """The table's word for it, empty when it is not a known one."""
    content: str
    """File system or the like, empty when none is known."""


@dataclass(frozen=True)
class Table:
    """A partition table; ``kind`` is ``GPT`` or ``MBR``."""

    kind: str
    partitions: tuple[Partition, ...]
    fault: Fault | None = None
    needed_bytes: int = 0
    """How large the disk would have to be, for ``CUT_OFF``."""


Read = Callable[[int, int], bytes]
"""``read(offset, length)`` of the disk: less where it ends."""


def content_at(read: Read, offset: int) -> str:
    """The file system or the like that begins at ``offset``; empty when none is known."""
    head = read(offset, _CONTENT_BYTES).ljust(_CONTENT_BYTES, b"\0")
    if head[_EXT_AT : _EXT_AT + 2] == _EXT and _ext_bytes(head):
        compatible, incompatible, _ = _EXT_FEATURES.unpack_from(head, _EXT_FEATURES_AT)
        if incompatible & _EXT4_INCOMPATIBLE:
            return "ext4"
        return "ext3" if compatible & _EXT3_JOURNAL else "ext2"
    for at, magic, name in _FILE_SYSTEMS:
        if head[at : at + len(magic)] == magic:
            return name
    return ""


def content_bytes(read: Read, content: str) -> int:
    """How large what begins a disk says that it is, in bytes; 0 where it is not told or known."""
    head = read(0, _CONTENT_BYTES).ljust(_CONTENT_BYTES, b"\0")
    match content:
        case "ext2" | "ext3" | "ext4":
            return _ext_bytes(head)
        case "NTFS":
            (sector_bytes,) = struct.unpack_from("<H", head, 11)
            (sectors,) = struct.unpack_from("<Q", head, 40)
            return int(sector_bytes * sectors)
        case "ISO 9660":
            (blocks,) = struct.unpack_from("<I", head, _ISO_VOLUME_AT + 80)
            (block_bytes,) = struct.unpack_from("<H", head, _ISO_VOLUME_AT + 128)
            return int(blocks * block_bytes)
    return 0


def _ext_bytes(head: bytes) -> int:
    """Of an ext file system; 0 when its numbers are none."""
    (blocks,) = struct.unpack_from("<I", head, _EXT_SUPERBLOCK_AT + 4)
    (log_block_kib,) = struct.unpack_from("<I", head, _EXT_SUPERBLOCK_AT + 24)
    if log_block_kib > _EXT_MOST_LOG:
        return 0
    return int(blocks) << (10 + int(log_block_kib))


def partition_table(read: Read, size_bytes: int, content: str) -> Table | None:
    """The table of a disk of ``size_bytes`` that begins with ``content``; None when it has none.

    As UEFI, Windows and Linux do, a GPT is believed where the MBR says that there is one.
    """
    entries = _mbr_entries(read(0, SECTOR_BYTES))
    if any(kind == _PROTECTIVE for kind, _, _ in entries):
        return _gpt_table(read, size_bytes)
    if entries:
        table = _mbr_table(read, size_bytes, entries)
        # The boot code of a file system without a table may look like a table's entries.
        if content in _WITH_BOOT_CODE and not any(one.content for one in table.partitions):
            return None
        return table
    first = _gpt_at(read, SECTOR_BYTES) if not content else None
    return None if first is None else Table("GPT", first.partitions, Fault.UNPROTECTED)


def _gpt_table(read: Read, size_bytes: int) -> Table:
    first = _gpt_at(read, SECTOR_BYTES)
    last_at = size_bytes // SECTOR_BYTES * SECTOR_BYTES - SECTOR_BYTES
    if first is None:
        copy = _gpt_at(read, last_at)
        if copy is not None:
            return Table("GPT", copy.partitions, Fault.ONLY_COPY)
        large = _gpt_at(read, _LARGE_SECTOR_BYTES, _LARGE_SECTOR_BYTES)
        if large is not None:
            return Table("GPT", large.partitions, Fault.LARGE_SECTORS)
        return Table("GPT", (), Fault.DAMAGED)
    needed = (first.other_lba + 1) * SECTOR_BYTES
    if needed > size_bytes:
        return Table("GPT", first.partitions, Fault.CUT_OFF, needed)
    copy = _gpt_at(read, first.other_lba * SECTOR_BYTES)
    is_copy = copy is not None and copy.entries_checksum == first.entries_checksum
    return Table("GPT", first.partitions, None if is_copy else Fault.NO_COPY)


@dataclass(frozen=True)
class _Gpt:
    other_lba: int
    entries_checksum: int
    partitions: tuple[Partition, ...]


def _gpt_at(read: Read, offset: int, sector_bytes: int = SECTOR_BYTES) -> _Gpt | None:
    """A GPT header whose checksums are right."""
    header = read(offset, SECTOR_BYTES)
    if offset <= 0 or len(header) < SECTOR_BYTES or not header.startswith(_GPT_SIGNATURE):
        return None
    (_, _, header_bytes, checksum, own, other, _, _, _, entries_lba, count, entry_bytes,
     entries_checksum) = _GPT.unpack_from(header)  # fmt: skip
    if (
        not _GPT.size <= header_bytes <= SECTOR_BYTES
        or own * sector_bytes != offset
        or entry_bytes < 128
        or count * entry_bytes > _GPT_MOST_BYTES
        or _without_checksum(header[:header_bytes]) != checksum
    ):
        return None
    entries = read(entries_lba * sector_bytes, count * entry_bytes)
    if binascii.crc32(entries) != entries_checksum:
        return None
    return _Gpt(
        other, entries_checksum, tuple(_gpt_partitions(read, entries, entry_bytes, sector_bytes))
    )


def _without_checksum(header: bytes) -> int:
    return binascii.crc32(header[:16] + bytes(4) + header[20:])


def _gpt_partitions(
    read: Read, entries: bytes, entry_bytes: int, sector_bytes: int
) -> Iterator[Partition]:
    for at in range(0, len(entries), entry_bytes):
        kind, _, first, last = _GPT_ENTRY.unpack_from(entries, at)
        if any(kind):
            start = first * sector_bytes
            yield Partition(
                start,
                (last + 1) * sector_bytes - start,
                _GPT_TYPES.get(str(uuid.UUID(bytes_le=kind)), ""),
                content_at(read, start),
            )


def _mbr_entries(sector: bytes) -> list[tuple[int, int, int]]:
    """Type, first sector and number of sectors of those that are used."""
    if sector[510:512] != _MBR_SIGNATURE:
        return []
    found = []
    for at in range(_MBR_AT, 510, _MBR_ENTRY.size):
        state, kind, first, count = _MBR_ENTRY.unpack_from(sector, at)
        if kind and count and state & 0x7F == 0:
            found.append((kind, first, count))
    return found


def _mbr_table(read: Read, size_bytes: int, entries: list[tuple[int, int, int]]) -> Table:
    partitions, needed, large = [], 0, False
    for kind, first, count in _with_logical(read, entries):
        start, size = first * SECTOR_BYTES, count * SECTOR_BYTES
        content = content_at(read, start) if first else ""
        large |= not content and content_at(read, first * _LARGE_SECTOR_BYTES) in _TOLD_SURELY
        partitions.append(Partition(start, size, _MBR_TYPES.get(kind, ""), content))
        if first:  # isohybrid and old BSD disks have entries for the whole disk, of any size
            needed = max(needed, start + size)
    if large and not any(partition.content for partition in partitions):
        return Table("MBR", tuple(partitions), Fault.LARGE_SECTORS)
    if needed > size_bytes:
        return Table("MBR", tuple(partitions), Fault.CUT_OFF, needed)
    return Table("MBR", tuple(partitions))


def _with_logical(
    read: Read, entries: list[tuple[int, int, int]]
) -> Iterator[tuple[int, int, int]]:
    """The partitions, the logical ones in place of the extended one they are in."""
    for kind, first, count in entries:
        if kind not in _EXTENDED:
            yield kind, first, count
            continue
        at = first
        for _ in range(_MOST_LOGICAL):
            following = None
            for inner, offset, length in _mbr_entries(read(at * SECTOR_BYTES, SECTOR_BYTES)):
                if inner in _EXTENDED:
                    following = first + offset
                else:
                    yield inner, at + offset, length
            if following is None:
                break
            at = following
