# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.ui.pseudo``: the whole window in a language that nobody speaks.

Each text stands in brackets and is a third longer, so that one that went past ``tr`` or does not
fit is found by looking at every page, tab, menu and dialog. Prints what it finds as JSON. A process
of its own: texts of a page are made when its module is imported.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QSettings, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QTabBar,
    QTableView,
    QWidget,
)

OPEN, CLOSE = "⟦", "⟧"
_INNERMOST = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SAME = frozenset(
    {
        *(
            "GGnet",
            "Console",
            "DEMO",
            "LIO",
            "tgt",
            "Qt",
            "ACL",
            "BIOS",
            "CHAP",
            "LUN",
            "SHA",
            "UTC",
        ),
        *("B", "KiB", "MiB", "GiB", "TiB", "iSCSI", "QCOW2", "QCOW", "VHD", "VHDX", "VMDK"),
    }
)
"""Names and units: the same in every language."""


class Pseudo(QTranslator):
    """Every text in brackets and a third longer; with a number, Qt puts it in afterwards."""

    def isEmpty(self) -> bool:
        return False

    def translate(self, context: str, text: str, comment: str | None = None, n: int = -1) -> str:
        return f"{OPEN}{text}{'~' * (len(text) // 3 + 1)}{CLOSE}"


def values_of(value: Any) -> Iterator[str]:
    """Every text that rows hold: what people typed and hosts told, which no translation changes."""
    if isinstance(value, str) and not isinstance(value, Enum):
        yield from (value, value.rpartition("/")[2])
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from values_of(getattr(value, field.name))
    elif isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            yield from values_of(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from values_of(each)


def texts_of(widget: QWidget) -> Iterator[tuple[QWidget, str]]:
    """What can be read on a visible widget, with its tooltip."""
    if isinstance(widget, QLabel) or (
        isinstance(widget, QAbstractButton) and not isinstance(widget, QComboBox)
    ):
        yield widget, widget.text()
    if isinstance(widget, QLineEdit):
        yield widget, widget.placeholderText()
    if isinstance(widget, QComboBox):
        for index in range(widget.count()):
            yield widget, widget.itemText(index)
    if isinstance(widget, QTabBar):
        for index in range(widget.count()):
            yield widget, widget.tabText(index)
    if isinstance(widget, QTableView) and (model := widget.model()) is not None:
        for column in range(model.columnCount()):
            yield widget, model.headerData(column, Qt.Orientation.Horizontal) or ""
            for row in range(min(model.rowCount(), 60)):
                for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                    yield widget, str(model.data(model.index(row, column), role) or "")
    yield widget, widget.toolTip()
    yield widget, widget.accessibleName()
    for action in widget.actions():
        yield widget, action.text()


class Finder:
    """Looks at windows and keeps what is wrong with their texts."""

    def __init__(self, data: Iterable[str]) -> None:
        self._data: list[str] = []
        self.know(data)
        self.unwrapped: dict[str, str] = {}
        self.clipped: dict[str, str] = {}

    def know(self, data: Iterable[str]) -> None:
        """Take these for data, too."""
        words = {each for each in data if _WORD.search(each)}
        self._data = sorted(words.union(self._data), key=len, reverse=True)

    def look(self, window: QWidget, place: str) -> None:
        """Look at everything that can be seen of a window."""
        QApplication.processEvents()
        for widget in (window, *window.findChildren(QWidget)):
            if not widget.isVisible():
                continue
            for _widget, text in texts_of(widget):
                self.check(text, f"{place}: {type(widget).__name__}")
            self._measure(widget, place)
        self.check(window.windowTitle(), f"{place}: title")

    def check(self, text: str, place: str) -> None:
        """Keep a text of which a word stands outside of all brackets and is no data."""
        rest = re.sub("<[^>]*>|\u200b", "", text)
        while rest != (shorter := _INNERMOST.sub("", rest)):
            rest = shorter
        if rest.replace("\u200b", "").startswith("ggnet"):
            return  # a command, or a program
        for known in self._data:
            rest = rest.replace(known, "")
        left = [word for word in _WORD.findall(rest) if word not in _SAME]
        if left:
            self.unwrapped.setdefault(text, place)

    def _measure(self, widget: QWidget, place: str) -> None:
        """Texts that are neither broken into lines nor cut with a sign must have their width."""
        plain = isinstance(widget, QLabel) and not widget.wordWrap() and OPEN in widget.text()
        button = isinstance(widget, QPushButton) and OPEN in widget.text()
        if (plain or button) and widget.width() + 1 < widget.sizeHint().width():
            kind = type(widget).__name__
            self.clipped.setdefault(widget.text(), f"{place}: {kind} {widget.width()} px")


def walk(finder: Finder, demo: Any) -> None:
    """Every page, the details of rows in each state with every tab, every action's dialog."""
    from ggnet_console.ui.kit.page import Page

    window = demo.main_window
    for key in list(window._specs):
        page = window.show_page(key)
        QApplication.processEvents()
        if isinstance(page, Page):
            finder.know(values_of(list(page.model.rows)))
        finder.look(window, key)
        if not isinstance(page, Page):
            continue
        ids = [row.id for row in page.model.rows]
        for row_id in ids[::3]:
            page.view.select_ids([row_id])
            QApplication.processEvents()
            for tabs in page.detail.findChildren(QTabBar):
                for tab in range(tabs.count()):
                    tabs.setCurrentIndex(tab)
                    finder.look(page.detail, f"{key}, details")
            for action in page.actions_:
                finder.check(action.text(), f"{key}, action")
                finder.check(action.toolTip(), f"{key}, action's tooltip")
        page.view.select_ids(ids[:3])
        finder.look(window, f"{key}, several")
        for action in page.actions_:
            for row_id in ids:
                page.view.select_ids([row_id])
                if action.refusal() is None:
                    trigger(finder, action, f"{key}, {action.text()}")
                    break
        page.search.setText("no such thing")
        QApplication.processEvents()
        finder.look(window, f"{key}, nothing found")
        page.search.clear()


def trigger(finder: Finder, action: QAction, place: str) -> None:
    """Do it, look at the dialog it opens, and close that."""
    action.trigger()
    QApplication.processEvents()
    for dialog in [each for each in QApplication.topLevelWidgets() if isinstance(each, QDialog)]:
        if dialog.isVisible():
            finder.look(dialog, place)
            dialog.hide()
            dialog.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def main() -> None:
    """Walk through the window and print what was found."""
    app = QApplication(sys.argv[:1])
    pseudo = Pseudo(app)
    app.installTranslator(pseudo)
    with tempfile.TemporaryDirectory() as folder:
        from ggnet_console.demo.window import DemoWindow

        settings = QSettings(str(Path(folder) / "window.ini"), QSettings.Format.IniFormat)
        demo = DemoWindow(app, settings)
        demo.clock.stop()
        demo.main_window.resize(1366, 768)
        demo.main_window.show()
        QApplication.processEvents()
        finder = Finder(values_of(list(vars(demo.room).values())))
        walk(finder, demo)
        print(json.dumps({"unwrapped": finder.unwrapped, "clipped": finder.clipped}, indent=1))
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
