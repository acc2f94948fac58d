# SPDX-License-Identifier: GPL-3.0-or-later
"""A dialog that has storage hosts do something, says how it goes, and shows what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from ..errors import ConsoleError
from ..services.jobs import JobRow
from .job_waiter import JobWaiter
from .kit.asking_dialog import AskingDialog
from .kit.messages import ErrorBox
from .kit.tokens import XL, L, S
from .kit.translate import tr
from .kit.widgets import Button, clear, label, scrolling
from .page_context import PageContext

_REST = 145
"""Height of all but the body."""


class JobDialog(AskingDialog):
    """Heading, a sentence, errors, a body that scrolls, a bar while work runs, and buttons.

    Closing it ends nothing: what was asked for goes on, and stands on the Jobs page.
    """

    def __init__(self, parent: QWidget, context: PageContext, title: str, width: int = 560) -> None:
        super().__init__(parent, context.notify)
        self.context = context
        self._width = width
        self.setWindowTitle(title)
        self.sentence = label("", "secondary", wrap=True)
        self.errors = ErrorBox()
        self.body = QVBoxLayout()
        self.body.setContentsMargins(XL, 0, XL, 0)
        self.body.setSpacing(S)
        inner = QWidget()
        inner.setLayout(self.body)
        self._inner = inner
        self.doing = label("", "secondary", wrap=True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 0)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(S)
        self.buttons.addStretch()
        self.closing = Button(tr("Close"))
        self.closing.setDefault(True)
        self.closing.clicked.connect(self.reject)
        self.buttons.addWidget(self.closing)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, L, 0, L)
        column.setSpacing(L)
        column.addLayout(_inset(label(title, "title"), self.sentence, self.errors))
        column.addLayout(scrolling(inner), 1)
        column.addLayout(_inset(self.doing, self._bar))
        foot = QHBoxLayout()
        foot.setContentsMargins(XL, 0, XL, 0)
        foot.addLayout(self.buttons)
        column.addLayout(foot)
        self._bar.hide()
        self.doing.hide()

    @property
    def working(self) -> bool:
        """Whether something that was asked for has not ended."""
        return not self._bar.isHidden()

    def have_done(
        self,
        text: str,
        ask: Callable[..., list[int]],
        *args: Any,
        ended: Callable[[list[JobRow]], None],
    ) -> None:
        """Ask for jobs by ``ask(session, *args)``; ``text`` stands beside the bar until they end."""
        self.errors.clear()
        self.begin(text)

        def all_ended(jobs: list[JobRow]) -> None:
            self.end()
            ended(jobs)

        def progressed(how: str, share: float) -> None:
            self.doing.setText(how or text)
            self._bar.setRange(0, 100 if share else 0)  # 0: nobody can say yet
            self._bar.setValue(round(100 * share))

        def asked(job_ids: list[int]) -> None:
            JobWaiter(self.context, job_ids, all_ended, self, progressed)

        runner, window = self.context.runner, self._window
        self.ask(
            lambda done, failed: runner.run(ask, *args, done=done, failed=failed, parent=window),
            asked,
            self.show_error,
            freely=True,
        )

    def begin(self, text: str) -> None:
        """Something is being done, until ``end``."""
        self._bar.setRange(0, 0)
        self._bar.show()
        self.doing.show()
        self.doing.setText(text)
        self.on_work()
        self.fit()

    def end(self) -> None:
        """Nothing is being done any more."""
        self._bar.hide()
        self.doing.hide()
        self.on_work()
        self.fit()

    def on_work(self) -> None:
        """Work has begun or ended: what can be pressed now?"""

    def show_error(self, error: ConsoleError) -> None:
        """Say what did not work; nothing is being done any more."""
        self.errors.show_error(error)
        self.end()

    def clear_body(self) -> None:
        """Take everything out of the body."""
        clear(self.body)

    def fit(self) -> None:
        """Become as high as the content needs, never higher than the screen allows."""
        # What was just put into the body counts only once Qt has shown it.
        QTimer.singleShot(0, self, self._fit)

    def _fit(self) -> None:
        self._inner.setFixedWidth(self._width)
        self.body.activate()
        needed = self.body.totalHeightForWidth(self._width)
        if needed < 0:
            needed = self._inner.sizeHint().height()
        rest = _REST + sum(
            each.heightForWidth(self._width - 2 * XL)
            for each in (self.sentence, self.errors)
            if not each.isHidden() and each.hasHeightForWidth()
        )
        if self.working:
            rest += self.doing.sizeHint().height() + self._bar.sizeHint().height() + L
        most = self.screen().availableGeometry().height() - 80
        self.setFixedWidth(self._width)
        self.resize(self._width, min(needed + rest, most))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.fit()


def _inset(*widgets: QWidget) -> QLayout:
    column = QVBoxLayout()
    column.setContentsMargins(XL, 0, XL, 0)
    column.setSpacing(S)
    for widget in widgets:
        column.addWidget(widget)
    return column
