# SPDX-License-Identifier: GPL-3.0-or-later
"""What would have to change so that targets run as wanted, and the asking for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Function, Text, cast, func, select
from sqlalchemy.orm import Session

from ..enums import Drift, PlanAction, TargetOrigin
from ..errors import NotFoundError, sentence
from ..values import composed
from . import hosts, targets
from .hosts import HostRow
from .jobs import JobRow
from .target_reports import FieldDrift
from .targets import TargetRow

_Texts = ARRAY(Text)


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One target that is not in step, or was made by others (LEAVE).

    ``machines`` are all who are logged in to it, ``cut_off`` those of them that would lose their
    disk; both by machine name, by initiator name where no machine has it.
    """

    action: PlanAction
    host: str
    iqn: str
    machine: str
    origin: TargetOrigin
    differences: tuple[FieldDrift, ...]
    machines: tuple[str, ...]
    cut_off: tuple[str, ...]
    portals: tuple[str, ...]
    adoptable: bool
    """Whether an admin can adopt it; ``unsupported`` says why not."""
    unsupported: str


@dataclass(frozen=True, slots=True)
class HostPlan:
    """The plan of one storage host, from its agent's last comparison.

    ``saved_problem`` says why its saved configuration cannot be read; ``compared_at`` None: never
    compared.
    """

    host_id: int
    host: str
    compared_at: datetime | None
    entries: tuple[PlanEntry, ...]
    saved_problem: str
    undoable: int
    """How many targets the last apply changed, and ``undo_targets`` would restore."""

    @property
    def in_step(self) -> bool:
        """Whether there is nothing to apply."""
        return not self.saved_problem and all(
            entry.action is PlanAction.LEAVE for entry in self.entries
        )


@dataclass(frozen=True, slots=True)
class LoginStep:
    """One step of a test login: what was tried, whether it worked, and what came of it."""

    step: str
    ok: bool
    detail: str


_ACTIONS = {
    Drift.MISSING: PlanAction.ADD,
    Drift.DIFFERENT: PlanAction.CHANGE,
    Drift.EXTRA: PlanAction.REMOVE,
}


def _in_step(row: TargetRow) -> bool:
    return row.drift is None or row.drift is Drift.IN_STEP


def _entry(row: TargetRow) -> PlanEntry:
    is_foreign = row.origin is TargetOrigin.FOREIGN
    return PlanEntry(
        action=PlanAction.LEAVE if is_foreign or row.drift is None else _ACTIONS[row.drift],
        host=row.host,
        iqn=row.iqn,
        machine=row.machine,
        origin=row.origin,
        differences=row.differences,
        machines=tuple(one.machine or one.initiator_iqn for one in row.logged_in),
        cut_off=() if is_foreign else row.cut_off,
        portals=row.portals,
        adoptable=is_foreign and not row.unsupported,
        unsupported=row.unsupported,
    )


def _job(session: Session, call: Function[Any]) -> int:
    job_id: int = session.execute(select(call)).scalar_one()
    return job_id


def compare_targets(session: Session, host_id: int) -> int:
    """Have this host's agent compare anew (VIEWER); returns the job's id."""
    return _job(session, func.targets_compare(host_id))


def plans_of(found: Iterable[HostRow], rows: Sequence[TargetRow]) -> list[HostPlan]:
    """The plan of each of these hosts, from all targets as last compared."""
    return [
        HostPlan(
            host_id=one.id,
            host=one.name,
            compared_at=one.compared_at,
            entries=tuple(
                _entry(row) for row in rows if row.host_id == one.id and not _in_step(row)
            ),
            saved_problem=one.saved_problem,
            undoable=one.undoable,
        )
        for one in found
    ]


def read_plans(session: Session, host: str | None = None) -> list[HostPlan]:
    """The plans of all hosts, or of the one with this name (NotFoundError), as last compared."""
    rows = targets.list_targets(session)
    plans = plans_of(
        (one for one in hosts.list_hosts(session) if host is None or one.name == host), rows
    )
    if host is not None and not plans:
        raise NotFoundError(sentence("There is no storage host “{host}”.", host=host))
    return plans


def apply_targets(
    session: Session,
    host_id: int,
    iqns: Iterable[str] | None = None,
    cut: Iterable[str] = (),
) -> int:
    """Make these targets of a host (None: all that are not in step) as wanted (OPERATOR).

    ``cut`` names the machines, or the initiators, that may lose their disk by it. The job fails
    with nothing changed when others would. Returns the job's id.
    """
    names = None if iqns is None else list(iqns)
    return _job(
        session,
        func.targets_reconcile(
            host_id, cast(names, _Texts), cast([composed(name) for name in cut], _Texts)
        ),
    )


def repair_targets(session: Session, host_id: int, *, set_saved_aside: bool = False) -> int:
    """Make as wanted whatever can be without cutting anybody off, saved side too (OPERATOR).

    ``set_saved_aside``: a saved configuration that cannot be read is renamed and written anew.
    Returns the job's id.
    """
    return _job(session, func.targets_repair(host_id, set_saved_aside))


def undo_targets(session: Session, host_id: int, cut: Iterable[str] = ()) -> int:
    """Make every target again what it was before the host's last apply (OPERATOR).

    The difference from what is wanted then shows as drift. ``cut`` as in ``apply_targets``.
    Returns the job's id.
    """
    return _job(session, func.targets_undo(host_id, cast([composed(name) for name in cut], _Texts)))


def compare_hosts(session: Session, host_ids: Iterable[int]) -> list[int]:
    """Have these hosts' agents compare; returns the jobs' ids."""
    return [compare_targets(session, each) for each in host_ids]


def apply_plans(
    session: Session, wanted: Iterable[tuple[int, Iterable[str], Iterable[str]]]
) -> list[int]:
    """Apply ``(host, IQNs, machines that may lose their disk)``; returns the jobs' ids."""
    return [apply_targets(session, *one) for one in wanted]


def repair_hosts(session: Session, host_ids: Iterable[int], set_saved_aside: bool) -> list[int]:
    """Have these hosts' agents repair, see ``repair_targets``; returns the jobs' ids."""
    return [repair_targets(session, each, set_saved_aside=set_saved_aside) for each in host_ids]


def undo_hosts(session: Session, host_ids: Iterable[int]) -> list[int]:
    """Undo the last apply of these hosts; returns the jobs' ids."""
    return [undo_targets(session, each) for each in host_ids]


def adopt_target(session: Session, host_id: int, iqn: str) -> int:
    """Want a target that others made as it runs now (ADMIN); returns the job's id.

    Refused, in the job or at once, when it has something unsupported, runs no more or carries a name of ours.
    """
    return _job(session, func.target_adopt(host_id, iqn))


def release_target(session: Session, target_id: int) -> int:
    """Want an adopted target no more; it runs on untouched, foreign again (ADMIN).

    Returns the id of the job that compares anew.
    """
    return _job(session, func.target_release(target_id))


def test_login(session: Session, target_id: int) -> int:
    """Have the agent discover this target and log in as its machine does (OPERATOR).

    The job's result has the ``login_steps``; it succeeds when the agent could try, whatever came
    of it. Returns the job's id.
    """
    return _job(session, func.target_test(target_id))


def login_steps(job: JobRow) -> list[LoginStep]:
    """What happened in a test login that has ended."""
    return [LoginStep(**step) for step in job.result.get("steps", ())]
