# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of ``ggnet target`` that compare what runs with what is wanted, and make it so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import JobStatus, PlanAction
from ..errors import ConsoleError
from ..values import count
from . import context, job_waiter
from .options import AsJson
from .output import complain, print_json, print_one, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from ..db.engine import Database
    from ..services.hosts import HostRow
    from ..services.jobs import JobRow
    from ..services.target_plans import HostPlan, PlanEntry

EXAMPLES = {
    "plan": "Examples: ggnet target plan; ggnet target plan lab-server --json.",
    "apply": "Examples: ggnet target apply; ggnet target apply PC-01 --cut PC-01.",
    "repair": "Example: ggnet target repair lab-server --saved.",
    "adopt": "Example: ggnet target adopt iqn.2020-01.org.example:disk1.",
}
_WORDS = {
    PlanAction.ADD: "add",
    PlanAction.CHANGE: "change",
    PlanAction.REMOVE: "remove",
    PlanAction.LEAVE: "leave",
}
_Host = Annotated[
    str | None, typer.Argument(metavar="HOST", help="One storage host; default: all of them.")
]
_OnHost = Annotated[
    str | None, typer.Option("--host", metavar="HOST", help="One storage host; default: all.")
]
_Cut = Annotated[
    list[str] | None,
    typer.Option(
        "--cut", metavar="MACHINE", help="A machine that may lose its disk by it; repeatable."
    ),
]
_Iqn = Annotated[str, typer.Argument(metavar="IQN", help="The target's name.")]


def plan(ctx: typer.Context, host: _Host = None, *, as_json: AsJson = False) -> None:
    """Compare now what runs and is saved with what is wanted, and list what apply would change."""
    from ..services import target_plans

    with context.of(ctx).signed_in() as database:
        done = _on_hosts(
            database, host, lambda session, one: target_plans.compare_targets(session, one.id)
        )
        for job in done:
            job_waiter.require_success(job)
        with database.begin() as session:
            plans = target_plans.read_plans(session, host)
    if as_json:
        print_json(plans)
        return
    for one in plans:
        _print_plan(one)


def apply(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MACHINE|IQN", help="Some targets; default: all."),
    ] = None,
    cut: _Cut = None,
    host: _OnHost = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make targets as wanted with the least change; refused when a machine would lose its disk."""
    from ..services import target_plans, targets

    with context.of(ctx).signed_in() as database:
        chosen: dict[int, list[str]] = {}
        if names:
            with database.begin() as session:
                for row in (targets.get_target(session, name) for name in names):
                    chosen.setdefault(row.host_id, []).append(row.iqn)

        def ask(session: Session, one: HostRow) -> int | None:
            if names and one.id not in chosen:
                return None
            return target_plans.apply_targets(session, one.id, chosen.get(one.id), cut or ())

        done = _on_hosts(database, host, ask)
    _print_done(done, "changed", as_json=as_json)


def repair(
    ctx: typer.Context,
    host: _Host = None,
    saved: Annotated[
        bool,
        typer.Option("--saved", help="Set a saved configuration that cannot be read aside."),
    ] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """Make as wanted what can be without cutting any machine off, what is saved too."""
    from ..services import target_plans

    with context.of(ctx).signed_in() as database:
        done = _on_hosts(
            database,
            host,
            lambda session, one: target_plans.repair_targets(
                session, one.id, set_saved_aside=saved
            ),
        )
    _print_done(done, "repaired", as_json=as_json)


def undo(
    ctx: typer.Context, host: _Host = None, cut: _Cut = None, *, as_json: AsJson = False
) -> None:
    """Make targets again what they were before the last apply; shows as drift until the next."""
    from ..services import target_plans

    with context.of(ctx).signed_in() as database:
        done = _on_hosts(
            database,
            host,
            lambda session, one: (
                target_plans.undo_targets(session, one.id, cut or ())
                if one.undoable or host
                else None
            ),
        )
    if not done:
        raise ConsoleError("There is nothing to undo: no apply has changed a target.")
    _print_done(done, "as before", as_json=as_json)


def adopt(ctx: typer.Context, iqn: _Iqn, host: _OnHost = None, *, as_json: AsJson = False) -> None:
    """Want a target that was made by hand as it runs now; needs an admin."""
    from ..services import target_plans, targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            rows = [
                row
                for row in targets.list_targets(session)
                if row.iqn == iqn and host in (None, row.host)
            ]
            if len(rows) > 1:
                raise ConsoleError(f"Several storage hosts run {iqn}; name one with --host.")
            row = rows[0] if rows else targets.get_target(session, iqn)
            job_id = target_plans.adopt_target(session, row.host_id, row.iqn)
        job_waiter.finish(database, job_id)
        _print_target(database, iqn, f"Adopted {iqn}.", as_json=as_json)


def release(ctx: typer.Context, iqn: _Iqn, *, as_json: AsJson = False) -> None:
    """Want an adopted target no more; it runs on untouched. Needs an admin."""
    from ..services import target_plans, targets

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            job_id = target_plans.release_target(session, targets.get_target(session, iqn).id)
        job_waiter.finish(database, job_id)
        _print_target(database, iqn, f"Released {iqn}.", as_json=as_json)


def _on_hosts(
    database: Database, name: str | None, ask: Callable[[Session, HostRow], int | None]
) -> list[JobRow]:
    """Ask one host, or all that have a living agent, and wait until all their jobs have ended."""
    from ..services import hosts

    with database.begin() as session:
        rows = hosts.list_hosts(session) if name is None else [hosts.get_host(session, name)]
        alive = [row for row in rows if row.alive or name is not None or len(rows) == 1]
        jobs = [job for row in alive if (job := ask(session, row)) is not None]
    for row in rows:
        if row not in alive:
            complain(f"No agent works on {row.name}; what is known of it may be old.")
    return [job_waiter.ended_job(database, job) for job in jobs]


def _print_done(done: Sequence[JobRow], what: str, *, as_json: bool) -> None:
    """What came of each host's job; ConsoleError when one of them failed, after telling of all."""
    if as_json:
        print_json(
            [
                {"host": job.host, "status": job.status, "error": job.error, **job.result}
                for job in done
            ]
        )
    else:
        for job in done:
            if job.status is JobStatus.SUCCEEDED:
                _print_result(job, what)
    for job in done:
        job_waiter.require_success(job)


def _print_result(job: JobRow, what: str) -> None:
    say(f"{job.host}: {count(job.result['changed'], 'target')} {what}.")
    for iqn in job.result.get("left", ()):
        say(f"  left, because a machine would lose its disk: {iqn}")
    for iqn, lost in job.result.get("not_restored", {}).items():
        say(f"  not as before: {iqn}")
        for each in lost:
            say(f"          {each}")


def _print_target(database: Database, iqn: str, sentence: str, *, as_json: bool) -> None:
    from ..services import targets

    if not as_json:
        say(sentence)
        return
    with database.begin() as session:
        print_one(targets.get_target(session, iqn), as_json=True)


def _print_plan(plan: HostPlan) -> None:
    changes = [entry for entry in plan.entries if entry.action is not PlanAction.LEAVE]
    say(f"{plan.host}: " + ("in step." if plan.in_step else f"{count(len(changes), 'change')}."))
    if plan.saved_problem:
        say(f"  The saved configuration cannot be read: {plan.saved_problem}")
    for entry in plan.entries:
        _print_entry(entry)


def _print_entry(entry: PlanEntry) -> None:
    say(f"  {_WORDS[entry.action]:<6}  {entry.iqn}" + f"  {entry.machine}".rstrip())
    if entry.action is PlanAction.LEAVE:
        say(
            f"          made by others and left alone; it cannot be adopted: {entry.unsupported}"
            if entry.unsupported
            else "          made by others and left alone, unless an admin adopts it"
        )
        return
    for one in entry.differences:
        say(
            f"          {one.field}: {one.found or 'nothing'} → {one.wanted or 'nothing'}"
            f" ({one.where.lower()})"
        )
    if entry.cut_off:
        say(f"          would lose the disk: {', '.join(entry.cut_off)}")
