# SPDX-License-Identifier: GPL-3.0-or-later
"""Real disk images for the tests of tools/, and one bench per test to process them on."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image_bench import Bench


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path; not pytest's own, whose parents are closed to other users."""
    path = Path(tempfile.mkdtemp(prefix="gg", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bench(folder: Path) -> Bench:
    """An empty bench, closed to other users like the folders of a job."""
    bench = Bench(folder)
    bench.work.mkdir(mode=0o700)
    bench.destination.parent.mkdir()
    return bench


@pytest.fixture
def qemu() -> Callable[..., str]:
    """Runs qemu-img or qemu-io and returns its stdout."""

    def run(*argv: str | Path) -> str:
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    return run
