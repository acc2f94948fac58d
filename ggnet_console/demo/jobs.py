# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of the demo room: two that run, one that waits, three that have ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..enums import JobKind, JobStatus
from ..errors import ConsoleError, sentence
from ..services.jobs import JobRow
from .changes import save
from .hosts import AGENT, HOST
from .images import cancel_import, end_work
from .targets import LOCKED
from .times import Ago

if TYPE_CHECKING:
    from .room import Room

_TOTAL_BYTES = 40 * 2**30
_READING_BYTES_PER_S = 312 * 2**20
_AT_A_TIME = 3


def make_jobs(ago: Ago) -> list[JobRow]:
    """All jobs, the longest of them first."""
    importing, running = JobKind.IMAGE_IMPORT, JobStatus.RUNNING
    verify, convert, apply = JobKind.IMAGE_VERIFY, JobKind.IMAGE_CONVERT, JobKind.TARGET_APPLY
    failed, done = JobStatus.FAILED, JobStatus.SUCCEEDED
    rows: tuple[tuple[int, JobKind, JobStatus, str, int | None, str, float, int | None], ...] = (
        (3, importing, running, "Blender render node", 5, "Copying", 12.0, 640),
        (2, importing, running, "Win11-Office 2026-11", 4, "Converting", 64.0, 118),
        (4, verify, JobStatus.QUEUED, "Exam room, locked down", 3, "", 0.0, None),
        (5, apply, failed, "PC-05, PC-06, PC-21", None, "", 0.0, None),
        (6, convert, done, "Win11-Games", 1, "", 100.0, None),
        (7, importing, JobStatus.CANCELLED, "Kiosk test", None, "", 31.0, None),
    )
    return [
        new_job(
            number,
            kind,
            ago(4 + number * 3),
            status=status,
            object_name=name,
            image_id=image_id,
            phase=phase,
            percent=percent,
            bytes_done=int(percent / 100 * _TOTAL_BYTES),
            bytes_total=_TOTAL_BYTES,
            bytes_per_s=int((1 - percent / 100) * _TOTAL_BYTES / left) if left else None,
            seconds_left=left,
            error=LOCKED if status is failed else "",
            error_details="/var/run/targetcli.lock was waited for 5 seconds."
            if status is failed
            else "",
            started_at=None if status is JobStatus.QUEUED else ago(3 + number * 3),
            finished_at=ago(number * 2) if status in (failed, done, JobStatus.CANCELLED) else None,
        )
        for number, kind, status, name, image_id, phase, percent, left in rows
    ]


def new_job(number: int, kind: JobKind, at: datetime, **fields: Any) -> JobRow:
    """A job that waits for the room's storage host, unless ``fields`` say otherwise."""
    job = JobRow(
        id=number,
        kind=kind,
        status=JobStatus.QUEUED,
        object_name=HOST,
        host=HOST,
        image_id=None,
        machine_id=None,
        phase="",
        percent=0.0,
        bytes_done=None,
        bytes_total=None,
        bytes_per_s=None,
        seconds_left=None,
        error="",
        error_details="",
        result={},
        cancel_requested=False,
        attempts=1,
        created_by_name="anna",
        created_at=at,
        started_at=None,
        heartbeat_at=None,
        finished_at=None,
    )
    return replace(job, **fields)


def cancel_job(room: Room, job_id: int) -> JobStatus:
    """End a job that waits or runs, at once."""
    job = _job(room, job_id)
    if not job.open:
        raise ConsoleError(sentence("This job has already ended."))
    _end(room, job, JobStatus.CANCELLED)
    if job.image_id is not None and job.kind is JobKind.IMAGE_IMPORT:
        cancel_import(room, job.image_id)
    return JobStatus.CANCELLED


def retry_job(room: Room, job_id: int) -> int:
    """Ask for the same again."""
    job = _job(room, job_id)
    return room.ask(
        job.kind,
        job.object_name,
        image_id=job.image_id,
        bytes_done=0,
        bytes_total=job.bytes_total,
    )


def _job(room: Room, job_id: int) -> JobRow:
    job = next((row for row in room.jobs if row.id == job_id), None)
    if job is None:
        raise ConsoleError(sentence("This job no longer exists."))
    return job


def pass_time(room: Room, seconds: float) -> None:
    """What runs comes further, what has waited begins, and changes of targets are done."""
    running = [row for row in room.jobs if row.status is JobStatus.RUNNING]
    for job in running:
        _go_on(room, job, seconds)
    begun = len(running)
    for job in [row for row in room.jobs if row.status is JobStatus.QUEUED]:
        if not job.bytes_total:
            _end(room, job, JobStatus.SUCCEEDED)
        elif begun < _AT_A_TIME:
            begun += 1
            rate = _READING_BYTES_PER_S
            started = replace(job, phase="Reading", bytes_per_s=rate, started_at=room.now)
            save(room, replace(started, status=JobStatus.RUNNING), AGENT)


def _go_on(room: Room, job: JobRow, seconds: float) -> None:
    total, rate = job.bytes_total, job.bytes_per_s
    if not (total and rate):
        return
    done = min(total, (job.bytes_done or 0) + int(rate * seconds))
    if done < total:
        left = round((total - done) / rate)
        further = replace(job, bytes_done=done, percent=100 * done / total, seconds_left=left)
        save(room, further, AGENT)
        return
    _end(room, job, JobStatus.SUCCEEDED)
    if job.image_id is not None:
        end_work(room, job.image_id, job.kind)


def _end(room: Room, job: JobRow, status: JobStatus) -> None:
    ended = replace(job, status=status, finished_at=room.now, seconds_left=None, bytes_per_s=None)
    if status is JobStatus.SUCCEEDED:
        ended = replace(ended, percent=100.0, bytes_done=job.bytes_total)
    save(room, ended, AGENT if status is JobStatus.SUCCEEDED else "")
