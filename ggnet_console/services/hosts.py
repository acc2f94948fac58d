# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage hosts and whether their agents are alive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..enums import BackendChoice
from ..errors import NotFoundError, sentence
from ..models import Host
from .rows import rows

HEARTBEAT_S = 5
ALIVE_S = 20
"""An agent that has not reported for this long counts as gone."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """A storage host as its agent last reported it; ``alive`` by the database's clock.

    ``portal`` is the one machines are told of. ``backend`` is what runs (``lio`` or ``tgt``),
    ``backend_reason`` says why, ``backend_choice`` what an admin chose.
    """

    id: int
    name: str
    portal: str
    backend: str
    problem: str
    heartbeat_at: datetime | None
    alive: bool
    backend_choice: BackendChoice = BackendChoice.AUTO
    backend_reason: str = ""
    saved_problem: str = ""
    """Why the configuration saved for the host's next start cannot be read."""
    undoable: int = 0
    """How many targets the last apply changed; 0: there is nothing to undo."""
    compared_at: datetime | None = None


def list_hosts(session: Session) -> list[HostRow]:
    """All storage hosts by name."""
    alive = func.coalesce(
        Host.heartbeat_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, ALIVE_S), False
    )
    query = select(
        Host.id,
        Host.name,
        Host.portal,
        Host.backend,
        Host.problem,
        Host.heartbeat_at,
        alive.label("alive"),
        Host.backend_choice,
        Host.backend_reason,
        Host.saved_problem,
        Host.undoable,
        Host.compared_at,
    ).order_by(Host.name)
    return rows(session.execute(query), HostRow)


def get_host(session: Session, name: str) -> HostRow:
    """The storage host called ``name``; NotFoundError when there is none."""
    for row in list_hosts(session):
        if row.name == name:
            return row
    raise NotFoundError(sentence("There is no storage host “{name}”.", name=name))


def report_host(
    session: Session, name: str, portal: str, backend: str, reason: str, problem: str
) -> int:
    """As an agent: announce the host ``name``, what serves its targets and why, and how it does.

    Returns the host's id.
    """
    host_id: int = session.execute(
        select(func.host_report(name, portal, backend, reason, problem))
    ).scalar_one()
    return host_id


def note_compared(session: Session, host_id: int, saved_problem: str, undoable: int) -> None:
    """As an agent: the host's targets were compared with what is wanted."""
    session.execute(select(func.host_compared(host_id, saved_problem, undoable)))


def backend_choice(session: Session, name: str) -> BackendChoice:
    """Which backend an admin chose for the host ``name``; AUTO before its agent has reported."""
    choice = session.execute(select(Host.backend_choice).where(Host.name == name)).scalar()
    return choice or BackendChoice.AUTO


def running_backend(session: Session, name: str) -> BackendChoice | None:
    """What served the host ``name`` when its agent last reported; None before it ever did."""
    found = session.execute(select(Host.backend).where(Host.name == name)).scalar()
    return BackendChoice(found.upper()) if found else None


def choose_backend(session: Session, host_id: int, choice: BackendChoice) -> None:
    """Say which iSCSI target the host is to run (ADMIN).

    ConsoleError while it has open sessions or adopted targets.

    The agent changes over by itself within seconds, unless its configuration pins one.
    """
    session.execute(select(func.host_choose_backend(host_id, choice)))
