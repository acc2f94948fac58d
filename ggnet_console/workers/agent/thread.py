# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of a storage host: its thread works with target keeper, observer and reconciler.

Job runner and connection guard, which it starts, have threads of their own. The same object serves
``ggnet-agent`` and the first console of an embedded installation.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg.conninfo import make_conninfo

from ...config import Config
from ...db import fingerprint
from ...db.engine import Database
from ...db.installation import Installation
from ...enums import BackendChoice
from ...errors import ConsoleError, UnreachableError, sentence
from ...locks import FileLock
from ...program_call import ProgramCall
from ...services import agent_jobs, hosts
from ...tools import storage
from ...tools.portals import portal_name
from ...tools.target_backend import BackendDownError, TryLaterError
from ..named_thread import NamedThread
from .backend_choice import Selection, make_backend, select, select_at_start, waiting_for
from .connection_guard import guarding_connections
from .job_runner import JobRunner
from .login_observer import LOOK_S
from .orphan_files import remove_orphan_files
from .reconciler import Reconciler
from .target_keeper import TargetKeeper

_log = logging.getLogger(__name__)

_TAKE_OVER_S = 1.0
_EXPIRE_S = 1.0
_COMPARE_S = 3.0
_RETRY_S = 3.0
_LATER_S = 20.0
"""What another program's lock hinders is waited for each time, and nobody looks meanwhile."""
_LOST_S = 1.0
_DETACH_S = 20.0


@dataclass
class _Periodic:
    """Something the agent does again and again; why it does not work now is told, not fatal."""

    action: Callable[[], object]
    every_s: float
    due_at: float = 0.0
    problem: str = ""

    def run(self, *, now: bool = False) -> None:
        """Do it when it is time, or ``now``; what another program hinders, later than usual.

        Raises UnreachableError and BackendDownError, which concern more than this.
        """
        if not now and time.monotonic() < self.due_at:
            return
        try:
            self.action()
            self.problem, delay = "", self.every_s
        except (UnreachableError, BackendDownError):
            raise
        except ConsoleError as error:
            if error.summary != self.problem:
                _log.warning("%s (%s)", error, error.details)
            self.problem = error.summary
            delay = _LATER_S if isinstance(error, TryLaterError) else self.every_s
        self.due_at = time.monotonic() + delay


class AgentThread(NamedThread):
    """Waits until it is the one agent of this installation, then serves until it is stopped."""

    def __init__(self, installation: Installation, *, until_idle: bool = False) -> None:
        """With ``until_idle`` it ends by itself once no session is open and no job is left."""
        super().__init__("agent")
        self._until_idle = until_idle
        self._installation = installation
        self._config: Config = installation.config
        self._lock = FileLock(self._config.tree.agent_lock)
        self._succession = FileLock(self._config.tree.successors_lock)
        self._stopping = threading.Event()
        self._serving = threading.Event()
        self._runs = Selection(BackendChoice.TGT, "")

    @property
    def serving(self) -> bool:
        """Whether this process is the agent now."""
        return self._serving.is_set()

    def stop(self) -> None:
        """End; jobs go back into the queue. Then ``wait()``.

        The target service goes on serving open sessions, to be adopted by the next agent, and what
        others made in it; otherwise it ends.
        """
        self._stopping.set()

    def run(self) -> None:
        self._succession.shared(_TAKE_OVER_S)
        try:
            while not self._stopping.is_set():
                if self._lock.try_exclusive():
                    try:
                        self._serve_until_stopped()
                    finally:
                        self._serving.clear()
                        self._lock.release()
                self._stopping.wait(_TAKE_OVER_S)
        finally:
            self._succession.release()

    def has_successor(self) -> bool:
        """Whether another process would take over if this one ended; from any thread."""
        alone = self._succession.try_exclusive()
        self._succession.shared(_TAKE_OVER_S)
        return not alone

    def _serve_until_stopped(self) -> None:
        """Serve; begin again after whatever passes by itself, such as a taken portal."""
        while not self._stopping.is_set():
            try:
                with (
                    contextlib.closing(self._database()) as database,
                    guarding_connections(database),
                ):
                    self._serve(database)
            except ConsoleError as error:
                _log.warning("the agent cannot serve: %s (%s)", error, error.details)
                if isinstance(error, UnreachableError):
                    self._revive()
            except Exception:  # noqa: BLE001 - a bug must not leave forty machines unserved
                _log.exception("a fault in the agent; it begins again")
            self._stopping.wait(_RETRY_S)

    def _dsn(self) -> str:
        return make_conninfo(
            self._installation.agent_dsn(), options="-c search_path=public,procrastinate"
        )

    def _database(self) -> Database:
        return Database(self._dsn(), program="ggnet agent", pool_size=6)

    def _selection(self, database: Database) -> Selection:
        with database.begin() as session:
            chosen = hosts.backend_choice(session, self._config.host)
        return select(self._config, chosen)

    def _serve(self, database: Database) -> None:
        tree = self._config.tree
        storage.prepare(tree)
        portal = portal_name(*self._config.portals[0])
        with database.begin() as session:
            last = hosts.running_backend(session, self._config.host)
        self._runs = select_at_start(self._selection(database), last)
        self._tell_changes(database)
        backend = make_backend(self._runs.backend, self._config)
        host_id = self._report(database, portal, "")
        remove_orphan_files(database, tree, host_id)
        keeper = TargetKeeper(database, backend, tree, host_id, portal)
        reconciler = Reconciler(database, keeper, tree, host_id, portal)
        runner = JobRunner(self._dsn(), self._config, host_id, database, keeper, reconciler)
        recovering = _Periodic(keeper.recover, hosts.HEARTBEAT_S)
        try:
            with contextlib.suppress(BackendDownError):  # the first look finds out, and begins anew
                recovering.run()
            runner.start()
            self._serving.set()
            self._serve_targets(database, keeper, reconciler, recovering, host_id, portal)
        finally:
            runner.stop()
            runner.wait()
            if self._stopping.is_set():
                self._leave(keeper)

    def _tell_changes(self, database: Database) -> None:
        """Telling keeps nobody from serving."""
        try:
            changed = self._installation.changed_by_hand(database.dsn)
        except ConsoleError as error:
            _log.warning("%s (%s)", error, error.details)
            return
        if changed:
            _log.warning("%s (%s)", fingerprint.warning(changed), fingerprint.details(changed))

    def _report(self, database: Database, portal: str, problem: str) -> int:
        runs = self._runs
        with database.begin() as session:
            return hosts.report_host(
                *(session, self._config.host, portal),
                *(runs.backend.lower(), runs.reason, problem),
            )

    def _serve_targets(
        self,
        database: Database,
        keeper: TargetKeeper,
        reconciler: Reconciler,
        recovering: _Periodic,
        host_id: int,
        portal: str,
    ) -> None:
        """Look after logins, time-outs, drift and silent uploads until stopped."""
        expiring = _Periodic(keeper.expire, _EXPIRE_S)
        comparing = _Periodic(reconciler.compare, _COMPARE_S)
        following = _Periodic(lambda: self._follow_choice(database, keeper), hosts.HEARTBEAT_S)
        told, report_at = ("", self._runs), 0.0
        lost = False
        while not self._stopping.wait(LOOK_S):
            try:
                if recovering.problem or not keeper.answers:
                    recovering.run()
                if keeper.answers:
                    # Whatever cannot be put right now: who is logged in is seen, and what differs.
                    keeper.observer.look()
                    expiring.run()
                    changed = keeper.changed.is_set()
                    keeper.changed.clear()
                    comparing.run(now=changed)
                ran = self._runs.backend
                following.run()
                if self._runs.backend is not ran:
                    recovering.due_at = 0.0
                chores = (recovering, following, expiring, comparing)
                problem = next((one.problem for one in chores if one.problem), "")
                if time.monotonic() >= report_at or told != (problem, self._runs):
                    report_at = time.monotonic() + hosts.HEARTBEAT_S
                    self._report(database, portal, problem)
                    told = (problem, self._runs)
                    self._tidy(database, host_id)
                    if self._until_idle and self._idle(database, keeper, host_id):
                        self._stopping.set()
                lost = False
            except UnreachableError as error:
                # Machines go on running; what they do is counted on and written when it is back.
                _log.warning("the database does not answer: %s (%s)", error, error.details)
                self._stopping.wait(_LOST_S)
                if lost:  # not at once: somebody may just be restarting it
                    self._revive()
                lost = True
            except ConsoleError as error:
                _log.warning("targets are not served: %s (%s)", error, error.details)
                recovering.problem, recovering.due_at = error.summary, 0.0

    def _follow_choice(self, database: Database, keeper: TargetKeeper) -> None:
        """Change over to another backend once nobody would miss the present one."""
        chosen = self._selection(database)
        if chosen.backend is self._runs.backend:
            self._runs = chosen
        elif keeper.open_sessions() or keeper.in_use():
            self._runs = Selection(self._runs.backend, waiting_for(chosen))
        else:
            backend = make_backend(chosen.backend, self._config)
            keeper.change_backend(backend)
            self._runs = chosen
            _log.info("targets are served by %s from now on: %s", chosen.backend, chosen.reason)

    def _revive(self) -> None:
        try:
            self._installation.revive()
        except ConsoleError as error:
            _log.warning("%s (%s)", error, error.details)

    def _idle(self, database: Database, keeper: TargetKeeper, host_id: int) -> bool:
        with database.begin() as session:
            return not keeper.open_sessions() and not agent_jobs.open_jobs(session, host_id)

    def _tidy(self, database: Database, host_id: int) -> None:
        with database.begin() as session:
            agent_jobs.end_silent_uploads(session, host_id)
        remove_orphan_files(database, self._config.tree, host_id)

    def _leave(self, keeper: TargetKeeper) -> None:
        # LIO's targets are the kernel's, and saved: they outlive us and the host's next start.
        if self._runs.backend is BackendChoice.LIO:
            return
        try:
            if not keeper.open_sessions():
                keeper.stop()
        except ConsoleError as error:
            _log.warning("the target service goes on: %s (%s)", error, error.details)


def has_successor(installation: Installation) -> bool:
    """Whether another process waits to be this installation's agent; for one that is not itself.

    Not everybody who uses the database does: a ``ggnet`` call ends without serving anybody.
    """
    lock = FileLock(installation.config.tree.successors_lock)
    nobody = lock.try_exclusive()
    lock.release()
    return not nobody


def leave_behind(installation: Installation) -> None:
    """Start a detached ``ggnet-agent`` that serves until nothing is left to do, and wait for it.

    Returns once it waits for the agent's part, and so takes part in the embedded cluster, too.
    """
    config = installation.config
    argv = [
        # As nobody's child: this process ends, and nobody here could wait for it.
        *("setsid", "--fork", sys.executable, "-m", "ggnet_console.agent", "--until-idle"),
        *("--home", str(config.home), "--portal", config.portal),
    ]
    subprocess.run(
        argv,
        check=True,
        env=config.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _DETACH_S
    while not has_successor(installation):
        if time.monotonic() > deadline:
            raise ConsoleError(
                sentence(
                    "The agent that should go on serving did not start; see "
                    "{folder}/ggnet-agent.jsonl.",
                    folder=config.tree.logs,
                ),
                ProgramCall(argv, _ours(config.environment)).details(
                    f"not ready after {_DETACH_S:g} seconds", ""
                ),
            )
        time.sleep(0.05)


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What our programs read of an environment."""
    return {name: value for name, value in environment.items() if name.startswith("GGNET_")}
