# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a container independently of qemu and compares it with its raw disk; run in the sandbox.

Its arguments are the format, and the descriptors of the container and of the raw file; its answer
is a ``Reading`` (see ``sandboxed``). It reads with dissect.hypervisor, which shares no code with
qemu: a conversion is not proved by the program that made it. What it cannot read ends it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from dissect.hypervisor.disk import qcow2, vhd, vhdx, vmdk
from dissect.util.stream import AlignedStream

from . import vmdk as vmdk_file
from .copying import next_data
from .sandboxed import answer

_STEP_BYTES = 2**20
_ZEROS = bytes(_STEP_BYTES)
_SECTOR_BYTES = 512
_MOST_BYTES = 2**26
"""Of one read that is filled up; a reader that asks for more has lost its way."""


@dataclass(frozen=True)
class Reading:
    """What the second reader read."""

    size_bytes: int
    """Of the disk in the container, in whole sectors."""
    differs_at: int | None = None
    """Offset of the first MiB that differs, None when none does."""
    ends_early: bool = False
    """Whether some of the data lies behind the end of the file, where zeros were read."""


@dataclass(frozen=True)
class _Disk:
    """The disk in a container; ``read(offset, length)`` begins at a whole sector."""

    size: int
    read: Callable[[int, int], bytes]


def main(image_format: str, container: str, raw: str) -> Reading:
    """Compare the container behind one descriptor with the raw disk behind the other."""
    # Another open file than the one inherited, for its offset is shared with other readers.
    with Path(f"/proc/self/fd/{container}").open("rb") as file:
        is_vmdk = image_format == "vmdk"
        source = _Nameless(file, vmdk_file.descriptor_end(file) if is_vmdk else 0)
        disk = _opened(image_format, source)
        source.ends_early = False
        return replace(_compare(disk, int(raw)), ends_early=source.ends_early)


def _opened(image_format: str, file: _Nameless) -> _Disk:
    match image_format:
        case "vhd":
            return _of_sectors(vhd.VHD(file).disk)
        case "vhdx":
            return _of_sectors(vhdx.VHDX(file))
        case "vmdk":
            # One file is one extent; VMDK itself cannot read the end of its last one.
            (extent,) = vmdk.VMDK(file).disks
            return _of_sectors(extent)
        case "qcow2":
            return _of_stream(qcow2.QCow2(file).open())
    raise ValueError(image_format)


def _of_stream(stream: AlignedStream) -> _Disk:
    def read(at: int, length: int) -> bytes:
        stream.seek(at)
        data: bytes = stream.read(length)
        return data

    return _Disk(stream.size, read)


def _of_sectors(disk: Any) -> _Disk:
    def read(at: int, length: int) -> bytes:
        first, end = at // _SECTOR_BYTES, -(-(at + length) // _SECTOR_BYTES)
        sectors: bytes = disk.read_sectors(first, end - first)
        return sectors[:length]

    return _Disk(disk.size, read)


class _Nameless:
    """A file as qemu reads it, that does not tell its name, beside which others would be looked for.

    Behind its end there are zeros, and a VMDK's names are ASCII.
    """

    def __init__(self, file: BinaryIO, descriptor_end: int = 0) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file
        self._descriptor_end = descriptor_end
        self.ends_early = False
        file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        at = self._file.tell()
        data = self._file.read(size)
        if at < self._descriptor_end:
            data = vmdk_file.in_ascii(data, at, self._descriptor_end)
        if len(data) < size <= _MOST_BYTES:
            self.ends_early = True
            return data.ljust(size, b"\0")
        return data


def _compare(disk: _Disk, raw_fd: int) -> Reading:
    raw_bytes = os.fstat(raw_fd).st_size
    if disk.size <= 0:
        raise EOFError("no disk")  # no text
    # A disk that is no whole number of sectors is served with its last one filled up.
    size_bytes = disk.size + -disk.size % _SECTOR_BYTES
    end = min(raw_bytes, size_bytes)
    data_at = 0
    for at in range(0, end, _STEP_BYTES):
        length = min(_STEP_BYTES, end - at)
        if at + length > data_at:
            data_at = max(at, next_data(raw_fd, at, raw_bytes))
        is_hole = at + length <= data_at
        ours = _ZEROS[:length] if is_hole else os.pread(raw_fd, length, at)
        wanted = min(length, disk.size - at)
        theirs = disk.read(at, wanted)
        if len(theirs) != wanted:
            raise EOFError(f"{len(theirs)} of {wanted} bytes at {at}")  # no text
        if theirs.ljust(length, b"\0") != ours:
            return Reading(size_bytes, differs_at=at)
    return Reading(size_bytes)


if __name__ == "__main__":
    answer(main)
