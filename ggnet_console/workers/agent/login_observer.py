# SPDX-License-Identifier: GPL-3.0-or-later
"""The observer: sees who is logged in to this host's targets, and counts the bytes they move."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from ...db.engine import Database
from ...services import agent_targets
from ...services.agent_targets import Activity, Wanted
from ...tools.target_backend import Connection, LunTraffic, TargetBackend
from . import login_test_file
from .batch import Progress

LOOK_S = 0.1
"""Between two looks at the logins: a short read is logged in for 0.22 s, and what moves after the
last look is not counted; a look costs 1 ms."""
_TRAFFIC_S = 1.0
"""Byte counters are written this often; logins and logouts at once."""

Hold = Callable[[], AbstractContextManager[TargetBackend]]
"""``TargetKeeper.hold``: the backend, and the keeper's lock for as long as the block runs."""


@dataclass
class _Observed:
    """An open session: counters of each of its logins, and what was last written of it."""

    session_id: int
    machine_id: int
    base_read: int
    base_written: int
    adopt: bool
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    used: dict[str, tuple[LunTraffic, ...]] = field(default_factory=dict)
    """Of accesses nobody is logged in with: what was done with them when last looked at, or by us."""
    came: bool = False
    """Whether somebody had come and gone between the last two looks."""
    address: str | None = None
    written: Activity | None = None
    written_at: float = 0.0

    def see(self, connections: Sequence[Connection]) -> Activity:
        """Take in who is logged in now; the session's totals after it."""
        gone = login_test_file.used(connections)
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


class LoginObserver:
    """Looks at the logins of the sessions it was told of, and writes their activity.

    The keeper has it and owns the lock. Every method holds the keeper for itself, so it may be
    called from any thread, inside a block of ``hold`` as well. The agent thread looks every
    ``LOOK_S``; a job thread that holds the keeper for many targets looks between two of them
    (``with_looks``), so that a short login is seen meanwhile. Raises ConsoleError when the database
    or the backend does not answer.
    """

    def __init__(self, database: Database, hold: Hold, login_tests: Path, host_id: int) -> None:
        """``login_tests`` is the file of what login tests did, see ``login_test_file``."""
        self._database = database
        self._hold = hold
        self._login_tests = login_tests
        self._host_id = host_id
        self._observed: dict[str, _Observed] = {}
        """By IQN; touched with the keeper held only."""
        self._looked_at = 0.0

    def look(self) -> None:
        """Look once who is logged in, and write what changed."""
        with self._hold() as backend:
            self._looked_at = time.monotonic()
            if self._observed:
                self._note(backend.activity())

    def with_looks(self, progress: Progress) -> Progress:
        """``progress`` of a change of many targets that also looks, between two of them, when due.

        To be called by the thread that holds the keeper for that change.
        """

        def told(done: int, total: int) -> None:
            if time.monotonic() - self._looked_at >= LOOK_S:
                self.look()
            progress(done, total)

        return told

    def write_totals(self) -> None:
        """Write what every session has moved so far, however short ago that was done."""
        with self._hold() as backend:
            self._note(backend.activity(), traffic_too=True)

    def observe(self, one: Wanted, *, adopt: bool) -> None:
        """Observe this target's session from now on; none, when no machine has one with it.

        ``adopt``: the backend counted before this agent began, so what it tells first is in the
        session's totals already.
        """
        with self._hold():
            known = self._observed.get(one.iqn)
            if one.session_id is None or one.machine_id is None:
                self._observed.pop(one.iqn, None)
            elif known is None or known.session_id != one.session_id:
                self._observed[one.iqn] = _Observed(
                    one.session_id,
                    one.machine_id,
                    one.bytes_read,
                    one.bytes_written,
                    adopt=adopt,
                    used=dict(login_test_file.read(self._login_tests)),
                    written=Activity(
                        one.session_id,
                        one.machine_id,
                        None,
                        one.session_connected,
                        one.bytes_read,
                        one.bytes_written,
                    ),
                )

    def forget(self, iqn: str) -> None:
        """Observe this target no longer."""
        with self._hold():
            self._observed.pop(iqn, None)

    def keep_only(self, iqns: Collection[str]) -> None:
        """Observe no others than these any longer."""
        with self._hold():
            self._observed = {iqn: one for iqn, one in self._observed.items() if iqn in iqns}

    def expired_sessions(self) -> list[int]:
        """The sessions nobody came for in time, after a last look: whoever is seen then came."""
        with self._hold():
            with self._database.begin() as session:
                expired = agent_targets.expired_sessions(session, self._host_id)
            if not expired:
                return []
            self.look()
            with self._database.begin() as session:
                return agent_targets.expired_sessions(session, self._host_id)

    def note_test_login(self, iqn: str) -> None:
        """Who has just logged in to this target and out again was a login test, not its machine."""
        with self._hold() as backend:
            observed = self._observed.get(iqn)
            if observed is not None:
                seen = backend.activity()
                here = [one for one in seen if one.target_iqn == iqn]
                observed.see(here)
                login_test_file.add(
                    self._login_tests, login_test_file.used(here), login_test_file.used(seen)
                )

    def _note(self, connections: Sequence[Connection], *, traffic_too: bool = False) -> None:
        """Write what changed; with the keeper held."""
        by_target: dict[str, list[Connection]] = {}
        for connection in connections:
            by_target.setdefault(connection.target_iqn, []).append(connection)
        now = time.monotonic()
        news: list[tuple[_Observed, Activity]] = []
        for iqn, observed in self._observed.items():
            seen = observed.see(by_target.get(iqn, []))
            last = observed.written
            turned = last is None or seen.connected != last.connected or observed.came
            waited = traffic_too or now - observed.written_at >= _TRAFFIC_S
            if turned or (seen != last and waited):
                news.append((observed, seen))
        if news:
            with self._database.begin() as session:
                agent_targets.note_activity(session, [seen for _, seen in news])
            for observed, seen in news:
                observed.written, observed.written_at = seen, now
