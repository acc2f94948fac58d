# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet job``: long work on the storage hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from . import context, job_waiter
from .options import MOST_ROWS, AsJson, Wait
from .output import print_list, print_one, say

app = typer.Typer(no_args_is_help=True, help="Long work on the storage hosts.")

_COLUMNS = ("id", "kind", "object_name", "status", "percent", "phase", "created_by_name", "error")
_Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="Number of the job.")]


@app.command(name="list")
def list_(
    ctx: typer.Context,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only queued and running ones.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_ROWS, help="How many at most.")
    ] = 300,
    *,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from ..services import jobs

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = jobs.list_jobs(session, open_only=open_only, limit=limit)
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(ctx: typer.Context, job_id: _Id, *, as_json: AsJson = False) -> None:
    """Show everything about one job."""
    from ..services import jobs

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = jobs.get_job(session, job_id)
    print_one(row, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, job_id: _Id) -> None:
    """Cancel a job: a queued one at once, a running one as soon as it can stop."""
    from ..enums import JobStatus
    from ..services import jobs

    with context.of(ctx).signed_in() as database, database.begin() as session:
        status = jobs.cancel_job(session, job_id)
    if status is JobStatus.CANCELLED:
        say(f"Job {job_id} is cancelled.")
    else:
        say(f"Job {job_id} was asked to stop; “ggnet job wait {job_id}” waits for it.")


@app.command()
def retry(ctx: typer.Context, job_id: _Id, wait: Wait = False, *, as_json: AsJson = False) -> None:
    """Try the work of a failed or cancelled job again, as a new job."""
    from ..services import jobs

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            new_id = jobs.retry_job(session, job_id)
            job = jobs.get_job(session, new_id)
        if wait:
            job = job_waiter.ended_job(database, new_id)
    if as_json:
        print_one(job, as_json=True)
    else:
        say(f"Job {new_id} is {job.status}.")
    if wait:
        job_waiter.require_success(job)


@app.command(name="wait")
def wait_(
    ctx: typer.Context,
    job_id: _Id,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", min=0, help="Give up after so many seconds."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Wait until a job has ended; exits 1 with its sentence when it failed or was cancelled."""
    with context.of(ctx).signed_in() as database:
        job = job_waiter.ended_job(database, job_id, timeout)
    if as_json:
        print_one(job, as_json=True)
    job_waiter.require_success(job)
    if not as_json:
        say(f"Job {job_id} has {job.status.lower()}.")
