# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies disk images in and hashes them: sparse, regular files only, no symlink followed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..errors import ConsoleError, NotFoundError, sentence
from ..values import shown

BLOCK_BYTES = 2**20
_GRAIN_BYTES = 64 * 2**10
FLUSH_BYTES = 32 * 2**20
_ZEROS = bytes(BLOCK_BYTES)
_ZERO_GRAIN = bytes(_GRAIN_BYTES)
_UPLOAD_ID = re.compile(r"[0-9a-f][0-9a-f-]{7,63}\Z")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_KINDS = (
    (stat.S_ISDIR, sentence("“{name}” is a folder, not a disk image; choose a regular file.")),
    (
        stat.S_ISFIFO,
        sentence("“{name}” is a pipe; save what comes out of it to a file, and import that."),
    ),
    (stat.S_ISBLK, sentence("“{name}” is a device, not a disk image; choose a regular file.")),
    (
        stat.S_ISCHR,
        sentence("“{name}” is a device or a terminal, not a disk image; choose a regular file."),
    ),
    (stat.S_ISSOCK, sentence("“{name}” is a socket, not a disk image; choose a regular file.")),
)
_NO_FILE = sentence("“{name}” is not a file, not a disk image; choose a regular file.")


@dataclass(frozen=True)
class Copied:
    """What arrived: size of the file and the SHA-256 (hexadecimal) of its content."""

    size_bytes: int
    sha256: str


def open_regular(path: Path, *, dir_fd: int | None = None) -> int:
    """Open a regular file for reading; the caller closes the descriptor.

    Does not follow a symlink in the last component and does not wait for the writer of a pipe.
    Raises ConsoleError for everything that is not a readable regular file.
    """
    name = shown(path)
    try:
        fd = os.open(
            path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd
        )
    except FileNotFoundError as error:
        raise NotFoundError(sentence("The file “{name}” does not exist.", name=name)) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            _refuse_other_kinds(path, dir_fd, name)
        raise ConsoleError(_why_not_opened(name, error), str(error)) from error
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise _refusal(mode, name)


def _refusal(mode: int, name: str) -> ConsoleError:
    why = next((why for test, why in _KINDS if test(mode)), _NO_FILE)
    return ConsoleError(why.with_values(name=name))


def _refuse_other_kinds(link: Path, dir_fd: int | None, name: str) -> None:
    """Of a link to no file (/dev/stdin) say what it is: the file it points to cannot be chosen."""
    with contextlib.suppress(OSError):
        mode = os.stat(link, dir_fd=dir_fd).st_mode
        if not stat.S_ISREG(mode):
            raise _refusal(mode, name)


def _why_not_opened(name: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else errno.EINVAL
    match number:
        case errno.ELOOP:
            return sentence("“{name}” is a symbolic link; choose the file it points to.", name=name)
        case errno.ENXIO:
            return sentence(
                "“{name}” is a socket or device, not a disk image; choose a regular file.",
                name=name,
            )
        case errno.EACCES | errno.EPERM:
            return sentence(
                "You may not read “{name}”; ask its owner for access or a copy.", name=name
            )
        case errno.ENAMETOOLONG | errno.EINVAL:
            return sentence("“{name}” cannot be the name of a file.", name=name)
    return sentence(
        "The file “{name}” cannot be opened: {reason}.",
        name=name,
        reason=os.strerror(number or errno.EIO),
    )


def open_entry(folder: Path, name: str) -> int:
    """Open a regular file that lies directly in ``folder``, by its bare name.

    For names that come from other people: raises ConsoleError for anything that would lead out
    of the folder. The caller closes the descriptor.
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ConsoleError(
            sentence(
                "“{name}” is not the bare name of a file in {folder}; give it without any folder.",
                name=shown(name),
                folder=shown(folder),
            )
        )
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The folder {folder} cannot be opened: {reason}.",
                folder=shown(folder),
                reason=error.strerror,
            )
        ) from error
    try:
        return open_regular(Path(name), dir_fd=folder_fd)
    finally:
        os.close(folder_fd)


def open_offered(folder: Path, name: str) -> int:
    """Open an entry that is there for everybody, as ``open_entry``, for people who name it.

    What they may not read root reads all the same, so the file's mode has to say it.
    """
    fd = open_entry(folder, name)
    if os.geteuid() != 0 or os.fstat(fd).st_mode & stat.S_IROTH:
        return fd
    os.close(fd)
    closed = PermissionError(errno.EACCES, "not for others")  # no text
    raise ConsoleError(_why_not_opened(shown(name), closed))


def open_incoming(folder: Path, upload_id: str) -> int:
    """Open what was handed over for import under ``upload_id`` (lower-case hexadecimal, UUID).

    The caller closes the descriptor. Raises ConsoleError when it is no such id or no such file.
    """
    if not _UPLOAD_ID.match(upload_id):
        raise ConsoleError(
            sentence("“{upload_id}” is not the id of an upload.", upload_id=shown(upload_id))
        )
    return open_entry(folder, upload_id)


def copy_in(
    source: Path | int,
    target: Path,
    *,
    expected_sha256: str | None = None,
    expected_md5: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    tick: Callable[[], None] = lambda: None,
) -> Copied:
    """Copy a regular file to ``target``, which must not exist yet, and hash it on the way.

    ``source`` is a path, opened by ``open_regular``, or a descriptor, which stays open. Holes and
    zeros become holes. ``progress`` gets bytes done and in total for every MiB; ``tick`` is called
    as often and may raise CancelledError. ``target`` gets mode 0600 and is on the disk (fsync)
    when this returns; when it raises, nothing is left of it.

    Raises ConsoleError: not a regular file, changed while copying, disk full, checksum differs.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, int):
            # The sentence may be read by others, whom the way to the file does not concern.
            source_fd, name = source, shown(Path(f"/proc/self/fd/{source}").readlink().name)
        else:
            source_fd, name = open_regular(source), shown(source)
            stack.callback(os.close, source_fd)
        target_fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, target_fd)
        try:
            return _copy(
                source_fd,
                target_fd,
                name=name,
                expected_sha256=expected_sha256,
                expected_md5=expected_md5,
                progress=progress,
                tick=tick,
            )
        except OSError as error:
            target.unlink(missing_ok=True)
            _fail(name, target, error)
        except BaseException:
            target.unlink(missing_ok=True)  # the agent may have ended a stalled upload
            raise


def _copy(
    source_fd: int,
    target_fd: int,
    *,
    name: str,
    expected_sha256: str | None,
    expected_md5: str | None,
    progress: Callable[[int, int], None],
    tick: Callable[[], None],
) -> Copied:
    before = os.fstat(source_fd)
    sha256 = hashlib.sha256()
    md5 = hashlib.md5(usedforsecurity=False) if expected_md5 else None
    done = unflushed = 0
    for offset, block, is_hole in blocks(source_fd, before.st_size):
        tick()
        sha256.update(block)
        if md5 is not None:
            md5.update(block)
        if not is_hole:
            write_sparse(target_fd, block, offset)
            unflushed += len(block)
        if unflushed >= FLUSH_BYTES:
            # Else the flush at the end could take minutes, in which nothing is heard of the copy.
            os.fdatasync(target_fd)
            unflushed = 0
        done = offset + len(block)
        progress(done, before.st_size)
    after = os.fstat(source_fd)
    if done != before.st_size or _identity(before) != _identity(after):
        raise ConsoleError(
            sentence(
                "“{name}” was changed by another program while it was copied; close that program "
                "and try again.",
                name=name,
            )
        )
    for kind, expected, found in (
        ("SHA-256", expected_sha256, sha256.hexdigest()),
        ("MD5", expected_md5, md5.hexdigest() if md5 else ""),
    ):
        if expected and expected.strip().lower() != found:
            raise ConsoleError(
                sentence(
                    "The {kind} of “{name}” is {found}, expected was {expected}; the file is "
                    "damaged or another one: fetch it again.",
                    kind=kind,
                    name=name,
                    found=found,
                    expected=expected.strip().lower(),
                )
            )
    os.ftruncate(target_fd, done)
    os.fsync(target_fd)
    return Copied(done, sha256.hexdigest())


def hash_file(
    fd: int, size_bytes: int, on_block: Callable[[int], None] = lambda _done: None
) -> str:
    """SHA-256 (hexadecimal) of an open file; ``on_block`` gets the bytes done and may raise.

    Lets other threads run meanwhile: hashlib and read() release the interpreter's lock.
    """
    sha256 = hashlib.sha256()
    for offset, block, _ in blocks(fd, size_bytes):
        sha256.update(block)
        on_block(offset + len(block))
    return sha256.hexdigest()


def hash_speed() -> float:
    """Bytes that this computer hashes in a second, as measured now within a few milliseconds."""
    began = time.perf_counter()
    hashlib.sha256(_ZEROS)
    return float(len(_ZEROS) / (time.perf_counter() - began))


def blocks(fd: int, size_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """(offset, bytes, whether it is a hole) from the beginning to the end; holes are not read."""
    offset = 0
    while offset < size_bytes:
        data = next_data(fd, offset, size_bytes)
        while offset < data:
            length = min(BLOCK_BYTES, data - offset)
            yield offset, _ZEROS if length == BLOCK_BYTES else bytes(length), True
            offset += length
        if offset >= size_bytes:
            return
        hole = min(os.lseek(fd, offset, os.SEEK_HOLE), size_bytes)
        while offset < hole:
            block = os.pread(fd, min(BLOCK_BYTES, hole - offset), offset)
            if not block:
                return  # the file was shortened meanwhile: the caller compares sizes
            yield offset, block, False
            offset += len(block)


def next_data(fd: int, offset: int, size_bytes: int) -> int:
    """Offset of what is no hole, from ``offset`` on; the size when there is nothing any more."""
    try:
        return min(os.lseek(fd, offset, os.SEEK_DATA), size_bytes)
    except OSError as error:
        if error.errno == errno.ENXIO:  # lseek(2): only a hole is left
            return size_bytes
        raise


def write_sparse(fd: int, block: bytes, offset: int) -> None:
    """Write at ``offset`` the parts of ``block`` that are not zero."""
    view = memoryview(block)
    start = 0  # of the run that is to be written
    for grain in range(0, len(block), _GRAIN_BYTES):
        if block.startswith(_ZERO_GRAIN, grain):
            _write(fd, view[start:grain], offset + start)
            start = grain + _GRAIN_BYTES
    _write(fd, view[start:], offset + start)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _fail(name: str, target: Path, error: OSError) -> NoReturn:
    if error.errno in _FULL:
        raise ConsoleError(
            sentence(
                "“{name}” does not fit on the disk that holds {folder}; free some space and try "
                "again.",
                name=name,
                folder=shown(target.parent),
            ),
            str(error),
        ) from error
    raise ConsoleError(
        sentence(
            "“{name}” cannot be copied to {folder}: {reason}.",
            name=name,
            folder=shown(target.parent),
            reason=error.strerror,
        ),
        str(error),
    ) from error
