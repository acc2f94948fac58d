# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for jobs on storage hosts where they were asked for; the Jobs feed says how they go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from ..enums import JobStatus
from ..errors import ConsoleError
from .kit.translate import tr, translated

if TYPE_CHECKING:
    from ..services.jobs import JobRow
    from .page_context import PageContext


class JobWaiter(QObject):
    """Calls ``ended`` once, with all jobs as they ended; until then ``progressed`` with a sentence.

    ``progressed`` is also told how much of all of it is done, 0 to 1.

    Both are called in the main thread, at once when the jobs have ended already, and not at all
    once ``parent`` is gone.
    """

    def __init__(
        self,
        context: PageContext,
        job_ids: Sequence[int],
        ended: Callable[[list[JobRow]], None],
        parent: QObject,
        progressed: Callable[[str, float], None] = lambda _text, _share: None,
    ) -> None:
        super().__init__(parent)
        self._context, self._ids = context, tuple(job_ids)
        self._ended, self._progressed = ended, progressed
        watched, ids = context.watched, self._ids
        watched.update(ids)
        # Who closes the dialog is told by a notice, as of any other job.
        self.destroyed.connect(lambda: watched.difference_update(ids))
        self._done = False
        context.feeds.jobs.updated.connect(self._look)
        context.feeds.hosts.updated.connect(self._look)
        self._look()

    def _look(self) -> None:
        if self._done:
            return
        found = self._context.feeds.jobs.rows
        jobs = [found[number] for number in self._ids if number in found]
        opened = [job for job in jobs if job.open]
        if opened or len(jobs) < len(self._ids):
            done = sum(1.0 if not job.open else job.percent / 100 for job in jobs)
            self._progressed(self._sentence(opened), done / len(self._ids))
            return
        self._done = True
        self.deleteLater()
        self._ended(jobs)

    def _sentence(self, opened: Sequence[JobRow]) -> str:
        alive = {host.name for host in self._context.feeds.hosts.rows.values() if host.alive}
        silent = sorted({job.host for job in opened} - alive)
        if silent:
            told = tr("Waiting for the agent of {hosts}. It must run for this.")
            return told.format(hosts=", ".join(silent))
        return " · ".join(dict.fromkeys(translated(job.phase) for job in opened if job.phase))


def error_of(job: JobRow) -> ConsoleError | None:
    """Why a job that has ended did not succeed; None when it did."""
    if job.status is JobStatus.SUCCEEDED:
        return None
    if job.status is JobStatus.CANCELLED:
        return ConsoleError(tr("The work on {host} was cancelled.").format(host=job.host))
    failed = tr("The work on {host} failed.").format(host=job.host)
    return ConsoleError(job.error or failed, job.error_details)
