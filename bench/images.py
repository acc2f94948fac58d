# SPDX-License-Identifier: GPL-3.0-or-later
"""An image from PROCESSING on, beside plain qemu-img convert, SHA-256 and fsync in sequence."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from ggnet_console.tools import disk_images
from ggnet_console.tools.copying import copy_in, hash_file
from ggnet_console.tools.sandbox import Sandbox

from .figures import Figure

MIB = 2**20
SIZE_BYTES = 2048 * MIB
DATA_BYTES = 770 * MIB
ROUNDS = 5
LIMIT = "1.15x"
EMPTY_BYTES = 32 * 1024 * MIB
EMPTY_LIMIT = "1.3x"


def run() -> list[Figure]:
    """Measure QCOW2 and VHDX sources, alternating with the baseline; medians of five rounds."""
    folder = Path(tempfile.mkdtemp(prefix="ggbench", dir="/var/tmp"))
    try:
        raw = folder / "raw"
        _make_disk(raw)
        rows = []
        for name in ("qcow2", "vhdx"):
            image = folder / f"image.{name}"
            subprocess.run(["qemu-img", "convert", "-O", name, raw, image], check=True)
            rounds = [(_ours(image), _baseline(image)) for _ in range(ROUNDS)]
            ours = statistics.median(ours for ours, _ in rounds)
            baseline = statistics.median(baseline for _, baseline in rounds)
            title = f"image 2 GiB, 770 MiB of data, {name}: checked, converted, compared, sealed"
            rows.append(Figure(title, ours, "s", LIMIT, baseline, "convert, SHA-256, fsync"))
        rows.append(_almost_empty(folder))
        return rows
    finally:
        shutil.rmtree(folder)


def _almost_empty(folder: Path) -> Figure:
    """A VHDX, whose holes qemu-img does not tell: what remains is to hash its zeros."""
    image = folder / "empty.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", image, str(EMPTY_BYTES)], check=True)
    write = ["qemu-io", "-f", "vhdx", "-c", "write -P 7 1M 256k", image]
    subprocess.run(write, check=True, capture_output=True)
    ours = _ours(image)
    with (folder / "hole").open("wb+") as hole:
        hole.truncate(EMPTY_BYTES)
        began = time.perf_counter()
        hash_file(hole.fileno(), EMPTY_BYTES)
        baseline = time.perf_counter() - began
    title = "image 32 GiB, 256 KiB of data, vhdx"
    return Figure(title, ours, "s", EMPTY_LIMIT, baseline, "SHA-256 of its zeros")


def _make_disk(path: Path) -> None:
    """A disk with its data in runs of 10 MiB, as file systems leave them."""
    block = random.Random(1).randbytes(10 * MIB)
    count = DATA_BYTES // len(block)
    with path.open("wb") as file:
        for number in range(count):
            file.seek(number * (SIZE_BYTES // count) // MIB * MIB)
            file.write(block)
        file.truncate(SIZE_BYTES)


def _ours(image: Path) -> float:
    bench = image.parent / "ours"
    work = bench / "work"
    work.mkdir(parents=True)
    source = bench / "source"
    copy_in(image, source)
    os.sync()
    began = time.perf_counter()
    disk_images.make_raw(
        source,
        work,
        bench / "image.raw",
        name="bench",
        sandbox=Sandbox.for_job(1),
        max_virtual_size_bytes=2**44,
        timeout_s=600,
    )
    took_s = time.perf_counter() - began
    shutil.rmtree(bench)
    return took_s


def _baseline(image: Path) -> float:
    copy, result = image.with_name("copy"), image.with_name("plain.raw")
    copy_in(image, copy)
    os.sync()
    began = time.perf_counter()
    subprocess.run(["qemu-img", "convert", "-O", "raw", copy, result], check=True)
    with result.open("r+b") as file:
        hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    took_s = time.perf_counter() - began
    copy.unlink()
    result.unlink()
    return took_s
