# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's side of targets and sessions: what is wanted of its host, and what it saw there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, bindparam, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, array
from sqlalchemy.orm import Session

from ..enums import SessionStatus, TargetStatus
from ..models import BootSession, ImageVersion, Lun, Machine, Setting, Target
from ..tools.target_backend import Chap, RunningTarget
from .boot_sessions import OPEN
from .rows import rows, rows_by


@dataclass(frozen=True)
class WantedDisk:
    """One LUN: the file of an image version, or (adopted) ``path``."""

    lun: int
    serial: str
    read_only: bool
    image_id: int | None
    version_number: int | None
    path: str | None
    size_bytes: int
    write_back: bool
    store: str


@dataclass(frozen=True)
class Wanted:
    """One target as the database wants it; ``session_id`` is its machine's open session.

    An adopted one has no machine, and is open to its initiators always. ``chap`` is of no target
    of another host's.
    """

    target_id: int
    machine_id: int | None
    iqn: str
    initiators: frozenset[str]
    kept: bool
    disks: tuple[WantedDisk, ...]
    chap: Chap | None
    session_id: int | None
    session_ready: bool
    session_connected: bool
    bytes_read: int
    bytes_written: int
    machine: str
    """The machine's name; empty for an adopted one."""

    @property
    def is_open(self) -> bool:
        """Whether its initiators are to be let in."""
        return self.machine_id is None or self.session_id is not None


@dataclass(frozen=True)
class Activity:
    """What was seen of one session: totals over all its logins so far."""

    session_id: int
    machine_id: int
    address: str | None
    connected: bool
    bytes_read: int
    bytes_written: int


def list_wanted(
    session: Session, host_id: int, target_ids: Iterable[int] | None = None
) -> list[Wanted]:
    """The targets wanted on this host, or those of ``target_ids`` that still are."""
    open_session = BootSession.status.in_(OPEN) & BootSession.stop_requested.is_(False)
    numbers = None if target_ids is None else list(target_ids)
    query = (
        select(
            Target.id.label("target_id"),
            Target.machine_id,
            Target.iqn,
            func.coalesce(Target.initiators, array([Target.initiator_iqn])).label("initiators"),
            Target.kept,
            BootSession.id.label("session_id"),
            BootSession.ready_at.is_not(None).label("session_ready"),
            func.coalesce(BootSession.connected, False).label("session_connected"),
            func.coalesce(BootSession.bytes_read, 0).label("bytes_read"),
            func.coalesce(BootSession.bytes_written, 0).label("bytes_written"),
            func.coalesce(Machine.name, "").label("machine"),
        )
        .outerjoin(Machine, Machine.id == Target.machine_id)
        .outerjoin(BootSession, (BootSession.machine_id == Target.machine_id) & open_session)
        .where(Target.host_id == host_id)
        .order_by(Target.id)
    )
    if numbers is not None:
        query = query.where(Target.id.in_(numbers))
    disks = _disks(session, host_id)
    secrets = _secrets(session)
    return rows(
        session.execute(query),
        Wanted,
        initiators=lambda row: frozenset(row.initiators),
        disks=lambda row: disks.get(row.target_id, ()),
        chap=lambda row: secrets.get(row.target_id),
    )


def _disks(session: Session, host_id: int) -> dict[int, tuple[WantedDisk, ...]]:
    query = (
        select(
            Lun.target_id,
            Lun.lun,
            Lun.serial,
            Lun.read_only,
            ImageVersion.image_id,
            ImageVersion.number.label("version_number"),
            Lun.path,
            func.coalesce(ImageVersion.virtual_size_bytes, Lun.size_bytes).label("size_bytes"),
            Lun.write_back,
            Lun.store,
        )
        .join(Target, Target.id == Lun.target_id)
        .outerjoin(ImageVersion, ImageVersion.id == Lun.image_version_id)
        .where(Target.host_id == host_id)
        .order_by(Lun.target_id, Lun.lun)
    )
    return rows_by(session.execute(query), "target_id", WantedDisk)


def _secrets(session: Session) -> dict[int, Chap]:
    """The CHAP secrets of the calling agent's targets."""
    secrets = func.host_secrets().table_valued("target_id", "chap_user", "secret")
    return {
        row.target_id: Chap(user=row.chap_user, secret=row.secret)
        for row in session.execute(select(secrets))
    }


def targets_of_sessions(session: Session, session_ids: Iterable[int]) -> dict[int, int]:
    """By session, the target that serves it; of those of these sessions that are still open."""
    query = (
        select(BootSession.id, Target.id)
        .join(Target, BootSession.target_iqn == Target.iqn)
        .where(BootSession.id.in_(list(session_ids)), BootSession.status.in_(OPEN))
    )
    return dict(session.execute(query).all())


def machines_served(session: Session, target_ids: Iterable[int]) -> list[str]:
    """Names of the machines that have an open session with one of these targets."""
    query = (
        select(Machine.name)
        .join(Target, Target.machine_id == Machine.id)
        .join(BootSession, BootSession.machine_id == Machine.id)
        .where(Target.id.in_(list(target_ids)), BootSession.status.in_(OPEN))
        .order_by(Machine.name)
    )
    return list(session.execute(query).scalars())


def note_made(session: Session, wanted: Wanted, portal: str) -> None:
    """The target runs as wanted; its session, if any, waits for the machine from now on."""
    status = TargetStatus.OPEN if wanted.is_open else TargetStatus.CLOSED
    session.execute(
        update(Target)
        .where(Target.id == wanted.target_id, or_(Target.status != status, Target.error != ""))
        .values(status=status, error="")
    )
    if wanted.session_id is not None:
        timeout = select(Setting.value).where(Setting.name == "session_timeout_s").scalar_subquery()
        session.execute(
            update(BootSession)
            .where(BootSession.id == wanted.session_id, BootSession.ready_at.is_(None))
            .values(
                portal=portal,
                ready_at=func.clock_timestamp(),
                expires_at=func.clock_timestamp() + text("interval '1 second'") * timeout,
            )
        )


def note_not_made(session: Session, wanted: Wanted, error: str) -> None:
    """The target could not be made: its session ends as ERROR, and so does a kept target."""
    if wanted.session_id is not None:
        session.execute(
            update(BootSession)
            .where(BootSession.id == wanted.session_id, BootSession.status.in_(OPEN))
            .values(
                status=SessionStatus.ERROR,
                error=error,
                connected=False,
                ended_at=func.clock_timestamp(),
            )
        )
        _note_offline(session, [wanted.machine_id] if wanted.machine_id else [])
    if wanted.kept:
        session.execute(
            update(Target)
            .where(Target.id == wanted.target_id)
            .values(status=TargetStatus.ERROR, error=error)
        )
    else:
        session.execute(delete(Target).where(Target.id == wanted.target_id))


def note_closed(session: Session, target_ids: Sequence[int]) -> None:
    """These targets refuse everybody now: forget them, but keep those made by hand."""
    session.execute(delete(Target).where(Target.id.in_(target_ids), Target.kept.is_(False)))
    session.execute(
        update(Target)
        .where(Target.id.in_(target_ids), Target.status != TargetStatus.CLOSED)
        .values(status=TargetStatus.CLOSED, error="")
    )


def forget_targets(session: Session, target_ids: Sequence[int]) -> None:
    """These targets are gone for good."""
    session.execute(delete(Target).where(Target.id.in_(target_ids)))


def end_sessions(session: Session, session_ids: Sequence[int], status: SessionStatus) -> None:
    """These open sessions are over; last address and totals stay."""
    ended = session.execute(
        update(BootSession)
        .where(BootSession.id.in_(session_ids), BootSession.status.in_(OPEN))
        .values(status=status, connected=False, ended_at=func.clock_timestamp())
        .returning(BootSession.machine_id)
    )
    _note_offline(session, list(ended.scalars()))


def _note_offline(session: Session, machine_ids: Sequence[int]) -> None:
    session.execute(
        update(Machine)
        .where(Machine.id.in_(machine_ids), Machine.online)
        .values(online=False, last_seen_at=func.clock_timestamp())
    )


def note_activity(session: Session, seen: Sequence[Activity]) -> None:
    """Write what was seen: the first login makes a PENDING session ACTIVE."""
    if not seen:
        return
    values = [
        {
            "s_id": one.session_id,
            "s_address": one.address,
            "s_connected": one.connected,
            "s_read": one.bytes_read,
            "s_written": one.bytes_written,
            "m_id": one.machine_id,
        }
        for one in seen
    ]
    connection = session.connection()
    connection.execute(
        update(BootSession)
        # Not in_(), whose parameters executemany cannot expand.
        .where(
            BootSession.id == bindparam("s_id"), or_(*(BootSession.status == one for one in OPEN))
        )
        .values(
            status=SessionStatus.ACTIVE,
            active_at=func.coalesce(BootSession.active_at, func.clock_timestamp()),
            client_address=func.coalesce(
                text("CAST(:s_address AS inet)"), BootSession.client_address
            ),
            connected=bindparam("s_connected"),
            bytes_read=bindparam("s_read"),
            bytes_written=bindparam("s_written"),
            last_seen_at=func.clock_timestamp(),
        ),
        values,
    )
    connection.execute(
        update(Machine)
        .where(
            Machine.id == bindparam("m_id"),
            select(BootSession.id)
            .where(BootSession.id == bindparam("s_id"), BootSession.status == SessionStatus.ACTIVE)
            .exists(),
        )
        .values(online=bindparam("s_connected"), last_seen_at=func.clock_timestamp()),
        values,
    )


def expired_sessions(session: Session, host_id: int) -> list[int]:
    """Sessions on this host that nobody came for in time, by the database's clock."""
    query = select(BootSession.id).where(
        BootSession.host_id == host_id,
        BootSession.status == SessionStatus.PENDING,
        BootSession.expires_at < func.clock_timestamp(),
    )
    return list(session.execute(query).scalars())


def count_open(session: Session, host_id: int) -> int:
    """How many sessions of this host are open."""
    query = (
        select(func.count())
        .select_from(BootSession)
        .where(BootSession.host_id == host_id, BootSession.status.in_(OPEN))
    )
    return session.execute(query).scalar_one()


def adopt(session: Session, host_id: int, found: RunningTarget, sizes: Mapping[int, int]) -> int:
    """Want the target as it runs, on behalf of an open target.adopt job; returns its id.

    ``sizes`` are the bytes of each LUN, by its number.
    """
    luns = [
        {
            "lun": lun.lun,
            "path": str(lun.path),
            "size_bytes": sizes[lun.lun],
            "read_only": lun.read_only,
            "serial": lun.serial,
            "write_back": lun.write_back,
            "store": lun.store,
        }
        for lun in found.luns
    ]
    chap = found.chap or Chap("", "")
    call = func.target_adopted(
        host_id,
        found.iqn,
        cast(sorted(found.initiators), ARRAY(Text)),
        cast(luns, JSONB),
        chap.user,
        chap.secret,
    )
    target_id: int = session.execute(select(call)).scalar_one()
    return target_id
