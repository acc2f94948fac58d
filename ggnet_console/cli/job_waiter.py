# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for work on a storage host, with its progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..enums import JobStatus
from ..errors import CancelledError, ConsoleError
from ..values import format_size
from .output import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..db.engine import Database
    from ..services.jobs import JobRow

_POLL_S = 0.2
NO_AGENT_S = 30.0
"""A storage host whose agent has been silent for this long is not waited for any more."""

STILL_S = 60.0
"""A job of which nothing has changed for this long is said to stand still."""


def ended_job(database: Database, job_id: int, timeout_s: float | None = None) -> JobRow:
    """Wait until the job has ended, however it did.

    Raises ConsoleError after ``timeout_s`` seconds, or when no agent works on its host.
    """
    from ..services import hosts, jobs

    began = seen_alive = moved = time.monotonic()
    told = False
    seen: JobRow | None = None
    with progress_line() as show:
        while True:
            with database.begin() as session:
                job = jobs.get_job(session, job_id)
                alive = any(h.alive for h in hosts.list_hosts(session) if h.name == job.host)
            if not job.open:
                return job
            now = time.monotonic()
            if alive:
                seen_alive = now
            elif not told:
                told = True
                complain(f"Waiting for the agent on {job.host} …")
            if now - seen_alive > NO_AGENT_S:
                raise ConsoleError(
                    f"No agent works on {job.host}, so job {job_id} waits; start ggnet-agent "
                    "or the console there."
                )
            if job != seen:
                seen, moved = job, now
            elif now - moved > STILL_S:
                moved = now
                complain(
                    f"Job {job_id} on {job.host} has not moved for {STILL_S:g} s; see whether its "
                    "disk or the database's is full. “ggnet job cancel” stops it."
                )
            if timeout_s is not None and now - began >= timeout_s:
                raise ConsoleError(
                    f"Job {job_id} is still {job.status} after {timeout_s:g} s; it goes on."
                )
            show(job.phase, job.percent, job.bytes_per_s, job.seconds_left)
            time.sleep(_POLL_S)


def require_success(job: JobRow) -> JobRow:
    """``job`` as it is; ConsoleError with its sentence unless it has succeeded."""
    if job.status is JobStatus.CANCELLED:
        raise CancelledError(job.error or f"Job {job.id} was cancelled.")
    if job.status is not JobStatus.SUCCEEDED:
        raise ConsoleError(job.error or f"Job {job.id} is {job.status}.", job.error_details)
    return job


def finish(database: Database, job_id: int, timeout_s: float | None = None) -> JobRow:
    """Wait until the job has ended well; ConsoleError with its sentence when it did not."""
    return require_success(ended_job(database, job_id, timeout_s))


@contextmanager
def progress_line() -> Iterator[Callable[[str, float, int | None, int | None], None]]:
    """A line on stderr that is written over with (phase, percent, bytes/s, seconds left).

    Nothing is written unless stderr is a terminal; the line is gone after the block.
    """
    on_terminal = sys.stderr.isatty()

    def show(phase: str, percent: float, bytes_per_s: int | None, seconds_left: int | None) -> None:
        if not on_terminal:
            return
        speed = f"  {format_size(bytes_per_s)}/s" if bytes_per_s else ""
        left = f"  {seconds_left} s left" if seconds_left is not None else ""
        print(  # noqa: T201
            f"\r\x1b[K{phase or 'Waiting'} {percent:.0f} %{speed}{left}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        yield show
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
