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
from .kit.translate import tr
from .kit.widgets import label
from .page_context import PageContext

_IMAGE_KINDS = tuple(kind for kind in JobKind if kind.startswith("image."))
_ELSEWHERE = {JobKind.TARGET_APPLY: "Use “Start again” on Machines or Dashboard instead"}
_RETRIED = (JobKind.IMAGE_VERIFY, JobKind.IMAGE_CONVERT, JobKind.IMAGE_REMOVE)


def title_of(row: JobRow) -> str:
    """What a job does, to what: “Import Win11-Games”."""
    return f"{word(row.kind)} {row.object_name}".strip()


def state_of(row: JobRow) -> tuple[State, str]:
    """A job's sign and what there is to say about it."""
    if row.status is JobStatus.FAILED:
        return State.FAILED, row.error or word(row.status)
    if row.open and row.cancel_requested:
        return State.WORKING, "Cancelling"
    if row.status is JobStatus.RUNNING:
        share = fmt.percent(row.percent / 100)
        return State.WORKING, " · ".join(filter(None, (row.phase or "Running", share)))
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
    time_column("asked", "Asked for", lambda r: r.created_at),
    Column("title", "Job", title_of, width=184, grows=True),
    Column(
        "state",
        "State",
        lambda r: state_of(r)[1],
        sort=lambda r: (not r.open, r.status.value),
        state=lambda r: state_of(r)[0],
        progress=lambda r: r.percent / 100 if _running(r) else None,
        width=232,
        stretch=True,
        live=True,
    ),
    speed_column("speed", "Speed", lambda r: r.bytes_per_s if _running(r) else None),
    number_column("left", "Time left", _left, lambda r: fmt.remaining(_left(r)), live=True),
    Column("by", "By", lambda r: r.created_by_name or fmt.NONE, width=80),
    Column("host", "Storage host", lambda r: r.host, width=112, hidden=True),
    number_column("took", "Took", _took, lambda r: fmt.duration(_took(r)), hidden=True),
)

CHIPS: tuple[Chip[JobRow], ...] = (
    Chip("Running", _running),
    Chip("Waiting", lambda r: r.status is JobStatus.QUEUED),
    Chip("Failed", _failed, failed=_failed),
    Chip("Ended", lambda r: not (r.open or _failed(r))),
)


def _progress(row: JobRow) -> list[Fact]:
    return [
        Fact("Speed", fmt.speed(row.bytes_per_s)),
        Fact("Time left", fmt.remaining(row.seconds_left)),
    ]


def facts(row: JobRow) -> list[Fact]:
    """The overview of one job."""
    done = fmt.NONE
    if row.bytes_total:
        done = f"{fmt.size(row.bytes_done)} of {fmt.size(row.bytes_total)}"
    result = [
        Fact("Work", word(row.kind)),
        Fact("On", row.object_name or fmt.NONE),
        Fact("Done", done),
        *(_progress(row) if _running(row) else []),
        Fact("Storage host", row.host),
        Fact("Asked for", fmt.ago(row.created_at), fmt.exact(row.created_at), section="Times"),
        Fact("By", row.created_by_name or fmt.NONE),
        Fact("Started", fmt.ago(row.started_at), fmt.exact(row.started_at)),
        Fact("Ended", fmt.ago(row.finished_at), fmt.exact(row.finished_at)),
        Fact("Took", fmt.duration(_took(row))),
    ]
    if row.attempts > 1:
        result.append(Fact("Attempts", str(row.attempts)))
    if row.result.get("file"):
        result.append(Fact("Result", str(row.result["file"])))
    return result


def _cancellable(rows: Sequence[JobRow]) -> str | None:
    for row in rows:
        if not row.open:
            return "Has ended already"
        if row.kind not in _IMAGE_KINDS:
            return "Changes of targets take moments and cannot be cancelled"
        if row.cancel_requested:
            return "Is being cancelled"
    return None


def _retriable(rows: Sequence[JobRow]) -> str | None:
    for row in rows:
        if row.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            return "Only what failed or was cancelled can be tried again"
        if row.kind is JobKind.IMAGE_IMPORT:
            return "An import that failed keeps nothing: import the file again"
        if row.kind not in _RETRIED:
            return _ELSEWHERE.get(row.kind, "Ask for it again on Targets instead")
    return None


class ErrorTab(Tab[JobRow]):
    """What the tools said about a failure."""

    title = "Error"

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(S)
        self._sentence = label("", wrap=True)
        self._column.addWidget(self._sentence)
        self._details: Details | None = None

    def show_row(self, row: JobRow) -> None:
        self._sentence.setText(row.error or "No error.")
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
            title="Jobs",
            several=lambda n: tr("%n job(s)", "", n),
            none=tr("No job"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    "Cancel job",
                    "ban",
                    self._on_cancel,
                    shortcut="Del",
                    enabled=_cancellable,
                    button="plain",
                    several=lambda n: tr("Cancel %n job(s)", "", n),
                ),
                Action(
                    "Try again", "rotate-ccw", self._on_retry, enabled=_retriable, button="plain"
                ),
            ),
            empty=Empty(
                "No jobs yet",
                "Long work such as importing an image runs in the background and is shown here "
                "with its progress. Once a file has been copied in, you can close this window; "
                "the work goes on.",
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
