# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a sign-in alive while its window is used; one that nobody touches runs out."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QWidget

from ...errors import ConsoleError
from ...services import users
from ..kit.feed import Runner

EVERY_S = 10 * 60
"""The shortest life a sign-in can be given is an hour."""
AGAIN_S = 60
"""After a failure."""
_USE = frozenset(
    {
        QEvent.Type.KeyPress,
        QEvent.Type.MouseButtonPress,
        QEvent.Type.MouseMove,
        QEvent.Type.Wheel,
        QEvent.Type.TouchBegin,
        QEvent.Type.FocusIn,  # comes back from a dialog
    }
)


class SignInRenewal(QObject):
    """Renews the sign-in when somebody uses the window, or when it is copying a file in."""

    def __init__(
        self,
        window: QWidget,
        runner: Runner,
        copying: Callable[[], bool],
        parent: QObject,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        """``window``: on the screen already."""
        super().__init__(parent)
        self._runner, self._copying, self._every_s = runner, copying, every_s
        self._due = time.monotonic() + every_s
        # What the system sends to the window: few events, where all widgets together get thousands.
        window.windowHandle().installEventFilter(self)
        clock = QTimer(self)
        clock.timeout.connect(self._look)
        clock.start(max(1, round(every_s * 1000)))

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() in _USE:
            self._use()
        return False

    def _look(self) -> None:
        if self._copying():
            self._use()

    def _use(self) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._every_s
        self._runner.run(
            users.renew_sign_in, done=lambda _until: None, failed=self._on_failed, parent=self
        )

    def _on_failed(self, _error: ConsoleError) -> None:
        """That the database is gone, or the sign-in, is told by the listener."""
        self._due = time.monotonic() + min(AGAIN_S, self._every_s)
