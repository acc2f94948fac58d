# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet session``: giving machines an image, and what is seen of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import SessionStatus, SessionType
from ..errors import ConsoleError
from . import context, job_waiter
from .options import MOST_ROWS, AsJson, one_of
from .output import print_list, print_one, print_one_or_list

if TYPE_CHECKING:
    from ..db.engine import Database
    from ..services.boot_sessions import BootSessionRow

app = typer.Typer(no_args_is_help=True, help="Machines at work: who has which image.")

_COLUMNS = (
    *("id", "machine", "image", "status", "connected", "client_address"),
    *("bytes_read", "bytes_written", "target_iqn", "portal", "error"),
)
_ALL = 2**31
"""More sessions than can be open."""
_Session = Annotated[
    str,
    typer.Argument(metavar="MACHINE|ID", help="A machine (its newest session) or a number."),
]


def _in_order(database: Database, ids: list[int]) -> list[BootSessionRow]:
    """The sessions with these numbers, in this order."""
    from ..services import boot_sessions

    with database.begin() as session:
        rows = {row.id: row for row in boot_sessions.list_boot_sessions(session, ids)}
    return [rows[number] for number in ids]


@app.command(
    epilog="Example: ggnet session start PC-01 PC-02 --image win11 --wait. With --json, one "
    "machine prints an object, several an array."
)
def start(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="MACHINE", help="Names of machines.")],
    image: Annotated[str, typer.Option("--image", metavar="N", help="The image they get.")],
    session_type: Annotated[
        SessionType, one_of("--type", SessionType, "What it is for.")
    ] = SessionType.DISKLESS_BOOT,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the targets are made.")] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Give machines an image: a target, a LUN, and leave for just that machine to log in."""
    from ..services import boot_sessions, images, machines

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            ids = list(dict.fromkeys(m.id for m in machines.get_machines(session, names)))
            image_id = images.get_image(session, image).id
            begun = boot_sessions.start_boot_sessions(session, ids, image_id, session_type)
        job = job_waiter.ended_job(database, begun.job_id) if wait else None
        place = {machine_id: index for index, machine_id in enumerate(ids)}
        rows = _in_order(database, begun.session_ids)
        rows.sort(key=lambda row: place[row.machine_id])
    print_one_or_list(rows, _COLUMNS, named=len(names), as_json=as_json)
    for row in rows:
        if row.status is SessionStatus.ERROR:
            raise ConsoleError(f"{row.machine}: {row.error}", job.error_details if job else "")
    if job is not None:
        job_waiter.require_success(job)


@app.command(
    epilog="The initiators are refused when this returns. With --json, one name prints an "
    "object, several (or --all) an array."
)
def stop(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MACHINE|ID", help="Machines, or numbers of sessions."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop every open session.")] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """End sessions and wait until the storage host refuses their machines."""
    from ..services import boot_sessions

    if bool(names) == everything:
        raise typer.BadParameter("Name machines or sessions, or give --all.")
    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            if names:
                rows = [boot_sessions.get_boot_session(session, name) for name in names]
            else:
                rows = boot_sessions.list_boot_sessions(session, open_only=True, limit=_ALL)
            ids = list(dict.fromkeys(row.id for row in rows))
            by_host: dict[str, list[int]] = {}
            for row in rows:
                by_host.setdefault(row.host, []).append(row.id)
            job_ids = [
                boot_sessions.stop_boot_sessions(session, group) for group in by_host.values()
            ]
        for job_id in job_ids:
            if job_id is not None:
                job_waiter.finish(database, job_id)
        rows = _in_order(database, ids)
    print_one_or_list(rows, _COLUMNS, named=len(names or ()), as_json=as_json)


@app.command(name="list")
def list_(
    ctx: typer.Context,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only pending and active ones.")
    ] = False,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="NAME", help="Only those of one machine.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_ROWS, help="How many at most.")
    ] = 300,
    *,
    as_json: AsJson = False,
) -> None:
    """List sessions, newest first."""
    from ..services import boot_sessions, machines

    with context.of(ctx).signed_in() as database, database.begin() as session:
        machine_id = machines.get_machine(session, machine).id if machine is not None else None
        rows = boot_sessions.list_boot_sessions(
            session, open_only=open_only, machine_id=machine_id, limit=limit
        )
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: _Session, *, as_json: AsJson = False) -> None:
    """Show everything about one session."""
    from ..services import boot_sessions

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = boot_sessions.get_boot_session(session, name)
    print_one(row, as_json=as_json)


@app.command()
def stats(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Count all sessions by status, with their traffic."""
    from ..services import boot_sessions

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = boot_sessions.boot_session_totals(session)
    print_list(rows, ("status", "sessions", "bytes_read", "bytes_written"), as_json=as_json)
