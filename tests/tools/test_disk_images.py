# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file in any format to the sealed raw image and back out, with the real qemu-img."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image_bench import Bench, children, own_programs
from places import short_folder

from ggnet_console.enums import ImageFormat
from ggnet_console.errors import CancelledError, ConsoleError
from ggnet_console.tools import disk_images
from ggnet_console.tools.disk_images import Phase
from ggnet_console.tools.sandbox import Sandbox

MIB = 1 << 20
ROOT = os.geteuid() == 0
HYPER_V_RAW_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
Qemu = Callable[..., str]


def _disk(path: Path, data_bytes: int = 8 * MIB) -> str:
    """A sparse raw disk of 64 MiB with some data; returns its SHA-256."""
    with path.open("wb") as file:
        file.write(os.urandom(data_bytes // 2))
        file.seek(48 * MIB)
        file.write(os.urandom(data_bytes // 2))
        file.truncate(64 * MIB)
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture
def source(bench: Bench, qemu: Qemu) -> str:
    """A QCOW2 as the bench's source; its value is the disk's SHA-256."""
    raw = bench.root / "raw"
    sha256 = _disk(raw)
    qemu("qemu-img", "convert", "-O", "qcow2", raw, bench.source)
    raw.unlink()
    return sha256


def test_the_disk_that_hyper_v_wrote_becomes_a_sealed_sparse_raw_image(bench: Bench) -> None:
    bench.unpack("iotest-dynamic-1G.vhdx")
    image = bench.make_raw()
    assert image.source_format is ImageFormat.VHDX
    assert image.virtual_size_bytes == 1 << 30
    assert image.sha256 == HYPER_V_RAW_SHA256 == _sha256(bench.destination)
    status = bench.destination.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_nlink) == (
        0o444,
        os.geteuid(),
        os.getegid(),
        1,
    )
    assert image.actual_size_bytes == status.st_blocks * 512 < 100 * MIB


def test_the_disk_that_disk2vhd_wrote_has_the_size_its_writer_meant(bench: Bench) -> None:
    bench.unpack("d2v-zerofilled.vhd")
    image = bench.make_raw()
    assert image.source_format is ImageFormat.VHD
    assert image.virtual_size_bytes == 263_454_720
    assert image.sha256 == hashlib.sha256(bytes(263_454_720)).hexdigest()


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        (ImageFormat.QCOW2, ("qcow2",)),
        (ImageFormat.QCOW2, ("qcow2", "-c")),
        (ImageFormat.QCOW2, ("qcow2", "-o", "compat=0.10")),
        (ImageFormat.VHDX, ("vhdx",)),
        (ImageFormat.VHD, ("vpc", "-o", "force_size=on")),
        (ImageFormat.VHD, ("vpc", "-o", "subformat=fixed,force_size=on")),
        (ImageFormat.VMDK, ("vmdk",)),
        (ImageFormat.VMDK, ("vmdk", "-o", "subformat=streamOptimized")),
        (ImageFormat.RAW, ("raw",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_format_ends_as_the_same_raw_disk(
    image_format: ImageFormat, options: tuple[str, ...], bench: Bench, qemu: Qemu
) -> None:
    sha256 = _disk(bench.root / "raw")
    qemu("qemu-img", "convert", "-O", *options, bench.root / "raw", bench.source)
    image = bench.make_raw()
    assert (image.source_format, image.virtual_size_bytes) == (image_format, 64 * MIB)
    assert image.sha256 == sha256 == _sha256(bench.destination)
    assert image.actual_size_bytes < 12 * MIB


def test_a_vhdx_that_was_not_closed_cleanly_has_its_log_replayed(bench: Bench, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "vhdx", bench.source, "64M")
    # The block allocation table (at 2 MiB) cannot be written, so the log that was written before
    # it stays: what a power cut leaves behind.
    blkdebug = (
        f"driver=vhdx,file.driver=blkdebug,file.image.driver=file,file.image.filename={bench.source}"
        ",file.inject-error.0.event=none,file.inject-error.0.iotype=write"
        ",file.inject-error.0.sector=4096"
    )
    subprocess.run(
        ["qemu-io", "--image-opts", blkdebug, "-c", "write -P 0x5a 0 1M", "-c", "abort"],
        check=False,
        capture_output=True,
    )
    info = subprocess.run(
        ["qemu-img", "info", bench.source], check=False, capture_output=True, text=True
    )
    assert "contains a log that needs to be replayed" in info.stderr

    image = bench.make_raw()
    assert image.source_format is ImageFormat.VHDX
    with bench.destination.open("rb") as file:
        assert file.read(MIB) == b"\x5a" * MIB


@pytest.mark.parametrize("boot_sector", [b"", b"\xeb\x3c\x90" + b"NTFS    "], ids=["MBR", "NTFS"])
def test_a_partitioned_disk_is_raw(boot_sector: bytes, bench: Bench) -> None:
    sector = bytearray(512)
    sector[: len(boot_sector)] = boot_sector
    sector[440:446] = b"\xff" * 6
    sector[446:462] = b"\x99" * 16  # no partition oslo.utils would accept
    sector[510:] = b"\x55\xaa"
    bench.source.write_bytes(bytes(sector) + os.urandom(MIB))
    assert bench.make_raw().source_format is ImageFormat.RAW


def test_a_bootable_optical_image_is_raw(bench: Bench) -> None:
    hybrid = bytearray(os.urandom(MIB))
    hybrid[510:512] = b"\x55\xaa"
    hybrid[0x8001:0x8006] = b"CD001"
    bench.source.write_bytes(hybrid)
    assert bench.make_raw().source_format is ImageFormat.RAW


def test_a_raw_file_is_padded_to_whole_sectors_and_not_copied(bench: Bench) -> None:
    bench.source.write_bytes(b"x" * 1000)
    inode = bench.source.stat().st_ino
    image = bench.make_raw()
    assert image.virtual_size_bytes == 1024
    assert image.sha256 == hashlib.sha256(b"x" * 1000 + bytes(24)).hexdigest()
    assert bench.destination.stat().st_ino == inode


def _pack(source: Path) -> None:
    source.write_bytes(gzip.compress(source.read_bytes(), 1))


def test_progress_goes_through_the_phases_in_bytes(bench: Bench, source: str) -> None:
    seen: list[tuple[Phase, int, int]] = []
    _pack(bench.source)
    bench.make_raw(progress=lambda *now: seen.append(now))
    begun = list(dict.fromkeys(phase for phase, _, _ in seen))
    assert begun == [Phase.CHECKING, Phase.UNPACKING, Phase.CONVERTING, Phase.COMPARING]
    assert all(0 <= done <= total for _, done, total in seen)
    converting = [done for phase, done, _ in seen if phase is Phase.CONVERTING]
    assert converting == sorted(converting)
    assert converting[-1] == 64 * MIB


@pytest.mark.parametrize("moment", Phase)
def test_cancel_at_any_moment_leaves_nothing_and_nobody(
    moment: Phase, bench: Bench, source: str
) -> None:
    reached: list[Phase] = []
    if moment is Phase.HASHING:
        _disk(bench.source)  # of what needs no conversion that is all there is to do
    else:
        _pack(bench.source)

    def tick() -> None:
        if moment in reached:
            raise CancelledError

    with pytest.raises(CancelledError):
        bench.make_raw(tick=tick, progress=lambda phase, *_: reached.append(phase))
    assert bench.left_over() == []
    assert children("qemu-img") == own_programs() == []


@pytest.fixture
def slow_convert(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """qemu-img converts so slowly that it is met while it does, however busy the machine is."""
    real = shutil.which("qemu-img")
    with short_folder() as folder:
        slow = folder / "qemu-img"
        slow.write_text(
            f'#!/bin/sh\n[ "$1" = convert ] || exec {real} "$@"\nshift\n'
            f'exec {real} convert -r 1M "$@"\n'
        )
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield


def test_a_killed_qemu_img_is_a_sentence_and_leaves_nothing(
    bench: Bench, source: str, slow_convert: None
) -> None:
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.001):
            for pid in children("qemu-img"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if b"-r" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(ConsoleError, match=r"win11.*qemu-img was ended by signal 9"):
            bench.make_raw()
    finally:
        over.set()
        killer.join()
    assert bench.left_over() == []


def test_the_time_limit_is_a_sentence(bench: Bench, source: str) -> None:
    with pytest.raises(ConsoleError, match="took longer than is allowed here"):
        bench.make_raw(timeout_s=0)
    assert bench.left_over() == []


def test_space_is_asked_for_the_data_not_for_the_size_of_the_disk(bench: Bench, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "vhdx", bench.source, "8T")
    qemu("qemu-io", "-c", "write -P 1 7T 1M", bench.source)
    reached: list[Phase] = []

    def progress(phase: Phase, _done: int, _total: int) -> None:
        reached.append(phase)
        if phase is Phase.CONVERTING:
            raise CancelledError  # 8 TiB of nothing take a while

    with pytest.raises(CancelledError):
        bench.make_raw(progress=progress)
    assert reached[-1] is Phase.CONVERTING


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Bench]:
    """The bench on a disk with 40 MiB besides the reserve; only root can mount one."""
    small = Bench(bench.root / "small")
    small.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=104M", "tmpfs", small.root], check=True)
    small.work.mkdir(mode=0o700)
    small.destination.parent.mkdir()
    yield small
    subprocess.run(["umount", small.root], check=True)


def _needs_more_than_is_free(bench: Bench, qemu: Qemu) -> None:
    raw = bench.root.parent / "raw"
    raw.write_bytes(b"y" * (48 * MIB))
    qemu("qemu-img", "convert", "-c", "-O", "qcow2", raw, bench.source)
    with pytest.raises(ConsoleError, match=r"holds 48\.0 MiB of data, and only .* are free"):
        bench.make_raw()
    assert bench.left_over() == []


def _fills_up_while_converting(bench: Bench, qemu: Qemu, left_bytes: int = 0) -> None:
    raw = bench.root.parent / "raw"
    raw.write_bytes(b"y" * (24 * MIB))
    qemu("qemu-img", "convert", "-c", "-O", "qcow2", raw, bench.source)

    def fill(phase: Phase, done: int, total: int) -> None:
        if phase is Phase.CONVERTING and not (bench.root / "other").exists():
            (pid,) = children("qemu-img")
            os.kill(pid, signal.SIGSTOP)
            free = os.statvfs(bench.root).f_bavail * os.statvfs(bench.root).f_frsize
            (bench.root / "other").write_bytes(b"z" * (free - left_bytes))
            os.kill(pid, signal.SIGCONT)

    with pytest.raises(ConsoleError, match=r"win11.*does not fit on the disk"):
        bench.make_raw(progress=fill)
    assert bench.left_over() == []
    assert children("qemu-img") == []


def _uses_up_the_reserve_while_converting(bench: Bench, qemu: Qemu) -> None:
    """The rest is needed by the database, before this image is refused by the disk itself."""
    _fills_up_while_converting(bench, qemu, left_bytes=48 * MIB)


def _uses_up_the_reserve_while_unpacking(bench: Bench, _qemu: Qemu) -> None:
    bench.source.write_bytes(gzip.compress(os.urandom(16 * MIB), 1))

    def fill(phase: Phase, _done: int, _total: int) -> None:
        if phase is Phase.UNPACKING and not (bench.root / "other").exists():
            free = os.statvfs(bench.root).f_bavail * os.statvfs(bench.root).f_frsize
            (bench.root / "other").write_bytes(b"z" * (free - 48 * MIB))

    with pytest.raises(ConsoleError, match=r"win11.*does not fit on the disk"):
        bench.make_raw(progress=fill)
    assert bench.left_over() == []
    assert own_programs() == []


if ROOT:

    @pytest.mark.parametrize(
        "story",
        [
            _needs_more_than_is_free,
            _fills_up_while_converting,
            _uses_up_the_reserve_while_converting,
            _uses_up_the_reserve_while_unpacking,
        ],
    )
    @pytest.mark.slow("fills a disk of its own, again and again")
    def test_a_full_disk_is_a_sentence_and_leaves_nothing(
        story: Callable[[Bench, Qemu], None], small_disk: Bench, qemu: Qemu, slow_convert: None
    ) -> None:
        story(small_disk, qemu)


def test_a_file_that_may_not_grow_is_a_sentence_and_leaves_nothing(
    bench: Bench, source: str
) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * MIB, hard))
    try:
        with pytest.raises(ConsoleError, match=r"win11.*does not fit on the disk"):
            bench.make_raw()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert bench.left_over() == []


def test_a_changed_bit_in_a_stored_image_changes_what_verify_finds(
    bench: Bench, source: str
) -> None:
    image = bench.make_raw()
    seen: list[int] = []
    found = disk_images.verify_raw(
        bench.destination, progress=lambda _phase, done, _total: seen.append(done)
    )
    assert found == image.sha256 == source
    assert seen[-1] == image.virtual_size_bytes
    bench.destination.chmod(0o600)
    with bench.destination.open("r+b") as file:
        file.seek(50 * MIB)
        (byte,) = struct.unpack("B", file.read(1))
        file.seek(50 * MIB)
        file.write(bytes([byte ^ 1]))
    assert disk_images.verify_raw(bench.destination) != source


@pytest.mark.parametrize("image_format", list(ImageFormat))
def test_an_exported_image_comes_back_as_the_same_disk(
    image_format: ImageFormat, bench: Bench, source: str, qemu: Qemu
) -> None:
    bench.make_raw()
    exported = bench.root / "export"
    size = disk_images.export(
        bench.destination,
        exported,
        image_format,
        name="win11",
        sandbox=Sandbox.for_job(43),
        timeout_s=60,
    )
    assert size == exported.stat().st_size
    assert exported.stat().st_uid == os.geteuid()
    assert exported.stat().st_blocks * 512 < 24 * MIB
    bench.destination.unlink()
    for file in bench.work.iterdir():  # it is another job's then
        file.unlink()
    exported.rename(bench.source)
    again = bench.make_raw()
    assert (again.source_format, again.sha256) == (image_format, source)


def test_an_export_never_replaces_a_file_and_cancel_leaves_nothing(
    bench: Bench, source: str
) -> None:
    bench.make_raw()

    def export(**changes: object) -> None:
        disk_images.export(
            bench.destination,
            bench.root / "export",
            ImageFormat.QCOW2,
            name="win11",
            sandbox=Sandbox.for_job(43),
            timeout_s=60,
            **changes,
        )

    def cancel(*_: object) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        export(progress=cancel)
    assert not list(bench.root.glob("export*"))
    (bench.root / "export").write_text("somebody's")
    with pytest.raises(ConsoleError, match="exists already"):
        export()
    assert (bench.root / "export").read_text() == "somebody's"
