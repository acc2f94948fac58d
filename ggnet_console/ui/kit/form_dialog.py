# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog recipe: fields → one value → handed to whoever does the work → closed when it is done.

A dialog creates nothing itself, stays open until the work has succeeded, and asks before it drops
what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget
from shiboken6 import isValid

from ...errors import ConsoleError, FieldError
from .asking_dialog import AskingDialog, Done, Failed, Notify, Request, Waiting
from .form import Field, Form
from .messages import ErrorBox, confirm
from .tokens import XL, L, S
from .translate import tr, translated
from .widgets import Button, label, scrolling

Submit = Callable[[dict[str, Any], Done, Failed], None]
"""``submit(values, done, failed)``: do the work elsewhere and call one of the two when it ends."""


class FormDialog(AskingDialog):
    """A form with one verb; ``submit`` is called with the parsed values."""

    def __init__(
        self,
        parent: QWidget,
        *,
        title: str,
        verb: str,
        fields: Sequence[Field],
        submit: Submit,
        notify: Notify,
        then: Done = lambda _value: None,
        freely: bool = False,
        words: Waiting | None = None,
        intro: str = "",
        width: int = 460,
    ) -> None:
        """``then`` is called with the answer when the dialog has closed on it, if ``parent`` is there.

        ``freely``: see ``ask``. ``words``: see ``AskingDialog``.
        """
        super().__init__(parent, notify, words)
        self._submit, self._then, self._may_go = submit, then, freely
        self._focused: QWidget | None = None
        self.setWindowTitle(title)
        self.form = Form(fields)
        self.form.folded.connect(self.fit)
        self._error = ErrorBox()
        heading = label(title, "title")
        self.body = QVBoxLayout()
        self.body.setContentsMargins(XL, 0, XL, 0)
        self.body.setSpacing(L)
        if intro:
            self.body.addWidget(label(intro, "secondary", wrap=True))
        self.body.addWidget(self.form)
        self.body.addStretch()
        inner = QWidget()
        inner.setLayout(self.body)
        self._heading = heading
        self._inner = inner
        self._cancel = Button(tr("Cancel"))
        self._cancel.clicked.connect(self.reject)
        self.go = Button(verb, kind="primary")
        self.go.setDefault(True)
        self.go.clicked.connect(self._on_go)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(S)
        self.buttons.addStretch()
        self.buttons.addWidget(self._cancel)
        self.buttons.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, L, 0, L)
        column.setSpacing(L)
        for widget in (heading, self._error):
            row = QHBoxLayout()
            row.setContentsMargins(XL, 0, XL, 0)
            row.addWidget(widget)
            column.addLayout(row)
        column.addLayout(scrolling(inner), 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(XL, 0, XL, 0)
        foot.addLayout(self.buttons)
        column.addLayout(foot)
        self._width = width

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.fit()
        first = next(iter(self.form.boxes.values()), None)
        if first is not None and self.focusWidget() is None:
            first.editor.setFocus()

    def adjustSize(self) -> None:
        """Follow the form when it folds and unfolds."""
        self.fit()

    def fit(self) -> None:
        """As high as the form needs, never higher than the screen allows."""
        self._inner.setFixedWidth(self._width)
        needed = self.body.totalHeightForWidth(self._width)
        if needed < 0:
            needed = self._inner.sizeHint().height()
        # Above and below the form: heading, perhaps an error, a hairline, and the buttons.
        rest = self._heading.sizeHint().height() + self.go.sizeHint().height() + 4 * L + 1
        if not self._error.isHidden():
            rest += self._error.sizeHint().height() + L
        most = self.screen().availableGeometry().height() - 80
        self.resize(self._width, min(needed + rest, most))

    def refuse(self, reason: str) -> None:
        """Nothing can be done for now; said above the form and at the button."""
        self.go.setEnabled(False)
        self.go.setToolTip(translated(reason))
        self._error.show_error(ConsoleError(reason))

    def busy(self, working: bool) -> None:
        """While the work runs the fields stay readable and cannot be changed."""
        if working:
            self._focused = self.focusWidget()
        self.form.setEnabled(not working)
        if not working and self._focused is not None and isValid(self._focused):
            self._focused.setFocus()  # Qt takes it from what is disabled
        self.go.setEnabled(not working)

    def typed(self) -> str:
        return self.form.typed()

    def leave(self) -> None:
        """Ask when something that was typed would be lost."""
        if not self.form.changed:
            super().leave()
            return
        confirm(
            self,
            tr("Discard what you typed?"),
            tr("Nothing of it has been saved."),
            tr("Discard"),
            lambda: self.done(QDialog.DialogCode.Rejected),
            refuse=tr("Keep editing"),
        )

    def _on_go(self) -> None:
        values = self.form.submit()
        if values is None:
            return
        self._error.clear()
        self.hand_over(
            lambda done, failed: self._submit(values, done, failed),
            self._on_done,
            freely=self._may_go,
        )

    def hand_over(self, work: Request, done: Done, *, freely: bool = False) -> None:
        """Have ``work`` done while the form waits; a refusal is shown in it."""
        self.busy(True)
        self.ask(work, done, self._on_failed, freely=freely)

    def _on_done(self, value: Any) -> None:
        self.accept()
        if isValid(self._page):
            self._then(value)

    def _on_failed(self, error: ConsoleError) -> None:
        self.busy(False)
        if not (isinstance(error, FieldError) and self.form.set_error(error.field, error.summary)):
            self._error.show_error(error)
        self.fit()
