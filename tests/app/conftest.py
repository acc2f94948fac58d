# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of whole programs: a storage host, disks to import, people's windows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QSettings
from PySide6.QtWidgets import QApplication
from real_database import RealDatabase
from real_host import MIB, LoggedIn, RealHost, blank_cluster, real_host
from samples import make_disk, sample_bytes
from slow_uploader import SlowImport

from ggnet_console.enums import Role
from ggnet_console.services import users
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.window.main_window import MainWindow
from ggnet_console.ui.window.workspace import Workspace, make_feeds
from ggnet_console.workers.background import Background


@pytest.fixture(scope="session")
def blank() -> Iterator[Path]:
    """A database cluster for storage hosts to begin with."""
    with blank_cluster() as cluster:
        yield cluster


@pytest.fixture
def host(blank: Path) -> Iterator[RealHost]:
    """A storage host whose agent has not been started yet."""
    with real_host(blank) as host:
        yield host


@pytest.fixture
def served(host: RealHost) -> RealHost:
    """A storage host with its agent at work."""
    host.start()
    return host


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``disk.raw`` (4 MiB of data in 8 MiB), the same as ``disk.qcow2``, and Hyper-V's VHDX."""
    folder = tmp_path_factory.mktemp("disks")
    raw = folder / "disk.raw"
    make_disk(raw, 4 * MIB, 8 * MIB)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, folder / "disk.qcow2"], check=True)
    (folder / "hyper-v.vhdx").write_bytes(sample_bytes("iotest-dynamic-1G.vhdx"))
    return folder


@pytest.fixture
def slow_import(host: RealHost, disks: Path) -> Iterator[Callable[[str], SlowImport]]:
    """Begins such an import; what still waits is killed with the test."""
    begun: list[SlowImport] = []

    def begin(moment: str) -> SlowImport:
        begun.append(SlowImport(host, disks, moment))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def log_in() -> Iterator[Callable[[BootSessionRow], LoggedIn]]:
    """Logs machines in; they are ended with the test."""
    logged_in: list[LoggedIn] = []

    def log_in(row: BootSessionRow) -> LoggedIn:
        logged_in.append(LoggedIn(row))
        return logged_in[-1]

    yield log_in
    for one in logged_in:
        one.end()


@dataclass
class OpenWindow:
    """The real window of one signed-in person."""

    main_window: MainWindow
    workspace: Workspace
    signed_in: users.SignedIn


@pytest.fixture
def window_of(
    qapp: QApplication, qtbot, tmp_path, database: RealDatabase
) -> Iterator[Callable[[Role], OpenWindow]]:
    opened: list[tuple[MainWindow, Theme, Background]] = []

    def open_window(role: Role) -> OpenWindow:
        settings = QSettings(str(tmp_path / f"{role}.ini"), QSettings.Format.IniFormat)
        theme = Theme(qapp, settings)
        main_window = MainWindow(settings, theme)
        signed_in = database.log_in(role.lower())
        background = Background(database.open(database.dsn(signed_in)), main_window)
        workspace = Workspace(
            main_window,
            background,
            make_feeds(background, main_window),
            None,  # nothing is imported here
            settings,
            user_id=signed_in.user_id,
            person=signed_in.name,
            role=signed_in.role,
            server="test server",
        )
        opened.append((main_window, theme, background))
        main_window.show()
        return OpenWindow(main_window, workspace, signed_in)

    yield open_window
    for main_window, theme, background in opened:
        main_window.close()
        background.end()
        assert background.wait()
        main_window.deleteLater()
        theme.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
