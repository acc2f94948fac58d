# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells a disk image's format and whether it is safe to open; a program run in the sandbox.

``python -I -m ggnet_console.tools.inspector FD [UID]`` gives up root (when UID is given) after its
imports and before it reads the open file FD, and prints one JSON object (see ``Verdict``).
It starts as root because a virtual environment may lie where the sandbox's user cannot go.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from dataclasses import asdict
from typing import BinaryIO

from oslo_utils.imageutils import format_inspector

from .verdict import Verdict

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
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

# Virtual Hard Disk Image Format Specification 1.0: "Hard Disk Footer Format".
_FOOTER_BYTES = 512
_FOOTER_COOKIE = b"conectix"
_FOOTER_SIZE = struct.Struct(">40x8xQ")
_FOOTER_TYPE = struct.Struct(">60xI")
_FOOTER_CHECKSUM_AT = 64
_TYPE_FIXED = 2
_TYPE_DIFFERENCING = 4


def inspect(file: BinaryIO) -> Verdict:
    """Tell the format of an open file by its content, and whether it refers to other files."""
    size_bytes = os.fstat(file.fileno()).st_size
    names = _formats(file)
    if names <= _RAW:
        return _raw_or_fixed_vhd(file, size_bytes)
    if len(names) > 1:
        several = " and ".join(sorted(names))
        return Verdict(several, 0, safe=False, why=f"it looks like {several} at the same time")
    (name,) = names
    return _check(file, name)


def _formats(file: BinaryIO) -> frozenset[str]:
    file.seek(0)
    head = format_inspector.InspectWrapper(os.fdopen(os.dup(file.fileno()), "rb"))
    for _ in range(0, _HEAD_BYTES, _CHUNK_BYTES):
        if not head.read(_CHUNK_BYTES):
            break
    head.close()
    return frozenset(str(found) for found in head.formats or ())


def _check(file: BinaryIO, name: str) -> Verdict:
    """Run the safety checks of the one format found."""
    inspector = format_inspector.ALL_FORMATS[name]()
    # Only a VMDK may have to be read to its end (streamOptimized has a footer); the others are
    # complete early, and VHDX wants to find its tables in small pieces.
    step = _BIG_CHUNK_BYTES if name == "vmdk" else _CHUNK_BYTES
    file.seek(0)
    while not inspector.complete and (chunk := file.read(step)):
        inspector.eat_chunk(chunk)
    inspector.finish()
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        why = " and ".join(_WHY.get(check, str(why)) for check, why in error.failures.items())
        return Verdict(name, inspector.virtual_size, safe=False, why=why)
    except format_inspector.ImageFormatError as error:
        return Verdict(name, 0, safe=False, why=f"it is damaged or cut off ({error})")
    if name == "vhd":
        file.seek(0)
        if _FOOTER_TYPE.unpack_from(file.read(_FOOTER_BYTES))[0] == _TYPE_DIFFERENCING:
            why = "it holds only the differences from another disk"
            return Verdict(name, inspector.virtual_size, safe=False, why=why)
    return Verdict(name, inspector.virtual_size, safe=True)


def _raw_or_fixed_vhd(file: BinaryIO, size_bytes: int) -> Verdict:
    """A VHD of fixed size is a raw disk with a footer behind it, which probes do not look at."""
    file.seek(max(0, size_bytes - _FOOTER_BYTES))
    footer = file.read(_FOOTER_BYTES)
    if (
        len(footer) == _FOOTER_BYTES
        and footer.startswith(_FOOTER_COOKIE)
        and _FOOTER_TYPE.unpack_from(footer)[0] == _TYPE_FIXED
        and _FOOTER_SIZE.unpack_from(footer)[0] == size_bytes - _FOOTER_BYTES
        and _checksum(footer) == struct.unpack_from(">I", footer, _FOOTER_CHECKSUM_AT)[0]
    ):
        return Verdict("vhd-fixed", size_bytes - _FOOTER_BYTES, safe=True)
    return Verdict("raw", size_bytes, safe=True)


def _checksum(footer: bytes) -> int:
    """One's complement of the sum of all bytes but the checksum's own."""
    own = sum(footer[_FOOTER_CHECKSUM_AT : _FOOTER_CHECKSUM_AT + 4])
    return ~(sum(footer) - own) & 0xFFFFFFFF


def _drop_privileges(uid: int | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # Changing the user clears the parent-death signal, so it comes after that (prctl(2)).
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, int(value), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option})")  # no text


def main() -> None:
    """Inspect the file whose descriptor is given and print the verdict."""
    _drop_privileges(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    with open(int(sys.argv[1]), "rb", closefd=False) as file:
        sys.stdout.write(json.dumps(asdict(inspect(file))))


if __name__ == "__main__":
    main()
