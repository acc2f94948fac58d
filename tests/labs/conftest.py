# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest for the whole run, cleared between tests. Only root can make a network for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench
from .lab import Lab

_DESELECTED = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An ordinary user runs all other tests, and is told about these."""
    if os.geteuid() == 0:
        return
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
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
