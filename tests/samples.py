# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk images in ``tests/data``, which other programs wrote."""

from __future__ import annotations

import bz2
import lzma
import os
import subprocess
from pathlib import Path

_DATA = Path(__file__).parent / "data"


def make_disk(path: Path, data_bytes: int, size: int) -> None:
    """A raw disk of ``size`` bytes, of which so many are data, and of which it is known what it is."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkswap", "-q", path], check=True)
    with path.open("r+b") as file:
        file.seek(65536)
        file.write(os.urandom(data_bytes - 65536))


def make_damaged_qcow2(path: Path) -> None:
    """A QCOW2 that only qemu finds to be damaged: its first table does not begin at a cluster."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"], check=True)
    with path.open("r+b") as file:
        file.seek(40)
        file.write((0x30001).to_bytes(8, "big"))


def sample_bytes(sample: str) -> bytes:
    """A file of ``tests/data``, unpacked."""
    if (_DATA / f"{sample}.xz").exists():
        return lzma.decompress((_DATA / f"{sample}.xz").read_bytes())
    return bz2.decompress((_DATA / f"{sample}.bz2").read_bytes())
