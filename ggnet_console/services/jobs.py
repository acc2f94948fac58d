# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as people see them: long work with progress, cancel and retry."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ..enums import JobKind, JobStatus
from ..errors import NotFoundError, sentence
from ..models import Host, Job
from .rows import first_row, rows

PAGE = 300
OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job; sizes in bytes, ``bytes_per_s`` a rate, ``seconds_left`` an estimate."""

    id: int
    kind: JobKind
    status: JobStatus
    object_name: str
    host: str
    image_id: int | None
    machine_id: int | None
    phase: str
    percent: float
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_s: int | None
    seconds_left: int | None
    error: str
    error_details: str
    result: dict[str, Any]
    cancel_requested: bool
    attempts: int
    created_by_name: str
    created_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime | None
    """When its agent last wrote how far it is."""
    finished_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it still waits or runs."""
        return self.status in OPEN


@functools.cache
def _select() -> Select[*tuple[Any, ...]]:
    return select(
        Job.id,
        Job.kind,
        Job.status,
        Job.object_name,
        Host.name.label("host"),
        Job.image_id,
        Job.machine_id,
        Job.phase,
        Job.percent,
        Job.bytes_done,
        Job.bytes_total,
        Job.bytes_per_s,
        Job.seconds_left,
        Job.error,
        Job.error_details,
        Job.result,
        Job.cancel_requested,
        Job.attempts,
        Job.created_by_name,
        Job.created_at,
        Job.started_at,
        Job.heartbeat_at,
        Job.finished_at,
    ).join(Host, Host.id == Job.host_id)


def list_jobs(
    session: Session,
    ids: Iterable[int] | None = None,
    *,
    open_only: bool = False,
    before_id: int | None = None,
    since_id: int | None = None,
    limit: int = PAGE,
) -> list[JobRow]:
    """Newest first: a page of jobs, of those older than ``before_id``, of those not older than
    ``since_id``, or just those of ``ids``.
    """
    query = _select().order_by(Job.id.desc())
    if ids is not None:
        query = query.where(Job.id.in_(list(ids)))
    else:
        query = query.limit(limit)
    if open_only:
        query = query.where(Job.status.in_(OPEN))
    if before_id is not None:
        query = query.where(Job.id < before_id)
    if since_id is not None:
        query = query.where(Job.id >= since_id)
    return rows(session.execute(query), JobRow)


def get_job(session: Session, job_id: int) -> JobRow:
    """The job with this number; NotFoundError when there is none."""
    row = first_row(session.execute(_select().where(Job.id == job_id)), JobRow)
    if row is None:
        raise NotFoundError(sentence("There is no job {job_id}.", job_id=job_id))
    return row


def cancel_job(session: Session, job_id: int) -> JobStatus:
    """Cancel a queued job at once, or ask a running one to stop; returns the status right after."""
    return JobStatus(session.execute(select(func.job_cancel(job_id))).scalar_one())


def retry_job(session: Session, job_id: int) -> int:
    """Queue the same work again; returns the new job's id."""
    new: int = session.execute(select(func.job_retry(job_id))).scalar_one()
    return new
