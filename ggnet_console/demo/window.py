# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet-console --demo``: the window on the demo room; no server, no rights, nothing is kept."""

from __future__ import annotations

import signal
import sys
import tempfile
from datetime import UTC, datetime

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from ..enums import Role
from ..errors import ConsoleError, sentence
from ..ui.kit.messages import show_error
from ..ui.kit.translate import tr, translated
from ..ui.window.crash_dialog import CrashReporter
from .room import Room
from .room_window import RoomWindow
from .runner import NoUploader, RoomRunner

MARK = "DEMO"
SERVER = sentence("DEMO – nothing is kept")
NOBODY = sentence("This is the demo room: nobody is signed in. Close the window to leave it.")
_TICK_MS = 1000
_WATCH_MS = 100


class DemoWindow(RoomWindow):
    """The room as an admin sees it, in which time passes; says everywhere that it is made up."""

    def __init__(self, app: QApplication, settings: QSettings) -> None:
        room = Room(role=Role.ADMIN)
        super().__init__(
            app, settings, room, RoomRunner(room), NoUploader(), translated(SERVER), MARK
        )
        self.runner.setParent(self.main_window)
        self.main_window.sign_out_wanted.connect(
            lambda: show_error(
                self.main_window, ConsoleError(NOBODY), tr("There is nobody to sign out")
            )
        )
        self.clock = QTimer(self.main_window)
        self.clock.timeout.connect(self._tick)
        self.clock.start(_TICK_MS)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the room, and show what has come of it."""
        self.room.pass_time(seconds)
        self.runner.tell()

    def _tick(self) -> None:
        self.pass_time((datetime.now(UTC) - self.room.now).total_seconds())


def run() -> int:
    """Show the window until it is closed; the exit status of the process."""
    app = QApplication(sys.argv[:1])
    app.setApplicationName("ggnet-console")
    app.setApplicationDisplayName(f"GGnet Console – {MARK}")  # no text
    app.setDesktopFileName("ggnet-console")
    app.setQuitOnLastWindowClosed(False)
    crashes = CrashReporter(app)
    crashes.install()
    signals: list[int] = []  # one may come at any moment, also before there is a loop to end
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: signals.append(number))
    with tempfile.TemporaryDirectory(prefix="ggnet-demo-") as folder:
        # Also what Qt itself remembers, of its file dialog.
        for kind in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
            QSettings.setPath(kind, QSettings.Scope.UserScope, folder)
        settings = QSettings(f"{folder}/window.ini", QSettings.Format.IniFormat)  # no text
        demo = DemoWindow(app, settings)

        def may_close() -> bool:
            app.exit(0)
            return True

        demo.main_window.ask_before_closing(may_close)
        watch = QTimer(demo.main_window)
        watch.timeout.connect(lambda: signals and demo.main_window.close())
        watch.start(_WATCH_MS)
        demo.main_window.show()
        status = app.exec()
        settings.sync()
    return status
