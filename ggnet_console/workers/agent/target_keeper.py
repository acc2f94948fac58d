# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps this host's targets as the database wants them; owns the target backend and its lock.

Who is logged in to them is the observer's part, see ``login_observer``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from sqlalchemy.orm import Session

from ...db.engine import Database
from ...enums import Drift, SessionStatus
from ...errors import ConsoleError, sentence
from ...paths import Home
from ...services import agent_targets
from ...services.agent_targets import Wanted
from ...tools.target_backend import (
    BackendDownError,
    BackingFileError,
    RunningTarget,
    SavedFileError,
    SessionsCutError,
    TargetBackend,
    TryLaterError,
)
from ...tools.target_comparison import compare_all
from ...values import is_ours
from . import undo_file
from .batch import Progress, for_each, raise_for
from .login_observer import LoginObserver
from .wanted_targets import wanted_target

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class TargetKeeper:
    """The only owner of the target backend, its lock, and the observer of the logins.

    All methods may be called from any thread. The agent thread calls ``recover``, ``expire``,
    ``in_use``, ``change_backend`` and, once no job runs any more, ``stop``; job threads call
    ``apply``, ``close``, ``remove`` and, through the reconciler and the login test, ``hold``. Each
    holds the lock from its look at the database to what it records there, and the observer holds
    it for each look: nothing else is done with the backend meanwhile. The lock is reentrant, so
    whoever holds the keeper may call it.
    """

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
        self._answers = False
        self.observer = LoginObserver(database, self.hold, tree.test_logins, host_id)
        """Sees who is logged in to the targets of open sessions; told here which those are."""
        self.changed = threading.Event()
        """Set whenever targets were changed here, for whoever compares; to be cleared there."""

    @contextmanager
    def hold(self) -> Iterator[TargetBackend]:
        """The backend for somebody else's use; until the block ends nothing else is done with it."""
        with self._lock:
            yield self._backend

    @property
    def answers(self) -> bool:
        """Whether the backend ran when it was last looked after; if not, ``recover`` is due."""
        return self._answers

    def in_use(self) -> list[str]:
        """Names of the targets that somebody would miss if the backend ended.

        Those that are wanted and open, those of ours that somebody is logged in to, and what others
        made where ours listen.
        """
        with self._lock:
            with self._database.begin() as session:
                wanted = agent_targets.list_wanted(session, self._host_id)
            names = {one.iqn for one in wanted if one.is_open}
            try:
                logged_in = {one.target_iqn for one in self._backend.connections()}
                names |= {iqn for iqn in logged_in if is_ours(iqn)}
                names |= {
                    one.iqn
                    for one in self._backend.running()
                    if not is_ours(one.iqn) and self._listens_here(one)
                }
            except BackendDownError as error:  # nobody can be using it
                _log.debug("%s", error)
            return sorted(names)

    def change_backend(self, backend: TargetBackend) -> None:
        """Serve with another backend from now on, once ``recover`` was called.

        Raises ConsoleError, with the present one still in charge, when somebody would miss it or it
        cannot end its targets now.
        """
        with self._lock:
            if used := self.in_use():
                raise ConsoleError(
                    sentence(
                        "{backend} goes on: {targets} would end with it.",
                        backend=self._backend.name,
                        targets=", ".join(used),
                    )
                )
            self.stop()
            self.observer.keep_only(())
            self._answers = False
            self._backend = backend

    def recover(self) -> None:
        """Make sure the backend runs, and make what runs equal to what is wanted.

        What is right already is adopted as it is: running machines notice nothing, and what would
        cut one off is left for people to decide. What others made is not touched. Raises
        ConsoleError when the backend cannot run, and TryLaterError when something could not be put
        right for now; what runs goes on and is observed. A session whose target fails for good, and
        serves nobody, ends.
        """
        with self._lock:
            self._answers = False
            is_new = self._backend.start()
            self._answers = True
            with self._database.begin() as session:
                wanted = agent_targets.list_wanted(session, self._host_id)
            self.observer.keep_only({one.iqn for one in wanted})
            for one in wanted:
                if one.session_ready:
                    self.observer.observe(one, adopt=not is_new)
            self.changed.set()
            found = compare_all(self._backend, (wanted_target(self._tree, one) for one in wanted))
            drift = {one.iqn: one.drift for one in found.findings}
            extra = [one.iqn for one in found.findings if one.wanted is None and is_ours(one.iqn)]
            failures = for_each(extra, str, self._backend.remove)
            self._note_made(one for one in wanted if drift[one.iqn] is Drift.IN_STEP)
            wrong = [one for one in wanted if drift[one.iqn] is not Drift.IN_STEP]
            failures |= self._make(wrong, adopt=not is_new)
            for error in failures.values():
                if isinstance(error, TryLaterError):
                    raise error

    def apply(
        self, target_ids: Iterable[int], progress: Progress = lambda _done, _total: None
    ) -> None:
        """Make these targets as the database wants them now; nobody is cut off.

        Raises ConsoleError when one of them failed, after trying all; each failed session holds
        its own sentence. Sessions whose target had been made before go on as it is.
        """
        with self._lock:
            with self._database.begin() as session:
                wanted = agent_targets.list_wanted(session, self._host_id, target_ids)
            failures = self._retried(lambda: self._make(wanted, progress=progress))
            with self._database.begin() as session:
                for one in wanted:
                    if one.iqn in failures and one.session_id and not one.session_ready:
                        agent_targets.note_not_made(session, one, failures[one.iqn].summary)
            self._note_changed(wanted)
        raise_for(failures, len(wanted))

    def give_up(self, session: Session, target_ids: Iterable[int], error: str) -> None:
        """Record in ``session`` that those of these targets that were not made will not be."""
        for one in agent_targets.list_wanted(session, self._host_id, target_ids):
            if one.session_id is not None and not one.session_ready:
                agent_targets.note_not_made(session, one, error)

    def close(
        self,
        session_ids: Sequence[int],
        status: SessionStatus,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        """End those of these sessions that are still open: from now on their machines are refused.

        Raises ConsoleError when a machine could not be refused, after trying all; its session stays
        open. A target that a later session has is not touched.
        """
        with self._lock:
            with self._database.begin() as session:
                served = agent_targets.targets_of_sessions(session, session_ids)
                listed = agent_targets.list_wanted(session, self._host_id, set(served.values()))
            wanted = [one for one in listed if one.session_id in (None, *session_ids)]
            failures = self._retried(lambda: self._close(wanted, progress))
            self._note_changed(wanted)
            failed = {one.target_id for one in wanted if one.iqn in failures}
            closed = [one.target_id for one in wanted if one.target_id not in failed]
            ended = [one for one in session_ids if served.get(one) not in failed]
            with self._database.begin() as session:
                agent_targets.note_closed(session, closed)
                agent_targets.end_sessions(session, ended, status)
        raise_for(failures, len(wanted))

    def remove(
        self, target_ids: Sequence[int], progress: Progress = lambda _done, _total: None
    ) -> None:
        """Take these targets away.

        Raises ConsoleError, with nothing changed, when a machine has a session with one of them;
        and when one could not be removed, after trying all.
        """
        with self._lock:
            with self._database.begin() as session:
                wanted = agent_targets.list_wanted(session, self._host_id, target_ids)
                machines = agent_targets.machines_served(session, target_ids)
            if machines:
                raise ConsoleError(
                    sentence(
                        "Nothing was removed: {machines} has a session; stop it before removing "
                        "its target.",
                        machines=", ".join(machines),
                    )
                )
            failures = self._retried(
                lambda: for_each(
                    wanted,
                    _iqn,
                    lambda one: self._backend.remove(one.iqn),
                    self.observer.with_looks(progress),
                    _machine,
                )
            )
            self._note_changed(wanted)
            gone = [one for one in wanted if one.iqn not in failures]
            for one in gone:
                self.observer.forget(one.iqn)
            with self._database.begin() as session:
                agent_targets.forget_targets(session, [one.target_id for one in gone])
        raise_for(failures, len(wanted))

    def expire(self) -> None:
        """End the sessions nobody came for in time."""
        with self._lock:
            if expired := self.observer.expired_sessions():
                try:
                    self.close(expired, SessionStatus.TIMEOUT)
                except SessionsCutError as error:
                    _log.warning("%s", error)

    def open_sessions(self) -> int:
        """How many machines this host serves or waits for."""
        with self._database.begin() as session:
            return agent_targets.count_open(session, self._host_id)

    def stop(self) -> None:
        """End the targets that we made and nobody is logged in to, and a backend that is empty then.

        What others made, or was adopted, runs on, and with it the backend. Raises ConsoleError when
        a target cannot be ended.
        """
        with self._lock:
            try:
                ours = [one.iqn for one in self._backend.running() if is_ours(one.iqn)]
            except BackendDownError as error:
                _log.debug("%s", error)
                return
            raise_for(for_each(ours, str, self._backend.remove), len(ours))
            if not any(self._listens_here(one) for one in self._backend.running()):
                self._backend.stop()

    # With the lock held

    def _listens_here(self, target: RunningTarget) -> bool:
        """Whether a target has the port of ours, at whatever address."""
        port = self._portal.rpartition(":")[2]
        return any(portal.rpartition(":")[2] == port for portal in target.portals)

    def _make(
        self,
        wanted: Sequence[Wanted],
        *,
        adopt: bool = False,
        progress: Progress = lambda _done, _total: None,
    ) -> dict[str, ConsoleError]:
        """Why which of these could not be made as wanted without cutting anybody off."""

        def make(one: Wanted) -> None:
            self._backend.apply(wanted_target(self._tree, one))
            self._note_made([one])
            self.observer.observe(one, adopt=adopt)

        failures = for_each(wanted, _iqn, make, self.observer.with_looks(progress), _machine)
        broken = {
            iqn
            for iqn, error in failures.items()
            if not isinstance(error, TryLaterError | SessionsCutError)
        }
        if broken:
            self._end_broken([one for one in wanted if one.iqn in broken], failures)
        return failures

    def _note_made(self, made: Iterable[Wanted]) -> None:
        with self._database.begin() as session:
            for one in made:
                agent_targets.note_made(session, one, self._portal)

    def _end_broken(self, broken: Sequence[Wanted], failures: Mapping[str, ConsoleError]) -> None:
        """End the sessions of what cannot be made and lets nobody in; what serves goes on."""
        serving = {
            one.iqn
            for one in self._backend.running()
            if one.sessions or (one.enabled and one.initiators)
        }
        lost = [one for one in broken if one.iqn not in serving]
        with self._database.begin() as session:
            for one in lost:
                agent_targets.note_not_made(session, one, failures[one.iqn].summary)
        for one in lost:
            self.observer.forget(one.iqn)

    def _note_changed(self, wanted: Sequence[Wanted]) -> None:
        undo_file.forget(self._tree.undo, (one.iqn for one in wanted))
        self.changed.set()

    def _close(self, wanted: Sequence[Wanted], progress: Progress) -> dict[str, ConsoleError]:
        self.observer.write_totals()
        return for_each(wanted, _iqn, self._refuse, self.observer.with_looks(progress), _machine)

    def _refuse(self, one: Wanted) -> None:
        """End the sessions of this target's machine, and the target unless it is kept."""
        try:
            if one.kept:
                closed = wanted_target(self._tree, one, is_open=False)
                self._backend.apply(closed, cut=one.initiators)
                self._backend.disconnect(one.iqn)
            else:
                self._backend.remove(one.iqn, cut=one.initiators)
        except (BackingFileError, SavedFileError) as error:
            # Whatever else is broken, the machine can be refused; the target that stays is drift.
            _log.warning("target %s: %s (%s)", one.iqn, error, error.details)
            with suppress(SavedFileError):  # the kernel comes first
                self._backend.disconnect(one.iqn)
        self.observer.forget(one.iqn)

    def _retried(self, action: Callable[[], _T]) -> _T:
        """Do it; when the backend turns out to be dead, bring everything back and do it again."""
        try:
            return action()
        except BackendDownError as error:
            _log.warning("the target service died and is started again: %s", error)
            self.recover()
            return action()


def _iqn(one: Wanted) -> str:
    return one.iqn


def _machine(one: Wanted) -> str:
    return one.machine
