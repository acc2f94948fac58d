# SPDX-License-Identifier: GPL-3.0-or-later
"""The measured process: an empty Qt window, the console's first frame, or the console at work."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget


class _FirstPaint(QObject):
    """Prints the time of the first paint that is over, and ends the process on the spot."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._painted = False
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            QTimer.singleShot(0, self._report)
        return False

    def _report(self) -> None:
        print(time.monotonic(), flush=True)
        os._exit(0)  # what would follow is not part of the figure


def bare() -> None:
    """A window with nothing in it."""
    app = QApplication([])
    window = QMainWindow()
    _FirstPaint(window)
    window.show()
    app.exec()


def _console() -> Any:
    from PySide6.QtCore import QSettings

    from ggnet_console import app as root
    from ggnet_console import config

    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    settings = config.load()
    remembered = QSettings(str(settings.home / "bench.ini"), QSettings.Format.IniFormat)
    return root.Console(app, settings, remembered)


def frame() -> None:
    """The console up to its first frame."""
    console = _console()
    _FirstPaint(console.window)
    console.show()
    console.app.exec()


def live(user: str, password: str, seconds: str) -> None:
    """Sign in, show all machines, and time what reaches the screen."""
    import json
    import resource

    from ggnet_console.ui.window.sign_in_pages import Credentials

    console = _console()
    console.window.resize(1366, 768)
    console.show()
    latency: list[float] = []
    gaps: list[float] = []
    answer: dict[str, Any] = {}
    state = {"page": None, "last": 0.0, "since": 0.0}
    tick = QTimer()
    tick.setTimerType(Qt.TimerType.PreciseTimer)
    tick.setInterval(1)

    def on_tick() -> None:
        now = time.monotonic()
        gaps.append((now - state["last"]) * 1000)
        state["last"] = now

    def on_updated(update: Any) -> None:
        """After the page's own slot: the cells hold the new values and have been announced."""
        now = time.monotonic()
        model = state["page"].model
        for row in update.rows:
            notes = model.by_id(row.id).notes
            if notes and float(notes) > state["since"]:
                latency.append((now - float(notes)) * 1000)

    def begin() -> None:
        lifecycle = console.lifecycle
        if lifecycle is None or not lifecycle._opened:
            QTimer.singleShot(50, begin)
            return
        lifecycle.sign_in(Credentials(user, password))
        wait_for_rows()

    def wait_for_rows() -> None:
        signed_in = console.lifecycle.signed_in
        if signed_in is None or len(signed_in.workspace.context.feeds.machines.rows) < 10_000:
            QTimer.singleShot(50, wait_for_rows)
            return
        state["page"] = console.window.show_page("machines")
        QTimer.singleShot(1000, idle)

    def idle() -> None:
        state["last"] = time.monotonic()
        tick.timeout.connect(on_tick)
        tick.start()
        QTimer.singleShot(1500, measure)

    def measure() -> None:
        answer["idle_gap_ms"] = gaps.copy()
        gaps.clear()
        state["since"] = time.monotonic()
        console.lifecycle.signed_in.workspace.context.feeds.machines.updated.connect(on_updated)
        print("ready", flush=True)
        QTimer.singleShot(int(float(seconds) * 1000), finish)

    def finish() -> None:
        tick.stop()
        answer["latency_ms"], answer["gap_ms"] = latency, gaps
        answer["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), flush=True)
        console.window.close()

    QTimer.singleShot(0, begin)
    console.exec()


if __name__ == "__main__":
    {"bare": bare, "frame": frame, "live": live}[sys.argv[1]](*sys.argv[2:])
