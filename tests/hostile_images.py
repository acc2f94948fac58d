# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made to read the host's files, to exhaust it, or to be two things at once, by real tools."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20
SECRET = b"root:$6$the-host's-own-secret:"
Qemu = Callable[..., str]
Maker = Callable[[Path, Path, Qemu], None]

VMDK_DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="{kind}"

# Extent description
{extent}

# The Disk Data Base
ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "1"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
"""


def _backing_file(image: Path, secret: Path, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "qcow2", "-b", secret, "-F", "raw", image)


def _json_name(image: Path, secret: Path, qemu: Qemu) -> None:
    name = json.dumps({"driver": "raw", "file": {"driver": "file", "filename": str(secret)}})
    qemu("qemu-img", "create", "-f", "qcow2", image, "1M")
    qemu("qemu-img", "rebase", "-u", "-F", "raw", "-b", f"json:{name}", image)


def _data_file(image: Path, secret: Path, qemu: Qemu) -> None:
    other = secret.with_name("other")
    qemu("qemu-img", "create", "-f", "qcow2", "-o", f"data_file={other},data_file_raw=on",
         image, "1M")  # fmt: skip
    qemu("qemu-img", "amend", "-f", "qcow2", "-o", f"data_file={other}", image)
    other.unlink()
    secret.rename(other)  # creating the image would have emptied the secret


def _vmdk_extent(image: Path, secret: Path, qemu: Qemu) -> None:
    sectors = secret.stat().st_size // 512
    extent = f'RW {sectors} FLAT "{secret}" 0'
    image.write_text(VMDK_DESCRIPTOR.format(kind="monolithicFlat", extent=extent))


def _vmdk_extent_behind_a_sparse_header(image: Path, secret: Path, qemu: Qemu) -> None:
    """Capacity 0 makes qemu read the embedded descriptor, which names a host file."""
    qemu("qemu-img", "create", "-f", "vmdk", image, "1M")
    extent = f'RW {secret.stat().st_size // 512} FLAT "{secret}" 0'
    text = VMDK_DESCRIPTOR.format(kind="monolithicFlat", extent=extent).encode()
    with image.open("r+b") as file:
        file.seek(12)
        file.write(struct.pack("<Q", 0))
        file.seek(512)
        file.write(text.ljust(20 * 512, b"\0"))


def _vmdk_parent(image: Path, secret: Path, qemu: Qemu) -> None:
    parent = secret.with_name("parent")
    qemu("qemu-img", "create", "-f", "vmdk", parent, "1M")
    qemu("qemu-img", "create", "-f", "vmdk", "-b", parent, "-F", "vmdk", image)


def _raw_disk_with_a_qcow2_header(image: Path, secret: Path, qemu: Qemu) -> None:
    """A guest writes a header with a backing file to the beginning of its raw disk."""
    _backing_file(image, secret, qemu)
    os.truncate(image, 8 * MIB)


def _both_qcow2_and_partitioned(image: Path, secret: Path, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "qcow2", image, "1M")
    with image.open("r+b") as file:
        file.seek(510)
        file.write(b"\x55\xaa")


def change_vhd_footers(image: Path, at: int, data: bytes, places: tuple[int, ...]) -> None:
    """Change a VHD's footers at these offsets, and make their checksums right again."""
    with image.open("r+b") as file:
        for place in places:
            file.seek(place)
            footer = bytearray(file.read(512))
            footer[at : at + len(data)] = data
            footer[64:68] = bytes(4)
            footer[64:68] = struct.pack(">I", ~sum(footer) & 0xFFFFFFFF)
            file.seek(place)
            file.write(footer)


def _vhd_differences(image: Path, secret: Path, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "vpc", image, "8M")
    last = image.stat().st_size - 512
    change_vhd_footers(image, 60, struct.pack(">I", 4), (0, last))


def _one_pebibyte(image: Path, secret: Path, qemu: Qemu) -> None:
    qemu("qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=2M", image, "1P")


def _raw_of_one_pebibyte(image: Path, secret: Path, qemu: Qemu) -> None:
    image.touch()
    os.truncate(image, 15 << 40)


def _cut_off(kind: str, left_bytes: int) -> Maker:
    def make(image: Path, secret: Path, qemu: Qemu) -> None:
        raw = secret.with_name("raw")
        raw.write_bytes(os.urandom(4 * MIB))
        os.truncate(raw, 64 * MIB)
        qemu("qemu-img", "convert", "-O", kind, raw, image)
        os.truncate(image, left_bytes)

    return make


def _encrypted(image: Path, secret: Path, qemu: Qemu) -> None:
    argv = ("qemu-img", "create", "-f", "qcow2", "--object", "secret,id=s,data=x", "-o",
            "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", image, "1M")  # fmt: skip
    for _ in range(50):
        with suppress(subprocess.CalledProcessError):
            qemu(*argv)
            return
        # It times its key derivation by a clock that now and then has not moved on.
    qemu(*argv)


def _of_format(kind: str) -> Maker:
    def make(image: Path, secret: Path, qemu: Qemu) -> None:
        qemu("qemu-img", "create", "-f", kind, image, "8M")

    return make


def _empty(image: Path, secret: Path, qemu: Qemu) -> None:
    image.touch()


STORIES: dict[str, tuple[Maker, str]] = {
    "a backing file": (_backing_file, "is based on another file"),
    "a json: name": (_json_name, "is based on another file"),
    "an external data-file": (_data_file, "its data lies in another file"),
    "a VMDK extent": (_vmdk_extent, "its data lies in other files"),
    "a VMDK extent behind a header": (
        _vmdk_extent_behind_a_sparse_header,
        "its data lies in other files",
    ),
    "a VMDK parent": (_vmdk_parent, "is based on another file"),
    "a raw disk with a qcow2 header": (_raw_disk_with_a_qcow2_header, "is based on another file"),
    "two formats at once": (_both_qcow2_and_partitioned, "it looks like gpt and qcow2"),
    "differences of a VHD": (_vhd_differences, "only the differences from another disk"),
    "1 PiB": (_one_pebibyte, r"claims a disk of 1\.0 PiB; at most 8\.0 TiB"),
    "15 TiB of raw": (_raw_of_one_pebibyte, r"claims a disk of 15\.0 TiB; at most 8\.0 TiB"),
    "a cut off QCOW2": (_cut_off("qcow2", 2 * MIB), "is damaged"),
    "a cut off VHDX": (_cut_off("vhdx", 9 * MIB), "is damaged"),
    "a cut off VMDK": (_cut_off("vmdk", 2 * MIB), "damaged"),
    "a cut off QCOW2 header": (_cut_off("qcow2", 600), "damaged"),
    "a cut off VHDX header": (_cut_off("vhdx", 100_000), "damaged"),
    "an encrypted disk": (_encrypted, "is encrypted"),
    "VDI": (_of_format("vdi"), r"a VirtualBox image \(VDI\)"),
    "QED": (_of_format("qed"), "a QED image"),
    "Parallels": (_of_format("parallels"), "a Parallels image"),
    "nothing": (_empty, "is empty"),
}
