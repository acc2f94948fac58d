# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands and eyes at a console's window: what a person types, clicks, drops and reads there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QPushButton, QWidget

from ggnet_console.ui.kit.form import Form
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.page import Page
from ggnet_console.ui.window.main_window import MainWindow

Key = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
PAGES = ("dashboard", "machines", "images", "targets", "sessions", "jobs")
W = TypeVar("W", bound=QWidget)


def fill(form: Form, **values: str) -> None:
    """Type into fields, in place of what stands there; leave each by Tab."""
    for key, value in values.items():
        editor = form.boxes[key].editor
        assert isinstance(editor, QLineEdit)
        editor.setFocus()
        QTest.keyClick(editor, Key.Key_A, CTRL)
        QTest.keyClick(editor, Key.Key_Delete)
        QTest.keyClicks(editor, value)
        QTest.keyClick(editor, Key.Key_Tab)


def click(parent: QWidget, text: str) -> None:
    """Press the visible button with this text."""
    buttons = [b for b in parent.findChildren(QPushButton) if b.text() == text and b.isVisible()]
    assert len(buttons) == 1, (text, buttons)
    assert buttons[0].isEnabled(), text
    QTest.mouseClick(buttons[0], Qt.MouseButton.LeftButton)


def press(main_window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier = CTRL) -> None:
    """Press a key where the keyboard is."""
    QTest.keyClick(main_window.focusWidget() or main_window, key, modifier)


def says(widget: QWidget) -> list[str]:
    """Every text one can read in a widget."""
    shown = [*widget.findChildren(QLabel), *widget.findChildren(QAbstractButton)]
    return [each.text() for each in shown if each.isVisible() and each.text()]


def dialogs(kind: type[W]) -> list[W]:
    """The open dialogs of a kind."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()]


def drop(main_window: MainWindow, file: Path) -> None:
    """Drag a file over the window and let it go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    action, left, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    middle = main_window.rect().center()
    over = QDragEnterEvent(middle, action, data, left, none)
    QApplication.sendEvent(main_window, over)
    assert over.isAccepted()
    QApplication.sendEvent(main_window, QDropEvent(QPointF(middle), action, data, left, none))


def import_dropped(main_window: MainWindow, file: Path) -> None:
    """Drop a file and agree to what the dialog suggests."""
    drop(main_window, file)
    dialog = dialogs(FormDialog)[0]
    QTest.keyClick(dialog, Key.Key_Return)


def open_every_page(main_window: MainWindow) -> None:
    for number, _ in enumerate(PAGES):
        press(main_window, Qt.Key(Key.Key_1 + number))


def tables(main_window: MainWindow) -> dict[str, list[dict[str, str]]]:
    """What the tables of the pages opened so far show, all columns, row by row."""
    return {page._key: rows(page) for page in main_window.findChildren(Page)}


def rows(page: Page[Any]) -> list[dict[str, str]]:
    model = page.model
    return [
        {
            column.key: model.index(position, number).data()
            for number, column in enumerate(model.columns)
        }
        for position in range(model.rowCount())
    ]


def is_shown(
    shown: dict[str, list[dict[str, str]]], key: str, where: str, **texts: Callable[[str], bool]
) -> bool:
    """Whether a page has the row ``where`` (its name, machine or title) with cells that satisfy ``texts``."""
    for row in shown.get(key, []):
        if where in (row.get("name"), row.get("machine"), row.get("title")):
            return all(right(row[column]) for column, right in texts.items())
    return False
