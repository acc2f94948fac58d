# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sessions: giving machines an image, and what was observed of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, cast, func, select, text
from sqlalchemy.orm import Session

from ..enums import ImageStatus, SessionStatus, SessionType
from ..errors import ConsoleError, NotFoundError, Sentence, listed, sentence
from ..models import BootSession, Host, Image, ImageVersion, Machine, User
from .names import is_named
from .rows import first_row, one_row, rows

PAGE = 300
OPEN = (SessionStatus.PENDING, SessionStatus.ACTIVE)


@dataclass(frozen=True, slots=True)
class BootSessionRow:
    """A session; ``connected`` says whether its initiator is logged in right now."""

    id: int
    machine: str
    machine_id: int
    image: str
    type: SessionType
    status: SessionStatus
    stop_requested: bool
    connected: bool
    target_iqn: str
    initiator_iqn: str
    portal: str
    lun: int
    client_address: str | None
    bytes_read: int
    bytes_written: int
    host: str
    error: str
    started_by: str | None
    created_at: datetime
    ready_at: datetime | None
    active_at: datetime | None
    last_seen_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether the machine may still log in."""
        return self.status in OPEN


@dataclass(frozen=True)
class Started:
    """Sessions begun together, and the job that makes their targets."""

    session_ids: list[int]
    job_id: int


@dataclass(frozen=True)
class StartedAgain:
    """Sessions begun anew, and a sentence for each machine that could not have one."""

    session_ids: tuple[int, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BootSessionTotal:
    """How many sessions have a status, and the bytes their machines read and wrote."""

    status: SessionStatus
    sessions: int
    bytes_read: int
    bytes_written: int


@functools.cache
def _select() -> Select[*tuple[Any, ...]]:
    return (
        select(
            BootSession.id,
            Machine.name.label("machine"),
            BootSession.machine_id,
            BootSession.image_name.label("image"),
            BootSession.type,
            BootSession.status,
            BootSession.stop_requested,
            BootSession.connected,
            BootSession.target_iqn,
            BootSession.initiator_iqn,
            BootSession.portal,
            BootSession.lun,
            func.host(BootSession.client_address).label("client_address"),
            BootSession.bytes_read,
            BootSession.bytes_written,
            Host.name.label("host"),
            BootSession.error,
            User.name.label("started_by"),
            BootSession.created_at,
            BootSession.ready_at,
            BootSession.active_at,
            BootSession.last_seen_at,
            BootSession.expires_at,
            BootSession.ended_at,
        )
        .join(Machine, Machine.id == BootSession.machine_id)
        .join(Host, Host.id == BootSession.host_id)
        .outerjoin(User, User.id == BootSession.started_by)
        .order_by(BootSession.id.desc())
    )


def list_boot_sessions(
    session: Session,
    ids: Iterable[int] | None = None,
    *,
    open_only: bool = False,
    machine_id: int | None = None,
    before_id: int | None = None,
    since_id: int | None = None,
    limit: int = PAGE,
) -> list[BootSessionRow]:
    """Newest first: a page of sessions, of those older than ``before_id``, of those not older than
    ``since_id``, or just those of ``ids``.
    """
    query = _select()
    if ids is not None:
        query = query.where(BootSession.id.in_(list(ids)))
    else:
        query = query.limit(limit)
    if open_only:
        query = query.where(BootSession.status.in_(OPEN))
    if machine_id is not None:
        query = query.where(BootSession.machine_id == machine_id)
    if before_id is not None:
        query = query.where(BootSession.id < before_id)
    if since_id is not None:
        query = query.where(BootSession.id >= since_id)
    return rows(session.execute(query), BootSessionRow)


def boot_session_totals(session: Session) -> list[BootSessionTotal]:
    """Sessions, past ones too, counted by status; every status has its row."""
    query = select(
        BootSession.status,
        func.count().label("sessions"),
        cast(func.sum(BootSession.bytes_read), BigInteger).label("bytes_read"),
        cast(func.sum(BootSession.bytes_written), BigInteger).label("bytes_written"),
    ).group_by(BootSession.status)
    found = {total.status: total for total in rows(session.execute(query), BootSessionTotal)}
    return [
        found.get(status, BootSessionTotal(status, sessions=0, bytes_read=0, bytes_written=0))
        for status in SessionStatus
    ]


def get_boot_session(session: Session, name: str) -> BootSessionRow:
    """The session with this number, or the newest of the machine called ``name``."""
    query = _select().limit(1)
    by_machine = is_named(Machine.name, name)
    row = first_row(session.execute(query.where(by_machine)), BootSessionRow)
    if row is None and name.isascii() and name.isdigit() and len(name) < 19:
        by_number = query.where(BootSession.id == int(name))
        row = first_row(session.execute(by_number), BootSessionRow)
    if row is None:
        raise NotFoundError(
            sentence("There is no session {name}, and no machine “{name}” that had one.", name=name)
        )
    return row


def start_boot_sessions(
    session: Session, machine_ids: Sequence[int], image_id: int, session_type: SessionType
) -> Started:
    """Give each machine the image, all or none; ConsoleError says what stands against it."""
    begun = session.execute(
        text(
            "SELECT session_ids, job_id FROM session_start(:machines, :image, "
            "CAST(:type AS session_type))"
        ).bindparams(machines=list(machine_ids), image=image_id, type=session_type)
    )
    return one_row(begun, Started)


def start_boot_sessions_again(
    session: Session, session_ids: Sequence[int], session_type: SessionType | None = None
) -> StartedAgain:
    """Give the machines of these ended sessions the same image again, in its newest version.

    ``session_type`` None: each for the same purpose as before. Machines whose image is gone or not
    ready are left and named; whatever else stands against it refuses all, as a ConsoleError.
    """
    ended = session.execute(
        select(
            BootSession.machine_id,
            Machine.name,
            BootSession.image_name,
            BootSession.type,
            Image.id.label("image_id"),
            Image.status.label("image_status"),
        )
        .join(Machine, Machine.id == BootSession.machine_id)
        .outerjoin(ImageVersion, ImageVersion.id == BootSession.image_version_id)
        .outerjoin(Image, Image.id == ImageVersion.image_id)
        .where(BootSession.id.in_(list(session_ids)))
        .order_by(Machine.name)
    ).all()
    groups: dict[tuple[int, SessionType], list[int]] = {}
    left: list[Sentence] = []
    for row in ended:
        if row.image_status is ImageStatus.READY:
            key = (row.image_id, session_type or row.type)
            groups.setdefault(key, []).append(row.machine_id)
        elif row.image_id is None:
            left.append(
                sentence(
                    "{name}: its image “{image}” is gone.", name=row.name, image=row.image_name
                )
            )
        else:
            left.append(
                sentence(
                    "{name}: its image “{image}” is not ready.", name=row.name, image=row.image_name
                )
            )
    if not groups and left:
        raise ConsoleError(
            sentence("Nothing was started again. {reasons}", reasons=listed(left, " "))
        )
    if not groups:
        raise ConsoleError(sentence("Nothing was started again. These sessions no longer exist."))
    # In one order over all images, so that two people who start one room wait instead of deadlock.
    session.execute(
        select(Machine.id)
        .where(Machine.id.in_([each for group in groups.values() for each in group]))
        .order_by(Machine.id)
        .with_for_update()
    )
    started = [
        start_boot_sessions(session, machine_ids, image_id, kind)
        for (image_id, kind), machine_ids in groups.items()
    ]
    return StartedAgain(tuple(each for one in started for each in one.session_ids), tuple(left))


def stop_boot_sessions(session: Session, session_ids: Sequence[int]) -> int | None:
    """Ask that these machines be refused from now on; the job's id, None when none was open."""
    job_id: int | None = session.execute(
        text("SELECT session_stop(:ids)").bindparams(ids=list(session_ids))
    ).scalar_one()
    return job_id
