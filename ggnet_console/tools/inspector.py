# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells a disk image's format and whether it is safe to open; a program run in the sandbox.

Its argument is the descriptor of the open file, its answer a ``Verdict`` (see ``sandboxed``).
"""

from __future__ import annotations

import contextlib
import os
import struct
import tarfile
from typing import BinaryIO

from oslo_utils.imageutils import format_inspector

from ..values import format_size
from . import vhd, vhdx, vmdk
from .file_kinds import Packed, kind_of
from .sandboxed import answer
from .verdict import Flaw, Verdict

_HEAD_BYTES = 4 * 2**20
"""Formats are told by the beginning of a file; VHDX, the deepest, within its first MiB."""
_CHUNK_BYTES = 4096
_BIG_CHUNK_BYTES = 2**20
_RAW = frozenset({"raw", "gpt", "iso"})
"""oslo.utils' names for a disk without a container: plain, partitioned, optical (hybrid: two)."""
_WHY = {
    "backing_file": "it is based on another file (a backing file)",
    "data_file": "its data lies in another file (an external data file)",
    "unknown_features": "it uses features that are not known here",
    "descriptor": "its data lies in other files (VMDK extents) or its descriptor is not valid",
    "footer": "its footer does not agree with its header",
}
"""oslo.utils' safety checks, in the middle of a sentence."""
_SECTOR_BYTES = 512
_SOME_MEMBERS = 100
"""An OVA's description is the first of its files (DSP0243); some writers put it later."""
# QCOW2 (qemu's docs/interop/qcow2.txt): version, incompatible features.
_QCOW2_VERSION = struct.Struct(">4xI64xQ")
_QCOW2_EXTENDED_L2 = 0x10


def inspect(file: BinaryIO) -> Verdict:
    """Tell the format of an open file by its content, and whether it refers to other files."""
    size_bytes = os.fstat(file.fileno()).st_size
    kind = kind_of(file, size_bytes)
    if kind == "tar" and _holds_ovf(file):
        kind = Packed.OVA
    if kind is not None:
        return Verdict(str(kind), 0, safe=False)
    names = _formats(file)
    if names <= _RAW:
        return _raw_or_vhd(file, size_bytes)
    if len(names) > 1:
        several = " and ".join(sorted(names))
        return Verdict(several, 0, safe=False, why=f"it looks like {several} at the same time")
    (name,) = names
    verdict = _check(file, name)
    if verdict.safe and name == "vhd":
        return _dynamic_vhd(file, size_bytes)
    if verdict.safe and name == "vhdx" and (found := vhdx.metadata(file)) is not None:
        if found.has_parent:
            return Verdict("avhdx", 0, safe=False)
        if found.sector_bytes != _SECTOR_BYTES:
            return Verdict("vhdx-4096", 0, safe=False)
    return verdict


def _formats(file: BinaryIO) -> frozenset[str]:
    file.seek(0)
    head = format_inspector.InspectWrapper(os.fdopen(os.dup(file.fileno()), "rb"))
    for _ in range(0, _HEAD_BYTES, _CHUNK_BYTES):
        if not head.read(_CHUNK_BYTES):
            break
    head.close()
    return frozenset(str(found) for found in head.formats or ())


def _holds_ovf(file: BinaryIO) -> bool:
    file.seek(0)
    with (
        contextlib.suppress(tarfile.TarError, OSError, ValueError),
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        for _ in range(_SOME_MEMBERS):
            member = archive.next()
            if member is None:
                break
            if member.name.lower().endswith(".ovf"):
                return True
    return False


def _check(file: BinaryIO, name: str) -> Verdict:
    """Run the safety checks of the one format found."""
    inspector = format_inspector.ALL_FORMATS[name]()
    # Of a VMDK the end has to be read (streamOptimized has a footer there); the others are complete
    # early, and VHDX wants to find its tables in small pieces.
    step = _BIG_CHUNK_BYTES if name == "vmdk" else _CHUNK_BYTES
    descriptor_end = vmdk.descriptor_end(file) if name == "vmdk" else 0
    size_bytes = os.fstat(file.fileno()).st_size
    file.seek(0)
    at = 0
    try:
        while not inspector.complete and (chunk := file.read(step)):
            inspector.eat_chunk(vmdk.in_ascii(chunk, at, descriptor_end))
            at += len(chunk)
            if name == "vmdk" and descriptor_end <= at < size_bytes - _BIG_CHUNK_BYTES:
                # What is left to find is a footer at the end of the file.
                at = file.seek(size_bytes - _BIG_CHUNK_BYTES)
        inspector.finish()
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        if name == "qcow2" and _has_extended_l2(file):
            return Verdict("qcow2-extended-l2", 0, safe=False)
        why = " and ".join(_WHY.get(check, str(why)) for check, why in error.failures.items())
        return Verdict(name, inspector.virtual_size, safe=False, why=why)
    except format_inspector.ImageFormatError as error:
        why = f"it is damaged or cut off ({error})"
        return Verdict(name, 0, safe=False, why=why, damaged=True)
    flaws = (Flaw.ODD_LENGTH,) if size_bytes % _SECTOR_BYTES and name != "vhd" else ()
    return Verdict(name, inspector.virtual_size, safe=True, flaws=flaws)


def _has_extended_l2(file: BinaryIO) -> bool:
    """Whether a QCOW2 has subclusters, which oslo.utils does not know, nor the second reader."""
    file.seek(0)
    version, features = _QCOW2_VERSION.unpack(file.read(_QCOW2_VERSION.size))
    return version == 3 and bool(features & _QCOW2_EXTENDED_L2)


def _raw_or_vhd(file: BinaryIO, size_bytes: int) -> Verdict:
    """A VHD of fixed size is a raw disk with a footer behind it, which probes do not look at."""
    found = vhd.last_footer(file, size_bytes)
    if found is None or not _closes(file, *found, size_bytes):
        flaws = (Flaw.ODD_LENGTH,) if size_bytes % _SECTOR_BYTES else ()
        return Verdict("raw", size_bytes, safe=True, flaws=flaws)
    footer, disk_end = found
    if _is_dynamic(footer):
        return _dynamic_vhd(file, size_bytes)
    if not footer.sound:
        # What it says cannot be trusted: all before it is the disk.
        flaws = (Flaw.ONLY_FOOTER_DAMAGED,)
        return Verdict("vhd-fixed", disk_end, safe=True, flaws=flaws)
    if footer.type == vhd.DiskType.DIFFERENCING:
        return Verdict("avhd", 0, safe=False)
    if footer.disk_bytes > disk_end:
        return _damaged(
            f"it is cut off: its footer tells of {format_size(footer.disk_bytes)}, and it holds "
            f"{format_size(disk_end)}"
        )
    goes_on = footer.current_size < disk_end or disk_end + vhd.FOOTER_BYTES < size_bytes
    flaws = (Flaw.LONGER,) if goes_on else ()
    return Verdict("vhd-fixed", footer.disk_bytes, safe=True, flaws=flaws)


def _is_dynamic(footer: vhd.Footer) -> bool:
    is_fixed = footer.type == vhd.DiskType.FIXED or footer.header_at == vhd.NO_HEADER
    return not is_fixed and footer.type != vhd.DiskType.DIFFERENCING


def _closes(file: BinaryIO, footer: vhd.Footer, at: int, size_bytes: int) -> bool:
    """Whether a footer is that of the whole file, and not part of the data on a raw disk."""
    if _is_dynamic(footer):
        end = vhd.blocks_end(file, footer)
        return end is not None and end <= at
    if at + vhd.FOOTER_BYTES >= size_bytes:
        return True
    # Something fills the file up behind it.
    sizes = (footer.current_size, footer.disk_bytes)
    return footer.sound and footer.type == vhd.DiskType.FIXED and at in sizes


def _damaged(why: str) -> Verdict:
    return Verdict("vhd", 0, safe=False, why=why, damaged=True)


def _dynamic_vhd(file: BinaryIO, size_bytes: int) -> Verdict:
    """It has a footer at the end and a copy at the beginning, which is what qemu goes by."""
    first = vhd.footer_at(file, 0)
    data_end = vhd.blocks_end(file, first) if first is not None and first.sound else None
    found = vhd.last_footer(file, size_bytes, data_end or vhd.FOOTER_BYTES)
    last = found[0] if found is not None else None
    sound = [footer for footer in (first, last) if footer is not None and footer.sound]
    if not sound:
        return _damaged("it is damaged: its footers are not valid")
    footer = sound[0]
    if footer.type == vhd.DiskType.DIFFERENCING:
        return Verdict("avhd", 0, safe=False)
    if footer.type != vhd.DiskType.DYNAMIC:
        return _damaged("it is damaged: its footer is of no known type")
    if not footer.tells_the_same(sound[-1]):
        return _damaged("it is damaged: its two footers do not agree")
    end = vhd.blocks_end(file, footer)
    if end is None:
        return _damaged("it is damaged: its header or block table is not valid")
    if end > size_bytes:
        return _damaged(
            f"it is cut off: its data reaches to {format_size(end)}, and it holds "
            f"{format_size(size_bytes)}"
        )
    flaws = []
    if footer is not first:
        flaws.append(Flaw.FIRST_FOOTER_DAMAGED)
    elif len(sound) == 1:
        flaws.append(Flaw.LAST_FOOTER_DAMAGED)
    if found is not None and found[1] + vhd.FOOTER_BYTES < size_bytes:
        flaws.append(Flaw.LONGER)
    return Verdict(
        "vhd",
        footer.disk_bytes,
        safe=True,
        by_geometry=footer.by_geometry,
        flaws=tuple(flaws),
        last_footer_at=found[1] if found is not None else size_bytes + -size_bytes % _SECTOR_BYTES,
    )


def main(descriptor: str) -> Verdict:
    """Inspect the file whose descriptor is given."""
    with open(int(descriptor), "rb", closefd=False) as file:
        return inspect(file)


if __name__ == "__main__":
    answer(main)
