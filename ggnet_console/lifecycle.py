# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the window: installation, agent, sign-in, listener, and the way out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal

from . import config, log
from .config import Config
from .db import fingerprint
from .db.engine import Database
from .db.installation import Installation
from .enums import Role
from .errors import ConsoleError
from .paths import user_state
from .services import boot_sessions, connections, jobs, users
from .services.connections import ServerSpec
from .services.users import SignedIn
from .signed_in import PROGRAM, WhileSignedIn
from .ui.kit.messages import confirm, show_error
from .ui.kit.tokens import State
from .ui.kit.translate import tr, translated
from .ui.window.crash_dialog import CrashReporter
from .ui.window.entry import Entry
from .ui.window.main_window import MainWindow, ask_what_to_do_with_machines
from .ui.window.server_dialog import ServerDialog
from .ui.window.sign_in_pages import Credentials, FirstRun, FirstRunPage, SignInPage
from .workers.agent.thread import AgentThread, leave_behind
from .workers.background import Background
from .workers.loop import spawn

_log = logging.getLogger(__name__)

_MOST = 10_000
Done = Callable[[Any], None]
Failed = Callable[[ConsoleError], None]
Note = tuple[str, State]
_STOP_S = 60.0


class Lifecycle(QObject):
    """Leads from an installation to a signed-in window and out again."""

    ended = Signal()
    """Nothing stands behind the window any more: the process may end."""

    def __init__(
        self,
        window: MainWindow,
        entry: Entry,
        settings: Config,
        remembered: QSettings,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._window = window
        self._entry = entry
        self._remembered = remembered
        self.config = settings
        self.crashes = CrashReporter(self)
        self.crashes.install()
        self.crashes.closed.connect(self._on_crash_read)
        self.installation = _installation(settings)
        self._short = Background(parent=self)
        self._opened = False
        self._changed = ""
        self._opening = threading.Lock()
        self._closing = False
        self._reviving = False
        self._agent: AgentThread | None = None
        self.signed_in: WhileSignedIn | None = None
        window.ask_before_closing(self._may_close)
        window.sign_out_wanted.connect(self.sign_out)

    # In

    def open(self) -> None:
        """Open the installation in the background and show the right page."""
        if not self._opened and isinstance(self._entry.page, FirstRunPage):
            return  # nothing is made before somebody has said where
        self._short.call(self._open, done=self._on_open, failed=self._on_closed, parent=self)

    def _open(self) -> bool:
        """In the pool: whether there is somebody to sign in as."""
        with self._opening:  # somebody may sign in while the first page is still being looked for
            if not self._opened:
                self.installation.open()
                self._opened = True
        self.installation.require_schema()
        try:
            self._changed = fingerprint.warning(self.installation.changed_by_hand())
        except ConsoleError as error:  # telling keeps nobody out
            _log.warning("%s (%s)", error, error.details)
        console = self.installation.console(PROGRAM)
        try:
            with console.begin() as session:
                return users.has_users(session)
        finally:
            console.close()

    def _on_open(self, has_users: bool) -> None:
        self._start_agent()
        if not has_users and self.installation.config.embedded:
            if not isinstance(self._entry.page, FirstRunPage):
                self._entry.show_first_run(self.config)
        elif not has_users:
            told = tr(
                "This database has no users yet; make the first admin with "
                "“ggnet init --admin NAME --password-stdin”."
            )
            self._entry.show_problem(ConsoleError(told))
        elif not isinstance(self._entry.page, SignInPage):
            self._entry.show_sign_in(self.config)

    def _on_closed(self, error: ConsoleError) -> None:
        _log.warning("%s (%s)", error, error.details)
        if isinstance(self._entry.page, FirstRunPage):
            self._entry.failed(error)
        else:
            self._entry.show_problem(error)

    def _start_agent(self) -> None:
        """An embedded installation has no service: its first console is the agent."""
        if self._agent is None and self.installation.config.embedded:
            self._agent = AgentThread(self.installation)
            self._agent.start()

    def set_up(self, answer: FirstRun) -> None:
        """Make the first admin and sign in as that."""
        if not self._opened:
            try:
                self._settle(answer)
            except ConsoleError as error:
                self._entry.failed(error)
                return
            self.installation = _installation(self.config)
        self._entry.working(tr("Setting up the private database…"))

        def work() -> SignedIn:
            users.require_good_password(answer.password)
            if not self._open():
                owner = self.installation.owner(PROGRAM)
                try:
                    with owner.begin() as session:
                        users.create_user(session, answer.admin, Role.ADMIN, answer.password)
                finally:
                    owner.close()
            return self._sign_in(answer.admin, answer.password)

        self._short.call(work, done=self._begin, failed=self._entry.failed, parent=self)

    def _settle(self, answer: FirstRun) -> None:
        """Use the folder and portal of the first-run page, and remember them when they differ."""
        chosen = replace(self.config, home=answer.home, portal=answer.portal)
        if chosen != self.config:
            self.config = chosen
            config.remember(home=str(answer.home), portal=answer.portal)

    def sign_in(self, answer: Credentials) -> None:
        """Check name and password and open the workspace."""
        self._entry.working(tr("Signing in…"))

        def work() -> SignedIn:
            self._open()
            return self._sign_in(answer.user, answer.password)

        def done(signed_in: SignedIn) -> None:
            if signed_in.must_change_password:
                self._entry.show_new_password(
                    signed_in.name,
                    lambda new: self._choose_password(signed_in, answer.password, new),
                )
            else:
                self._begin(signed_in)

        self._short.call(work, done=done, failed=self._entry.failed, parent=self)

    def _choose_password(self, signed_in: SignedIn, present: str, new: str) -> None:
        """All that a sign-in with a password set by an admin may do."""
        self._entry.working(tr("Changing the password…"))

        def work() -> SignedIn:
            database = self.installation.signed_in(signed_in.role_name, signed_in.secret, PROGRAM)
            try:
                with database.begin() as session:
                    users.change_password(session, present, new)
            finally:
                database.close()
            return signed_in

        self._short.call(work, done=self._begin, failed=self._entry.failed, parent=self)

    def _sign_in(self, name: str, password: str) -> SignedIn:
        console: Database = self.installation.console(PROGRAM)
        try:
            with console.begin() as session:
                return users.sign_in(session, name, password, PROGRAM)
        finally:
            console.close()

    def _begin(self, signed_in: SignedIn) -> None:
        self._start_agent()
        log.set_process(user=signed_in.name)
        self._entry.remember(signed_in.name)
        self.signed_in = WhileSignedIn(
            self._window,
            self.installation,
            self._remembered,
            signed_in,
            self.config.server,
            parent=self,
        )
        self.signed_in.refused.connect(self._on_refused)
        self.signed_in.server_gone.connect(self.revive)
        if self._changed:
            self._window.notify(translated(self._changed), State.FAILED)

    # Elsewhere

    def choose_server(self) -> None:
        """Ask which database to use, over the page before the workspace."""
        settings = self.config
        folder = user_state()

        def try_out(spec: ServerSpec, done: Done, failed: Failed) -> None:
            self._short.call(
                lambda: connections.try_out(settings, spec.dsn, spec.password, folder),
                done=done,
                failed=failed,
                parent=self,
            )

        def use(spec: ServerSpec | None, done: Done, failed: Failed) -> None:
            dsn = None if spec is None else spec.dsn
            notes: list[Note] = []

            def prepare() -> tuple[Installation, bool]:
                if spec is not None:
                    connections.try_out(settings, spec.dsn, spec.password, folder)
                    where = connections.keep_password(spec.dsn, spec.password, folder)
                    if where:
                        told = tr("The server's password is kept in {where}.")
                        notes.append((told.format(where=translated(where)), State.RUNNING))
                elsewhere = _installation(replace(settings, database_url=dsn))
                return elsewhere, self._serving and any(self._depending())

            def leave(prepared: tuple[Installation, bool]) -> None:
                elsewhere, keep = prepared

                def work() -> None:
                    self._let_go(keep=keep)
                    # An agent left behind has read the configuration file as it was.
                    try:
                        connections.remember(dsn)
                    except ConsoleError as error:
                        told = tr("{error} The next start asks again.")
                        text = told.format(error=translated(error.summary))
                        notes.append((text, State.FAILED))

                def left(_value: None) -> None:
                    self._forget()
                    self._move(elsewhere, notes)
                    done(None)  # a notice would have gone with the page before

                def stuck(error: ConsoleError) -> None:
                    self._forget()
                    failed(error)

                self._short.call(work, done=left, failed=stuck, parent=self)

            self._short.call(prepare, done=leave, failed=failed, parent=self)

        dialog = ServerDialog(
            self._window,
            self._window.notify,
            connections.spec_of(settings.database_url),
            embedded=settings.embedded,
            try_out=try_out,
            use=use,
        )
        dialog.open()

    def _forget(self) -> None:
        """The installation has been let go; whoever signs in opens it again."""
        self._agent = None
        self._opened = False

    def _move(self, elsewhere: Installation, notes: list[Note]) -> None:
        """Begin again with another database; the one before has been let go."""
        self.config = elsewhere.config
        self.installation = elsewhere
        self._entry.show_likely(self.config)
        for text, state in notes:
            self._window.notify(text, state)
        self.open()

    # Meanwhile

    def revive(self) -> None:
        """The connection is gone: an embedded server that died is started again."""
        if self._reviving or self._closing:
            return
        self._reviving = True

        def done(_value: object) -> None:
            self._reviving = False

        def failed(error: ConsoleError) -> None:
            self._reviving = False
            _log.warning("%s (%s)", error, error.details)

        self._short.call(self.installation.revive, done=done, failed=failed, parent=self)

    def _on_refused(self, error: ConsoleError) -> None:
        """The server refuses this sign-in from now on: back to the sign-in page."""

        def then() -> None:
            self._entry.show_sign_in(self.config)
            self._entry.failed(error)

        self._end_sign_in(then)

    def sign_out(self) -> None:
        """Back to the sign-in page."""

        def back() -> None:
            self._entry.show_sign_in(self.config)

        self._unless_copying(tr("Sign out and cancel the import"), lambda: self._end_sign_in(back))

    def _unless_copying(self, verb: str, then: Callable[[], None]) -> None:
        """Go on; while a file is being copied in, only when ``verb`` is chosen."""
        if self.signed_in is None or not self.signed_in.uploader.active:
            then()
            return
        confirm(
            self._window,
            tr("A file is still being copied in"),
            tr("The import would end with it; nothing of it is kept."),
            verb,
            then,
        )

    def _end_sign_in(self, then: Callable[[], None]) -> None:
        signed_in, self.signed_in = self.signed_in, None

        async def end() -> None:
            if signed_in is not None:
                await signed_in.end()
            then()

        self._ending = spawn(end())

    # Out

    def _may_close(self) -> bool:
        """Asked by the window; it stays until everything behind it has come to an end."""
        if self._closing:
            return False
        self._unless_copying(tr("Close and cancel the import"), self._look_around)
        return False

    def _look_around(self) -> None:
        """Does anybody depend on this process?"""
        if not self._serving:
            self._quit()
            return
        self._short.call(
            self._depending, done=self._on_depending, failed=self._on_unknown, parent=self
        )

    @property
    def _serving(self) -> bool:
        return self._agent is not None and self._agent.serving

    def _depending(self) -> tuple[int, int]:
        """In the pool: open sessions and jobs that end with this process.

        (0, 0) when there is another console or agent, for that takes over by itself.
        """
        if self._agent is None or self._agent.has_successor():
            return 0, 0
        owner = self.installation.owner(PROGRAM)
        try:
            with owner.begin() as session:
                open_sessions = boot_sessions.list_boot_sessions(
                    session, open_only=True, limit=_MOST
                )
                open_jobs = jobs.list_jobs(session, open_only=True, limit=_MOST)
                return len(open_sessions), len(open_jobs)
        finally:
            owner.close()

    def _on_unknown(self, error: ConsoleError) -> None:
        """Without the database, what was read last has to do."""
        _log.warning("%s (%s)", error, error.details)
        if self.signed_in is None:
            self._quit()
        else:
            workspace = self.signed_in.workspace
            self._on_depending((workspace.open_sessions, workspace.open_jobs))

    def _on_depending(self, depending: tuple[int, int]) -> None:
        machines, waiting = depending
        if machines and self.signed_in is not None:
            may_stop = self.signed_in.workspace.access.has(Role.OPERATOR)
            ask_what_to_do_with_machines(
                self._window,
                machines,
                lambda: self._quit(keep=True),
                self._stop_machines if may_stop else None,
            )
        else:
            # Nobody is signed in who could stop machines; queued work needs no window.
            self._quit(keep=bool(machines or waiting))

    def _stop_machines(self) -> None:
        if self.signed_in is None:
            return
        database = self.signed_in.database

        def stop() -> None:
            with database.begin() as session:
                rows = boot_sessions.list_boot_sessions(session, open_only=True, limit=_MOST)
                boot_sessions.stop_boot_sessions(session, [row.id for row in rows])
            deadline = time.monotonic() + _STOP_S
            while rows:
                time.sleep(0.1)
                with database.begin() as session:
                    rows = boot_sessions.list_boot_sessions(session, open_only=True, limit=_MOST)
                if rows and time.monotonic() > deadline:
                    raise ConsoleError(
                        tr(
                            "%n machine(s) (is|are) still being served; see the Jobs page for why.",
                            "",
                            len(rows),
                        )
                    )

        self._short.call(
            stop,
            done=lambda _value: self._quit(),
            failed=lambda error: show_error(self._window, error),
            parent=self,
        )

    def _on_crash_read(self) -> None:
        """With the window gone nothing else would ever end the process."""
        if self._closing:
            self.ended.emit()

    def _quit(self, *, keep: bool = False) -> None:
        if self._closing:
            return
        self._closing = True
        self._window.hide()
        self._end_sign_in(lambda: self._leave(keep))

    def _leave(self, keep: bool) -> None:
        def failed(error: ConsoleError) -> None:
            _log.warning("%s (%s)", error, error.details)
            self._last_words = show_error(None, error)
            self._last_words.destroyed.connect(self._on_left)

        self._short.call(
            lambda: self._let_go(keep=keep),
            done=lambda _value: self._on_left(),
            failed=failed,
        )

    def _on_left(self) -> None:
        # The answer came from a thread that may not have ended yet.
        self._short.end()
        self._short.wait()
        self.ended.emit()

    def _let_go(self, *, keep: bool) -> None:
        """In the pool: leave the installation; with ``keep``, an agent stays behind."""
        try:
            if self._agent is not None:
                self._agent.stop()
                self._agent.wait()
            if keep:
                leave_behind(self.installation)
        finally:
            if self._opened:
                self.installation.close()


def _installation(settings: Config) -> Installation:
    return Installation(settings, connections.kept_password(settings, user_state()))
