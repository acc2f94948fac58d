# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest for the whole run, cleared between tests. Only root can make a network for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_host import MIB, blank_cluster
from samples import make_disk

from .bench import Bench
from .lab import Lab
from .lio_host import LioHost

_DESELECTED = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two processes run them beside the rest, each on a guest: with the agent in it, and without.

    An ordinary user runs all other tests, and is told about these.
    """
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        with_agent = "host" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("lab with agent" if with_agent else "lab"))
    if os.geteuid() == 0:
        return
    items[:] = [item for item in items if here not in item.path.parents]
    config.hook.pytest_deselected(items=ours)
    config.stash[_DESELECTED] = len(ours)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line that says what was left out."""
    count = config.stash.get(_DESELECTED, 0)
    if count:
        terminalreporter.write_line(
            f"{count} tests on the kernel's iSCSI target were left out: they need root."
        )


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running guest; tests may power it off and start it again."""
    lab = Lab()
    try:
        lab.start()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def bench(lab: Lab) -> Iterator[Bench]:
    """Our backend in the guest, with no target in the kernel and nothing saved."""
    bench = Bench(lab)
    bench.clear()
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def blank() -> Iterator[Path]:
    with blank_cluster() as cluster:
        yield cluster


@pytest.fixture
def host(lab: Lab, bench: Bench, blank: Path) -> Iterator[LioHost]:
    """The storage host, its agent at work in the guest."""
    lab.folder.chmod(0o711)  # PostgreSQL runs as a user of its own
    folder = lab.folder / "host"
    folder.mkdir(mode=0o711)
    host = LioHost(lab, folder, blank)
    try:
        host.start()
        yield host
    finally:
        host.end()
        shutil.rmtree(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """4 MiB of data on a disk of 8 MiB, as QCOW2; beside it the same as raw."""
    raw = tmp_path / "disk.raw"
    make_disk(raw, 4 * MIB, 8 * MIB)
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    return disk
