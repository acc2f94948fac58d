# SPDX-License-Identifier: GPL-3.0-or-later
"""Packed disks: the one disk inside is unpacked within bounds; all others are called by name."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import signal
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from image_bench import Bench, own_programs
from samples import sample_bytes

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.disk_images import Phase

MIB = 1 << 20
Qemu = Callable[..., str]


@pytest.fixture
def disk(bench: Bench, qemu: Qemu) -> bytes:
    """An ext4 disk of 16 MiB."""
    path = bench.root / "disk"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    qemu("mkfs.ext4", "-q", "-F", path)
    return path.read_bytes()


def _zip(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return made.getvalue()


def _tar(*files: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _program(data: bytes, *argv: str) -> bytes:
    return subprocess.run(argv, input=data, capture_output=True, check=True).stdout


def _zstd(data: bytes) -> bytes:
    return _program(data, "zstd", "-q", "-c")


def _xz(data: bytes) -> bytes:
    return _program(data, "xz", "-c")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[:MIB]) + gzip.compress(data[MIB:]),
    "xz": _xz,
    "zstd": _zstd,
    "zip": lambda data: _zip(("Lab image.IMG", data), ("read me.txt", b"hello")),
    "zip, stored": lambda data: _zip(("lab", data), method=zipfile.ZIP_STORED),
    "zip, LZMA": lambda data: _zip(("a/b/disk.raw", data), method=zipfile.ZIP_LZMA),
    "zip of a stick of macOS": lambda data: _zip(("a/disk.img", data), ("a/._disk.img", b"notes")),
    "zip with a date": lambda data: _zip(("win10-202405.img", data), ("read me", b"hello")),
    "zip of macOS": lambda data: _zip(("disk.img", data), ("__MACOSX/._disk.img", b"notes")),
    "ova": lambda data: _tar(("pc.ovf", b"<Envelope/>"), ("pc-disk1.img", data), ("pc.mf", b"x")),
    "xz in two streams": lambda data: _xz(data[:MIB]) + bytes(8) + _xz(data[MIB:]),
    "zstd in frames": lambda data: (
        _zstd(data[:MIB]) + b"\x50\x2a\x4d\x18\2\0\0\0hi" + _zstd(data[MIB:])
    ),
    "zstd, a large window": lambda data: _program(data, "zstd", "-q", "--long=29", "-c"),
    "OVA in a zip": lambda data: _zip(
        ("pc.ova", _tar(("pc.ovf", b"x"), ("d.img", data))), ("read me.txt", b"hello")
    ),
    "an OVA with a CD": lambda data: _tar(("pc.ovf", b"x"), ("d.img", data), ("tools.iso", b"x")),
    "gzip in an OVA in a zip": lambda data: _zip(
        ("pc.ova", _tar(("pc.ovf", b"<Envelope/>"), ("pc-disk1.raw.gz", gzip.compress(data))))
    ),
}


@pytest.mark.parametrize("name", PACKERS)
def test_a_packed_disk_becomes_the_disk_in_it(name: str, disk: bytes, bench: Bench) -> None:
    bench.source.write_bytes(PACKERS[name](disk))
    phases: list[Phase] = []
    image = bench.make_raw(progress=lambda phase, _done, _total: phases.append(phase))
    assert image.sha256 == hashlib.sha256(disk).hexdigest()
    assert (image.virtual_size_bytes, image.contents) == (16 * MIB, "ext4")
    assert image.actual_size_bytes < 8 * MIB  # zeros take no space
    assert Phase.UNPACKING in phases
    assert (image.warning, image.remarks) == (None, ())


@pytest.mark.parametrize(
    ("sample", "size_mib", "word"),
    [
        ("disk.img.gz", 3, "needs a disk of 64.0 MiB, and it has 3.0 MiB"),
        ("disk.zip", 3, "needs a disk of 64.0 MiB, and it has 3.0 MiB"),
        ("pc.ova", 48, ""),
    ],
)
def test_packed_disks_of_others(sample: str, size_mib: int, word: str, bench: Bench) -> None:
    bench.unpack(sample)
    image = bench.make_raw()
    assert image.virtual_size_bytes // MIB == size_mib
    assert image.contents.startswith("GPT")
    assert word in (image.warning or "")
    assert bool(word) == (image.warning is not None)


def _encrypted_zip(disk: bytes) -> bytes:
    made = bytearray(_zip(("disk.img", disk)))
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.rindex(signature) + flags_at] |= 1
    return bytes(made)


def _damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + b"\x55\xaa\x55\xaa" * 8 + packed[middle + 32 :]


def _noise(_disk: bytes) -> bytes:
    return os.urandom(2 * MIB)


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda disk: gzip.compress(disk)[:-2000], "damaged or cut off"),
    "cut off xz": (lambda disk: lzma.compress(disk)[:-2000], "damaged or cut off"),
    "cut off zstd": (lambda disk: _zstd(disk)[:-2000], "damaged or cut off"),
    "cut off zip": (lambda disk: _zip(("disk.img", disk))[:-2000], "damaged or cut off"),
    "cut off OVA": (lambda disk: _tar(("a.ovf", b"x"), ("d.img", disk))[: 8 * MIB], "cut off"),
    "damaged": (lambda disk: _damaged(gzip.compress(_noise(disk))), "damaged or cut off"),
    "damaged xz": (lambda disk: _damaged(lzma.compress(_noise(disk))), "damaged or cut off"),
    "damaged zstd": (lambda disk: _damaged(_zstd(disk)), "damaged or cut off"),
    "damaged zip": (lambda disk: _damaged(_zip(("d.img", _noise(disk)))), "damaged or cut off"),
    "xz with a damaged second stream": (
        lambda disk: _xz(disk) + b"\xfc7zXZ" + _xz(disk)[5:],
        "damaged or cut off",
    ),
    "xz with something behind": (lambda disk: _xz(disk) + b"garbage", "damaged or cut off"),
    "xz with half a padding": (lambda disk: _xz(disk) + bytes(3) + _xz(disk), "damaged or cut"),
    "zstd, a huge window": (
        lambda disk: _program(
            disk + bytes(1 << 30), "zstd", "-q", "--ultra", "-1", "--long=31", "-c"
        ),
        "needs very much memory",
    ),
    "one disk in several files": (
        lambda disk: _zip(("pc.vmdk", b"x"), ("pc-s001.vmdk", disk), ("pc-s002.vmdk", disk)),
        "one disk in several files",
    ),
    "two disks": (lambda disk: _zip(("a.vhdx", disk), ("b.img", disk)), "holds 2 disk images"),
    "two disks in an OVA": (
        lambda disk: _tar(("a.ovf", b"x"), ("a.img", disk), ("b.img", disk)),
        "holds 2 disk images",
    ),
    "no disk": (
        lambda _: _zip(("a.txt", b"a"), ("b.doc", b"b")),
        "none of its 2 files has the name",
    ),
    "nothing": (lambda _: _zip(), "none of its 0 files has the name"),
    "a password": (_encrypted_zip, "with a password"),
    "packed four times": (
        lambda disk: gzip.compress(gzip.compress(gzip.compress(gzip.compress(disk)))),
        "packed in more than 3 layers",
    ),
    "larger than allowed": (lambda _: gzip.compress(bytes(40 * MIB)), "larger than 32.0 MiB"),
    "larger than allowed, zstd": (lambda _: _zstd(bytes(40 * MIB)), "larger than 32.0 MiB"),
    "bzip2": (bz2.compress, r"packed with bzip2\. Unpack it"),
    "tar": (lambda disk: _tar(("disk.img", disk)), r"a tar archive\. Unpack it"),
    "7-Zip": (lambda _: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(4096), "a 7-Zip archive"),
    "RAR": (lambda _: b"Rar!\x1a\x07\x01\0" + bytes(4096), "a RAR archive"),
    "a web page": (lambda _: b"\n <!-- x -->\n<!DOCTYPE HTML><p>404", "a web page"),
    "another web page": (lambda _: b"\xef\xbb\xbf<html lang=de>", "a web page"),
    "an OVF": (lambda _: b'<?xml version="1.0"?>\n<ovf:Envelope x="1">', "lies beside it"),
    "Git LFS": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n",
        "git lfs pull",
    ),
    "partclone": (lambda _: b"partclone-image\0000.2.89" + bytes(4096), "partclone"),
    "packed partclone (FOG)": (
        lambda _: _zstd(b"partclone-image\0000.2.89" + bytes(4096)),
        "partclone",
    ),
    "WIM": (lambda _: b"MSWIM\0\0\0\xd0\0\0\0" + bytes(4096), "WIM or ESD"),
    "E01": (lambda _: b"EVF\x09\r\n\xff\0\1" + bytes(4096), "an EnCase image"),
    "VMA": (lambda _: b"VMA\0\0\0\0\1" + bytes(4096), "a backup of Proxmox"),
    "DMG": (lambda _: bytes(4096) + b"koly\0\0\0\4\0\0\2\0".ljust(512, b"\0"), "Apple disk image"),
    "SEsparse": (lambda _: b"\xbe\xba\xfe\xca" + bytes(4096), "SEsparse"),
    "LUKS": (lambda _: b"LUKS\xba\xbe\0\2" + bytes(4096), r"encrypted \(LUKS\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_unpacked_is_refused_by_name(name: str, disk: bytes, bench: Bench) -> None:
    make, sentence = REFUSED[name]
    bench.source.write_bytes(make(disk))
    with pytest.raises(ConsoleError, match=rf"The image “win11”.*{sentence}"):
        bench.make_raw(max_virtual_size_bytes=32 * MIB)
    assert bench.left_over() == []
    assert {path.name for path in bench.work.iterdir()} <= {"source"}


@pytest.mark.parametrize("kind", ["qcow", "qed", "vdi", "parallels"])
def test_formats_that_qemu_can_convert_say_how(kind: str, bench: Bench, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-q", "-f", kind, bench.source, "8M")
    with pytest.raises(ConsoleError, match=r"Convert it with “qemu-img convert -O qcow2"):
        bench.make_raw()


def test_what_an_attempt_that_was_killed_left_is_no_hindrance(disk: bytes, bench: Bench) -> None:
    bench.source.write_bytes(gzip.compress(disk, 1))
    (bench.work / "image.part").write_bytes(b"of an attempt that was killed")
    assert bench.make_raw().sha256 == hashlib.sha256(disk).hexdigest()


@pytest.mark.parametrize("size", [512, 300 * 1024, MIB, MIB + 512, 3 * MIB + 300 * 1024])
@pytest.mark.parametrize("members", [1, 2])
def test_what_follows_a_gzip_file_is_left_out_with_a_word(
    members: int, size: int, bench: Bench
) -> None:
    """As gzip(1) does; some firmware images have their description there."""
    disk = os.urandom(size * members)
    packed = b"".join(gzip.compress(disk[n * size :][:size]) for n in range(members))
    bench.source.write_bytes(packed + b'{"metadata_version": "1.1"}FWx0')
    image = bench.make_raw()
    assert image.sha256 == hashlib.sha256(disk).hexdigest()
    assert "Something else follows" in " ".join(image.remarks)


def test_the_packed_file_takes_no_space_any_more_once_it_is_unpacked(bench: Bench) -> None:
    bench.source.write_bytes(gzip.compress(os.urandom(32 * MIB), 1))
    used: list[int] = []

    def look(phase: Phase, _done: int, _total: int) -> None:
        if phase is Phase.HASHING:
            used.append(sum(file.stat().st_blocks * 512 for file in _held_open()))

    bench.make_raw(progress=look)
    assert 32 * MIB <= max(used) < 48 * MIB


def _held_open() -> list[Path]:
    """Files below this test's folder that this process has open, also those without a name."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            if "ggnet" in str(link.readlink()) or "/gg" in str(link.readlink()):
                found[link.stat().st_ino] = link
        except OSError:
            continue
    return list(found.values())


def test_an_unpacker_that_is_killed_is_a_sentence(bench: Bench) -> None:
    bench.source.write_bytes(PACKERS["zip"](os.urandom(8 * MIB) * 4))
    with pytest.raises(ConsoleError, match="cannot be unpacked"):
        bench.make_raw(tick=_kill_unpacker)
    assert bench.left_over() == []
    assert (bench.work / "source").exists()
    assert not (bench.work / "image.part").exists()


def _kill_unpacker() -> None:
    _tell_unpacker(signal.SIGKILL)


def _tell_unpacker(number: int) -> None:
    for pid in own_programs():
        if b"tools.unpacker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, number)


def test_comments_without_an_end_cost_no_time(bench: Bench) -> None:
    bench.source.write_bytes(b"<!---->" * 146 + b"<x>")
    image = bench.make_raw(timeout_s=60)
    assert image.warning is not None
    assert "No partition table" in image.warning


def test_an_unpacked_disk_has_its_container_examined(bench: Bench) -> None:
    """What is inside is a stranger's file, too."""
    bench.source.write_bytes(gzip.compress(sample_bytes("esx-delta.vmdk")))
    with pytest.raises(ConsoleError, match="COWD"):
        bench.make_raw()


def test_the_time_limit_holds_while_unpacking(bench: Bench) -> None:
    bench.source.write_bytes(gzip.compress(os.urandom(MIB), 1))
    reached: list[Phase] = []
    with pytest.raises(ConsoleError, match="took longer than is allowed here"):
        bench.make_raw(
            timeout_s=8,
            progress=lambda phase, _done, _total: reached.append(phase),
            tick=lambda: _tell_unpacker(signal.SIGSTOP),
        )
    assert reached[-1] is Phase.UNPACKING
    assert own_programs() == []
    assert bench.left_over() == []
