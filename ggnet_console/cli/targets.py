# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet target``: the iSCSI targets, one per machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ..errors import ConsoleError
from . import context, job_waiter, target_plans
from .options import AsJson, OnOff
from .output import complain, is_read, print_list, print_one, say

app = typer.Typer(no_args_is_help=True, help="The iSCSI targets, one per machine.")
for _verb in (
    *(target_plans.plan, target_plans.apply, target_plans.repair, target_plans.undo),
    *(target_plans.adopt, target_plans.release),
):
    app.command(epilog=target_plans.EXAMPLES.get(_verb.__name__))(_verb)

_COLUMNS = (
    *("machine", "iqn", "status", "drift", "origin", "image", "lun", "initiator_iqn"),
    *("chap_user", "sessions", "portal", "error"),
)
_Target = Annotated[
    str, typer.Argument(metavar="MACHINE|IQN", help="The target's machine, or its own name.")
]


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all targets by machine."""
    from ..services import targets

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = targets.list_targets(session)
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: _Target, *, as_json: AsJson = False) -> None:
    """Show everything about one target."""
    from ..services import targets

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = targets.get_target(session, name)
    if as_json:
        print_one(row, as_json=True)
        return
    facts = asdict(row)
    tree = facts.pop("tree")
    print_one(facts, as_json=False)
    for line in tree.splitlines():
        say(line)


@app.command(epilog="Example: ggnet target create PC-01 --image win11")
def create(
    ctx: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Name of the machine.")],
    image: Annotated[str, typer.Option("--image", metavar="N", help="The image it shows.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Prepare a machine's target, closed until a session opens it; waits until it is made."""
    from ..services import images, machines, targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            job_id = targets.create_target(
                session,
                machines.get_machine(session, machine).id,
                images.get_image(session, image).id,
            )
        job_waiter.finish(database, job_id)
        with database.begin() as session:
            row = targets.get_target(session, machine)
    if as_json:
        print_one(row, as_json=True)
    else:
        say(f"{row.machine} has the target {row.iqn}.")


@app.command()
def remove(ctx: typer.Context, name: _Target) -> None:
    """Take a machine's target away; refused while a session is open."""
    from ..services import targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            row = targets.get_target(session, name)
            job_id = targets.remove_target(session, row.id)
        job_waiter.finish(database, job_id)
    say(f"Removed the target of {row.machine}.")


@app.command(
    epilog="Example: ggnet target chap PC-01 on. The secret is shown just this once; “on” again "
    "makes another one."
)
def chap(
    ctx: typer.Context,
    name: _Target,
    state: Annotated[OnOff, typer.Argument(metavar="on|off", case_sensitive=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Ask a machine for a CHAP secret when it logs in, or no more."""
    from ..services import targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            row = targets.get_target(session, name)
            if state is OnOff.OFF:
                made, job_id = None, targets.turn_chap_off(session, row.id)
            else:
                made = targets.turn_chap_on(session, row.id)
                job_id = made.job_id
        # Whatever becomes of the job: this is the one moment in which the secret is told.
        if made is not None:
            secret = {"iqn": row.iqn, "chap_user": made.user, "chap_secret": made.secret}
            print_one(secret, as_json=as_json)
            if not is_read():
                complain(f"The secret is lost; run “ggnet target chap {name} on” for another one.")
        job_waiter.finish(database, job_id)
    if made is None:
        say(f"{row.iqn} asks for no secret any more.")


@app.command(
    epilog="Exit status 1 when a step did not go as it should. The machine notices nothing."
)
def test(ctx: typer.Context, name: _Target, *, as_json: AsJson = False) -> None:
    """Discover a target and log in to it as its machine does, and say what happened."""
    from ..services import target_plans as plans
    from ..services import targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            row = targets.get_target(session, name)
            job_id = plans.test_login(session, row.id)
        steps = plans.login_steps(job_waiter.finish(database, job_id))
    print_list(steps, ("ok", "step", "detail"), as_json=as_json)
    failed = next((step for step in steps if not step.ok), None)
    if failed is not None:
        raise ConsoleError(f"The test login to {row.iqn} failed: {failed.step}.", failed.detail)
