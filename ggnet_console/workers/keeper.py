# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps this host's targets as the database wants them and reports who is logged in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.orm import Session

from ..db.engine import Database
from ..enums import SessionStatus
from ..errors import ConsoleError
from ..paths import Home
from ..services import observations
from ..services.observations import Activity, Wanted
from ..tools.targets import (
    BackendDownError,
    Connection,
    LunTraffic,
    SessionsCutError,
    TargetBackend,
)
from ..values import is_ours
from . import undo
from .wishes import wanted_target

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_TRAFFIC_S = 1.0
"""Byte counters are written this often; logins and logouts at once."""


@dataclass
class _Watched:
    """An open session: counters of each of its logins, and what was last written of it."""

    session_id: int
    machine_id: int
    base_read: int
    base_written: int
    adopt: bool
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    used: dict[str, tuple[LunTraffic, ...]] = field(default_factory=dict)
    """Of accesses nobody is logged in with: what was done with them when last looked at."""
    came: bool = False
    """Whether somebody had come and gone between the last two looks."""
    address: str | None = None
    written: Activity | None = None
    written_at: float = 0.0

    def see(self, connections: Sequence[Connection]) -> Activity:
        """Take in who is logged in now; the session's totals after it."""
        gone = {one.key: one.luns for one in connections if not one.logged_in}
        self.came = any(self.used.get(key) != luns for key, luns in gone.items())
        self.used |= gone
        for one in connections:
            self.counters[one.key] = (one.bytes_read, one.bytes_written)
            self.address = one.address or self.address
        read = sum(counter[0] for counter in self.counters.values())
        written = sum(counter[1] for counter in self.counters.values())
        if self.adopt:
            # Counted since before this agent: part of these bytes is in the base already.
            self.base_read = max(self.base_read - read, 0)
            self.base_written = max(self.base_written - written, 0)
            self.adopt = False
        return Activity(
            self.session_id,
            self.machine_id,
            self.address,
            any(one.logged_in for one in connections),
            self.base_read + read,
            self.base_written + written,
        )


class TargetKeeper:
    """The only user of the target backend; its methods may be called from any thread."""

    def __init__(
        self,
        database: Database,
        backend: TargetBackend,
        tree: Home,
        host_id: int,
        portal: str,
    ) -> None:
        self._database = database
        self._backend = backend
        self._tree = tree
        self._host_id = host_id
        self._portal = portal
        self._lock = threading.RLock()
        self._watched: dict[str, _Watched] = {}
        self.changed = threading.Event()
        """Set whenever targets were changed here, for whoever compares; to be cleared there."""

    @contextmanager
    def hold(self) -> Iterator[TargetBackend]:
        """The backend for somebody else's use; until the block ends nothing else is done with it."""
        with self._lock:
            yield self._backend

    def overlook(self, iqn: str) -> None:
        """Whoever has just logged in to this target and out again was not its machine."""
        with self._lock:
            watched = self._watched.get(iqn)
            if watched is not None:
                watched.see([one for one in self._backend.activity() if one.target_iqn == iqn])

    def change_backend(self, backend: TargetBackend) -> None:
        """Serve with another backend from now on; the present one ends its targets.

        Raises ConsoleError when the new one cannot run; then nothing is served, and ``recover``
        tries again.
        """
        with self._lock:
            self._watched.clear()
            self._backend.stop()
            self._backend = backend
            self.recover()

    def recover(self) -> None:
        """Make sure the backend runs, and make what runs equal to what is wanted.

        What is right already is adopted as it is: running machines notice nothing, and what would
        cut one off is left for people to decide. What others made is not touched. Raises
        ConsoleError when the backend cannot run; single targets that fail end their sessions.
        """
        with self._lock:
            is_new = self._backend.start()
            with self._database.begin() as session:
                wanted = observations.list_wanted(session, self._host_id)
            names = {one.iqn for one in wanted}
            for running in self._backend.running():
                if running.iqn not in names and is_ours(running.iqn):
                    _log.info("removing the target %s, which nobody wants", running.iqn)
                    try:
                        self._backend.remove(running.iqn)
                    except SessionsCutError as error:
                        _log.warning("%s", error)
            self._watched.clear()
            self._make(wanted, adopt=not is_new)
            self.changed.set()

    def apply(self, target_ids: Iterable[int]) -> None:
        """Make these targets as the database wants them now.

        Raises ConsoleError when one of them failed, after trying all; each failed session holds
        its own sentence.
        """
        with self._lock:
            with self._database.begin() as session:
                wanted = observations.list_wanted(session, self._host_id, target_ids)
            failures = self._retried(lambda: self._make(wanted))
            self._note_changed(wanted)
        if failures:
            raise ConsoleError(
                failures[0]
                if len(wanted) == 1
                else f"{len(failures)} of {len(wanted)} targets could not be made: {failures[0]}",
                "\n".join(failures),
            )

    def give_up(self, session: Session, target_ids: Iterable[int], error: str) -> None:
        """Record in ``session`` that those of these targets that were not made will not be."""
        for one in observations.list_wanted(session, self._host_id, target_ids):
            if one.session_id is not None and not one.session_ready:
                observations.note_not_made(session, one, error)

    def close(self, session_ids: Sequence[int], status: SessionStatus) -> None:
        """End these sessions: from now on their machines are refused."""
        with self._lock:
            with self._database.begin() as session:
                target_ids = observations.targets_of_sessions(session, session_ids)
                wanted = observations.list_wanted(session, self._host_id, target_ids)
            self._retried(lambda: self._close(wanted))
            self._note_changed(wanted)
            with self._database.begin() as session:
                observations.note_closed(session, target_ids)
                observations.end_sessions(session, session_ids, status)

    def remove(self, target_ids: Sequence[int]) -> None:
        """Take these targets away, though their machines are logged in."""
        with self._lock:
            with self._database.begin() as session:
                wanted = observations.list_wanted(session, self._host_id, target_ids)
            self._retried(lambda: self._remove(wanted))
            self._note_changed(wanted)
            with self._database.begin() as session:
                observations.forget_targets(session, target_ids)

    def watch(self) -> None:
        """Look once who is logged in, and write what changed."""
        with self._lock:
            if not self._watched:
                return
            self._note(self._backend.activity())

    def expire(self) -> None:
        """End the sessions nobody came for in time."""
        with self._lock:
            with self._database.begin() as session:
                expired = observations.expired_sessions(session, self._host_id)
            if not expired:
                return
            # Whoever logged in since the last look has come in time.
            self.watch()
            with self._database.begin() as session:
                expired = observations.expired_sessions(session, self._host_id)
            if expired:
                try:
                    self.close(expired, SessionStatus.TIMEOUT)
                except SessionsCutError as error:
                    _log.warning("%s", error)

    def open_sessions(self) -> int:
        """How many machines this host serves or waits for."""
        with self._database.begin() as session:
            return observations.count_open(session, self._host_id)

    def stop(self) -> None:
        """End all targets and the backend."""
        with self._lock:
            self._watched.clear()
            self._backend.stop()

    # With the lock held

    def _make(self, wanted: Sequence[Wanted], *, adopt: bool = False) -> list[str]:
        failures = []
        for one in wanted:
            try:
                self._backend.apply(wanted_target(self._tree, one))
            except BackendDownError:
                raise
            except SessionsCutError as error:
                _log.warning("%s", error)
                failures.append(error.summary)
                self._watch_session(one, adopt=adopt)
                continue
            except ConsoleError as error:
                _log.warning("target %s: %s (%s)", one.iqn, error, error.details)
                failures.append(error.summary)
                self._watched.pop(one.iqn, None)
                with self._database.begin() as session:
                    observations.note_not_made(session, one, error.summary)
                continue
            with self._database.begin() as session:
                observations.note_made(session, one, self._portal)
            self._watch_session(one, adopt=adopt)
        return failures

    def _watch_session(self, one: Wanted, *, adopt: bool) -> None:
        known = self._watched.get(one.iqn)
        if one.session_id is None or one.machine_id is None:
            self._watched.pop(one.iqn, None)
        elif known is None or known.session_id != one.session_id:
            self._watched[one.iqn] = _Watched(
                one.session_id,
                one.machine_id,
                one.bytes_read,
                one.bytes_written,
                adopt=adopt,
                written=Activity(
                    one.session_id,
                    one.machine_id,
                    None,
                    one.session_connected,
                    one.bytes_read,
                    one.bytes_written,
                ),
            )

    def _note_changed(self, wanted: Sequence[Wanted]) -> None:
        undo.forget(self._tree.undo, (one.iqn for one in wanted))
        self.changed.set()

    def _close(self, wanted: Sequence[Wanted]) -> None:
        self._note(self._backend.activity(), traffic_too=True)
        for one in wanted:
            if one.kept:
                closed = wanted_target(self._tree, one, is_open=False)
                self._backend.apply(closed, cut=one.initiators)
                self._backend.disconnect(one.iqn)
                self._watched.pop(one.iqn, None)
            else:
                self._remove([one])

    def _remove(self, wanted: Sequence[Wanted]) -> None:
        for one in wanted:
            self._backend.remove(one.iqn, cut=one.initiators)
            self._watched.pop(one.iqn, None)

    def _note(self, connections: Sequence[Connection], *, traffic_too: bool = False) -> None:
        by_target: dict[str, list[Connection]] = {}
        for connection in connections:
            by_target.setdefault(connection.target_iqn, []).append(connection)
        now = time.monotonic()
        news: list[tuple[_Watched, Activity]] = []
        for iqn, watched in self._watched.items():
            seen = watched.see(by_target.get(iqn, []))
            last = watched.written
            turned = last is None or seen.connected != last.connected or watched.came
            waited = traffic_too or now - watched.written_at >= _TRAFFIC_S
            if turned or (seen != last and waited):
                news.append((watched, seen))
        if news:
            with self._database.begin() as session:
                observations.note_activity(session, [seen for _, seen in news])
            for watched, seen in news:
                watched.written, watched.written_at = seen, now

    def _retried(self, action: Callable[[], _T]) -> _T:
        """Do it; when the backend turns out to be dead, bring everything back and do it again."""
        try:
            return action()
        except BackendDownError as error:
            _log.warning("the target service died and is started again: %s", error)
            self.recover()
            return action()
