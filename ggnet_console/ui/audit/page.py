# SPDX-License-Identifier: GPL-3.0-or-later
"""The Audit page, for admins: who did what, proven to be whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QFileDialog

from ...enums import Role, Severity
from ...errors import ConsoleError
from ...services import audit, users
from ...services.audit import PAGE, AuditFilter, AuditHead, AuditRow
from ...services.audit_export import export_audit
from ..audit_words import NOUNS, action_of, facts, object_of, sign_of, summary_of, who_of
from ..enum_words import word
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.asking_dialog import Done, Failed
from ..kit.detail_pane import DetailPane
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.page import Chip, Empty, Page
from ..kit.paged_table import PagedTableModel
from ..kit.table_model import Column
from ..kit.tokens import State
from ..kit.translate import tr, translated
from ..kit.widgets import Button, Choice
from ..page_context import PageContext
from .prune_dialog import remove_old_entries
from .verify_dialog import head_text, verify_audit

TYPING_MS = 200
LEAST = 3
"""Characters of a search: the index knows texts by three letters, and fewer are in all of them."""
_ONLY_WIDTH = 160
"""Of the name of the only object shown; the other filters stand beside it."""
NEWER_MS = 1_000
"""So long after something changed, the newest entries are read."""
_SPANS: tuple[tuple[str, timedelta | None], ...] = (
    (tr("Any time"), None),
    (tr("Last hour"), timedelta(hours=1)),
    (tr("Last day"), timedelta(days=1)),
    (tr("Last 7 days"), timedelta(days=7)),
    (tr("Last 30 days"), timedelta(days=30)),
)
_BETWEEN = tr("Between…")

COLUMNS: tuple[Column[AuditRow], ...] = (
    Column(
        "at",
        tr("When"),
        lambda r: fmt.moment(r.at),
        tooltip=lambda r: f"{fmt.exact(r.at)}, {fmt.ago(r.at)}",
        width=160,
        tabular=True,
    ),
    Column("action", tr("What"), action_of, state=sign_of, width=144),
    Column("object", tr("Object"), object_of, width=128),
    Column("who", tr("By"), who_of, width=120),
    Column("changes", tr("Changes"), summary_of, width=184, stretch=True, secondary=True),
    Column("severity", tr("Severity"), lambda r: word(r.severity), width=88, hidden=True),
    Column(
        "address",
        tr("From"),
        lambda r: r.client_address or tr("this server"),
        width=112,
        hidden=True,
    ),
    Column("program", tr("Program"), lambda r: r.program or fmt.NONE, width=112, hidden=True),
    Column(
        "job",
        tr("Job"),
        lambda r: str(r.job_id) if r.job_id else fmt.NONE,
        width=64,
        align="right",
        hidden=True,
    ),
)

CHIPS: tuple[Chip[AuditRow], ...] = tuple(
    Chip(word(severity), lambda r, severity=severity: r.severity is severity)  # type: ignore[misc]
    for severity in Severity
)


class AuditPage(Page[AuditRow]):
    """The trail, newest first; filters are the database's, so that they see all of it."""

    model: PagedTableModel[AuditRow]

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._wanted = AuditFilter()
        self._object: tuple[str, str, str] | None = None
        self._between: tuple[datetime | None, datetime | None] = (None, None)
        self._asked = 0
        admin = Role.ADMIN
        super().__init__(
            key="audit",
            title=tr("Audit"),
            several=lambda n: tr("%n entr(y|ies)", "", n),
            none=tr("No entry"),
            columns=COLUMNS,
            chips=CHIPS,
            model=PagedTableModel(COLUMNS),
            actions=(
                Action(
                    tr("Verify"),
                    "shield-check",
                    lambda _rows: verify_audit(self.window(), context),
                    on_rows=False,
                    needs=admin,
                    button="plain",
                ),
                Action(
                    tr("Export"),
                    "file-output",
                    self._on_export,
                    shortcut="Ctrl+E",
                    on_rows=False,
                    needs=admin,
                    button="plain",
                ),
                Action(tr("Only this object"), "search", self._on_object, single=True, needs=admin),
                Action(tr("Only this person"), "users", self._on_person, single=True, needs=admin),
                Action(tr("Copy chain head"), "link", self._on_head, on_rows=False, needs=admin),
                Action(
                    tr("Remove old entries"),
                    "trash-2",
                    lambda _rows: remove_old_entries(self, context, self._ask),
                    on_rows=False,
                    needs=admin,
                ),
            ),
            empty=Empty(
                tr("Nothing has been recorded yet"),
                tr(
                    "Every change of a machine, image, target, session, user or setting is "
                    "recorded here by the database itself."
                ),
            ),
            detail=DetailPane(
                name=action_of, state=lambda r: (sign_of(r), word(r.severity)), facts=facts
            ),
            access=context.access,
            settings=context.settings,
        )
        header = self.view.horizontalHeader()
        self.view.setSortingEnabled(False)
        header.setSortIndicatorShown(False)
        header.setSectionsClickable(False)
        self.search.setToolTip(
            tr(
                "Part of an object's or field's name or of a value, %n character(s) at least",
                "",
                LEAST,
            )
        )
        self._build_filters()
        self._typing = self._timer(TYPING_MS, self._ask)
        self._newer = self._timer(NEWER_MS, self._ask_newer)
        self.model.more_wanted.connect(self._ask_more)
        self.older_wanted.connect(self.model.fetchMore)
        self.reread.connect(self._ask)
        for feed in context.feeds.all():
            feed.updated.connect(self._on_changes)
        context.runner.run(
            users.list_public_users, done=self._on_users, failed=self._on_failed, parent=self
        )
        self._ask()

    def _timer(self, interval_ms: int, handler: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        timer.timeout.connect(handler)
        return timer

    # Filters

    def _build_filters(self) -> None:
        self._only = Button("", "x", "chip")
        self._only.setCheckable(True)
        self._only.clicked.connect(self._on_all_objects)
        self._only.hide()
        self.people, self.nouns, self.times = Choice(), Choice(), Choice()
        self.people.addItem(tr("By anybody"), "")
        self.nouns.addItem(tr("Everything"), "")
        for noun, words in NOUNS.items():
            self.nouns.addItem(words, noun)
        for words, _span in _SPANS:
            self.times.addItem(words, words)
        self.times.addItem(_BETWEEN, _BETWEEN)
        for choice, name in (
            (self.people, tr("Person")),
            (self.nouns, tr("Kind of object")),
            (self.times, tr("Time")),
        ):
            choice.setProperty("kind", "filter")
            choice.setAccessibleName(name)
            choice.setToolTip(name)
        self.filters.addWidget(self._only)
        for choice in (self.people, self.nouns):
            choice.currentIndexChanged.connect(self._ask)
            self.filters.addWidget(choice)
        self.times.activated.connect(self._on_time)
        self.filters.addWidget(self.times)

    def wanted(self) -> AuditFilter:
        """What the filters say now."""
        number = self._group.checkedId()
        since, until = self._between
        span = dict(_SPANS).get(self.times.currentData())
        if span is not None:
            since = datetime.now().astimezone() - span
        noun, object_id = self.nouns.currentData(), ""
        if self._object is not None:
            noun, object_id, _name = self._object
        return AuditFilter(
            user_name=self.people.currentData(),
            noun=noun,
            object_id=object_id,
            severity=list(Severity)[number - 1] if number > 0 else None,
            since=since,
            until=until,
            contains=self._searched(),
        )

    def _searched(self) -> str:
        text = self.search.text().strip()
        return text if len(text) >= LEAST else ""

    def _narrowed(self) -> bool:
        return self._wanted != AuditFilter()

    def _nothing(self) -> str:
        searched = self._searched()
        if searched:
            return tr("No entry contains “{text}”").format(text=searched)
        return tr("No entry fits these filters")

    def _count_text(self) -> str:
        few = self.search.text().strip() and not self._searched()
        return tr("Type %n character(s) to search", "", LEAST) if few else ""

    def _on_users(self, rows: list[users.PublicUser]) -> None:
        for row in rows:
            self.people.addItem(row.name, row.name)

    def _on_filter(self) -> None:
        """Typing waits a moment; everything else asks at once."""
        self._number.setText(self._count_text())
        if self._searched() != self._wanted.contains:
            self._typing.start()
        else:
            self._ask()

    def _on_clear(self) -> None:
        for choice in (self.people, self.nouns, self.times):
            choice.blockSignals(True)
            choice.setCurrentIndex(0)
            choice.blockSignals(False)
        self._between = (None, None)
        self._show_object(None)
        super()._on_clear()
        self._ask()

    def _on_time(self) -> None:
        if self.times.currentData() == _BETWEEN:
            self._ask_between()
        else:
            self._between = (None, None)
            self._ask()

    def _ask_between(self) -> None:
        def submit(values: dict[str, Any], done: Done, _failed: Failed) -> None:
            self._between = values["since"], values["until"]
            done(None)
            self._ask()

        since, until = self._between
        dialog = FormDialog(
            self,
            title=tr("Entries between two times"),
            verb=tr("Show"),
            fields=[
                Field(
                    "since",
                    tr("From", "a time"),
                    help=_TIME_HELP,
                    value=_written(since),
                    placeholder=tr("Since the beginning"),
                    parse=_time,
                ),
                Field(
                    "until",
                    tr("Until", "a time"),
                    help=_TIME_HELP,
                    value=_written(until),
                    placeholder=tr("Now"),
                    parse=_time,
                ),
            ],
            submit=submit,
            notify=self._context.notify,
        )
        dialog.open()

    def _on_object(self, rows: list[AuditRow]) -> None:
        row = rows[0]
        self._show_object((row.noun, row.object_id, object_of(row)))
        self._ask()

    def _on_all_objects(self) -> None:
        self._show_object(None)
        self._ask()

    def _show_object(self, chosen: tuple[str, str, str] | None) -> None:
        self._object = chosen
        self._only.setVisible(chosen is not None)
        self._only.setChecked(True)
        self.nouns.setEnabled(chosen is None)
        self.nouns.setToolTip(
            tr("Kind of object")
            if chosen is None
            else tr("One object is shown: take that filter away first")
        )
        if chosen is not None:
            noun, _id, name = chosen
            kind = NOUNS.get(noun, noun)
            whole = tr("{kind} {name}").format(kind=kind, name=name)
            metrics = self._only.fontMetrics()
            middle = Qt.TextElideMode.ElideMiddle
            self._only.setText(metrics.elidedText(whole, middle, _ONLY_WIDTH))
            hint = tr("Show entries of all objects again")
            self._only.setToolTip(f"{whole}\n{hint}")

    def _on_person(self, rows: list[AuditRow]) -> None:
        name = rows[0].user_name
        if self.people.findData(name) < 0:
            self.people.addItem(name, name)
        self.people.setCurrentIndex(self.people.findData(name))

    # Reading

    def _ask(self) -> None:
        """The first page of what is wanted now."""
        self._typing.stop()
        self._wanted = self.wanted()
        self._asked += 1
        self._read(None, self._asked)

    def _ask_more(self) -> None:
        self._read(self.model.row(self.model.rowCount() - 1).id, self._asked)

    def _read(self, before_id: int | None, asked: int) -> None:
        def done(rows: list[AuditRow]) -> None:
            if asked != self._asked:
                return
            more = len(rows) == PAGE
            if before_id is not None:
                self.model.append(rows, more=more)
                return
            self._loaded = True
            self.model.begin(rows, more=more)
            self.view.scrollToTop()
            self._on_content()

        def failed(error: ConsoleError) -> None:
            self.model.resume()
            self._on_failed(error)

        self._context.runner.run(
            partial(audit.list_audit, before_id=before_id),
            self._wanted,
            done=done,
            failed=failed,
            parent=self,
        )

    def _on_changes(self) -> None:
        if self.isVisible() and not self._newer.isActive():
            self._newer.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._on_changes()

    def _ask_newer(self) -> None:
        """Put new entries above those that are shown; what is looked at stays where it is."""
        asked = self._asked

        def done(rows: list[AuditRow]) -> None:
            if asked != self._asked:
                return
            if self.model.total and not any(self.model.by_id(row.id) for row in rows):
                self._ask()  # more has happened than one page holds
            else:
                self.model.update_rows(rows)

        self._context.runner.run(
            audit.list_audit, self._wanted, done=done, failed=self._on_failed, parent=self
        )

    def _on_failed(self, error: ConsoleError) -> None:
        self._context.notify(translated(error.summary), State.FAILED)

    # Actions

    def _on_export(self, _rows: list[AuditRow]) -> None:
        dialog = QFileDialog(self, tr("Export what is shown"), str(Path.home()))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters([tr("CSV (*.csv)"), tr("JSON lines (*.json)")])
        dialog.setDefaultSuffix("csv")
        dialog.filterSelected.connect(
            lambda chosen: dialog.setDefaultSuffix("csv" if "csv" in chosen else "json")
        )
        dialog.selectFile(f"audit-{datetime.now().astimezone():%Y-%m-%d}")  # no text
        dialog.fileSelected.connect(lambda path: self.export(Path(path)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def export(self, path: Path) -> None:
        """Write what the filters let through to a file, in the background."""
        wanted = self.wanted()

        def done(number: int) -> None:
            told = tr("%n entr(y|ies) written to {path}.", "", number).format(path=path)
            self._context.notify(told, State.RUNNING)

        self._context.do(self, export_audit, path, wanted, done=done)

    def _on_head(self, _rows: list[AuditRow]) -> None:
        def done(head: AuditHead) -> None:
            QGuiApplication.clipboard().setText(head_text(head))
            self._context.notify(
                tr(
                    "Chain head no. {number} copied. Keep it where nobody here can change it; "
                    "“Verify” measures the trail by it."
                ).format(number=fmt.number(head.number)),
                State.RUNNING,
            )

        self._context.do(self, audit.audit_head, done=done)


_TIME_HELP = tr("Local time, such as 2026-11-23 08:00.")


def _time(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError as error:
        raise ConsoleError(tr("Give it as date and time, such as 2026-11-23 08:00.")) from error


def _written(when: datetime | None) -> str:
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}"
