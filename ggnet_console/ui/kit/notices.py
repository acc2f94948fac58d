# SPDX-License-Identifier: GPL-3.0-or-later
"""What the window says by itself: the connection banner and the quiet notice of finished work."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from . import format as fmt
from .tokens import CONTROL_HEIGHT, XS, L, M, S, State
from .translate import tr
from .widgets import Button, IconButton, Sign, label

SHOWN_MS = 6_000
_WIDTH = 380


class Notice(QFrame):
    """A slim line over the page for as long as there is something to say."""

    def __init__(self, state: State = State.ATTENTION, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        self.setMinimumHeight(CONTROL_HEIGHT + XS)
        self._text = label("", wrap=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(L, XS, L, XS)
        row.setSpacing(S)
        row.addWidget(Sign(state))
        row.addWidget(self._text, 1)
        self._button = Button("", kind="link")
        self._button.clicked.connect(self._on_clicked)
        self._handler: Callable[[], None] = lambda: None
        row.addWidget(self._button)
        self.hide()

    def _on_clicked(self) -> None:
        self._handler()

    @property
    def text(self) -> str:
        """What the line says."""
        return self._text.text()

    def say(
        self,
        text: str,
        action: str = "",
        handler: Callable[[], None] = lambda: None,
        *,
        refusal: str | None = None,
    ) -> None:
        """Say this from now on, with what can be done (or why not); nothing when it is empty."""
        self._text.setText(text)
        self._handler = handler
        self._button.setText(action)
        self._button.setEnabled(refusal is None)
        self._button.setToolTip(refusal or "")
        self._button.setVisible(bool(action))
        self.setVisible(bool(text))


class Banner(Notice):
    """Speaks while the database is away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._server = ""
        self._since = 0.0
        self._clock = QTimer(self)
        self._clock.setInterval(1_000)
        self._clock.timeout.connect(self._tell)

    def lost(self, server: str) -> None:
        """The connection to this server is gone; called again while it stays gone, it counts on."""
        if self._clock.isActive():
            return
        self._server, self._since = server, time.monotonic()
        self._clock.start()
        self._tell()

    def restored(self) -> bool:
        """The connection is back; whether it had been away."""
        was_away = self._clock.isActive()
        self._clock.stop()
        self.say("")
        return was_away

    def _tell(self) -> None:
        away = fmt.duration(time.monotonic() - self._since)
        self.say(
            tr(
                "Connection to {server} lost {duration} ago. Trying again… "
                "What you see is from then; changes wait until it is back."
            ).format(server=self._server, duration=away)
        )


class Toast(QFrame):
    """A notice in the corner; a failure stays until it is closed, all else goes by itself."""

    closed = Signal()

    def __init__(
        self,
        parent: QWidget,
        text: str,
        state: State,
        action: str = "",
        handler: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setProperty("role", "toast")
        self.setFixedWidth(_WIDTH)
        self.text = text
        row = QHBoxLayout(self)
        row.setContentsMargins(M, S, S, S)
        row.setSpacing(S)
        sentence = label(text, wrap=True)
        sign = Sign(state)
        sign.setFixedHeight(sentence.fontMetrics().height())
        words = QHBoxLayout()
        words.setContentsMargins(0, XS, 0, XS)
        words.setSpacing(S)
        words.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        words.addWidget(sentence, 1, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        if action and handler is not None:
            button = Button(action, kind="link")
            button.clicked.connect(handler)
            button.clicked.connect(self.leave)
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        close = IconButton("x", tr("Close"))
        close.clicked.connect(self.leave)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.resize(_WIDTH, row.totalHeightForWidth(_WIDTH))
        if state is not State.FAILED:
            QTimer.singleShot(SHOWN_MS, self, self.leave)

    def leave(self) -> None:
        """Go away."""
        self.hide()
        self.deleteLater()
        self.closed.emit()
