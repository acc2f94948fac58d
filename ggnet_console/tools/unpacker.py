# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks the one disk image of a packed file; a program run in the sandbox.

Its arguments are the word of the kind (``file_kinds.Packed``), the descriptors of the packed and of
the new file, and the most bytes the new one may get. It prints the bytes it has read, a number a
line, and at last an ``Unpacked`` (see ``sandboxed``).
"""

from __future__ import annotations

import contextlib
import encodings.cp437  # noqa: F401  # names in zip files: nothing can be imported later
import errno
import gzip
import lzma
import os
import re
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import BinaryIO, Protocol

from .copying import FLUSH_BYTES, write_sparse
from .file_kinds import Packed
from .sandboxed import answer, say

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK_BYTES = 1 << 20
_REPORT_S = 0.2
_ZSTD_WINDOW_LOG = 29
"""As much as the memory of this program takes: ``zstd --long=29``."""
_DISKS = (".vhdx", ".vhd", ".avhdx", ".vmdk", ".qcow2", ".qcow", ".img", ".raw", ".vdi", ".hdd",
          ".qed", ".ova")  # fmt: skip
"""Endings of disk images, in archives where something else lies beside."""
_PERHAPS_DISKS = (".dd", ".bin", ".iso")
"""Endings that count where none of the others is."""
_PACKED_DISKS = (".gz", ".xz", ".zst", ".zstd", ".zip")
_PART = re.compile(r"-(s|f)\d{3}\.vmdk|-flat\.vmdk|-delta\.vmdk|-\d{6}\.vmdk", re.IGNORECASE)
"""How VMware names the files of one disk."""
_NOTES = re.compile(r"(.*/)?(__MACOSX/|\._)")
"""What macOS notes on each file, in a folder of its own or beside it."""
_ZIP_ENCRYPTED = 1
"""Of an entry's flags (APPNOTE 4.4.4)."""
_MOST_MEMBERS = 10_000


class Problem(StrEnum):
    """Why nothing was unpacked."""

    DAMAGED = "damaged"
    ENCRYPTED = "encrypted"
    METHOD = "method"
    """A way of packing that is not known here."""
    NO_DISK = "no disk"
    SEVERAL_DISKS = "several disks"
    PARTS = "parts"
    """One disk in several files."""
    TOO_LARGE = "too large"
    MEMORY = "memory"
    FULL = "full"
    STORAGE = "storage"
    """The storage host's disk, not the file."""


@dataclass(frozen=True)
class Unpacked:
    """How it ended; ``found`` is how many disk images the archive holds."""

    problem: str = ""
    found: int = 1
    detail: str = ""
    trailing: bool = False
    """Whether something else follows what was packed, and was left out."""


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _StoppedError(Exception):
    def __init__(self, problem: Problem, found: int = 1) -> None:
        self.problem = problem
        self.found = found


def main(kind: str, packed: str, unpacked: str, most_bytes: str) -> Unpacked:
    """Unpack the file behind the descriptor ``packed`` into the one behind ``unpacked``."""
    with open(int(packed), "rb", buffering=0, closefd=False) as source:
        source.seek(0)
        try:
            with contextlib.ExitStack() as stack:
                stream = _disk_image(Packed(kind), source, stack)
                _copy(stream, source, int(unpacked), int(most_bytes))
                return Unpacked(trailing=isinstance(stream, _Gzip) and stream.trailing)
        except _StoppedError as stop:
            return Unpacked(stop.problem, stop.found)
        except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zstd.ZstdError, zlib.error,
                EOFError, gzip.BadGzipFile, ValueError) as error:  # fmt: skip
            problem = Problem.MEMORY if "too much memory" in str(error) else Problem.DAMAGED
            return Unpacked(problem, detail=str(error))
        except NotImplementedError as error:
            return Unpacked(Problem.METHOD, detail=str(error))
        except MemoryError:
            return Unpacked(Problem.MEMORY)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return Unpacked(Problem.FULL, detail=str(error))
            if error.errno == errno.EFBIG:
                return Unpacked(Problem.TOO_LARGE, detail=str(error))
            problem = Problem.DAMAGED if error.errno is None else Problem.STORAGE
            return Unpacked(problem, detail=str(error))


def _disk_image(kind: Packed, source: BinaryIO, stack: contextlib.ExitStack) -> _Stream:
    """The disk image inside, as a stream."""
    match kind:
        case Packed.GZIP:
            return _Gzip(stack.enter_context(gzip.open(source)))
        case Packed.XZ:
            return _Xz(source)
        case Packed.ZSTD:
            options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
            return stack.enter_context(zstd.open(source, options=options))
        case Packed.ZIP:
            archive = stack.enter_context(zipfile.ZipFile(source))
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            entry = entries[_index_of_disk([entry.filename for entry in entries])]
            if entry.flag_bits & _ZIP_ENCRYPTED:
                raise _StoppedError(Problem.ENCRYPTED)
            return stack.enter_context(archive.open(entry))
        case Packed.OVA:
            tar = stack.enter_context(tarfile.open(fileobj=source, mode="r:"))  # noqa: SIM115
            members = [member for member in islice(tar, _MOST_MEMBERS) if member.isreg()]
            stream = tar.extractfile(members[_index_of_disk([member.name for member in members])])
            if stream is None:
                raise AssertionError("of a regular file")
            return stack.enter_context(stream)


def _index_of_disk(names: Sequence[str]) -> int:
    """Which of the files of an archive is the one disk image, by its name's ending."""
    files = [n for n, name in enumerate(names) if not _NOTES.match(name)]
    for endings in (_DISKS, _PERHAPS_DISKS):
        disks = [n for n in files if _unpacked_name(names[n]).endswith(endings)]
        if disks:
            break
    if not disks and len(files) == 1:
        disks = files
    if not disks:
        raise _StoppedError(Problem.NO_DISK, len(files))
    if len(disks) > 1:
        if any(_PART.search(names[n]) for n in disks):
            raise _StoppedError(Problem.PARTS, len(disks))
        raise _StoppedError(Problem.SEVERAL_DISKS, len(disks))
    return disks[0]


def _unpacked_name(name: str) -> str:
    name = name.lower()
    for ending in _PACKED_DISKS:
        name = name.removesuffix(ending)
    return name


class _Gzip:
    """A gzip file, which may go on with something else: gzip(1) leaves that out, too."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._has_begun = False
        self.trailing = False

    def read(self, size: int, /) -> bytes:
        found = bytearray()
        while len(found) < size and not self.trailing:
            try:
                # read() would lose what came before the error.
                data = self._stream.read1(size - len(found))
            except gzip.BadGzipFile as error:
                # Only a member that was right is followed by the look for another one.
                if not self._has_begun or not str(error).startswith("Not a gzipped file"):
                    raise
                self.trailing = True
                break
            if not data:
                break
            self._has_begun = True
            found += data
        return bytes(found)


class _Xz:
    """All streams of an xz file, each of which must be right (The .xz File Format 1.2, 2.)."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        self._input = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if self._stream.eof and not self._next_stream():
                return b""
            if self._stream.needs_input and not self._input:
                self._input = self._source.read(_BLOCK_BYTES)
                if not self._input:
                    raise EOFError("the file ends within a stream")  # no text
            given, self._input = self._input, b""
            data = self._stream.decompress(given, size)
            if data:
                return data

    def _next_stream(self) -> bool:
        """Begin the stream that follows, behind padding of zeros, four by four; False at the end."""
        rest, padding = self._stream.unused_data, 0
        while True:
            left = rest.lstrip(b"\0")
            padding += len(rest) - len(left)
            if left:
                break
            rest = self._source.read(_BLOCK_BYTES)
            if not rest:
                return False
        if padding % 4:
            raise lzma.LZMAError("what is between two streams is no padding")  # no text
        self._stream, self._input = lzma.LZMADecompressor(lzma.FORMAT_XZ), left
        return True


def _copy(stream: _Stream, source: BinaryIO, fd: int, most_bytes: int) -> None:
    """Write ``stream`` from the beginning of ``fd``, without its zeros, and flush it."""
    at = unflushed = 0
    reported = time.monotonic()
    while block := stream.read(_BLOCK_BYTES):
        if at + len(block) > most_bytes:
            raise _StoppedError(Problem.TOO_LARGE)
        write_sparse(fd, block, at)
        at += len(block)
        unflushed += len(block)
        if unflushed >= FLUSH_BYTES:
            os.fdatasync(fd)
            unflushed = 0
        if time.monotonic() - reported > _REPORT_S:
            reported = time.monotonic()
            say(source.tell())
    os.ftruncate(fd, at)
    os.fsync(fd)


if __name__ == "__main__":
    answer(main)
