# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the sealed raw image out of a stranger's file, proves a raw image, exports one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..enums import ImageFormat
from ..errors import CancelledError, ConsoleError, Sentence, sentence
from ..values import shown
from . import examination, findings, process, storage
from .copying import copy_in, hash_file, hash_speed, open_regular
from .examination import Examined
from .file_kinds import PACKED, Packed
from .findings import Findings
from .image_work import DOES_NOT_FIT
from .import_notes import ImportNotes
from .qemu_img import Disk, QemuImg
from .sandbox import Sandbox
from .unpacking import MOST_LAYERS, unpack
from .verdict import Verdict

SOURCE_NAME = "source"
"""What ``make_raw`` calls the source inside the work folder."""
PART_NAME = "image.part"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Phase(StrEnum):
    """What is being done; the word for the job's row."""

    UNPACKING = "unpacking"
    CHECKING = "checking"
    CONVERTING = "converting"
    COMPARING = "comparing"
    HASHING = "hashing"


_CONVERT_THERE = sentence("Convert it to QCOW2 where it came from, and import that.")
_ANOTHER_FORMAT = sentence("Choose another format.")
_CONVERTED_BYTES_PER_S = 300e6
"""Of a usual disk, for a first guess."""

Plan = Callable[[Mapping[Phase, float]], None]
"""Is told the seconds that what is still to be done will take, by phase, as far as one can tell."""
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
    contents: str
    """What was found on the disk, in one line; empty when nothing is known of it."""
    warning: Sentence | None
    """Why PCs will perhaps not boot from it."""
    remarks: tuple[Sentence, ...]
    """What else the operator should know of how it came about."""


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
    planned: Plan = lambda _seconds: None,
    progress: Progress = lambda _phase, _done, _total: None,
    tick: Callable[[], None] = lambda: None,
) -> RawImage:
    """Check the disk image ``source`` and make of it the sealed raw image ``destination``.

    ``source`` is consumed: it is moved into ``work`` (as ``SOURCE_NAME``, where it may already
    be), unpacked, a VHDX's log is replayed on it, a raw one becomes the image. ``work`` is a folder
    (0700) of this job alone, on the file system of ``source`` and ``destination``; the caller
    removes it. ``name`` is the image's name in sentences. ``tick`` is called at least every 100 ms from this
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
        notes = ImportNotes(work)
        progress(Phase.CHECKING, 0, status.st_size)
        verdict = notes.verdict or _inspected(held, source_fd, qemu, progress, notes)
        if verdict.safe:  # else nothing of it will be changed
            notes.keep(verdict)
        examination.note_flaws(verdict, notes)
        examined = examination.examine(source_fd, verdict, qemu, max_virtual_size_bytes)
        size_bytes = examined.size_bytes
        progress(Phase.CHECKING, status.st_size, status.st_size)
        original: Examined | None = None
        hashing = {Phase.HASHING: size_bytes / hash_speed()}
        if examined.disk.driver == "raw":
            part, part_fd = held, source_fd
            if os.fstat(part_fd).st_size < size_bytes:
                os.ftruncate(part_fd, size_bytes)
            planned(hashing)
        else:
            part, original = work / PART_NAME, examined
            data_bytes = examination.require_space(examined, qemu)
            planned({Phase.CONVERTING: data_bytes / _CONVERTED_BYTES_PER_S, **hashing})
            part_fd = sandbox.new_file(part)
            stack.callback(os.close, part_fd)
            os.ftruncate(part_fd, size_bytes)
            replace(qemu, tick=_keeping_a_reserve(qemu, work)).convert(
                original.disk,
                Disk(part_fd, "raw"),
                lambda fraction: progress(Phase.CONVERTING, int(fraction * size_bytes), size_bytes),
            )

        def lent(fd: int) -> int:
            to_read = sandbox.lend(fd, tick)
            stack.callback(os.close, to_read)
            return to_read

        if original is not None:
            original = replace(original, disk=replace(original.disk, fd=lent(source_fd)))
        sha256, contents = _prove(lent(part_fd), size_bytes, original, qemu, progress, notes)
        _require_plain(part_fd, subject)
        tick()
        os.ftruncate(part_fd, size_bytes)  # a fixed VHD's footer goes
        actual_size_bytes = _seal(part, part_fd, destination, 0o444)
        return RawImage(
            examined.format.name,
            size_bytes,
            actual_size_bytes,
            sha256,
            contents,
            notes.warning,
            notes.remarks,
        )


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
            part_fd = sandbox.new_file(part)
            stack.callback(os.close, part_fd)
            driver = examination.FORMATS[image_format.value.lower()].driver
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
            findings.compare(image_format, made, original, size_bytes, qemu, advice=_ANOTHER_FORMAT)
        _seal(part, part_fd, destination, 0o600)
        return destination.stat().st_size


def _require_plain(fd: int, subject: str) -> os.stat_result:
    """A regular file with exactly one name: nobody holds another name for what we seal."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise ConsoleError(
            sentence("{subject} is not a plain file of its own; import it again.", subject=subject)
        )
    return status


def _inspected(
    held: Path, fd: int, qemu: QemuImg, progress: Progress, notes: ImportNotes
) -> Verdict:
    """What the source is, once it is unpacked as long as it is packed."""
    for _ in range(MOST_LAYERS):
        verdict = examination.inspect(fd, qemu)
        if verdict.format not in PACKED:
            return verdict
        size_bytes = os.fstat(fd).st_size

        def on_read(done: int, total: int = size_bytes) -> None:
            progress(Phase.UNPACKING, min(done, total - 1), total)

        on_read(0)
        unpack(
            Packed(verdict.format),
            fd,
            held,
            held.with_name(PART_NAME),
            replace(qemu, tick=_keeping_a_reserve(qemu, held.parent)),
            on_read,
            notes,
        )
        progress(Phase.UNPACKING, size_bytes, size_bytes)
    return examination.inspect(fd, qemu)


def _keeping_a_reserve(qemu: QemuImg, folder: Path) -> Callable[[], None]:
    """``tick`` that also stops the work before the disk is full: others write there, too."""

    def tick() -> None:
        qemu.tick()
        if storage.free_bytes(folder) < 0:
            raise ConsoleError(DOES_NOT_FIT.with_values(subject=qemu.subject))

    return tick


def _prove(
    fd: int,
    size_bytes: int,
    original: Examined | None,
    qemu: QemuImg,
    progress: Progress,
    notes: ImportNotes,
) -> tuple[str, str]:
    """Compare the raw file with what it was made from, hash it and flush it, all at once.

    Returns its SHA-256 and what is on it.
    """
    stop = threading.Event()
    hashed_bytes = 0
    compared: Future[Findings] | None = None

    def on_block(done: int) -> None:
        nonlocal hashed_bytes
        hashed_bytes = done
        stop_when_told()

    def stop_when_told() -> None:
        if stop.is_set():
            raise CancelledError

    def tick() -> None:
        qemu.go_on()
        comparing = compared is not None and not compared.done()
        progress(Phase.COMPARING if comparing else Phase.HASHING, hashed_bytes, size_bytes)

    aside = replace(qemu, tick=stop_when_told)
    with ThreadPoolExecutor(4, "prove-image") as pool:
        try:
            sha256 = pool.submit(hash_file, fd, size_bytes, on_block)
            seen = pool.submit(findings.look_at, fd, size_bytes, aside)
            pending: set[Future[Any]] = {sha256, seen, pool.submit(os.fsync, fd)}
            if original is not None:
                compared = pool.submit(
                    findings.compare,
                    original.format.name,
                    original.disk,
                    Disk(fd, "raw"),
                    size_bytes,
                    aside,
                    advice=_CONVERT_THERE,
                    by_geometry=original.by_geometry,
                )
                pending.add(compared)
            while pending:
                tick()
                done, pending = wait(pending, timeout=process.TICK_S)
                for each in done:
                    each.result()  # what failed ends the others
        finally:
            stop.set()
        for one in (seen, compared):
            if one is not None:
                notes.add(one.result().warning, one.result().remarks)
        return sha256.result(), seen.result().contents


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
            why = DOES_NOT_FIT.with_values(subject=subject)
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
