# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to people: an error with its details behind a fold, and questions with a safe default."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from ...errors import ConsoleError
from . import format as fmt
from . import icons
from .tokens import XL, L, S, State
from .translate import tr, translated
from .widgets import Button, Sign, copyable, label, tokens_for

WIDTH = 460
_HIGHEST = 168
_LINE = 64
"""About so many characters fit into a line of details."""


class Details(QWidget):
    """Text behind a fold, with a button that copies it."""

    def __init__(self, text: str, *, shown: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fold = Button(tr("Details"), "chevron-right", "link")
        self._fold.setCheckable(True)
        self._copy = Button(tr("Copy"), "copy", "link")
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        lines = self.text.document().blockCount() + 1
        needed = lines * self.text.fontMetrics().lineSpacing() + 2 * S
        # A long line is wrapped: then the box is as high as it gets.
        is_wide = any(len(line) > _LINE for line in text.splitlines())
        self.text.setFixedHeight(_HIGHEST if is_wide else min(needed, _HIGHEST))
        row = QHBoxLayout()
        row.addWidget(self._fold)
        row.addStretch()
        row.addWidget(self._copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(S)
        column.addLayout(row)
        column.addWidget(self.text)
        self._fold.toggled.connect(self._on_fold)
        self._copy.clicked.connect(self._on_copy)
        self._on_fold(shown)

    def _on_fold(self, shown: bool) -> None:
        self._fold.set_icon("chevron-down" if shown else "chevron-right")
        self.text.setVisible(shown)
        window = self.window()
        if isinstance(window, QDialog):
            window.adjustSize()

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self._copy.setText(tr("Copied"))


class ErrorBox(QFrame):
    """An error inside a dialog or page, above what it concerns; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence = copyable("", "error")
        sign = Sign(State.FAILED)
        sign.setFixedHeight(self.sentence.fontMetrics().height())
        row = QHBoxLayout()
        row.setSpacing(S - 2)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.sentence, 1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(row)
        self._details: Details | None = None
        self.hide()

    def show_error(self, error: ConsoleError) -> None:
        """Show the sentence, and the details if there are any."""
        self.clear()
        self.sentence.setText(translated(error.summary))
        if error.details:
            self._details = Details(error.details)
            self._column.addWidget(self._details)
        self.show()

    def clear(self) -> None:
        """Take the error away."""
        self.hide()
        if self._details is not None:
            self._details.deleteLater()
            self._details = None


class Message(QDialog):
    """A heading, a sentence, perhaps a list or details, and buttons; the last one is on the right."""

    def __init__(
        self,
        parent: QWidget | None,
        title: str,
        text: str,
        sign: str = "",
        details: str = "",
        *,
        unfold: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = QVBoxLayout(self)
        column.setContentsMargins(XL, L, XL, L)
        column.setSpacing(L)
        column.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
        head = QHBoxLayout()
        head.setSpacing(S)
        if sign:
            picture = QLabel()
            tokens = tokens_for(self)
            picture.setPixmap(
                icons.pixmap(sign, tokens.failed, icons.LARGE, self.devicePixelRatioF())
            )
            head.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        heading = label(title, "section", wrap=True)
        head.addWidget(heading, 1)
        column.addLayout(head)
        if text:
            self.text = copyable(text)
            self.text.setFixedWidth(WIDTH)
            column.addWidget(self.text)
        else:
            heading.setMinimumWidth(WIDTH)
        if details:
            column.addWidget(Details(details, shown=unfold))
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(S)
        self._buttons.addStretch()
        column.addLayout(self._buttons)

    def add_button(self, button: Button, handler: Callable[[], None], *, safe: bool) -> None:
        """Add a button that closes the dialog and then calls ``handler``; ``safe``: the default."""
        self._buttons.addWidget(button)
        if safe:
            button.setDefault(True)
            button.setFocus()
        button.clicked.connect(self.close)
        button.clicked.connect(handler)


def show_error(parent: QWidget | None, error: ConsoleError, title: str = "") -> Message:
    """Show an error without waiting for it to be closed; without a parent the caller keeps it.

    ``title``: by default that something did not work.
    """
    title = title or tr("That did not work")
    dialog = Message(parent, title, translated(error.summary), "circle-x", error.details)
    dialog.add_button(Button(tr("Close")), lambda: None, safe=True)
    dialog.open()
    return dialog


def confirm(
    parent: QWidget,
    title: str,
    text: str,
    verb: str,
    then: Callable[[], None],
    *,
    refuse: str = "",
    danger: bool = True,
    names: Sequence[str] = (),
) -> Message:
    """Ask before something that cannot be undone; the safe answer is the default.

    ``title`` names the action and its objects, ``text`` what depends on them, ``verb`` the button.
    ``names`` are all objects, listed where the title cannot name them all. ``refuse``: Cancel by
    default.
    """
    listed = "\n".join(names) if len(names) > fmt.NAMED + 1 else ""
    return choose(parent, title, text, [(verb, danger, then)], refuse=refuse, details=listed)


def choose(
    parent: QWidget,
    title: str,
    text: str,
    answers: Sequence[tuple[str, bool, Callable[[], None]]],
    *,
    refuse: str = "",
    details: str = "",
) -> Message:
    """Ask with several answers ``(verb, dangerous, then)``; refusing is the default."""
    dialog = Message(parent, title, text, details=details, unfold=True)
    for verb, danger, then in answers:
        dialog.add_button(Button(verb, kind="danger" if danger else "plain"), then, safe=False)
    dialog.add_button(Button(refuse or tr("Cancel")), lambda: None, safe=True)
    dialog.open()
    return dialog
