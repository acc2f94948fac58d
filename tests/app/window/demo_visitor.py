# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet-console --demo`` with somebody at it: opens every page and says in JSON what is there.

``demo_visitor.py close`` then closes the window; ``stay`` leaves that to others; ``early`` has asked it
to end before its window was there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QDialog
from window_hands import PAGES, says, tables

from ggnet_console import app
from ggnet_console.demo import window

LOOK_MS = 20
FOREIGN = (
    *("alembic", "keyring", "procrastinate", "qasync"),
    *("ggnet_console.db.engine", "ggnet_console.db.installation", "ggnet_console.workers.agent"),
)
"""What a program with an installation would have imported by then."""


class Visited(window.DemoWindow):
    """The demo's window, whose pages open by themselves."""

    closes = False
    ends_early = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.ends_early:
            os.kill(os.getpid(), signal.SIGTERM)
        self._steps = self._visit()
        self._until: Callable[[], bool] = self.main_window.isVisible
        self._timer = QTimer(self.main_window)
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)

    def _look(self) -> None:
        if self._until():
            self._until = next(self._steps, self._until)

    def _visit(self) -> Iterator[Callable[[], bool]]:
        keys = (*PAGES, "audit", "users", "settings")
        titles = []
        for key in keys:
            self.main_window.show_page(key)
            titles.append(self.main_window.windowTitle())
            yield lambda key=key: key == "dashboard" or bool(tables(self.main_window).get(key))
        before = self.room.now
        yield lambda: self.room.now > before
        print(
            json.dumps(
                {
                    "titles": titles,
                    "sidebar": says(self.main_window.sidebar),
                    "status": says(self.main_window.status),
                    "dialogs": [
                        each.windowTitle()
                        for each in QApplication.topLevelWidgets()
                        if isinstance(each, QDialog) and each.isVisible()
                    ],
                    "foreign": [name for name in FOREIGN if name in sys.modules],
                }
            ),
            flush=True,
        )
        self._timer.stop()
        if self.closes:
            self.main_window.close()
        yield lambda: False


if __name__ == "__main__":
    Visited.closes = sys.argv[1] == "close"
    Visited.ends_early = sys.argv[1] == "early"
    sys.argv[1:] = ["--demo"]
    window.DemoWindow = Visited
    app.main()
