# SPDX-License-Identifier: GPL-3.0-or-later
"""LISTEN on the main thread's event loop: hints of what to read again, in small batches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

import psycopg
from PySide6.QtCore import QObject, Signal

from ..db.errors import as_console_error
from ..errors import SignInError
from .loop import spawn

_log = logging.getLogger(__name__)

CHANNEL = "ggnet"
COALESCE_S = 0.016
"""Hints are gathered for one frame: a thousand a second become sixty re-reads."""
HEARTBEAT_S = 10.0
_ANSWER_S = 5.0
_BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_PAYLOAD_MAX = 8000  # NOTIFY's own limit
_MANY_IDS = 500
_IDS = range(1, 2**63)
"""What a bigint identity can be; the database would refuse to look for anything else."""


class Listener(QObject):
    """Keeps one autocommit connection listening; makes a new one for as long as it takes.

    Hints are never facts: anybody with a connection can send them, and what was sent while there
    was no connection is gone. So ``connected`` means: read everything visible again.
    """

    changed = Signal(object)
    """dict: table → set of ids, or None for “many rows”."""
    connected = Signal()
    lost = Signal(str)
    """The connection is gone; the server's words, for the details."""
    ended = Signal(object)
    """SignInError: the sign-in is over, trying again is of no use."""

    def __init__(self, dsn: str, parent: QObject | None = None) -> None:
        """``dsn``: connection string of the sign-in's own role."""
        super().__init__(parent)
        self._dsn = dsn
        self._task: asyncio.Task[None] | None = None
        self._pending: dict[str, set[int] | None] = {}
        self._flush: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin on the running loop, which is Qt's own (qasync)."""
        self._task = spawn(self._run())

    async def stop(self) -> None:
        """End the connection and wait until it is closed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._flush is not None:
            self._flush.cancel()

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    attempt = 0
                    self.connected.emit()
                    await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                sentence = as_console_error(error) if isinstance(error, psycopg.Error) else None
                if isinstance(sentence, SignInError):
                    self.ended.emit(sentence)
                    return
                _log.warning("listener: %s", error)
                self.lost.emit(str(error).strip())
            await asyncio.sleep(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)])
            attempt += 1

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            # Ends by itself, even in the midst of many hints; leaving it would lose what came with one.
            async for hint in connection.notifies(timeout=HEARTBEAT_S):
                self._take(hint.payload)
            # A half-open connection stays silent; this question does not.
            async with asyncio.timeout(_ANSWER_S):
                await connection.execute("SELECT 1")

    def _take(self, payload: str) -> None:
        """Note one hint; whatever is not of our form is ignored, for anybody can send it."""
        try:
            hint = json.loads(payload) if len(payload) <= _PAYLOAD_MAX else None
        except (ValueError, RecursionError):
            return
        if not isinstance(hint, dict):
            return
        table, row_id = hint.get("table"), hint.get("id")
        if not isinstance(table, str):
            return
        if table not in self._pending:
            self._pending[table] = set()
        ids = self._pending[table]
        if ids is not None:
            if type(row_id) is int and row_id in _IDS and len(ids) < _MANY_IDS:
                ids.add(row_id)
            else:
                self._pending[table] = None
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(COALESCE_S, self._emit)

    def _emit(self) -> None:
        self._flush = None
        pending, self._pending = self._pending, {}
        self.changed.emit(pending)
