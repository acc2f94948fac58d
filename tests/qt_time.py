# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting Qt's loop turn in tests while other threads go on, and waiting for what it brings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from patience import PATIENCE_S
from PySide6.QtCore import QCoreApplication, QEvent, SignalInstance
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

_PATIENCE_MS = int(PATIENCE_S * 1000)


def pass_time(milliseconds: int) -> None:
    """Handle events for this long; what was to be deleted later is deleted.

    As QTest.qWait does, which keeps the interpreter's lock from beginning to end, though: other
    threads stand still meanwhile, and waiting for one of them there would never end.
    """
    until = time.monotonic() + milliseconds / 1000
    while True:
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.monotonic() >= until:
            return
        time.sleep(0.001)


class PatientQtBot(QtBot):
    """pytest-qt's, whose waits end after 5 s, as patient as all others here."""

    def waitActive(
        self, widget: QWidget, *, timeout: int = _PATIENCE_MS
    ) -> AbstractContextManager[Any]:
        return super().waitActive(widget, timeout=timeout)

    def waitExposed(
        self, widget: QWidget, *, timeout: int = _PATIENCE_MS
    ) -> AbstractContextManager[Any]:
        return super().waitExposed(widget, timeout=timeout)

    def waitSignal(self, signal: SignalInstance, *, timeout: int = _PATIENCE_MS, **how: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **how)

    def waitSignals(
        self, signals: Iterable[SignalInstance], *, timeout: int = _PATIENCE_MS, **how: Any
    ) -> Any:
        return super().waitSignals(signals, timeout=timeout, **how)

    def waitUntil(
        self, callback: Callable[[], bool | None], *, timeout: int = _PATIENCE_MS
    ) -> None:
        super().waitUntil(callback, timeout=timeout)
