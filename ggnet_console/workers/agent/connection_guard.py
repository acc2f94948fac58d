# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection guard: keeps one person from holding up everybody, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from ...db.engine import Database
from ...errors import ConsoleError
from ...services import users
from ..named_thread import NamedThread

_log = logging.getLogger(__name__)

_LOOK_S = 2.0


class ConnectionGuard(NamedThread):
    """Has the database end connections whose sign-in is over, and those that hold up others.

    The agent's own thread may be among those held up, so it cannot do this.
    """

    def __init__(self, database: Database) -> None:
        super().__init__("guard")
        self._database = database
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End; then ``wait()``."""
        self._stopping.set()

    def run(self) -> None:
        hidden: set[int] = set()
        while not self._stopping.wait(_LOOK_S):
            try:
                with self._database.begin() as session:
                    hidden = users.end_holders(session, hidden)
                with self._database.begin() as session:
                    users.tend_sign_ins(session)
            except ConsoleError as error:
                _log.warning("sign-ins are not looked after: %s (%s)", error, error.details)
            except Exception:  # noqa: BLE001 - a bug here must not end the looking
                _log.exception("a fault in the connection guard; it goes on")


@contextlib.contextmanager
def guarding_connections(database: Database) -> Iterator[None]:
    """A connection guard for as long as the block runs; ``database`` is the agent's."""
    guard = ConnectionGuard(database)
    guard.start()
    try:
        yield
    finally:
        guard.stop()
        guard.wait()
