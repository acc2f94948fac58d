# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts pages, feeds and the window together for one signed-in person."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QSettings, QTimer
from PySide6.QtWidgets import QWidget

from ...enums import JobKind, JobStatus, Role
from ...errors import ConsoleError, SignInError, UnreachableError
from ..enum_words import word
from ..kit import format as fmt
from ..kit.actions import Access
from ..kit.feed import Changes, Feed, Older, Runner, Update
from ..kit.messages import show_error
from ..kit.tokens import State, worst
from ..kit.translate import tr, translated
from ..page_context import Feeds, PageContext, Uploader
from .main_window import MainWindow, PageSpec

if TYPE_CHECKING:
    from ...services.users import Me

_MOST_READ = 100_000
"""Of open rows, and of older ones that somebody has scrolled to."""
COUNT_MS = 100
"""Many hints become one counting."""
HOSTS_MS = 10_000
PATIENCE_MS = 3_000
"""A storage host that has just begun may have something to report in a moment."""
_TOLD = (
    JobKind.IMAGE_IMPORT,
    JobKind.IMAGE_VERIFY,
    JobKind.IMAGE_CONVERT,
    JobKind.IMAGE_REMOVE,
)


def make_feeds(runner: Runner, parent: QObject) -> Feeds:
    """One feed per noun; what they read is imported here, after the first frame."""
    from ...services import (  # noqa: PLC0415
        boot_sessions,
        concurrent_edits,
        hosts,
        images,
        jobs,
        machines,
        settings,
        targets,
        users,
    )

    def all_hosts(session: Any, ids: Any = None) -> list[Any]:  # noqa: ARG001 - there are few
        return list(hosts.list_hosts(session))

    def all_users(session: Any, ids: Any = None) -> list[Any]:  # noqa: ARG001
        return list(users.list_users(session))

    def all_settings(session: Any, ids: Any = None) -> list[Any]:  # noqa: ARG001
        return list(settings.list_settings(session))

    # The database hints at every row that shows a change, but for names; see Workspace._follow.
    feed = partial(Feed[Any], runner, parent=parent)

    def paged(read: Any, table: str, page: int) -> Feed[Any]:
        older = Older(
            page,
            before=lambda session, before_id: read(session, before_id=before_id),
            since=lambda session, since_id: _with_open(
                read, session, since_id=since_id, limit=_MOST_READ
            ),
        )

        def newest(session: Any, ids: Any = None) -> list[Any]:
            return list(read(session, ids)) if ids is not None else _with_open(read, session)

        return feed(newest, table, older=older)

    return Feeds(
        machines=feed(machines.list_machines, "machines"),
        images=feed(images.list_images, "images", ("targets",)),
        targets=feed(targets.list_targets, "targets"),
        sessions=paged(boot_sessions.list_boot_sessions, "boot_sessions", boot_sessions.PAGE),
        jobs=paged(jobs.list_jobs, "jobs", jobs.PAGE),
        hosts=feed(all_hosts, "hosts", by_id=False),
        opened=feed(concurrent_edits.list_open, "open_objects", by_id=False),
        users=feed(
            all_users,
            "users",
            ("sign_ins", "failed_sign_ins"),
            by_id=False,
            on_demand=True,
        ),
        settings=feed(all_settings, "settings", by_id=False, on_demand=True),
    )


def _with_open(read: Any, session: Any, **how: int) -> list[Any]:
    """Everything open, however old, and what is read of the rest; the newest page by default."""
    rows = {row.id: row for row in read(session, open_only=True, limit=_MOST_READ)}
    rows |= {row.id: row for row in read(session, **how)}
    return list(rows.values())


class Workspace(QObject):
    """Owns the feeds; feed it with the listener's hints by ``on_changed``."""

    def __init__(
        self,
        window: MainWindow,
        runner: Runner,
        feeds: Feeds,
        uploader: Uploader,
        settings: QSettings,
        *,
        user_id: int,
        person: str,
        role: Role,
        server: str,
    ) -> None:
        """``server`` as people know it, such as ``lab-server (TLS)`` or ``This computer``."""
        super().__init__(window)
        self._window, self._person, self._server = window, person, server
        self._seen: dict[int, JobStatus] = {}
        self._drifts: dict[int, object] = {}
        self._unloaded = True
        self.access = Access(role, word, self, user_id=user_id)
        self.context = PageContext(
            runner, feeds, uploader, self.access, settings, window.notify, window.show_page
        )
        self._specs = self._pages()
        window.show_workspace(self._specs, str(settings.value("window/page", "machines")), server)
        self._show_person()
        window.password_wanted.connect(self._on_password)
        window.status.work_clicked.connect(lambda: window.show_page("jobs"))
        window.page_shown.connect(lambda key: settings.setValue("window/page", key))
        window.file_dropped.connect(self._on_file)
        feeds.jobs.updated.connect(self._on_jobs)
        feeds.hosts.updated.connect(self._on_hosts)
        self._patience = _timer(self, PATIENCE_MS, self._tell_trouble, single=True)
        self._follow(feeds.machines, "name", (feeds.targets, feeds.sessions))
        self._follow(feeds.images, "name", (feeds.machines, feeds.targets))
        self._follow(feeds.hosts, "portal", (feeds.targets,))
        feeds.targets.updated.connect(self._on_targets)
        self._soon = _timer(self, COUNT_MS, self._count, single=True)
        for feed in feeds.all():
            feed.failed.connect(self._on_failed)
            feed.updated.connect(self._on_updated)
            feed.reread()
        # An agent that has died says nothing, so somebody has to look.
        _timer(self, HOSTS_MS, feeds.hosts.reread).start()

    def _follow(self, feed: Feed[Any], field: str, dependents: tuple[Feed[Any], ...]) -> None:
        """Rows of ``dependents`` show ``field`` of these rows: read them again when it changes."""
        seen: dict[int, object] = {}

        def look(update: Update[Any]) -> None:
            changed = False
            for row in update.rows:
                value = getattr(row, field)
                changed |= seen.get(row.id, value) != value
                seen[row.id] = value
            if changed:
                for dependent in dependents:
                    dependent.reread()

        feed.updated.connect(look)

    # From the listener

    def on_changed(self, changes: object) -> None:
        """Hints of the listener: changed ids by table, or None for anything."""
        hints: Changes | None = changes if isinstance(changes, dict) else None
        for feed in self.context.feeds.all():
            feed.on_changed(hints)
        if hints is None or not hints.keys().isdisjoint(("users", "sign_ins")):
            self._ask_who_i_am()

    def on_lost(self) -> None:
        """The connection to the database is gone."""
        self._window.connection_lost(self._server)
        self.access.set_waiting(
            tr("Waiting for the connection to {server}").format(server=self._server)
        )

    def on_restored(self) -> None:
        """The connection is back: everything is read again."""
        self._window.connection_restored()
        self.access.set_waiting(None)
        self.on_changed(None)

    @property
    def open_sessions(self) -> int:
        """How many machines have a session now."""
        return sum(row.open for row in self.context.feeds.sessions.rows.values())

    @property
    def open_jobs(self) -> int:
        """How many jobs wait or run."""
        return sum(row.open for row in self.context.feeds.jobs.rows.values())

    # Who is signed in

    def _show_person(self) -> None:
        self._window.show_person(
            f"{self._person} · {word(self.access.role)}",
            {spec.key for spec in self._specs if self.access.has(spec.needs)},
        )

    def _ask_who_i_am(self) -> None:
        from ...services import users  # noqa: PLC0415

        self.context.runner.run(
            users.who_am_i, done=self._on_me, failed=self._on_failed, parent=self
        )

    def _on_me(self, me: Me) -> None:
        """Rights that were given or taken hold at once: the window follows the database."""
        before, self._person = self.access.role, me.name
        self.access.set_role(me.role)
        self._show_person()
        if me.role is before:
            return
        who = me.role_changed_by
        told = (
            tr("Your role is now {role}, changed by {who}.")
            if who
            else tr("Your role is now {role}.")
        )
        self._window.notify(told.format(role=word(me.role), who=who), State.ATTENTION)

    def _on_password(self) -> None:
        from ..users.password_dialog import change_password  # noqa: PLC0415

        change_password(self._window, self.context)

    # Pages

    def _pages(self) -> list[PageSpec]:
        return [
            PageSpec("dashboard", tr("Dashboard"), "layout-dashboard", self._dashboard),
            PageSpec("machines", tr("Machines"), "monitor", self._machines),
            PageSpec("images", tr("Images"), "hard-drive", self._images),
            PageSpec("targets", tr("Targets"), "target", self._targets),
            PageSpec("sessions", tr("Sessions"), "plug-zap", self._sessions),
            PageSpec("jobs", tr("Jobs"), "list-checks", self._jobs),
            PageSpec("audit", tr("Audit"), "scroll-text", self._audit, Role.ADMIN),
            PageSpec("users", tr("Users"), "users", self._users, Role.ADMIN),
            PageSpec("settings", tr("Settings"), "sliders-horizontal", self._settings, Role.ADMIN),
        ]

    def _dashboard(self) -> QWidget:
        from ..dashboard import Dashboard  # noqa: PLC0415 - pages are imported when first shown

        return Dashboard(self.context)

    def _machines(self) -> QWidget:
        from ..machines.page import MachinesPage  # noqa: PLC0415

        return MachinesPage(self.context)

    def _images(self) -> QWidget:
        from ..images.page import ImagesPage  # noqa: PLC0415

        return ImagesPage(self.context)

    def _targets(self) -> QWidget:
        from ..targets.page import TargetsPage  # noqa: PLC0415

        return TargetsPage(self.context)

    def _sessions(self) -> QWidget:
        from ..boot_sessions.page import SessionsPage  # noqa: PLC0415

        return SessionsPage(self.context)

    def _jobs(self) -> QWidget:
        from ..jobs import JobsPage  # noqa: PLC0415

        return JobsPage(self.context)

    def _audit(self) -> QWidget:
        from ..audit.page import AuditPage  # noqa: PLC0415

        return AuditPage(self.context)

    def _users(self) -> QWidget:
        from ..users.page import UsersPage  # noqa: PLC0415

        return UsersPage(self.context)

    def _settings(self) -> QWidget:
        from ..settings import SettingsPage  # noqa: PLC0415

        return SettingsPage(self.context)

    # Reactions

    def _on_file(self, source: Path) -> None:
        from ..images.page import ImagesPage  # noqa: PLC0415

        refusal = self.access.refusal(Role.OPERATOR)
        if refusal:
            told = tr("An image cannot be imported now. {reason}.").format(reason=refusal)
            show_error(self._window, ConsoleError(told))
            return
        page = self._window.show_page("images")
        if isinstance(page, ImagesPage):
            page.import_file(source)

    def _on_updated(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _count(self) -> None:
        """The numbers beside the pages."""
        from ..hosts import trouble_of, unread_of  # noqa: PLC0415
        from ..machines.page import is_problem, sign_of  # noqa: PLC0415
        from ..targets.words import has_drifted, state_of  # noqa: PLC0415

        feeds, show = self.context.feeds, self._window.sidebar.set_count
        broken = [sign_of(row) for row in feeds.machines.rows.values() if is_problem(row)]
        hosts = [
            State.FAILED
            for host in feeds.hosts.rows.values()
            for trouble in (trouble_of(host), unread_of(host))
            if trouble
        ]
        drifted = [state_of(row)[0] for row in feeds.targets.rows.values() if has_drifted(row)]
        total = len(feeds.machines.rows)
        show("dashboard", len(broken + hosts), worst(broken + hosts), tr("Need attention"))
        if broken:
            about = tr("%n with a problem, {total} in all", "", len(broken))
            about = about.format(total=fmt.number(total))
            show("machines", len(broken), worst(broken), about)
        else:
            show("machines", total)
        show("images", len(feeds.images.rows))
        total = len(feeds.targets.rows)
        if drifted:
            about = tr("%n (differs|differ), {total} in all", "", len(drifted))
            about = about.format(total=fmt.number(total))
            show("targets", len(drifted), worst(drifted), about)
        else:
            show("targets", total)
        sessions, jobs = self.open_sessions, self.open_jobs
        show("sessions", sessions, about=tr("%n open", "sessions", sessions))
        show("jobs", jobs, about=tr("%n open", "jobs", jobs))

    def _on_targets(self, update: Update[Any]) -> None:
        """Machines show whether their target runs as wanted; what agents report hints at targets."""
        changed = set()
        for row in update.rows:
            shown = (row.status, row.drift)
            if row.machine_id is not None and self._drifts.get(row.id) != shown:
                changed.add(row.machine_id)
            self._drifts[row.id] = shown
        if changed and not update.whole:
            self.context.feeds.machines.reread(changed)

    def _on_hosts(self) -> None:
        """Whatever page is open: without its storage hosts a room stands still."""
        if not self._trouble():
            self._patience.stop()
            self._tell_trouble()
        elif self._window.notice.text:
            self._tell_trouble()
        elif not self._patience.isActive():
            self._patience.start()

    def _trouble(self) -> str:
        from ..hosts import trouble_of  # noqa: PLC0415

        hosts = sorted(self.context.feeds.hosts.rows.values(), key=lambda host: host.name)
        return "\n".join(filter(None, map(trouble_of, hosts)))

    def _tell_trouble(self) -> None:
        self._window.notice.say(self._trouble())

    def _on_jobs(self, update: Update[Any]) -> None:
        from ..jobs import progress_of, title_of  # noqa: PLC0415

        running = [job for job in self.context.feeds.jobs.rows.values() if job.open]
        self._window.set_work(
            [progress_of(job) for job in running if job.status is JobStatus.RUNNING]
        )
        for job in update.rows:
            before = self._seen.get(job.id)
            self._seen[job.id] = job.status
            if self._unloaded or update.older or job.open or before is job.status:
                continue
            if job.status is JobStatus.FAILED and job.id not in self.context.watched:
                told = tr("{job}: failed. {error}")
                text = told.format(job=title_of(job), error=translated(job.error))
                show = partial(self._show_job, job.id)
                self._window.notify(text, State.FAILED, tr("Show"), show)
            elif job.status is JobStatus.SUCCEEDED and job.kind in _TOLD:
                self._window.notify(tr("{job}: done.").format(job=title_of(job)), State.RUNNING)
        self._unloaded = False

    def _show_job(self, job_id: int) -> None:
        from ..kit.page import Page  # noqa: PLC0415

        page = self._window.show_page("jobs")
        if isinstance(page, Page):
            page.select([job_id])

    def _on_failed(self, error: ConsoleError) -> None:
        """The banner speaks for a lost connection, the sign-in page for an ended sign-in."""
        if not isinstance(error, UnreachableError | SignInError):
            self._window.notify(translated(error.summary), State.FAILED)


def _timer(
    parent: QObject, interval_ms: int, handler: Callable[[], None], *, single: bool = False
) -> QTimer:
    timer = QTimer(parent)
    timer.setInterval(interval_ms)
    timer.setSingleShot(single)
    timer.timeout.connect(handler)
    return timer
