# SPDX-License-Identifier: GPL-3.0-or-later
"""The Jobs page: long work with percent, speed, time left, Cancel and Try again."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout

from ..enums import JobKind, JobStatus
from ..services import jobs
from ..services.jobs import JobRow
from .enum_words import sign, word
from .history_tab import History
from .kit import format as fmt
from .kit.actions import Action
from .kit.columns import number_column, speed_column, time_column
from .kit.detail_pane import DetailPane, Fact, Tab
from .kit.messages import Details
from .kit.page import Chip, Empty, Page
from .kit.progress import Progress
from .kit.table_model import Column
from .kit.tokens import S, State
from .kit.translate import tr, translated
from .kit.widgets import label
from .page_context import PageContext

SILENT_S = 60.0
"""A running job of which nothing has been heard for so long looks as if it had stopped."""
_IMAGE_KINDS = tuple(kind for kind in JobKind if kind.startswith("image."))
_ELSEWHERE = {JobKind.TARGET_APPLY: tr("Use “Start again” on Machines or Dashboard instead")}
_RETRIED = (JobKind.IMAGE_VERIFY, JobKind.IMAGE_CONVERT, JobKind.IMAGE_REMOVE)


def title_of(row: JobRow) -> str:
    """What a job does, to what: “Import Win11-Games”."""
    work = word(row.kind)
    if not row.object_name:
        return work
    return tr("{work} {name}", "Import Win11-Games").format(work=work, name=row.object_name)


def state_of(row: JobRow) -> tuple[State, str]:
    """A job's sign and what there is to say about it."""
    if row.status is JobStatus.FAILED:
        return State.FAILED, translated(row.error) or word(row.status)
    if row.open and row.cancel_requested:
        return State.WORKING, tr("Cancelling")
    if row.status is JobStatus.RUNNING:
        share = fmt.percent(row.percent / 100)
        silent = fmt.since(row.heartbeat_at)
        told = [translated(row.phase) or tr("Running"), share]
        if silent is None or silent < SILENT_S:
            return State.WORKING, " · ".join(filter(None, told))
        told.append(tr("no news for {duration}").format(duration=fmt.duration(silent)))
        return State.ATTENTION, " · ".join(filter(None, told))
    return sign(row.status), word(row.status)


def progress_of(row: JobRow) -> Progress:
    """A running job as the status bar shows it."""
    return Progress(title_of(row), row.percent / 100, fmt.time_left(row.seconds_left))


def _running(row: JobRow) -> bool:
    return row.status is JobStatus.RUNNING


def _failed(row: JobRow) -> bool:
    return row.status is JobStatus.FAILED


def _left(row: JobRow) -> float | None:
    return row.seconds_left if _running(row) else None


def _took(row: JobRow) -> float | None:
    if row.started_at is None or row.finished_at is None:
        return None
    return (row.finished_at - row.started_at).total_seconds()


COLUMNS: tuple[Column[JobRow], ...] = (
    time_column("asked", tr("Asked for"), lambda r: r.created_at),
    Column("title", tr("Job"), title_of, width=184, grows=True),
    Column(
        "state",
        tr("State"),
        lambda r: state_of(r)[1],
        sort=lambda r: (not r.open, r.status.value),
        state=lambda r: state_of(r)[0],
        progress=lambda r: r.percent / 100 if _running(r) else None,
        width=232,
        stretch=True,
        live=True,
    ),
    speed_column("speed", tr("Speed"), lambda r: r.bytes_per_s if _running(r) else None),
    number_column("left", tr("Time left"), _left, lambda r: fmt.remaining(_left(r)), live=True),
    Column("by", tr("By"), lambda r: r.created_by_name or fmt.NONE, width=80),
    Column("host", tr("Storage host"), lambda r: r.host, width=112, hidden=True),
    number_column("took", tr("Took"), _took, lambda r: fmt.duration(_took(r)), hidden=True),
)

CHIPS: tuple[Chip[JobRow], ...] = (
    Chip(tr("Running"), _running),
    Chip(tr("Waiting"), lambda r: r.status is JobStatus.QUEUED),
    Chip(tr("Failed"), _failed, failed=_failed),
    Chip(tr("Ended"), lambda r: not (r.open or _failed(r))),
)


def _progress(row: JobRow) -> list[Fact]:
    return [
        Fact(tr("Speed"), fmt.speed(row.bytes_per_s)),
        Fact(tr("Time left"), fmt.remaining(row.seconds_left)),
    ]


def facts(row: JobRow) -> list[Fact]:
    """The overview of one job."""
    done = fmt.NONE
    if row.bytes_total:
        done = tr("{done} of {total}").format(
            done=fmt.size(row.bytes_done), total=fmt.size(row.bytes_total)
        )
    result = [
        Fact(tr("Work"), word(row.kind)),
        Fact(tr("On"), row.object_name or fmt.NONE),
        Fact(tr("Done", "how much of it"), done),
        *(_progress(row) if _running(row) else []),
        Fact(tr("Storage host"), row.host),
        Fact(
            tr("Asked for"), fmt.ago(row.created_at), fmt.exact(row.created_at), section=tr("Times")
        ),
        Fact(tr("By"), row.created_by_name or fmt.NONE),
        Fact(tr("Started"), fmt.ago(row.started_at), fmt.exact(row.started_at)),
        Fact(tr("Ended"), fmt.ago(row.finished_at), fmt.exact(row.finished_at)),
        Fact(tr("Took"), fmt.duration(_took(row))),
    ]
    if row.attempts > 1:
        result.append(Fact(tr("Attempts"), str(row.attempts)))
    if row.result.get("file"):
        result.append(Fact(tr("Result"), str(row.result["file"])))
    return result


def _cancellable(rows: Sequence[JobRow]) -> str | None:
    for row in rows:
        if not row.open:
            return tr("Has ended already")
        if row.kind not in _IMAGE_KINDS:
            return tr("Changes of targets take moments and cannot be cancelled")
        if row.cancel_requested:
            return tr("Is being cancelled")
    return None


def _retriable(rows: Sequence[JobRow]) -> str | None:
    for row in rows:
        if row.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            return tr("Only what failed or was cancelled can be tried again")
        if row.kind is JobKind.IMAGE_IMPORT:
            return tr("An import that failed keeps nothing: import the file again")
        if row.kind not in _RETRIED:
            return _ELSEWHERE.get(row.kind, tr("Ask for it again on Targets instead"))
    return None


class ErrorTab(Tab[JobRow]):
    """What the tools said about a failure."""

    title = tr("Error")

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(S)
        self._sentence = label("", wrap=True)
        self._column.addWidget(self._sentence)
        self._details: Details | None = None

    def show_row(self, row: JobRow) -> None:
        self._sentence.setText(translated(row.error) or tr("No error."))
        if self._details is not None:
            self._details.hide()
            self._details.deleteLater()
            self._details = None
        if row.error_details:
            self._details = Details(row.error_details, shown=True)
            self._column.addWidget(self._details)


class JobsPage(Page[JobRow]):
    """Open jobs, and the newest of those that ended."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="jobs",
            title=tr("Jobs"),
            several=lambda n: tr("%n job(s)", "", n),
            none=tr("No job"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    tr("Cancel job"),
                    "ban",
                    self._on_cancel,
                    shortcut="Del",  # no text
                    enabled=_cancellable,
                    button="plain",
                    several=lambda n: tr("Cancel %n job(s)", "", n),
                ),
                Action(
                    tr("Try again"),
                    "rotate-ccw",
                    self._on_retry,
                    enabled=_retriable,
                    button="plain",
                ),
            ),
            empty=Empty(
                tr("No jobs yet"),
                tr(
                    "Long work such as importing an image runs in the background and is shown "
                    "here with its progress. Once a file has been copied in, you can close this "
                    "window; the work goes on."
                ),
            ),
            detail=DetailPane(
                name=title_of,
                state=state_of,
                facts=facts,
                tabs=[ErrorTab(), History(context, "job")],
            ),
            access=context.access,
            settings=context.settings,
        )
        context.feeds.jobs.attach(self)

    def _open(self) -> int:
        running, waiting, *_ended = self.model.counts
        return running + waiting

    def _on_cancel(self, rows: list[JobRow]) -> None:
        for row in rows:
            self._context.do(self, jobs.cancel_job, row.id)

    def _on_retry(self, rows: list[JobRow]) -> None:
        for row in rows:
            self._context.do(self, jobs.retry_job, row.id)
