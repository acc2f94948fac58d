# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as they come from the field: right bytes, or a sentence, or a word on the image."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_images import change_vhd_footers
from image_bench import Bench
from samples import sample_bytes

from ggnet_console.enums import ImageFormat
from ggnet_console.errors import ConsoleError
from ggnet_console.tools import inspector
from ggnet_console.tools.disk_images import Phase, RawImage
from ggnet_console.tools.qemu_img import Disk, QemuImg
from ggnet_console.tools.sandbox import Sandbox
from ggnet_console.tools.verdict import Verdict

MIB = 1 << 20
GPT_SHA256 = "13d9e1b2356dd40258a3b69c6aa113df6738735d860d7eeebd71ec8560589b32"
"""Of the 64 MiB disk that most of the samples hold, said by who made them."""
RESTORED = "One of the VHD's two footers was damaged and has been restored"
ONLY = "The VHD's only footer is damaged; all before it was taken for the disk."
LONGER_SHA256 = "017aad6e247cfddb9d9e9fa27d7a7533cc3020d4c49668ea088efc105ed9792b"
Qemu = Callable[..., str]


def words(image: RawImage) -> str:
    """What is said on an image that can be used."""
    return " ".join((image.warning or "", *image.remarks))


@pytest.mark.parametrize(
    ("sample", "image_format"),
    [
        ("virtualbox-dynamic.vhd", ImageFormat.VHD),
        ("discutils-fixed.vhd", ImageFormat.VHD),
        ("umlaut.vmdk", ImageFormat.VMDK),
    ],
)
def test_what_others_wrote_is_the_disk_they_meant(
    sample: str, image_format: ImageFormat, bench: Bench
) -> None:
    bench.unpack(sample)
    image = bench.make_raw()
    assert (image.source_format, image.virtual_size_bytes) == (image_format, 64 * MIB)
    assert image.sha256 == GPT_SHA256
    assert hashlib.sha256(bench.destination.read_bytes()).hexdigest() == GPT_SHA256
    assert image.contents == "GPT: Windows data"
    assert words(image).strip() == ""


@pytest.mark.parametrize("creator", [b"vpc ", b"vs  ", b"qemu"])
def test_virtual_pc_means_the_geometry(creator: bytes, bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    size = bench.source.stat().st_size
    change_vhd_footers(bench.source, 28, creator, (0, size - 512))
    image = bench.make_raw()
    assert image.virtual_size_bytes == 963 * 8 * 17 * 512 < 64 * MIB
    assert "needs a disk of 64.0 MiB" in words(image)


def test_a_fixed_vhd_that_goes_on_is_cut_where_its_footer_says(bench: Bench) -> None:
    bench.unpack("fixed-longer.vhd")
    image = bench.make_raw()
    assert (image.sha256, image.virtual_size_bytes) == (LONGER_SHA256, 64 * MIB)
    assert "goes on behind what its footer describes" in words(image)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ("sector-4096.vhdx", "VHDX with sectors of 4096 bytes"),
        ("esx-delta.vmdk", r"one part of a VMware disk \(COWD.*export the whole machine"),
        ("extended-l2.qcow2", r"subclusters \(extended L2\).*qemu-img convert"),
        ("notfound.vhdx", "a web page. Fetch the disk image itself"),
    ],
)
def test_what_cannot_be_served_is_called_by_its_name(
    sample: str, sentence: str, bench: Bench
) -> None:
    bench.unpack(sample)
    with pytest.raises(ConsoleError, match=sentence):
        bench.make_raw()
    assert bench.left_over() == []


def test_a_disk_with_sectors_of_4096_bytes_says_so(bench: Bench) -> None:
    bench.unpack("disk-4kn.raw")
    image = bench.make_raw()
    assert "sectors of 4096 bytes" in words(image)
    assert image.contents == "GPT: Windows data"


def test_a_raw_disk_that_is_cut_off_says_so(bench: Bench) -> None:
    bench.unpack("discutils-fixed.vhd")
    os.truncate(bench.source, 60 * MIB)
    image = bench.make_raw()
    assert "needs a disk of 64.0 MiB, and it has 60.0 MiB" in words(image)


def _damage(image: Path, at: int, length: int = 1) -> None:
    with image.open("r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        old = file.read(length)
        file.seek(-length, os.SEEK_CUR)
        file.write(bytes(byte ^ 0x55 for byte in old))


@pytest.mark.parametrize(
    ("sample", "at", "answer"),
    [
        *(("virtualbox-dynamic.vhd", at, f"READY: {RESTORED}") for at in (0, 48, 52, 60, 64)),
        *(("virtualbox-dynamic.vhd", at - 512, f"READY: {RESTORED}") for at in (0, 16, 48, 60, 64)),
        ("virtualbox-dynamic.vhd", 512, "its header or block table is not valid"),
        ("virtualbox-dynamic.vhd", 512 + 16, "its header or block table is not valid"),
        ("virtualbox-dynamic.vhd", 512 + 36, "its header or block table is not valid"),
        *(("discutils-fixed.vhd", at - 512, f"READY: {ONLY}") for at in (52, 54, 60, 64)),
    ],
)
def test_a_damaged_vhd_is_the_right_disk_with_a_word_or_refused(
    sample: str, at: int, answer: str, bench: Bench
) -> None:
    bench.unpack(sample)
    _damage(bench.source, at)
    if answer.startswith("READY: "):
        image = bench.make_raw()
        assert image.sha256 == GPT_SHA256
        assert answer.removeprefix("READY: ") in words(image)
    else:
        with pytest.raises(ConsoleError, match=answer):
            bench.make_raw()
        assert bench.left_over() == []


def test_a_vhd_with_two_damaged_footers_is_refused(bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    _damage(bench.source, 48)
    _damage(bench.source, -512 + 48)
    with pytest.raises(ConsoleError, match="its footers are not valid"):
        bench.make_raw()


def test_two_footers_that_do_not_agree_are_refused(bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    change_vhd_footers(bench.source, 48, struct.pack(">Q", 32 * MIB), (0,))
    with pytest.raises(ConsoleError, match="its two footers do not agree"):
        bench.make_raw()


@pytest.mark.parametrize("at", [0, -512], ids=["first", "last"])
def test_two_footers_of_which_one_means_the_geometry_do_not_agree(at: int, bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    size = bench.source.stat().st_size
    change_vhd_footers(bench.source, 28, b"vpc ", (at % size,))
    with pytest.raises(ConsoleError, match="its two footers do not agree"):
        bench.make_raw()


def test_an_offset_that_no_file_has_leads_nowhere(bench: Bench) -> None:
    """The last sector of a raw disk may say anything."""
    footer = bytearray(sample_bytes("virtualbox-dynamic.vhd")[:512])
    bench.source.write_bytes(os.urandom(MIB) + footer)
    size = bench.source.stat().st_size
    change_vhd_footers(bench.source, 16, struct.pack(">Q", 2**64 - 2), (size - 512,))
    image = bench.make_raw()
    assert (image.source_format, image.virtual_size_bytes) == (ImageFormat.RAW, size)


def test_of_a_vmdk_for_streaming_only_the_ends_are_read(bench: Bench, qemu: Qemu) -> None:
    (bench.root / "raw").write_bytes(os.urandom(24 * MIB))
    qemu("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized",
         bench.root / "raw", bench.source)  # fmt: skip
    with bench.source.open("r+b") as file:
        # As VMware writes it: where the grain directory lies is said at the end.
        header = file.read(512)
        file.seek(56)
        file.write(b"\xff" * 8)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<QII496x", 1, 0, 3) + header + bytes(512))
    read = 0

    class Counted(io.FileIO):
        def readinto(self, buffer: Any, /) -> int | None:
            nonlocal read
            count = super().readinto(buffer)
            read += count or 0
            return count

    def inspected() -> Verdict:
        with io.BufferedReader(Counted(bench.source)) as file:
            return inspector.inspect(file)

    assert inspected() == Verdict("vmdk", 24 * MIB, safe=True)
    assert 0 < read < 12 * MIB
    _damage(bench.source, -1024 + 4)  # the footer's version
    assert inspected().why == "its footer does not agree with its header"


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 50_000,
        "{}",
        "[1]",
        '{"format": "raw", "virtual_size": "x", "safe": true}',
        '{"format": 5, "virtual_size": 5, "safe": true}',
        '{"format": "raw", "virtual_size": 5, "safe": true, "flaws": 5}',
        '{"format": "raw", "virtual_size": 5, "safe": true, "flaws": ["zz"]}',
        '{"format": "raw", "virtual_size": 5, "safe": true, "more": 1}',
    ],
    ids=lambda answer: answer[-40:],
)
def test_whatever_a_program_that_was_taken_over_answers_is_a_sentence(
    answer: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.source.write_bytes(bytes(MIB))
    answers = bench.root / "answers"
    answers.write_text(answer)
    monkeypatch.setattr(Sandbox, "own_program", lambda *_: ["cat", str(answers)])
    with pytest.raises(ConsoleError, match="its format cannot be told"):
        bench.make_raw()


@pytest.mark.parametrize("lost", [512, 100], ids=["whole", "a part"])
def test_a_dynamic_vhd_whose_last_footer_is_cut_off_gets_it_back(lost: int, bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    os.truncate(bench.source, bench.source.stat().st_size - lost)
    image = bench.make_raw()
    assert image.sha256 == GPT_SHA256
    assert words(image).strip().startswith(RESTORED)


def test_a_fixed_vhd_whose_footer_is_cut_off_is_the_disk_before_it(bench: Bench) -> None:
    bench.unpack("discutils-fixed.vhd")
    os.truncate(bench.source, bench.source.stat().st_size - 100)
    image = bench.make_raw()
    assert (image.sha256, image.source_format) == (GPT_SHA256, ImageFormat.VHD)
    assert words(image).strip() == ONLY


@pytest.mark.parametrize("sample", ["virtualbox-dynamic.vhd", "discutils-fixed.vhd"])
def test_a_vhd_that_is_filled_up_behind_its_footer(sample: str, bench: Bench) -> None:
    bench.unpack(sample)
    os.truncate(bench.source, bench.source.stat().st_size + 3584)
    image = bench.make_raw()
    assert (image.sha256, image.source_format) == (GPT_SHA256, ImageFormat.VHD)
    assert "goes on behind what its footer describes" in words(image)


def test_a_vhd_is_one_though_two_things_are_wrong_at_its_ends(bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    _damage(bench.source, 0)
    os.truncate(bench.source, bench.source.stat().st_size + 4096)
    image = bench.make_raw()
    assert (image.sha256, image.source_format) == (GPT_SHA256, ImageFormat.VHD)
    assert RESTORED in words(image)


def test_a_fixed_vhd_by_geometry_that_is_filled_up(bench: Bench) -> None:
    bench.unpack("discutils-fixed.vhd")
    size = bench.source.stat().st_size
    change_vhd_footers(bench.source, 28, b"vpc ", (size - 512,))
    os.truncate(bench.source, size + 4096)
    image = bench.make_raw()
    assert (image.source_format, image.virtual_size_bytes) == (ImageFormat.VHD, 963 * 8 * 17 * 512)


def test_a_raw_disk_may_end_with_a_whole_vhd(bench: Bench) -> None:
    """In its last partition, say: what its last sector tells is of that file."""
    inner = sample_bytes("virtualbox-dynamic.vhd")
    bench.source.write_bytes(os.urandom(MIB) + inner)
    image = bench.make_raw()
    assert image.source_format is ImageFormat.RAW
    assert image.virtual_size_bytes == MIB + len(inner)


def test_a_footer_in_the_data_is_no_footer(bench: Bench, qemu: Qemu) -> None:
    """A disk with a VHD on it, in the last block, and the outer one's footer is lost."""
    raw = bench.root / "raw"
    inner = sample_bytes("virtualbox-dynamic.vhd")[:512]
    raw.write_bytes((os.urandom(MIB - 1024) + inner + os.urandom(512)) * 2)
    qemu("qemu-img", "convert", "-O", "vpc", "-o", "force_size=on", raw, bench.source)
    os.truncate(bench.source, bench.source.stat().st_size - 512)
    image = bench.make_raw()
    assert image.sha256 == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert RESTORED in words(image)


@pytest.mark.parametrize("sample", ["virtualbox-dynamic.vhd", "cut off"])
def test_what_is_to_be_said_is_not_lost_with_the_attempt_that_found_it(
    sample: str, bench: Bench
) -> None:
    if sample == "cut off":
        bench.source.write_bytes(os.urandom(MIB) + b"odd")
    else:
        bench.unpack(sample)
        _damage(bench.source, -512)

    def die(phase: Phase, _done: int, _total: int) -> None:
        if phase in (Phase.COMPARING, Phase.HASHING):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.make_raw(progress=die)
    held = bench.work / "source"
    held.rename(bench.source)
    image = bench.make_raw()
    assert ("probably cut off" if sample == "cut off" else RESTORED) in words(image)


def _fixed_vhd(bench: Bench, qemu: Qemu, disk: bytes) -> bytes:
    (bench.root / "raw").write_bytes(disk)
    made = bench.root / "fixed.vhd"
    qemu("qemu-img", "convert", "-O", "vpc", "-o", "subformat=fixed,force_size=on",
         bench.root / "raw", made)  # fmt: skip
    return made.read_bytes()


@pytest.mark.parametrize("kind", ["fixed VHD", "fixed VHD in a fixed VHD", "packed", "odd"])
def test_an_attempt_after_one_that_had_sealed_the_file_makes_the_same_image(
    kind: str, bench: Bench, qemu: Qemu
) -> None:
    """The agent may die between the file's new name and its record in the database."""
    disk = os.urandom(MIB)
    match kind:
        case "fixed VHD":
            bench.source.write_bytes(_fixed_vhd(bench, qemu, disk))
        case "fixed VHD in a fixed VHD":
            inner = _fixed_vhd(bench, qemu, disk)
            bench.source.write_bytes(_fixed_vhd(bench, qemu, disk + inner))
        case "packed":
            bench.source.write_bytes(gzip.compress(_fixed_vhd(bench, qemu, disk)) + b"trailing")
        case "odd":
            bench.source.write_bytes(disk + b"odd")
    first = bench.make_raw()
    bench.destination.rename(bench.work / "source")
    (bench.work / "source").chmod(0o600)
    (bench.work / "source").rename(bench.source)
    assert bench.make_raw() == first
    assert first.source_format is (ImageFormat.RAW if kind == "odd" else ImageFormat.VHD)


def test_a_vhd_with_two_blocks_at_one_place_is_damaged(bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    with bench.source.open("r+b") as file:
        file.seek(512 + 16)
        (table_at,) = struct.unpack(">Q", file.read(8))
        file.seek(table_at)
        table = file.read(4 * 32)
        used = [n for n in range(32) if table[4 * n : 4 * n + 4] != b"\xff" * 4]
        file.seek(table_at + 4 * used[1])
        file.write(table[4 * used[0] : 4 * used[0] + 4])
    with pytest.raises(ConsoleError, match="its header or block table is not valid"):
        bench.make_raw()


def test_table_entries_that_no_block_of_the_disk_needs_may_hold_anything(bench: Bench) -> None:
    """Hyper-V makes the table of a disk that was made smaller no shorter."""
    bench.unpack("virtualbox-dynamic.vhd")
    size = bench.source.stat().st_size
    with bench.source.open("r+b") as file:
        file.seek(512 + 16)
        table_at, entries, block_bytes = struct.unpack(">Q4xII", file.read(20))
        needed = 32 * MIB // block_bytes
        assert needed < entries
        file.seek(table_at + 4 * needed)
        file.write(b"\0\0\0\1" * (entries - needed))
    change_vhd_footers(bench.source, 48, struct.pack(">Q", 32 * MIB), (0, size - 512))
    image = bench.make_raw()
    assert image.virtual_size_bytes == 32 * MIB


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        # A raw disk that lacks whole sectors is as good as another.
        *(("raw", lost) for lost in (1, 1000)),
        *((kind, lost) for kind in ("qcow2", "vmdk") for lost in (1, 512, 1000, 32768)),
    ],
)
def test_a_download_that_broke_off_in_the_last_data_says_so(
    kind: str, lost: int, bench: Bench, qemu: Qemu
) -> None:
    raw = bench.root / "raw"
    raw.write_bytes(os.urandom(4 * MIB))
    qemu("qemu-img", "convert", "-O", kind, raw, bench.source)
    os.truncate(bench.source, bench.source.stat().st_size - lost)
    try:
        image = bench.make_raw()
    except ConsoleError as refusal:
        assert "damaged" in refusal.summary
    else:
        assert image.warning is not None
        assert "probably cut off" in image.warning


def test_a_vhd_whose_last_block_is_missing_is_cut_off(bench: Bench) -> None:
    bench.unpack("virtualbox-dynamic.vhd")
    os.truncate(bench.source, bench.source.stat().st_size - MIB)
    with pytest.raises(ConsoleError, match=r"it is cut off: its data reaches to 18\.0 MiB"):
        bench.make_raw()


def test_the_footer_of_old_virtual_pcs_has_511_bytes(bench: Bench) -> None:
    bench.unpack("discutils-fixed.vhd")
    os.truncate(bench.source, bench.source.stat().st_size - 1)
    image = bench.make_raw()
    assert (image.source_format, image.sha256) == (ImageFormat.VHD, GPT_SHA256)


@pytest.mark.parametrize(
    "options",
    [("qcow2",), ("qcow2", "-c"), ("vhdx",), ("vmdk",),
     ("qcow2", "-c", "-o", "compression_type=zstd"), ("vpc", "-o", "force_size=on"),
     ("vmdk", "-o", "subformat=streamOptimized")],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 30 * MIB + 77, 64 * MIB - 1])
def test_a_second_reader_finds_what_the_converter_did_wrong(
    options: tuple[str, ...],
    at: int,
    bench: Bench,
    qemu: Qemu,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = bench.root / "raw"
    with raw.open("wb") as file:
        file.write(os.urandom(3 * MIB))
        file.seek(62 * MIB)
        file.write(os.urandom(2 * MIB))
    qemu("qemu-img", "convert", "-O", *options, raw, bench.source)
    convert = QemuImg.convert

    def convert_badly(self: QemuImg, source: Disk, target: Disk, *rest: object) -> None:
        convert(self, source, target, *rest)  # type: ignore[arg-type]
        (byte,) = os.pread(target.fd, 1, at)
        os.pwrite(target.fd, bytes([byte ^ 1]), at)

    monkeypatch.setattr(QemuImg, "convert", convert_badly)
    # Who converted does not notice: both sides are read by the same code.
    monkeypatch.setattr(QemuImg, "compare", lambda *_: None)
    with pytest.raises(ConsoleError, match="is read differently by two programs"):
        bench.make_raw()
    assert bench.left_over() == []


def test_a_file_the_second_reader_cannot_read_is_told_apart(bench: Bench) -> None:
    """Of a VHDX's two headers it takes the one with the larger number, and not the valid one."""
    data = bytearray(sample_bytes("iotest-dynamic-1G.vhdx"))
    data[64 << 10 : (64 << 10) + 16] = b"xxxx" + bytes(4) + struct.pack("<Q", 1 << 60)
    bench.source.write_bytes(data)
    image = bench.make_raw()
    assert "only one proved the conversion" in words(image)
