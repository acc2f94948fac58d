# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the sealed raw image out of a stranger's file, proves a raw image, exports one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from ..enums import ImageFormat
from ..errors import CancelledError, ConsoleError, sentence
from ..values import format_size
from . import process
from .copying import copy_in, hash_file, open_regular, shown
from .qemu_img import Disk, Info, LogToReplayError, QemuImg
from .sandbox import Limits, Sandbox
from .verdict import Verdict

SOURCE_NAME = "source"
"""What ``make_raw`` calls the source inside the work folder."""
PART_NAME = "image.part"
_SECTOR_BYTES = 512
_INSPECTOR_TIMEOUT_S = 300
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Phase(StrEnum):
    """What is being done; the word for the job's row."""

    CHECKING = "checking"
    CONVERTING = "converting"
    COMPARING = "comparing"


Progress = Callable[[Phase, int, int], None]
"""Phase, bytes done and bytes in total of that phase; called in the caller's thread."""


@dataclass(frozen=True)
class RawImage:
    """A sealed raw image: mode 0444, flushed to the disk, compared with its source."""

    source_format: ImageFormat
    virtual_size_bytes: int
    actual_size_bytes: int
    """Space it takes on the disk (st_blocks * 512)."""
    sha256: str


@dataclass(frozen=True)
class _Format:
    """A format as the three programs that name it: we, the inspector's verdict, qemu's probe."""

    name: ImageFormat
    driver: str
    probed_as: str
    compressible: bool = False


_FORMATS = {
    "raw": _Format(ImageFormat.RAW, "raw", "raw"),
    "qcow2": _Format(ImageFormat.QCOW2, "qcow2", "qcow2", compressible=True),
    "vhdx": _Format(ImageFormat.VHDX, "vhdx", "vhdx"),
    "vhd": _Format(ImageFormat.VHD, "vpc", "vpc"),
    # qemu probes the beginning only, and a fixed VHD has its footer at the end.
    "vhd-fixed": _Format(ImageFormat.VHD, "vpc", "raw"),
    "vmdk": _Format(ImageFormat.VMDK, "vmdk", "vmdk", compressible=True),
}
_EXPORT_OPTIONS = {
    # Without force_size a VHD is rounded up to a whole number of cylinders.
    ImageFormat.VHD: ("subformat=dynamic", "force_size=on"),
}


def make_raw(
    source: Path,
    work: Path,
    destination: Path,
    *,
    name: str,
    sandbox: Sandbox,
    max_virtual_size_bytes: int,
    timeout_s: float,
    progress: Progress = lambda _phase, _done, _total: None,
    tick: Callable[[], None] = lambda: None,
) -> RawImage:
    """Check the disk image ``source`` and make of it the sealed raw image ``destination``.

    ``source`` is consumed: it is moved into ``work`` (as ``SOURCE_NAME``, where it may already
    be), a VHDX's log is replayed on it, a raw one becomes the image. ``work`` is a folder (0700)
    of this job alone, on the file system of ``source`` and ``destination``; the caller removes it.
    ``name`` is the image's name in sentences. ``tick`` is called at least every 100 ms from this
    thread and may raise CancelledError.

    Raises ConsoleError: refused, damaged, too large, does not fit, took longer than ``timeout_s``.
    Then no program is left running and nothing is left at ``destination``.
    """
    subject = sentence("The image “{name}”", name=shown(name))
    with contextlib.ExitStack() as stack, _storage_errors(subject, destination):
        held = work / SOURCE_NAME
        if source != held:
            source.rename(held)
        source_fd = os.open(held, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, source_fd)
        status = _require_plain(source_fd, subject)
        sandbox.own(source_fd)
        qemu = QemuImg(
            subject,
            sandbox,
            deadline=time.monotonic() + timeout_s,
            max_file_bytes=max(max_virtual_size_bytes, status.st_size),
            tick=tick,
        )
        progress(Phase.CHECKING, 0, status.st_size)
        image_format, size_bytes = _examine(source_fd, qemu, max_virtual_size_bytes)
        size_bytes += -size_bytes % _SECTOR_BYTES
        progress(Phase.CHECKING, status.st_size, status.st_size)
        if image_format.name is ImageFormat.RAW:
            part, part_fd, original = held, source_fd, None
            os.ftruncate(part_fd, size_bytes)
        else:
            part, original = work / PART_NAME, Disk(source_fd, image_format.driver)
            _require_space(original, image_format, qemu, work)
            part.unlink(missing_ok=True)  # of an attempt that was killed
            part_fd = _make_part(part, sandbox)
            stack.callback(os.close, part_fd)
            os.ftruncate(part_fd, size_bytes)
            qemu.convert(
                original,
                Disk(part_fd, "raw"),
                lambda fraction: progress(Phase.CONVERTING, int(fraction * size_bytes), size_bytes),
            )
        sha256 = _prove(part_fd, size_bytes, original, qemu, progress)
        _require_plain(part_fd, subject)
        tick()
        actual_size_bytes = _seal(part, part_fd, destination, 0o444)
        return RawImage(image_format.name, size_bytes, actual_size_bytes, sha256)


def verify_raw(
    path: Path,
    *,
    progress: Progress = lambda _phase, _done, _total: None,
    tick: Callable[[], None] = lambda: None,
) -> str:
    """SHA-256 (hexadecimal) of a stored image; raises ConsoleError when it cannot be read."""
    fd = open_regular(path)
    try:
        size_bytes = os.fstat(fd).st_size

        def on_block(done: int) -> None:
            tick()
            progress(Phase.CHECKING, done, size_bytes)

        return hash_file(fd, size_bytes, on_block)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The stored image {path} cannot be read: {reason}; the storage may be failing.",
                path=path,
                reason=error.strerror,
            ),
            str(error),
        ) from error
    finally:
        os.close(fd)


def export(
    raw: Path,
    destination: Path,
    image_format: ImageFormat,
    *,
    name: str,
    sandbox: Sandbox,
    timeout_s: float,
    progress: Progress = lambda _phase, _done, _total: None,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Write the stored image ``raw`` to ``destination`` in another format; returns its size.

    ``destination`` (mode 0600) must not exist; when this raises, nothing is left there.
    """
    subject = sentence("The image “{name}”", name=shown(name))
    if destination.exists():
        raise ConsoleError(
            sentence(
                "{destination} exists already; remove it or choose another name.",
                destination=destination,
            )
        )
    part = destination.with_name(f"{destination.name}.part")
    part.unlink(missing_ok=True)  # of an export that was killed
    with contextlib.ExitStack() as stack, _storage_errors(subject, destination):
        raw_fd = open_regular(raw)
        stack.callback(os.close, raw_fd)
        size_bytes = os.fstat(raw_fd).st_size
        stack.callback(part.unlink, missing_ok=True)
        if image_format is ImageFormat.RAW:
            copy_in(
                raw_fd,
                part,
                progress=lambda done, total: progress(Phase.CONVERTING, done, total),
                tick=tick,
            )
            part_fd = open_regular(part)
            stack.callback(os.close, part_fd)
        else:
            part_fd = _make_part(part, sandbox)
            stack.callback(os.close, part_fd)
            driver = _FORMATS[image_format.value.lower()].driver
            qemu = QemuImg(
                subject,
                sandbox,
                deadline=time.monotonic() + timeout_s,
                # A container of incompressible data is a little larger than its disk.
                max_file_bytes=size_bytes + size_bytes // 64 + 64 * 2**20,
                tick=tick,
            )
            original, made = Disk(raw_fd, "raw"), Disk(part_fd, driver)
            qemu.convert(
                original,
                made,
                lambda fraction: progress(Phase.CONVERTING, int(fraction * size_bytes), size_bytes),
                _EXPORT_OPTIONS.get(image_format, ()),
            )
            progress(Phase.COMPARING, 0, size_bytes)
            qemu.compare(original, made)
        _seal(part, part_fd, destination, 0o600)
        return destination.stat().st_size


def _examine(fd: int, qemu: QemuImg, max_virtual_size_bytes: int) -> tuple[_Format, int]:
    """The format all agree on and the virtual size in bytes; refuses what is not safe to read."""
    verdict = _inspect(fd, qemu)
    image_format = _FORMATS.get(verdict.format)
    if image_format is None and verdict.format.isalnum():
        _refuse_format(qemu.subject, verdict.format)
    if image_format is None or not verdict.safe:
        raise ConsoleError(
            sentence(
                "{subject} is refused: {why}. Import a disk image that is complete in one file.",
                subject=qemu.subject,
                why=verdict.why,
            )
        )
    _require_size(verdict.virtual_size, max_virtual_size_bytes, qemu.subject)
    info = _probe(fd, image_format, qemu)
    if info.driver != image_format.probed_as:
        if info.driver not in {known.driver for known in _FORMATS.values()}:
            _refuse_format(qemu.subject, info.driver)
        raise ConsoleError(
            sentence(
                "{subject} is refused: it could be {one} or {other}. Import a disk image of one "
                "clear format.",
                subject=qemu.subject,
                one=verdict.format,
                other=info.driver,
            )
        )
    if info.encrypted:
        raise ConsoleError(
            sentence("{subject} is encrypted; decrypt it before the import.", subject=qemu.subject)
        )
    if info.backing_file:
        raise ConsoleError(
            sentence(
                "{subject} is refused: it is based on another file. Import a disk image that is "
                "complete in one file.",
                subject=qemu.subject,
            )
        )
    if image_format.probed_as != image_format.driver:
        size_bytes = verdict.virtual_size
    else:
        size_bytes = info.virtual_size_bytes
    _require_size(size_bytes, max_virtual_size_bytes, qemu.subject)
    if image_format.name is not ImageFormat.RAW:
        qemu.check(Disk(fd, image_format.driver))
    return image_format, size_bytes


def _inspect(fd: int, qemu: QemuImg) -> Verdict:
    identity = [] if qemu.sandbox.uid is None else [str(qemu.sandbox.uid)]
    limits = Limits(cpu_s=_INSPECTOR_TIMEOUT_S, file_size_bytes=0, address_space_bytes=2**30)
    done = process.run(
        qemu.sandbox.limited(
            [sys.executable, "-I", "-m", f"{__package__}.inspector", str(fd), *identity], limits
        ),
        timeout_s=_INSPECTOR_TIMEOUT_S,
        tick=qemu.tick,
        pass_fds=[fd],
    )
    if done.returncode != 0:
        raise ConsoleError(
            sentence(
                "{subject} is refused: its format cannot be told. It may be damaged; fetch it "
                "again.",
                subject=qemu.subject,
            ),
            done.details,
        )
    return Verdict(**json.loads(done.stdout))


def _probe(fd: int, image_format: _Format, qemu: QemuImg) -> Info:
    try:
        return qemu.info(fd)
    except LogToReplayError:
        if image_format.name is not ImageFormat.VHDX:
            raise
    qemu.replay_log(Disk(fd, image_format.driver))
    return qemu.info(fd)


def _refuse_format(subject: str, found: str) -> NoReturn:
    known = ", ".join(ImageFormat)
    raise ConsoleError(
        sentence(
            "{subject} is of the format {format}, which is not supported; convert it to one of "
            "{known} first.",
            subject=subject,
            format=found.upper(),
            known=known,
        )
    )


def _require_size(size_bytes: int, max_bytes: int, subject: str) -> None:
    if size_bytes <= 0:
        raise ConsoleError(
            sentence("{subject} is empty; choose a file with a disk in it.", subject=subject)
        )
    if size_bytes > max_bytes:
        raise ConsoleError(
            sentence(
                "{subject} claims a disk of {size}; at most {most} are allowed here.",
                subject=subject,
                size=format_size(size_bytes),
                most=format_size(max_bytes),
            )
        )


def _require_plain(fd: int, subject: str) -> os.stat_result:
    """A regular file with exactly one name: nobody holds another name for what we seal."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise ConsoleError(
            sentence("{subject} is not a plain file of its own; import it again.", subject=subject)
        )
    return status


def _require_space(disk: Disk, image_format: _Format, qemu: QemuImg, folder: Path) -> None:
    """The data really in the image must fit: a thin disk needs far less than its virtual size."""
    needed = qemu.data_bytes(disk)
    if not image_format.compressible:
        # qemu does not tell a VHDX's holes, but without compression there is no more than this.
        needed = min(needed, os.fstat(disk.fd).st_blocks * 512)
    file_system = os.statvfs(folder)
    free = file_system.f_bavail * file_system.f_frsize
    if needed > free:
        raise ConsoleError(
            sentence(
                "{subject} holds {needed} of data, and only {free} are free on the disk of the "
                "storage host; free some space and try again.",
                subject=qemu.subject,
                needed=format_size(needed),
                free=format_size(free),
            )
        )


def _make_part(part: Path, sandbox: Sandbox) -> int:
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    sandbox.own(fd)
    return fd


def _prove(
    fd: int, size_bytes: int, original: Disk | None, qemu: QemuImg, progress: Progress
) -> str:
    """Compare the raw file with what it was made from, hash it and flush it, all at once."""
    stop = threading.Event()
    hashed_bytes = 0

    def on_block(done: int) -> None:
        nonlocal hashed_bytes
        hashed_bytes = done
        if stop.is_set():
            raise CancelledError

    def tick() -> None:
        if qemu.tick is not None:
            qemu.tick()
        if time.monotonic() > qemu.deadline:
            raise ConsoleError(
                sentence(
                    "{subject} took longer to read back than was allowed.", subject=qemu.subject
                )
            )
        progress(Phase.COMPARING, hashed_bytes, size_bytes)

    with ThreadPoolExecutor(2, "prove-image") as pool:
        try:
            sha256 = pool.submit(hash_file, fd, size_bytes, on_block)
            flushed = pool.submit(os.fsync, fd)
            if original is not None:
                replace(qemu, tick=tick).compare(original, Disk(fd, "raw"))
            pending: list[Future[Any]] = [sha256, flushed]
            while wait(pending, timeout=process.TICK_S).not_done:
                tick()
        finally:
            stop.set()
        flushed.result()
        return sha256.result()


def _seal(part: Path, fd: int, destination: Path, mode: int) -> int:
    """Give the finished file its owner, mode and name, on the disk; returns the space it takes."""
    if os.geteuid() == 0:
        os.fchown(fd, 0, 0)
    os.fchmod(fd, mode)
    os.fsync(fd)
    actual_size_bytes = os.fstat(fd).st_blocks * 512
    part.rename(destination)
    folder_fd = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)
    return actual_size_bytes


@contextlib.contextmanager
def _storage_errors(subject: str, destination: Path) -> Iterator[None]:
    """Say what the storage host's disk refused, in a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            why = sentence(
                "{subject} does not fit on the disk of the storage host; free some space and try "
                "again.",
                subject=subject,
            )
        elif error.errno == errno.ELOOP:
            why = sentence(
                "{subject} is a symbolic link; import the file it points to.", subject=subject
            )
        else:
            why = sentence(
                "{subject} cannot be stored in {folder}: {reason}.",
                subject=subject,
                folder=destination.parent,
                reason=error.strerror,
            )
        raise ConsoleError(why, str(error)) from error
