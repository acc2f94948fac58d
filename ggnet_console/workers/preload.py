# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports the heavy modules while the first page is already on screen."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from .named_thread import NamedThread


class Preload(QObject):
    """Imports modules: those without Qt in a thread, then the others on the main thread.

    A module with Qt makes classes of Qt's. Up to Python 3.11 PySide6 notes each of them in a map
    that painting reads without the interpreter's lock, so making them in a thread ends the process
    now and then. There, one module per turn of the event loop keeps the window alive.
    """

    finished = Signal()

    def __init__(
        self, without_qt: Sequence[str], with_qt: Sequence[str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._thread = _Imports(without_qt)
        self._thread.finished.connect(self._next)
        self._rest = list(with_qt)
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin; ``finished`` comes in any case, with ``error`` if one cannot be imported."""
        self._thread.start()

    def end(self) -> None:
        """Import nothing more, and wait for the thread; ``finished`` does not come any more."""
        self._rest = []
        self._thread.finished.disconnect(self._next)
        self._thread.wait()

    def _next(self) -> None:
        self.error = self.error or self._thread.error
        if self._rest and self.error is None:
            self.error = _import(self._rest.pop(0))
            QTimer.singleShot(0, self, self._next)
        else:
            self.finished.emit()


class _Imports(NamedThread):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("preload")
        self._names = names
        self.error: Exception | None = None

    def run(self) -> None:
        for name in self._names:
            self.error = self.error or _import(name)


def _import(name: str) -> Exception | None:
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - said in the window
        return error
    return None
