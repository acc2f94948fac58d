# SPDX-License-Identifier: GPL-3.0-or-later
"""Short work off the main thread: one unit of work per call, the answer back on the main thread."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, Slot
from shiboken6 import isValid

from ..db.engine import Database
from ..errors import ConsoleError, FaultError, UnreachableError

_log = logging.getLogger(__name__)

THREADS = 4


class Background(QObject):
    """A pool of at most four threads; to be made, and called, on the main thread."""

    unreachable = Signal(object)
    """A ConsoleError: the database did not answer a call; the listener is about to notice, too."""
    _answered = Signal(object)

    def __init__(self, database: Database | None = None, parent: QObject | None = None) -> None:
        """``database`` serves ``run``; ``call`` needs none."""
        super().__init__(parent)
        self._database = database
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(THREADS)
        self._ended = False
        self._answered.connect(self._deliver)

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        done: Callable[[Any], object] | None = None,
        failed: Callable[[ConsoleError], object] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Call ``function(session, *arguments)`` in one unit of work; see ``call``."""
        database = self._database
        if database is None:
            raise RuntimeError("this Background was made without a database")

        def unit_of_work() -> Any:
            with database.begin() as session:
                return function(session, *arguments)

        self.call(unit_of_work, done=done, failed=failed, parent=parent)

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        done: Callable[[Any], object] | None = None,
        failed: Callable[[ConsoleError], object] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Call ``function(*arguments)`` in the pool, then ``done(value)`` on the main thread.

        A ConsoleError goes to ``failed`` instead. When ``parent`` is gone by then, nobody is told.
        Any other exception is a bug and reaches ``sys.excepthook``; ``failed`` gets a sentence, so
        that nobody waits for the answer for ever. The value must not be a
        mapped object or a QObject. After ``end`` nothing is called.
        """
        if self._ended:
            return
        self._pool.start(_Call(self, lambda: function(*arguments), done, failed, parent))

    def end(self) -> None:
        """Take no more calls; then ``wait``. Afterwards this object may be deleted.

        The pool waits for its threads when it is deleted, and whoever deletes it may be holding
        the interpreter's lock, which a call needs to come to its end.
        """
        self._ended = True

    def wait(self, timeout_ms: int = 10_000) -> bool:
        """Wait until everything begun has ended; for the end of the program and for tests."""
        return self._pool.waitForDone(timeout_ms)

    @Slot(object)
    def _deliver(self, call: _Call) -> None:
        if call.parent is not None and not isValid(call.parent):
            return
        error = call.error
        if error is None:
            if call.done is not None:
                call.done(call.value)
        elif isinstance(error, ConsoleError):
            if isinstance(error, UnreachableError):
                self.unreachable.emit(error)
            if call.failed is not None:
                call.failed(error)
            else:
                _log.warning("%s (%s)", error, error.details)
        else:
            sys.excepthook(type(error), error, error.__traceback__)
            if call.failed is not None:
                call.failed(FaultError(error))


class _Call(QRunnable):
    """One call with its answer."""

    def __init__(
        self,
        background: Background,
        work: Callable[[], Any],
        done: Callable[[Any], object] | None,
        failed: Callable[[ConsoleError], object] | None,
        parent: QObject | None,
    ) -> None:
        super().__init__()
        self._background = background
        self._work = work
        self.done = done
        self.failed = failed
        self.parent = parent
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self._work()
        except BaseException as error:  # noqa: BLE001 - delivered to the main thread
            self.error = error
        # The signal belongs to an object of the main thread, so it is delivered there.
        self._background._answered.emit(self)
