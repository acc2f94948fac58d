# SPDX-License-Identifier: GPL-3.0-or-later
"""A second console in a process of its own: it says in JSON lines what its window shows.

``second_console.py USER PASSWORD``; a line comes whenever something changed. A line on its standard
input is obeyed: ``close``, ``import FILE``, ``add MACHINE`` (a form that stays open), ``enter``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from PySide6.QtCore import QSettings, QSocketNotifier, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from window_hands import (
    PAGES,
    Key,
    click,
    dialogs,
    fill,
    import_dropped,
    open_every_page,
    press,
    tables,
)

from ggnet_console import config
from ggnet_console.app import Console
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.window.sign_in_pages import SignInPage

LOOK_MS = 20


class SecondConsole:
    """The real console, with hands and eyes."""

    def __init__(self, app: QApplication, user: str, password: str) -> None:
        settings = config.load()
        remembered = QSettings(f"{settings.home}-second.ini", QSettings.Format.IniFormat)
        self.console = Console(app, settings, remembered)
        self._who = user, password
        self._signing_in = False
        self._said = ""
        self._timer = QTimer()
        self._timer.timeout.connect(self.look)
        self._timer.start(LOOK_MS)
        self._orders = QSocketNotifier(0, QSocketNotifier.Type.Read)
        self._orders.activated.connect(self.obey)

    def look(self) -> None:
        main_window = self.console.window
        entry_page = main_window.findChild(SignInPage)
        if entry_page is not None and not self._signing_in:
            self._signing_in = True
            user, password = self._who
            fill(entry_page.form, user=user, password=password)
            click(entry_page, "Sign in")
        shown = tables(main_window)
        if shown and len(shown) < len(PAGES) - 1:
            main_window.activateWindow()  # only the active window takes shortcuts
            open_every_page(main_window)
        elif shown:
            state = {
                "tables": shown,
                "banner": main_window.banner.text if main_window.banner.isVisible() else "",
                "notice": main_window.notice.text,
                "forms": [dialog.form.raw() for dialog in dialogs(FormDialog)],
            }
            said = json.dumps(state)
            if said != self._said:
                self._said = said
                print(json.dumps({"at": time.time(), **state}), flush=True)

    def obey(self) -> None:
        order = os.read(0, 4096).decode().rstrip("\n")
        if not order:
            self._orders.setEnabled(False)
        elif order == "close":
            self.console.window.close()
        elif order == "enter":
            QTest.keyClick(dialogs(FormDialog)[0], Key.Key_Return)
        elif order.startswith("add "):
            self.add(order.removeprefix("add "))
        else:
            import_dropped(self.console.window, Path(order.removeprefix("import ")))

    def add(self, machine: str) -> None:
        """Type a machine, and leave the form open."""
        main_window = self.console.window
        press(main_window, Qt.Key(Key.Key_1 + PAGES.index("machines")))
        press(main_window, Key.Key_N)
        form = dialogs(FormDialog)[0].form
        fill(form, name=machine, mac="52:54:00:12:34:03")
        QTest.keyClicks(form.boxes["room"].editor, "Lab 3")


def main() -> None:
    app = QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    second = SecondConsole(app, *sys.argv[1:])
    second.console.show()
    sys.exit(second.console.exec())


if __name__ == "__main__":
    main()
