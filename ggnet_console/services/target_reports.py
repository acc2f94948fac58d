# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent found of each target: how it compares with what is wanted, who is logged in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from ..enums import Drift, FoundIn
from ..models import Machine, Target, TargetReport
from ..values import initiator_mac


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """One field that is not as wanted; ``field`` as in ``tools.target_backend.Difference``, no secrets."""

    field: str
    wanted: str
    found: str
    where: FoundIn


@dataclass(frozen=True, slots=True)
class SeenInitiator:
    """Somebody who is logged in; ``address`` is numeric."""

    initiator_iqn: str
    address: str


@dataclass(frozen=True, slots=True)
class SeenLun:
    """One disk as it is served."""

    lun: int
    path: str
    serial: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class LunRate:
    """Traffic of one LUN between the last two looks; ``commands_per_s`` None: nobody counts them."""

    lun: int
    bytes_read_per_s: int
    bytes_written_per_s: int
    commands_per_s: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the agent found of one target; ``target_id`` None: nobody wants it.

    ``is_foreign``: it carries no name of ours and was not adopted. ``cut_off`` are the initiators
    that would lose a disk if the target were made as wanted. ``unsupported`` says of what others made
    why it cannot be adopted, of any other target what cannot be expressed here. ``tree`` is drawn as ``targetcli ls`` does.
    """

    iqn: str
    target_id: int | None
    drift: Drift
    is_foreign: bool
    differences: tuple[FieldDrift, ...] = ()
    sessions: int = 0
    connections: tuple[SeenInitiator, ...] = ()
    cut_off: tuple[str, ...] = ()
    rates: tuple[LunRate, ...] = ()
    portals: tuple[str, ...] = ()
    initiators: tuple[str, ...] = ()
    luns: tuple[SeenLun, ...] = ()
    chap_user: str = ""
    unsupported: str = ""
    tree: str = ""


def report_of(row: TargetReport) -> Report:
    """A stored report as a value."""
    return Report(
        iqn=row.iqn,
        target_id=row.target_id,
        drift=row.drift,
        is_foreign=row.is_foreign,
        differences=tuple(
            FieldDrift(**{**one, "where": FoundIn(one["where"])}) for one in row.differences
        ),
        sessions=row.sessions,
        connections=tuple(SeenInitiator(**one) for one in row.connections),
        cut_off=tuple(row.cut_off),
        rates=tuple(LunRate(**one) for one in row.rates),
        portals=tuple(row.portals),
        initiators=tuple(row.initiators),
        luns=tuple(SeenLun(**one) for one in row.luns),
        chap_user=row.chap_user,
        unsupported=row.unsupported,
        tree=row.tree,
    )


def list_reports(session: Session, host_id: int) -> list[Report]:
    """What was last reported of this host's targets, by name."""
    query = select(TargetReport).where(TargetReport.host_id == host_id).order_by(TargetReport.iqn)
    return [report_of(row) for row in session.execute(query).scalars()]


def write_reports(
    session: Session, host_id: int, changed: Sequence[Report], gone: Iterable[str]
) -> None:
    """As an agent: write these reports, and forget those of the targets called ``gone``.

    A report whose target was deleted meanwhile is left out; the next comparison says what it is.
    """
    names = [one.iqn for one in changed]
    of_host = TargetReport.host_id == host_id
    present = dict(
        session.execute(
            select(TargetReport.iqn, TargetReport.target_id).where(
                of_host, TargetReport.iqn.in_(names)
            )
        ).all()
    )
    alive = set(
        session.execute(
            select(Target.id)
            .where(Target.id.in_([one.target_id for one in changed if one.target_id]))
            .with_for_update(read=True, key_share=True)
        ).scalars()
    )
    new = []
    for one in changed:
        if one.target_id is not None and one.target_id not in alive:
            continue
        values = {**asdict(one), "host_id": host_id}
        if one.iqn in present and present[one.iqn] == one.target_id:
            session.execute(
                update(TargetReport)
                .where(of_host, TargetReport.iqn == one.iqn)
                .values(**values, seen_at=func.clock_timestamp())
            )
        else:
            new.append(values)
    # Whose target comes or goes is another row on the page.
    outdated = [*gone, *(values["iqn"] for values in new)]
    if outdated:
        session.execute(delete(TargetReport).where(of_host, TargetReport.iqn.in_(outdated)))
    for is_wanted in (True, False):
        rows = [values for values in new if (values["target_id"] is not None) is is_wanted]
        numbers: list[dict[str, Any]] = [
            {"id": values["target_id"]} if is_wanted else {} for values in rows
        ]
        if rows:
            session.execute(
                insert(TargetReport).values(
                    [values | number for values, number in zip(rows, numbers, strict=True)]
                )
            )


def machine_names(session: Session, initiators: Iterable[str]) -> dict[str, str]:
    """Names of the machines behind these initiator names; others' names stand for themselves."""
    names = {name: name for name in initiators}
    macs = {mac: name for name in names if (mac := initiator_mac(name))}
    if macs:
        query = select(Machine.mac, Machine.name).where(Machine.mac.in_(list(macs)))
        for mac, machine in session.execute(query):
            names[macs[str(mac)]] = machine
    return names
