# SPDX-License-Identifier: GPL-3.0-or-later
"""iSCSI targets as they are wanted, one per machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from ..enums import Drift, TargetOrigin, TargetStatus
from ..errors import NotFoundError, sentence
from ..models import Host, Image, ImageVersion, Lun, Machine, Target, TargetReport
from .names import is_named
from .rows import one_row, rows_by
from .target_reports import FieldDrift, LunRate, machine_names, report_of


@dataclass(frozen=True, slots=True)
class LunRow:
    """One disk of a target: an image of ours, or (adopted) a file or block device by its path."""

    lun: int
    image: str | None
    image_id: int | None
    path: str
    serial: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who is logged in to a target; ``machine`` is "" for an initiator that no machine has."""

    machine: str
    initiator_iqn: str
    address: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target that is wanted, or that a storage host runs without (``id`` is negative then).

    ``image`` to ``read_only`` are of its first LUN. ``portal`` is what machines are told,
    ``portals`` where it was found. ``machine`` is "" and ``machine_id`` None unless it is wanted
    for one. ``drift`` None: its agent has not compared yet. ``differences`` say what is not as
    wanted, ``cut_off`` which machines (or initiators) would lose their disk by apply. ``tree`` is
    drawn as ``targetcli ls`` does.
    """

    id: int
    iqn: str
    machine: str
    machine_id: int | None
    image: str | None
    image_id: int | None
    lun: int | None
    serial: str | None
    read_only: bool | None
    initiator_iqn: str
    """All initiators that are let in, with commas."""
    host: str
    portal: str
    status: TargetStatus
    kept: bool
    error: str
    created_at: datetime
    version: int
    host_id: int
    origin: TargetOrigin
    luns: tuple[LunRow, ...] = ()
    chap_user: str = ""
    """Name for CHAP; "" where no secret is asked for."""
    drift: Drift | None = None
    differences: tuple[FieldDrift, ...] = ()
    sessions: int = 0
    logged_in: tuple[LoggedIn, ...] = ()
    cut_off: tuple[str, ...] = ()
    rates: tuple[LunRate, ...] = ()
    portals: tuple[str, ...] = ()
    unsupported: str = ""
    """Why it cannot be adopted; "" when it can."""
    tree: str = ""
    seen_at: datetime | None = None
    """When something of the above was last seen to change."""

    @property
    def wanted(self) -> bool:
        """Whether the database wants it; otherwise it only runs."""
        return self.id > 0

    @property
    def bytes_per_s(self) -> int:
        """Read and written by all initiators, over all LUNs."""
        return sum(rate.bytes_read_per_s + rate.bytes_written_per_s for rate in self.rates)


@dataclass(frozen=True)
class ChapMade:
    """A new CHAP secret, told just this once, and the job that asks for it at the target."""

    user: str
    secret: str = field(repr=False)
    job_id: int


def list_targets(session: Session, ids: Iterable[int] | None = None) -> list[TargetRow]:
    """All targets by machine, those that nobody wants last; or those of ``ids`` that still exist."""
    numbers = None if ids is None else list(ids)
    # One statement each: what is wanted and what was found come from one moment.
    wanted = _wanted()
    found = select(TargetReport)
    if numbers is not None:
        wanted = wanted.where(Target.id.in_(numbers))
        found = found.where(TargetReport.id.in_(numbers))
    reports = {report.id: report for report in session.execute(found).scalars()}
    found_targets = session.execute(wanted).all()
    luns = _luns(session, numbers)
    names = machine_names(
        session,
        {
            name
            for report in reports.values()
            for name in (*(one["initiator_iqn"] for one in report.connections), *report.cut_off)
        },
    )
    rows = [
        _row_of(target, machine, host, luns.get(target.id, ()), reports.get(target.id), names)
        for target, machine, host in found_targets
    ]
    hosts = {host.id: host for host in session.execute(select(Host)).scalars()}
    rows += [
        _found_row(report, hosts[report.host_id], names)
        for report in reports.values()
        if report.target_id is None
    ]
    return sorted(rows, key=lambda row: (not row.machine, row.machine.lower(), row.iqn))


def get_target(session: Session, name: str) -> TargetRow:
    """The target with this IQN, or of the machine called ``name``; NotFoundError when none."""
    wanted = session.execute(
        select(Target.id)
        .outerjoin(Machine, Machine.id == Target.machine_id)
        .where(or_(Target.iqn == name, is_named(Machine.name, name)))
    ).scalar()
    number = (
        wanted
        or session.execute(select(TargetReport.id).where(TargetReport.iqn == name))
        .scalars()
        .first()
    )
    rows = [] if number is None else list_targets(session, [number])
    if not rows:
        raise NotFoundError(
            sentence("There is no target “{name}”, and no machine of that name has one.", name=name)
        )
    return rows[0]


def _wanted() -> Select[Target, str, Host]:
    return (
        select(Target, Machine.name, Host)
        .outerjoin(Machine, Machine.id == Target.machine_id)
        .join(Host, Host.id == Target.host_id)
    )


def _luns(session: Session, target_ids: list[int] | None) -> dict[int, tuple[LunRow, ...]]:
    query = (
        select(
            Lun.target_id,
            Lun.lun,
            Image.name.label("image"),
            Image.id.label("image_id"),
            func.coalesce(Lun.path, "").label("path"),
            Lun.serial,
            Lun.read_only,
        )
        .outerjoin(ImageVersion, ImageVersion.id == Lun.image_version_id)
        .outerjoin(Image, Image.id == ImageVersion.image_id)
        .order_by(Lun.target_id, Lun.lun)
    )
    if target_ids is not None:
        query = query.where(Lun.target_id.in_(target_ids))
    return rows_by(session.execute(query), "target_id", LunRow)


def _first(luns: tuple[LunRow, ...]) -> dict[str, Any]:
    fields = ("image", "image_id", "lun", "serial", "read_only")
    return {name: getattr(luns[0], name) if luns else None for name in fields}


def _seen(report: TargetReport, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a row that were found, with machines by their names."""
    found = report_of(report)
    return {
        "drift": found.drift,
        "differences": found.differences,
        "sessions": found.sessions,
        "logged_in": tuple(
            LoggedIn(
                names[one.initiator_iqn] if names[one.initiator_iqn] != one.initiator_iqn else "",
                one.initiator_iqn,
                one.address,
            )
            for one in found.connections
        ),
        "cut_off": tuple(names[name] for name in found.cut_off),
        "rates": found.rates,
        "portals": found.portals,
        "unsupported": found.unsupported,
        "tree": found.tree,
        "seen_at": report.seen_at,
    }


def _row_of(
    target: Target,
    machine: str | None,  # none of an adopted one: the join is an outer one
    host: Host,
    luns: tuple[LunRow, ...],
    report: TargetReport | None,
    names: Mapping[str, str],
) -> TargetRow:
    """A wanted target, with what was found of it."""
    return TargetRow(
        id=target.id,
        iqn=target.iqn,
        machine=machine or "",
        machine_id=target.machine_id,
        **_first(luns),
        initiator_iqn=target.initiator_iqn or ", ".join(sorted(target.initiators or ())),
        host=host.name,
        portal=host.portal,
        status=target.status,
        kept=target.kept,
        error=target.error,
        created_at=target.created_at,
        version=target.version,
        host_id=host.id,
        origin=TargetOrigin.ADOPTED if target.machine_id is None else TargetOrigin.MACHINE,
        luns=luns,
        chap_user=target.chap_user,
        **(_seen(report, names) if report is not None else {}),
    )


def _found_row(report: TargetReport, host: Host, names: Mapping[str, str]) -> TargetRow:
    """A target that nobody wants; all there is to say of it was found."""
    found = report_of(report)
    luns = tuple(
        LunRow(
            lun=one.lun,
            image=None,
            image_id=None,
            path=one.path,
            serial=one.serial,
            read_only=one.read_only,
        )
        for one in found.luns
    )
    return TargetRow(
        id=report.id,
        iqn=found.iqn,
        machine="",
        machine_id=None,
        **_first(luns),
        initiator_iqn=", ".join(found.initiators),
        host=host.name,
        portal=host.portal,
        status=TargetStatus.OPEN if found.initiators or found.sessions else TargetStatus.CLOSED,
        kept=False,
        error="",
        created_at=report.created_at,
        version=1,
        host_id=host.id,
        origin=TargetOrigin.FOREIGN if found.is_foreign else TargetOrigin.LEFTOVER,
        luns=luns,
        chap_user=found.chap_user,
        **_seen(report, names),
    )


def create_target(session: Session, machine_id: int, image_id: int) -> int:
    """Prepare a machine's target, closed until a session opens it; returns the job's id."""
    job_id: int = session.execute(select(func.target_create(machine_id, image_id))).scalar_one()
    return job_id


def remove_target(session: Session, target_id: int) -> int:
    """Take a machine's target away; ConsoleError while a session is open. Returns the job's id."""
    job_id: int = session.execute(select(func.target_remove(target_id))).scalar_one()
    return job_id


def turn_chap_on(session: Session, target_id: int) -> ChapMade:
    """Ask the machine for a new secret of its own from now on (OPERATOR); the target is kept.

    Called again it makes another secret: nobody can read the first one any more.
    """
    made = func.target_chap_on(target_id).table_valued("chap_user", "secret", "job_id")
    query = select(made.c.chap_user.label("user"), made.c.secret, made.c.job_id)
    return one_row(session.execute(query), ChapMade)


def turn_chap_off(session: Session, target_id: int) -> int:
    """Ask for no secret any more (OPERATOR); returns the job's id."""
    job_id: int = session.execute(select(func.target_chap_off(target_id))).scalar_one()
    return job_id
