# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on targets that is asked for without a dialog of its own, and what is told when it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from PySide6.QtWidgets import QWidget

from ...services import target_plans
from ...services.hosts import HostRow
from ...services.jobs import JobRow
from ..job_waiter import JobWaiter, error_of
from ..kit.messages import confirm, show_error
from ..kit.tokens import State
from ..kit.translate import tr
from ..page_context import PageContext


def have_done(
    parent: QWidget,
    context: PageContext,
    work: Callable[..., list[int]],
    *args: Any,
    told: Callable[[JobRow], str],
) -> None:
    """Have jobs done by ``work(session, *args)``, then say what came of each."""

    def ended(jobs: list[JobRow]) -> None:
        for job in jobs:
            error = error_of(job)
            if error is None:
                context.notify(told(job), State.RUNNING)
            else:
                show_error(parent.window(), error)

    def asked(job_ids: list[int]) -> None:
        JobWaiter(context, job_ids, ended, parent)

    context.do(parent, work, *args, done=asked)


def repair(parent: QWidget, context: PageContext, host_ids: Iterable[int]) -> None:
    """Put right whatever can be without taking a disk away from anybody."""
    have_done(parent, context, target_plans.repair_hosts, sorted(host_ids), False, told=_repaired)


def repair_targets_of(parent: QWidget, context: PageContext, machine_ids: Collection[int]) -> None:
    """Repair where these machines' targets are."""
    targets = context.feeds.targets.rows.values()
    repair(parent, context, {each.host_id for each in targets if each.machine_id in machine_ids})


def rewrite_saved(parent: QWidget, context: PageContext, host: HostRow) -> None:
    """Ask, then write anew the saved configuration that cannot be read."""
    confirm(
        parent,
        tr("Write the saved configuration of {name} anew?").format(name=host.name),
        tr(
            "The file that cannot be read is kept under another name beside it. What the console "
            "wants is saved anew; targets that others had saved there, and that do not run now, "
            "are no longer restored at the next start."
        ),
        tr("Rewrite saved configuration"),
        lambda: have_done(
            parent, context, target_plans.repair_hosts, [host.id], True, told=_repaired
        ),
        danger=False,
    )


def _repaired(job: JobRow) -> str:
    """What a repair did, and what it left."""
    number, left = job.result["changed"], len(job.result["left"])
    done = tr("%n target(s) on {host} repaired.", "", number).format(host=job.host)
    if not left:
        return done
    rest = tr("%n target(s) left: a machine would lose its disk. See the plan.", "", left)
    return f"{done} {rest}"
