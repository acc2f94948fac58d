# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of a storage host: job runner, session observer and target keeper, in one QThread.

The same object serves ``ggnet-agent`` and the first console of an embedded installation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time

from psycopg.conninfo import make_conninfo
from PySide6.QtCore import QThread

from ..config import Config
from ..db.engine import Database
from ..db.installation import Installation
from ..enums import BackendChoice
from ..errors import ConsoleError, UnreachableError
from ..locks import FileLock
from ..services import agent_jobs, hosts
from ..tools import storage
from ..tools.portals import portal_name
from ..tools.targets import BackendDownError
from .backends import Selection, make, select
from .guard import guarding
from .keeper import TargetKeeper
from .leftovers import remove_leftovers
from .reconciler import Reconciler
from .runner import Runner

_log = logging.getLogger(__name__)

LOOK_S = 0.1
"""Between two looks at the logins: a short read is logged in for 0.22 s, and what moves after the
last look is not counted; a look costs 1 ms."""
_TAKE_OVER_S = 1.0
_EXPIRE_S = 1.0
_COMPARE_S = 3.0
_RETRY_S = 3.0
_LOST_S = 1.0
_DETACH_S = 20.0


class AgentThread(QThread):
    """Waits until it is the one agent of this installation, then serves until it is stopped."""

    def __init__(self, installation: Installation, *, until_idle: bool = False) -> None:
        """With ``until_idle`` it ends by itself once no session is open and no job is left."""
        super().__init__()
        self._until_idle = until_idle
        self._installation = installation
        self._config: Config = installation.config
        self._lock = FileLock(self._config.tree.agent_lock)
        self._stopping = threading.Event()
        self._end_targets = False
        self._serving = threading.Event()
        self._problem = ""
        self._runs = Selection(BackendChoice.TGT, "")

    @property
    def serving(self) -> bool:
        """Whether this process is the agent now."""
        return self._serving.is_set()

    def stop(self, *, end_targets: bool = False) -> None:
        """End; jobs go back into the queue. Then ``wait()``.

        The target service goes on serving open sessions, to be adopted by the next agent,
        unless ``end_targets``; without open sessions it ends.
        """
        self._end_targets = end_targets
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            if self._lock.try_exclusive():
                try:
                    self._serve_until_stopped()
                finally:
                    self._serving.clear()
                    self._lock.release()
            self._stopping.wait(_TAKE_OVER_S)

    def _serve_until_stopped(self) -> None:
        """Serve; begin again after whatever passes by itself, such as a taken portal."""
        while not self._stopping.is_set():
            try:
                with contextlib.closing(self._database()) as database, guarding(database):
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
        self._runs = self._selection(database)
        backend = make(self._runs.backend, self._config)
        host_id = self._report(database, portal)
        remove_leftovers(database, tree, host_id)
        keeper = TargetKeeper(database, backend, tree, host_id, portal)
        reconciler = Reconciler(database, keeper, tree, host_id, portal)
        runner = Runner(self._dsn(), self._config, host_id, database, keeper, reconciler)
        try:
            self._recover(database, keeper, portal)
            runner.start()
            self._serving.set()
            self._look(database, keeper, reconciler, host_id, portal)
        finally:
            runner.stop()
            runner.wait()
            if self._stopping.is_set():
                self._leave(keeper)

    def _recover(self, database: Database, keeper: TargetKeeper, portal: str) -> None:
        """Bring the targets up; a portal that is taken is told to every window."""
        try:
            keeper.recover()
            self._problem = ""
        except UnreachableError:
            raise
        except ConsoleError as error:
            self._problem = error.summary
            _log.warning("targets cannot be served: %s (%s)", error, error.details)
        self._report(database, portal)

    def _report(self, database: Database, portal: str) -> int:
        runs = self._runs
        with database.begin() as session:
            return hosts.report_host(
                *(session, self._config.host, portal),
                *(runs.backend.lower(), runs.reason, self._problem),
            )

    def _look(
        self,
        database: Database,
        keeper: TargetKeeper,
        reconciler: Reconciler,
        host_id: int,
        portal: str,
    ) -> None:
        """Watch logins, time-outs, drift and silent uploads until stopped."""
        expire_at = report_at = compare_at = 0.0
        lost = False
        while not self._stopping.wait(LOOK_S):
            now = time.monotonic()
            try:
                if not self._problem:
                    keeper.watch()
                    if now >= expire_at:
                        expire_at = now + _EXPIRE_S
                        keeper.expire()
                    if now >= compare_at or keeper.changed.is_set():
                        compare_at = now + _COMPARE_S
                        keeper.changed.clear()
                        self._compare(reconciler)
                if now >= report_at:
                    report_at = now + hosts.HEARTBEAT_S
                    self._follow_choice(database, keeper)
                    if self._problem:
                        self._recover(database, keeper, portal)
                    self._report(database, portal)
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
                self._problem = error.summary
                report_at = 0.0  # recovers with the next look

    def _compare(self, reconciler: Reconciler) -> None:
        """Report drift; what cannot be compared now is still served."""
        try:
            reconciler.compare()
        except (UnreachableError, BackendDownError):
            raise
        except ConsoleError as error:
            _log.warning("targets cannot be compared: %s (%s)", error, error.details)

    def _follow_choice(self, database: Database, keeper: TargetKeeper) -> None:
        """Change over to another backend once nobody is served by the present one."""
        chosen = self._selection(database)
        if chosen.backend is self._runs.backend:
            self._runs = chosen
        elif keeper.open_sessions():
            waits = f"{chosen.backend.lower()} takes over when no session is open"
            self._runs = Selection(self._runs.backend, waits)
        else:
            _log.info("targets are served by %s from now on: %s", chosen.backend, chosen.reason)
            backend = make(chosen.backend, self._config)
            self._runs = chosen
            keeper.change_backend(backend)

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
        remove_leftovers(database, self._config.tree, host_id)

    def _leave(self, keeper: TargetKeeper) -> None:
        try:
            # LIO's targets are the kernel's, and saved: they outlive us and the host's next start.
            is_tgt = self._runs.backend is BackendChoice.TGT
            if self._end_targets or (is_tgt and not keeper.open_sessions()):
                keeper.stop()
        except ConsoleError as error:
            _log.warning("the target service goes on: %s (%s)", error, error.details)


def leave_behind(installation: Installation) -> None:
    """Start a detached ``ggnet-agent`` that serves until nothing is left to do, and wait for it.

    Returns once it takes part in the embedded cluster, so that this does not stop in between.
    """
    config = installation.config
    subprocess.run(
        [
            # As nobody's child: this process ends, and nobody here could wait for it.
            *("setsid", "--fork", sys.executable, "-m", "ggnet_console.agent", "--until-idle"),
            *("--home", str(config.home), "--portal", config.portal),
        ],
        check=True,
        env={**os.environ, **config.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _DETACH_S
    while installation.alone():
        if time.monotonic() > deadline:
            raise ConsoleError(
                "The agent that should go on serving did not start; "
                f"see {config.tree.logs}/ggnet-agent.jsonl."
            )
        time.sleep(0.05)
