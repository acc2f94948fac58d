# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines: PCs without disks, with what was last seen of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from functools import cache, partial
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import INET, MACADDR
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import Label

from ..enums import BootMode, Drift, FoundIn, MachineStatus, SessionStatus, TargetStatus
from ..errors import FieldChange, FieldError, NotFoundError, RemovedError, sentence
from ..models import BootSession, Image, ImageVersion, Lun, Machine, Target, TargetReport
from ..values import parse_ip, parse_line, parse_mac, parse_name, parse_text
from . import concurrent_edits
from .names import is_named
from .rows import first_row, rows


@dataclass(frozen=True)
class MachineSpec:
    """What a form or command asks for; addresses in any usual notation, empty text for none."""

    name: str
    mac: str
    ip: str | None = None
    boot_mode: BootMode = BootMode.UEFI
    status: MachineStatus = MachineStatus.ACTIVE
    location: str = ""
    room: str = ""
    asset_tag: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A machine as tables show it, with its newest session, open or ended."""

    id: int
    name: str
    mac: str
    ip: str | None
    boot_mode: BootMode
    status: MachineStatus
    location: str
    room: str
    asset_tag: str
    notes: str
    online: bool
    last_seen_at: datetime | None
    created_at: datetime
    version: int
    session_id: int | None
    session_status: SessionStatus | None
    session_error: str | None
    session_since: datetime | None
    """When it ended, else became active, else was started."""
    image: str | None
    """Image of the newest session, else of the machine's target."""
    drift: Drift | None = None
    """MISSING or DIFFERENT while its open target does not run as wanted, so that it cannot boot."""


def _host(column: object, name: str) -> Label[str]:
    """An inet without its netmask, as people write it."""
    return func.host(column).label(name)


@cache
def _select() -> Select[*tuple[Any, ...]]:
    newest = (
        select(
            BootSession.id,
            BootSession.status,
            BootSession.error,
            func.coalesce(
                BootSession.ended_at, BootSession.active_at, BootSession.created_at
            ).label("since"),
            BootSession.image_name,
        )
        .where(BootSession.machine_id == Machine.id)
        .order_by(BootSession.id.desc())
        .limit(1)
        .lateral("newest")
    )
    prepared = (
        select(Image.name)
        .join(ImageVersion, ImageVersion.image_id == Image.id)
        .join(Lun, Lun.image_version_id == ImageVersion.id)
        .join(Target, Target.id == Lun.target_id)
        .where(Target.machine_id == Machine.id)
        .limit(1)
        .scalar_subquery()
    )
    drifted = (
        select(TargetReport.drift)
        .join(Target, Target.id == TargetReport.target_id)
        .where(
            Target.machine_id == Machine.id,
            Target.status == TargetStatus.OPEN,
            or_(
                TargetReport.drift == Drift.MISSING,
                # What only the saved configuration says otherwise keeps nobody from booting.
                (TargetReport.drift == Drift.DIFFERENT)
                & TargetReport.differences.contains([{"where": FoundIn.RUNNING.value}]),
            ),
        )
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            Machine.id,
            Machine.name,
            Machine.mac,
            _host(Machine.ip, "ip"),
            Machine.boot_mode,
            Machine.status,
            Machine.location,
            Machine.room,
            Machine.asset_tag,
            Machine.notes,
            Machine.online,
            Machine.last_seen_at,
            Machine.created_at,
            Machine.version,
            newest.c.id.label("session_id"),
            newest.c.status.label("session_status"),
            newest.c.error.label("session_error"),
            newest.c.since.label("session_since"),
            func.coalesce(newest.c.image_name, prepared).label("image"),
            drifted.label("drift"),
        )
        .outerjoin(newest, Machine.id == Machine.id)
        .order_by(func.lower(Machine.name))
    )


def list_machines(session: Session, ids: Iterable[int] | None = None) -> list[MachineRow]:
    """All machines by name, or those of ``ids`` that still exist."""
    query = _select()
    if ids is not None:
        query = query.where(Machine.id.in_(list(ids)))
    return rows(session.execute(query), MachineRow)


def get_machine(session: Session, name: str) -> MachineRow:
    """The machine called ``name`` (case does not count); NotFoundError when there is none."""
    query = _select().where(is_named(Machine.name, name))
    row = first_row(session.execute(query), MachineRow)
    if row is None:
        raise NotFoundError(sentence("There is no machine “{name}”.", name=name))
    return row


def get_machines(session: Session, names: Sequence[str]) -> list[MachineRow]:
    """The machines with these names, in this order; NotFoundError names the first missing one."""
    return [get_machine(session, name) for name in names]


def checked(spec: MachineSpec, read: MachineRow | None = None) -> dict[str, object]:
    """The column values of ``spec``; FieldError says what is wrong with which field.

    What is as it was ``read`` may stay, also what would be refused of a new machine.
    """
    values: dict[str, object] = asdict(spec)
    for field, parse in _PARSERS.items():
        if read is None or values[field] != getattr(read, field):
            values[field] = parse(str(values[field] or ""))
    return values


_PARSERS: Mapping[str, Callable[[str], str | None]] = {
    "name": lambda text: parse_name(
        text, sentence("A machine's name has 1 to 64 printable characters.")
    ),
    "mac": parse_mac,
    "ip": parse_ip,
    **{field: partial(parse_line, field) for field in ("location", "room", "asset_tag")},
    "notes": partial(parse_text, "notes"),
}


def _refuse_duplicate(session: Session, values: dict[str, object], own_id: int | None) -> None:
    """FieldError that names the machine which already has this name, MAC or IP.

    The unique constraints decide; this look beforehand can say who it is.
    """
    for field, column, taken in (
        (
            "name",
            func.lower(Machine.name),
            sentence("The name {value} already belongs to the machine {holder}."),
        ),
        (
            "mac",
            Machine.mac,
            sentence("The MAC address {value} already belongs to the machine {holder}."),
        ),
        (
            "ip",
            Machine.ip,
            sentence("The IP address {value} already belongs to the machine {holder}."),
        ),
    ):
        value = values.get(field)
        if value is None:
            continue
        wanted = {
            "name": func.lower(value),
            "mac": cast(value, MACADDR),
            "ip": cast(value, INET),
        }[field]
        query = select(Machine.name).where(column == wanted)
        if own_id is not None:
            query = query.where(Machine.id != own_id)
        holder = session.execute(query).scalar()
        if holder is not None:
            raise FieldError(field, taken.with_values(value=value, holder=holder))


def create_machine(session: Session, spec: MachineSpec) -> int:
    """Add a machine and return its id; FieldError for bad values and for duplicates."""
    values = checked(spec)
    _refuse_duplicate(session, values, None)
    return session.execute(insert(Machine).values(**values).returning(Machine.id)).scalar_one()


def update_machine(
    session: Session, read: MachineRow, spec: MachineSpec
) -> tuple[FieldChange, ...]:
    """Save the fields of a machine that differ from how it was ``read``.

    Returns what somebody else changed meanwhile in other fields, which stays. StaleError when they
    changed the same fields; RemovedError when the machine is gone; FieldError for bad values.
    """
    values = checked(spec, read)
    merge = concurrent_edits.merge(session, "machine", read, values, list_machines)
    _refuse_duplicate(session, merge.own, read.id)
    if merge.own:
        session.execute(update(Machine).where(Machine.id == read.id).values(**merge.own))
    return merge.kept


@dataclass(frozen=True)
class MachineChanges:
    """What a change of many machines sets; None leaves the field of each as it is."""

    boot_mode: BootMode | None = None
    status: MachineStatus | None = None
    room: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A machine that was left alone because somebody changed or removed it meanwhile."""

    name: str
    now: MachineRow | None
    changes: tuple[FieldChange, ...]
    removed: RemovedError | None
    """Set when ``now`` is None."""


def change_machines(
    session: Session, read: Sequence[MachineRow], changes: MachineChanges
) -> list[Skipped]:
    """Change the machines that are still as they were ``read``; returns those left alone."""
    values = {
        field: _PARSERS[field](value) if field in _PARSERS else value
        for field, value in asdict(changes).items()
        if value is not None
    }
    # In one order, so that two people who change the same room wait instead of deadlock.
    held = session.execute(
        select(Machine.id, Machine.version)
        .where(Machine.id.in_([row.id for row in read]))
        .order_by(Machine.id)
        .with_for_update()
    )
    versions = {row.id: row.version for row in held}
    differ = [row for row in read if versions.get(row.id) != row.version]
    now = {row.id: row for row in list_machines(session, [row.id for row in differ])}
    left = [each for row in differ if (each := _left(session, row, now.get(row.id))) is not None]
    alone = {each.now.id for each in left if each.now is not None}
    ids = [row.id for row in read if row.id in versions and row.id not in alone]
    if values and ids:
        session.execute(update(Machine).where(Machine.id.in_(ids)).values(**values))
    return left


def _left(session: Session, read: MachineRow, now: MachineRow | None) -> Skipped | None:
    """What happened to a machine whose version differs; None when it is as it was after all."""
    fields = {field.name: getattr(read, field.name) for field in dataclass_fields(MachineSpec)}
    try:
        changes = concurrent_edits.changes_since(session, "machine", read, now, fields)
    except RemovedError as error:
        return Skipped(read.name, None, (), error)
    return Skipped(read.name, now, changes, None) if changes else None


def delete_machines(session: Session, ids: Iterable[int]) -> int:
    """Remove machines and their ended sessions; returns how many.

    ConsoleError when one still has a target, and then none is removed.
    """
    wanted = cast(list(ids), ARRAY(BigInteger))
    removed: int = session.execute(select(func.machines_delete(wanted))).scalar_one()
    return removed
