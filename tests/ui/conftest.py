# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of its own for each window, and a theme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import QEvent, QSettings
from PySide6.QtWidgets import QApplication

from ggnet_console.demo.room import Room
from ggnet_console.demo.room_window import RoomWindow
from ggnet_console.demo.window import DemoWindow
from ggnet_console.enums import Role

from .demo import Window


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def window(qapp: QApplication, qtbot, settings: QSettings) -> Iterator[Window]:
    """The real window over a room of forty machines, on its Machines page."""
    yield from _opened(qtbot, Window(qapp, settings, Room()))


@pytest.fixture
def viewer(qapp: QApplication, qtbot, settings: QSettings) -> Iterator[Window]:
    """The same for somebody who may only look."""
    yield from _opened(qtbot, Window(qapp, settings, Room(role=Role.VIEWER)))


@pytest.fixture
def admin(qapp: QApplication, qtbot, settings: QSettings) -> Iterator[Window]:
    """The same for an admin, who also sees users, audit and settings."""
    yield from _opened(qtbot, Window(qapp, settings, Room(role=Role.ADMIN)))


@pytest.fixture
def empty_window(qapp: QApplication, qtbot, settings: QSettings) -> Iterator[Window]:
    """The same with nothing in it yet."""
    yield from _opened(qtbot, Window(qapp, settings, Room(empty=True)))


@pytest.fixture
def demo(qapp: QApplication, qtbot, settings: QSettings) -> Iterator[DemoWindow]:
    """The window of ``--demo``, whose clock stands still."""
    window = DemoWindow(qapp, settings)
    window.clock.stop()
    yield from _opened(qtbot, window)


W = TypeVar("W", bound=RoomWindow)


def _opened(qtbot, window: W) -> Iterator[W]:
    window.main_window.resize(1366, 768)
    with qtbot.waitExposed(window.main_window):
        window.main_window.show()
    window.main_window.show_page("machines")
    with qtbot.waitActive(window.main_window):
        window.main_window.activateWindow()
    yield window
    window.main_window.close()
    window.main_window.deleteLater()
    window.theme.deleteLater()
    # Now, with the dialogs that are open over it: the next test looks for dialogs of its own.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
