# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to be on a disk, of disks that sfdisk and the makers of file systems made."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import sample_bytes

from ggnet_console.tools.disk_contents import Contents, contents
from ggnet_console.tools.partition_tables import Fault

MIB = 1 << 20


class Disk:
    """A raw disk to be partitioned and looked at."""

    def __init__(self, path: Path, size: int = 256 * MIB) -> None:
        self.path = path
        with path.open("wb") as file:
            file.truncate(size)

    def partition(self, script: str) -> None:
        """By sfdisk, from its script."""
        subprocess.run(["sfdisk", "--quiet", self.path], input=script, text=True, check=True)

    def make(self, maker: str, at: int = 0, size: int = 32 * MIB) -> None:
        """Put a file system at an offset."""
        part = self.path.with_name("part")
        with part.open("wb") as file:
            file.truncate(size)
        subprocess.run([*maker.split(), part], check=True, capture_output=True)
        self.write(at, part.read_bytes())

    def write(self, at: int, data: bytes) -> None:
        """Put bytes at an offset; negative from the end."""
        with self.path.open("r+b") as file:
            file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            file.write(data)

    def contents(self) -> Contents:
        """What is found on it."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return contents(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)


@pytest.fixture
def disk(folder: Path) -> Iterator[Disk]:
    yield Disk(folder / "disk")


WINDOWS = """label: gpt
start=2048, size=65536, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=67584, size=32768, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
start=100352, size=65536, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
start=165888, size=65536, type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC
"""


def _windows(disk: Disk) -> None:
    disk.partition(WINDOWS)
    disk.make("mkfs.vfat -F 32 -s 1", 2048 * 512)
    disk.make("mkntfs -q -F -Q", 100352 * 512)


def test_a_windows_disk(disk: Disk) -> None:
    _windows(disk)
    assert disk.contents() == Contents(
        "GPT: EFI system (FAT32), Microsoft reserved, Windows data (NTFS), Windows recovery"
    )


def test_a_linux_disk_with_logical_partitions(disk: Disk) -> None:
    disk.partition(
        "label: dos\nstart=2048, size=65536, type=83, bootable\nstart=67584, type=5\n"
        "start=69632, size=65536, type=82\nstart=137216, size=65536, type=8e\n"
    )
    disk.make("mkfs.ext4 -q", 2048 * 512)
    disk.make("mkswap -q", 69632 * 512)
    disk.write(137216 * 512 + 512, b"LABELONE")
    assert disk.contents() == Contents("MBR: Linux (ext4), Linux swap, LVM")


@pytest.mark.parametrize(
    ("maker", "name"),
    [
        ("mkfs.ext2 -q", "ext2"),
        ("mkfs.ext3 -q", "ext3"),
        ("mkfs.ext4 -q", "ext4"),
        ("mkfs.vfat -F 32 -s 1", "FAT32"),
        ("mkfs.vfat -F 16", "FAT16"),
        ("mkfs.vfat -F 12 -s 64", "FAT12"),
        ("mkntfs -q -F -Q", "NTFS"),
        ("mkswap -q", "Linux swap"),
    ],
)
def test_a_file_system_without_a_partition_table(maker: str, name: str, disk: Disk) -> None:
    disk.make(maker)
    assert disk.contents() == Contents(name)


def test_many_partitions_are_counted(disk: Disk) -> None:
    disk.partition("label: gpt\n" + "size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n" * 11)
    assert disk.contents() == Contents("GPT: " + ", ".join(["Linux"] * 8) + ", +3")


def test_a_disk_that_was_enlarged_is_all_right(disk: Disk) -> None:
    _windows(disk)
    os.truncate(disk.path, 300 * MIB)
    assert disk.contents().fault == ""


def test_a_gpt_disk_that_was_cut_off(disk: Disk) -> None:
    _windows(disk)
    os.truncate(disk.path, 200 * MIB)
    found = disk.contents()
    assert (found.fault, found.needed_bytes) == (Fault.CUT_OFF, 256 * MIB)


def test_an_mbr_disk_that_was_cut_off(disk: Disk) -> None:
    disk.partition("label: dos\nstart=2048, size=460800, type=7\n")
    os.truncate(disk.path, 100 * MIB)
    found = disk.contents()
    assert (found.fault, found.needed_bytes) == (Fault.CUT_OFF, (2048 + 460800) * 512)


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        (-512, Fault.NO_COPY),
        (-512 - 32 * 512, Fault.NO_COPY),
        (512, Fault.ONLY_COPY),
        (1024, Fault.ONLY_COPY),
    ],
    ids=["header of the copy", "entries of the copy", "header", "entries"],
)
def test_a_damaged_gpt(at: int, fault: Fault, disk: Disk) -> None:
    _windows(disk)
    disk.write(at, b"\xa5" * 16)
    found = disk.contents()
    assert found.fault == fault
    assert found.summary.startswith("GPT: EFI system (FAT32)")


def test_a_gpt_without_its_protective_mbr(disk: Disk) -> None:
    _windows(disk)
    disk.write(0, bytes(512))
    found = disk.contents()
    assert found.fault == Fault.UNPROTECTED
    assert found.summary.startswith("GPT: EFI system (FAT32)")


@pytest.mark.parametrize("left_over", ["first", "copy", "both"])
def test_a_gpt_of_before_is_not_looked_at(left_over: str, disk: Disk) -> None:
    """An MBR without an entry for it says that it is none; Linux and Windows go by that."""
    _windows(disk)
    if left_over == "first":
        disk.write(-512, bytes(512))
    if left_over == "copy":
        disk.write(512, bytes(512))
    sector = bytearray(512)
    sector[446:462] = struct.pack("<B3xB3xII", 0x80, 0x83, 4096, 65536)
    sector[510:] = b"\x55\xaa"
    disk.write(0, sector)
    disk.make("mkfs.ext4 -q", 4096 * 512)
    assert disk.contents() == Contents("MBR: Linux (ext4)")


def test_a_gpt_of_before_behind_a_file_system_is_not_looked_at(disk: Disk) -> None:
    _windows(disk)
    disk.write(0, bytes(1024))
    disk.make("mkfs.ext4 -q", size=64 * MIB)
    assert disk.contents() == Contents("ext4")


def test_a_partitioned_disk_that_was_an_optical_one(disk: Disk) -> None:
    disk.partition("label: dos\nstart=2048, size=65536, type=83\n")
    disk.make("mkfs.ext4 -q", 2048 * 512)
    disk.write(32769, b"CD001")
    assert disk.contents() == Contents("MBR: Linux (ext4)")


@pytest.mark.parametrize("maker", ["mkfs.ext4 -q", "mkntfs -q -F -Q"])
def test_a_file_system_that_was_cut_off(maker: str, disk: Disk) -> None:
    disk.make(maker)
    os.truncate(disk.path, 16 * MIB)
    found = disk.contents()
    assert found.fault == Fault.CUT_OFF
    assert 31 * MIB < found.needed_bytes <= 32 * MIB


def test_many_more_entries_than_usual(disk: Disk) -> None:
    disk.partition("label: gpt\ntable-length: 1024\nsize=2048\n")
    assert disk.contents().fault == ""


def test_a_gpt_of_which_nothing_is_right(disk: Disk) -> None:
    _windows(disk)
    disk.write(512, bytes(16))
    disk.write(-512, bytes(16))
    assert disk.contents() == Contents("GPT", Fault.DAMAGED)


def test_a_disk_with_sectors_of_4096_bytes(disk: Disk) -> None:
    disk.path.write_bytes(sample_bytes("disk-4kn.raw"))
    assert disk.contents().fault == Fault.LARGE_SECTORS


def test_an_mbr_disk_with_sectors_of_4096_bytes(disk: Disk) -> None:
    disk.partition("label: dos\nstart=256, size=8192, type=83\n")  # numbers of its sectors
    disk.make("mkfs.ext4 -q", 256 * 4096)
    assert disk.contents().fault == Fault.LARGE_SECTORS


def test_a_blank_disk_and_one_of_which_nothing_is_known(disk: Disk) -> None:
    assert disk.contents() == Contents("blank")
    disk.write(0, bytes(4 * MIB))
    assert disk.contents() == Contents("blank")
    disk.write(128 * MIB, b"something")
    assert disk.contents() == Contents("", "nothing")


def test_a_loop_of_logical_partitions_ends(disk: Disk) -> None:
    disk.partition(
        "label: dos\nstart=2048, type=5\nstart=4096, size=2048, type=83\nstart=8192, size=2048\n"
    )
    first = 2048 * 512
    with disk.path.open("rb") as file:
        file.seek(first)
        record = bytearray(file.read(512))
    # Its link leads to itself.
    record[446 + 16 + 4] = 5
    record[446 + 16 + 8 : 446 + 16 + 12] = bytes(4)
    disk.write(first, record)
    assert disk.contents().summary.startswith("MBR: ")


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 1023, 4096, 70_000])
def test_noise_of_any_length_is_no_fault_of_ours(length: int, disk: Disk) -> None:
    disk.path.write_bytes(os.urandom(length))
    assert disk.contents().summary in ("", "blank")
    disk.path.write_bytes((b"\xff" * 510 + b"\x55\xaa" + b"EFI PART" + b"\xff" * length)[:length])
    disk.contents()
