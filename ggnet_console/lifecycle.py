# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the window: installation, agent, sign-in, listener, and the way out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from . import log
from .config import Config
from .db import fingerprint
from .db.engine import Database
from .db.installation import Installation
from .enums import Role
from .errors import ConsoleError, SchemaError
from .paths import user_state
from .services import boot_sessions, connections, jobs, users
from .services.connections import ServerSpec
from .services.users import SignedIn
from .signed_in import PROGRAM, Work
from .ui.kit.messages import confirm, show_error
from .ui.kit.tokens import State
from .ui.window.crash_dialog import CrashReporter
from .ui.window.main_window import ask_what_to_do_with_machines
from .ui.window.server_dialog import ServerDialog
from .ui.window.sign_in_pages import Credentials, FirstRun, FirstRunPage, ProblemPage, SignInPage
from .workers.agent.thread import AgentThread, leave_behind
from .workers.background import Background
from .workers.loop import spawn

if TYPE_CHECKING:
    from .app import Console

_log = logging.getLogger(__name__)

_MOST = 10_000
Done = Callable[[Any], None]
Failed = Callable[[ConsoleError], None]
Note = tuple[str, State]
_STOP_S = 60.0


class Desktop(QObject):
    """Leads from an installation to a signed-in window and out again."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.console = console
        self.crashes = CrashReporter(self)
        self.crashes.install()
        self.crashes.closed.connect(self._on_crash_read)
        self.installation = _installation(console.config)
        self._short = Background(parent=self)
        self._opened = False
        self._changed = ""
        self._opening = threading.Lock()
        self._closing = False
        self._reviving = False
        self._agent: AgentThread | None = None
        self.work: Work | None = None
        shell = console.shell
        shell.ask_before_closing(self._may_close)
        shell.sign_out_wanted.connect(self.sign_out)

    # In

    def open(self) -> None:
        """Open the installation in the background and show the right page."""
        if not self._opened and isinstance(self.console.entry_page, FirstRunPage):
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
            self._changed = fingerprint.sentence(self.installation.changed_by_hand())
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
            if not isinstance(self.console.entry_page, FirstRunPage):
                self.console.show_first_run()
        elif not has_users:
            self.console.show_problem(
                ConsoleError(
                    "This database has no accounts yet; make the first admin with "
                    "“ggnet init --admin NAME --password-stdin”."
                )
            )
        elif not isinstance(self.console.entry_page, SignInPage):
            self.console.show_sign_in()

    def _on_closed(self, error: ConsoleError) -> None:
        _log.warning("%s (%s)", error, error.details)
        entry_page = self.console.entry_page
        if isinstance(entry_page, FirstRunPage) and not isinstance(error, SchemaError):
            entry_page.failed(error)
        else:
            self.console.show_problem(error)

    def _start_agent(self) -> None:
        """An embedded installation has no service: its first console is the agent."""
        if self._agent is None and self.installation.config.embedded:
            self._agent = AgentThread(self.installation)
            self._agent.start()

    def set_up(self, answer: FirstRun) -> None:
        """Make the first admin and sign in as that."""
        if not self._opened:
            try:
                self.console.settle(answer)
            except ConsoleError as error:
                self._fail_entry(error)
                return
            self.installation = _installation(self.console.config)
        self._entry_working("Setting up the private database…")

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

        self._short.call(work, done=self._begin_work, failed=self._fail_entry, parent=self)

    def sign_in(self, answer: Credentials) -> None:
        """Check name and password and open the workspace."""
        self._entry_working("Signing in…")

        def work() -> SignedIn:
            self._open()
            return self._sign_in(answer.user, answer.password)

        def done(signed_in: SignedIn) -> None:
            if signed_in.must_change_password:
                self.console.show_new_password(
                    signed_in.name,
                    lambda new: self._choose_password(signed_in, answer.password, new),
                )
            else:
                self._begin_work(signed_in)

        self._short.call(work, done=done, failed=self._fail_entry, parent=self)

    def _choose_password(self, signed_in: SignedIn, present: str, new: str) -> None:
        """All that a sign-in with a password set by an admin may do."""
        self._entry_working("Changing the password…")

        def work() -> SignedIn:
            database = self.installation.signed_in(signed_in.role_name, signed_in.secret, PROGRAM)
            try:
                with database.begin() as session:
                    users.change_password(session, present, new)
            finally:
                database.close()
            return signed_in

        self._short.call(work, done=self._begin_work, failed=self._fail_entry, parent=self)

    def _sign_in(self, name: str, password: str) -> SignedIn:
        console: Database = self.installation.console(PROGRAM)
        try:
            with console.begin() as session:
                return users.sign_in(session, name, password, PROGRAM)
        finally:
            console.close()

    def _begin_work(self, signed_in: SignedIn) -> None:
        self._start_agent()
        log.set_process(user=signed_in.name)
        self.console.remembered.setValue("sign_in/user", signed_in.name)
        self.work = Work(self, signed_in)
        if self._changed:
            self.console.shell.notify(self._changed, State.FAILED)

    def _entry_working(self, doing: str) -> None:
        entry_page = self.console.entry_page
        if not isinstance(entry_page, ProblemPage):
            entry_page.working(doing)

    def _fail_entry(self, error: ConsoleError) -> None:
        entry_page = self.console.entry_page
        if isinstance(error, SchemaError) or isinstance(entry_page, ProblemPage):
            self.console.show_problem(error)
        else:
            entry_page.failed(error)

    # Elsewhere

    def choose_server(self) -> None:
        """Ask which database to use, over the page before the workspace."""
        settings = self.console.config
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
                        notes.append((f"The server's password is kept in {where}.", State.RUNNING))
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
                        notes.append((f"{error.summary} The next start asks again.", State.FAILED))

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
            self.console.shell,
            self.console.shell.notify,
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
        self.console.config = elsewhere.config
        self.installation = elsewhere
        self.console.show_likely_page()
        for text, state in notes:
            self.console.shell.notify(text, state)
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

    def on_sign_in_ended(self, error: ConsoleError) -> None:
        """The server refuses this sign-in from now on: back to the sign-in page."""

        def then() -> None:
            self.console.show_sign_in()
            self._fail_entry(error)

        self._end_work(then)

    def sign_out(self) -> None:
        """Back to the sign-in page."""
        self._unless_copying("Sign out", lambda: self._end_work(self.console.show_sign_in))

    def _unless_copying(self, verb: str, then: Callable[[], None]) -> None:
        """Go on; while a file is being copied in, only when that is wanted."""
        work = self.work
        if work is None or not work.importer.active:
            then()
            return
        confirm(
            self.console.shell,
            "A file is still being copied in",
            "The import would end with it; nothing of it is kept.",
            f"{verb} and cancel the import",
            then,
        )

    def _end_work(self, then: Callable[[], None]) -> None:
        work, self.work = self.work, None

        async def end() -> None:
            if work is not None:
                await work.end()
            then()

        self._ending = spawn(end())

    # Out

    def _may_close(self) -> bool:
        """Asked by the window; it stays until everything behind it has come to an end."""
        if self._closing:
            return False
        self._unless_copying("Close", self._look_around)
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
        work = self.work
        if work is None:
            self._quit()
        else:
            self._on_depending((work.workspace.open_sessions, work.workspace.open_jobs))

    def _on_depending(self, depending: tuple[int, int]) -> None:
        machines, work = depending
        if machines and self.work is not None:
            may_stop = self.work.workspace.access.has(Role.OPERATOR)
            ask_what_to_do_with_machines(
                self.console.shell,
                machines,
                lambda: self._quit(keep=True),
                self._stop_machines if may_stop else None,
            )
        else:
            # Nobody is signed in who could stop machines; queued work needs no window.
            self._quit(keep=bool(machines or work))

    def _stop_machines(self) -> None:
        work = self.work
        if work is None:
            return
        database = work.database

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
                        f"{len(rows)} machines are still being served; see the Jobs page for why."
                    )

        self._short.call(
            stop,
            done=lambda _value: self._quit(),
            failed=lambda error: show_error(self.console.shell, error),
            parent=self,
        )

    def _on_crash_read(self) -> None:
        """With the window gone nothing else would ever end the process."""
        if self._closing:
            self.console.ended.emit()

    def _quit(self, *, keep: bool = False) -> None:
        if self._closing:
            return
        self._closing = True
        self.console.shell.hide()
        self._end_work(lambda: self._leave(keep))

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
        self.console.ended.emit()

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
