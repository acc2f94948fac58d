# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the whole window: an installation of its own, its consoles, the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import short_folder
from PySide6.QtWidgets import QApplication
from real_window import Premises, RealConsole

from ggnet_console.workers.loop import make_loop


@pytest.fixture(scope="session")
def installed_home() -> Iterator[Path]:
    """The home of an installation, stopped, with a user for each role, named after it."""
    with short_folder() as folder:
        premises = Premises(folder)
        premises.install()
        yield premises.tree.root


@pytest.fixture
def premises(monkeypatch: pytest.MonkeyPatch) -> Iterator[Premises]:
    """A folder in which nothing has been installed yet."""
    for name in [name for name in os.environ if name.startswith("GGNET_")]:
        monkeypatch.delenv(name)
    with short_folder() as folder:
        premises = Premises(folder)
        for name, value in premises.environment.items():
            monkeypatch.setenv(name, value)
        try:
            yield premises
        finally:
            premises.end()


@pytest.fixture
def installed(premises: Premises, installed_home: Path) -> Premises:
    """A folder in which somebody has been before; nothing runs."""
    premises.install_copy(installed_home)
    return premises


@pytest.fixture
def console(installed: Premises, open_console: Callable[[], RealConsole]) -> RealConsole:
    """The first console of an installation; nobody is signed in."""
    return open_console()


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[asyncio.AbstractEventLoop]:
    """The main thread's loop."""
    qapp.setQuitOnLastWindowClosed(False)
    loop = make_loop(qapp)
    # pytest-qt spins Qt's loop in small turns; to asyncio it is running all the time.
    asyncio.events._set_running_loop(loop)
    yield loop
    asyncio.events._set_running_loop(None)
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def open_console(
    qapp: QApplication, loop: asyncio.AbstractEventLoop, premises: Premises
) -> Iterator[Callable[[], RealConsole]]:
    """Opens this process's console on the premises; it is closed with the test."""
    opened: list[RealConsole] = []

    def open_console() -> RealConsole:
        opened.append(RealConsole(qapp, premises))
        return opened[-1]

    yield open_console
    for console in opened:
        console.end()
    for console in opened:
        assert console.crashes == []
