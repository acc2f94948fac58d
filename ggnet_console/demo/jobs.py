# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of the demo room: two that run, one that waits, three that have ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from ..enums import JobKind, JobStatus
from ..services.jobs import JobRow
from .hosts import HOST
from .targets import LOCKED
from .times import Ago

_TOTAL_BYTES = 40 * 2**30


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
        finished_at=None,
    )
    return replace(job, **fields)
