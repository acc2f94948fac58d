# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is: prepare, work, finish, or revert; in the thread the job runner gives it."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy.orm import Session

from ...config import Config
from ...db.engine import Database
from ...enums import JobKind
from ...errors import CancelledError, ConsoleError, HinderedError, UnreachableError, sentence
from ...paths import Home
from ...services import agent_jobs, settings
from ...services.agent_jobs import Task
from ..progress_pace import ProgressPace, rest_s
from .reconciler import Reconciler
from .target_keeper import TargetKeeper

_log = logging.getLogger(__name__)

_AGAIN_S = 0.5

T = TypeVar("T")


class JobInterruptedError(ConsoleError):
    """The agent is ending, or lost its database; the job will be taken up again."""

    def __init__(self) -> None:
        super().__init__(sentence("The work was interrupted and will be taken up again."))


def persist(
    database: Database, interrupted: Callable[[], bool], write: Callable[[Session], T]
) -> T:
    """Have ``write`` done in a transaction, however long the database's disk is full.

    For what must not get lost: that a job began, what it made, how it ended. Raises
    JobInterruptedError when the agent ends or loses the database before.
    """
    told = ""
    while True:
        try:
            with database.begin() as session:
                return write(session)
        except UnreachableError as error:
            raise JobInterruptedError from error
        except HinderedError as error:
            if error.summary != told:
                _log.warning("tried again until it works: %s (%s)", error, error.details)
            told = error.summary
        if interrupted():
            raise JobInterruptedError
        time.sleep(_AGAIN_S)


@dataclass
class JobContext:
    """What a job works with, in its own thread."""

    task: Task
    host_id: int
    config: Config
    database: Database
    keeper: TargetKeeper
    reconciler: Reconciler
    cancelled: Callable[[], bool]
    """Whether the operator asked to stop."""
    interrupted: Callable[[], bool]
    """Whether the agent ends, or lost its job queue."""
    _pace: ProgressPace = field(default_factory=ProgressPace)

    @property
    def tree(self) -> Home:
        """The storage host's folders."""
        return self.config.tree

    @property
    def work_folder(self) -> Path:
        """The folder of this job alone; removed when the job has ended."""
        return self.tree.work / f"job-{self.task.job_id}"

    def setting(self, name: str) -> int:
        """A setting of the installation."""
        with self.database.begin() as session:
            return settings.get_setting(session, name)

    def persist(self, write: Callable[[Session], T]) -> T:
        """As ``persist``, in the name of this job."""

        def in_its_name(session: Session) -> T:
            agent_jobs.for_job(session, self.task.job_id)
            return write(session)

        return persist(self.database, self.interrupted, in_its_name)

    def tick(self) -> None:
        """Call it often: raises CancelledError or JobInterruptedError when it is time to stop."""
        if self.cancelled():
            raise CancelledError
        if self.interrupted():
            raise JobInterruptedError

    def progress(
        self,
        phase: str,
        done: int,
        total: int,
        span: tuple[float, float] = (0.0, 100.0),
        after_s: float | None = None,
    ) -> None:
        """Say how far ``phase`` is; ``span`` is its part of the whole job in percent.

        The time left is that of the whole job; what comes after takes ``after_s`` seconds, or, when
        that is None, its share of the time.
        """
        self.tick()
        if not self._pace.due():
            return
        fraction = done / total if total else 1.0
        speed, left = self._pace.measure(done, total)
        if speed and left is not None:
            left += rest_s(total / speed, span) if after_s is None else round(after_s)
        percent = span[0] + (span[1] - span[0]) * fraction
        self._note(phase, percent, done, total, speed, left)

    def count(self, phase: str, done: int, total: int) -> None:
        """Say that ``done`` things of ``total`` have been dealt with."""
        self.tick()
        if self._pace.due():
            _, left = self._pace.measure(done, total)
            self._note(f"{phase} {done} of {total}", 100 * done / total, None, None, None, left)

    def _note(
        self,
        phase: str,
        percent: float,
        done: int | None,
        total: int | None,
        bytes_per_s: int | None,
        seconds_left: int | None,
    ) -> None:
        try:
            with self.database.begin() as session:
                agent_jobs.note_progress(
                    session,
                    self.task.job_id,
                    phase,
                    percent,
                    done,
                    total,
                    bytes_per_s,
                    seconds_left,
                )
        except (HinderedError, UnreachableError):
            return  # the job can go on without; its end will say when the database stays away


class Job(ABC):
    """One kind of job; a subclass per kind, made anew for each job."""

    kind: ClassVar[JobKind]

    def __init__(self, context: JobContext) -> None:
        self.context = context
        self.task = context.task

    def prepare(self) -> None:
        """Validate and mark busy what is worked on."""

    @abstractmethod
    def work(self) -> dict[str, Any]:
        """Do it, without any transaction open; the answer becomes the job's result."""

    def finish(self, session: Session, result: dict[str, Any]) -> None:
        """Record what was made, in the transaction that ends the job."""

    def discard(self) -> None:
        """After a failure or cancel, before that is recorded: remove what was made so far.

        The disk that ran full may be the database's. What another attempt would need stays.
        """

    def revert(self, session: Session, error: ConsoleError) -> None:
        """After a failure or cancel: mark what was worked on, in the transaction that ends the job.

        Its files are orphan files from then on, see ``remove_orphan_files``.
        """
