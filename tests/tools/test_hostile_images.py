# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made to read the host's files, to exhaust it, or to be two things at once: all refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_images import MIB, SECRET, STORIES, Qemu
from image_bench import Bench, children

from ggnet_console.errors import ConsoleError


@pytest.fixture
def secret(bench: Bench) -> Path:
    """A file of the host; as root nobody else may read it."""
    path = bench.root / "host-secret"
    path.write_bytes(SECRET * 1000 + bytes(512))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", STORIES)
def test_a_hostile_image_is_refused_and_no_byte_of_the_host_comes_out(
    name: str, bench: Bench, secret: Path, qemu: Qemu
) -> None:
    make, sentence = STORIES[name]
    make(bench.source, secret, qemu)
    with pytest.raises(ConsoleError, match=rf"The image “win11”.*{sentence}") as refusal:
        bench.make_raw(max_virtual_size_bytes=8 << 40)
    assert SECRET.decode() not in refusal.value.summary + refusal.value.details
    assert bench.left_over() == []
    assert children("qemu-img") == []
    for left in bench.work.iterdir():
        with left.open("rb") as file:
            assert SECRET not in file.read(16 * MIB)


def test_the_secret_would_come_out_without_the_defence(
    bench: Bench, secret: Path, qemu: Qemu
) -> None:
    for name in ("a backing file", "a json: name", "a VMDK extent"):
        STORIES[name][0](bench.source, secret, qemu)
        qemu("qemu-img", "convert", "-O", "raw", bench.source, bench.destination)
        assert SECRET in bench.destination.read_bytes(), name


def test_the_fuzzed_image_is_refused(bench: Bench) -> None:
    bench.unpack("afl5.img")
    with pytest.raises(ConsoleError, match=r"win11.*it is damaged"):
        bench.make_raw()
    assert bench.left_over() == []


def test_a_cut_off_vhd_is_refused(bench: Bench) -> None:
    bench.unpack("d2v-zerofilled.vhd")
    os.truncate(bench.source, 1000)
    with pytest.raises(ConsoleError, match=r"win11.*damaged"):
        bench.make_raw()
    assert bench.left_over() == []


def test_a_source_that_is_a_symlink_or_has_a_second_name_is_refused(
    bench: Bench, secret: Path
) -> None:
    bench.source.symlink_to(secret)
    with pytest.raises(ConsoleError, match="is a symbolic link"):
        bench.make_raw()
    (bench.work / "source").unlink()
    bench.source.hardlink_to(secret)
    with pytest.raises(ConsoleError, match="is not a plain file of its own"):
        bench.make_raw()
    assert bench.left_over() == []
    assert secret.stat().st_uid == os.geteuid()


def test_a_pipe_is_refused_and_does_not_hang(bench: Bench) -> None:
    os.mkfifo(bench.source)
    with pytest.raises(ConsoleError, match="is not a plain file of its own"):
        bench.make_raw()
    assert bench.left_over() == []


def test_an_image_name_with_anything_in_it_does_no_harm(bench: Bench) -> None:
    bench.source.write_bytes(b"x" * 512)
    image = bench.make_raw(name="-rf $(touch pwned)\n'\"")
    assert image.virtual_size_bytes == 512


def test_a_small_file_of_a_million_extents_takes_no_memory(bench: Bench) -> None:
    """Each entry of its first table names one second table, in which every other cluster is zero."""
    cluster, tables = 1 << 16, 256
    second, first = 3 * cluster, 4 * cluster
    image = bytearray(5 * cluster)
    header = struct.pack(
        *(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, tables * 8192 * cluster, 0),
        *(tables, first, cluster, 1, 0, 0),
    )
    image[: len(header) + 32] = header + struct.pack(">QQQII", 0, 0, 0, 4, 104)
    struct.pack_into(">Q", image, cluster, 2 * cluster)
    for number, count in enumerate((1, 1, 1, tables, 1)):
        struct.pack_into(">H", image, 2 * cluster + 2 * number, count)
    for number in range(8192):
        struct.pack_into(">Q", image, second + 8 * number, number % 2)
    for number in range(tables):
        struct.pack_into(">Q", image, first + 8 * number, second)
    bench.source.write_bytes(image)
    code = (
        "import os, resource, sys, time\n"
        "from ggnet_console.tools.qemu_img import Disk, QemuImg\n"
        "from ggnet_console.tools.sandbox import Sandbox\n"
        "fd, sandbox = os.open(sys.argv[1], os.O_RDWR), Sandbox.for_job(1)\n"
        "sandbox.own(fd)\n"
        "qemu = QemuImg('it', sandbox, time.monotonic() + 120, 1 << 44)\n"
        "memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = memory()\n"
        "print(qemu.data_bytes(Disk(fd, 'qcow2')), memory() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bench.source], capture_output=True, text=True, check=True
    )
    data_bytes, grown_kib = map(int, done.stdout.split())
    assert data_bytes == 0
    assert grown_kib < 16 * 1024
