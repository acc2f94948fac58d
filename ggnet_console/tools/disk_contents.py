# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what is on a disk: its partition table, its file systems; a program run in the sandbox.

Its arguments are the descriptor and the size of a raw disk, its answer ``Contents`` (see ``sandboxed``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .copying import BLOCK_BYTES, blocks
from .partition_tables import (
    Fault,
    Partition,
    Table,
    content_at,
    content_bytes,
    partition_table,
)
from .sandboxed import answer

_SHOWN = 8
_ZEROS = bytes(BLOCK_BYTES)
_OPTICAL = ("ISO 9660", "UDF")


@dataclass(frozen=True)
class Contents:
    """What was found on a disk."""

    summary: str
    """In one line, made of proper names; empty when nothing is known."""
    fault: str = ""
    """Of ``partition_tables.Fault``."""
    needed_bytes: int = 0
    """How large the disk would have to be, for ``CUT_OFF``."""


def main(descriptor: str, size_bytes: str) -> Contents:
    """Look at the raw disk of this size whose descriptor is given."""
    return contents(int(descriptor), int(size_bytes))


def contents(fd: int, size_bytes: int) -> Contents:
    """What is on the raw disk of ``size_bytes`` that is open as ``fd``."""

    def read(offset: int, length: int) -> bytes:
        if not 0 <= offset < size_bytes:
            return b""
        return os.pread(fd, min(length, size_bytes - offset), offset)

    content = content_at(read, 0)
    table = partition_table(read, size_bytes, content)
    if table is not None and not (content in _OPTICAL and _is_for_sticks(table)):
        shown = [_named(partition) for partition in table.partitions[:_SHOWN]]
        more = len(table.partitions) - len(shown)
        parts = ", ".join([*shown, *([f"+{more}"] if more else [])])
        summary = f"{table.kind}: {parts}" if parts else table.kind
        return Contents(summary, table.fault or "", table.needed_bytes)
    if content:
        needed = content_bytes(read, content)
        if needed > size_bytes:
            return Contents(content, Fault.CUT_OFF, needed)
        return Contents(content)
    if _is_blank(fd, size_bytes):
        return Contents("blank")
    return Contents("", Fault.NOTHING)


def _is_for_sticks(table: Table) -> bool:
    """Whether it is the table an optical disk has besides, for the sticks it is copied to."""
    kinds = {partition.content for partition in table.partitions if partition.start}
    return kinds <= {"", "FAT12", "FAT16", "FAT32", *_OPTICAL}


def _named(partition: Partition) -> str:
    if partition.type and partition.content and partition.content not in partition.type:
        return f"{partition.type} ({partition.content})"
    return partition.content or partition.type or "?"


def _is_blank(fd: int, size_bytes: int) -> bool:
    """Whether every byte is zero."""
    return all(
        is_hole or block == _ZEROS[: len(block)] for _, block, is_hole in blocks(fd, size_bytes)
    )


if __name__ == "__main__":
    answer(main)
