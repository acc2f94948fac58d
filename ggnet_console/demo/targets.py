# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets of the demo room: in step, missing, different, left over, and made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..enums import Drift, FoundIn, JobKind, TargetOrigin, TargetStatus
from ..errors import ConsoleError, sentence
from ..services.images import ImageRow
from ..services.machines import MachineRow
from ..services.target_reports import FieldDrift, LunRate
from ..services.targets import LoggedIn, LunRow, TargetRow
from ..values import initiator_iqn, target_iqn
from .changes import remove, save
from .hosts import AGENT, HOST, PORTAL
from .machines import address_of

if TYPE_CHECKING:
    from .room import Room

LOCKED = (
    "Nothing was changed: the kernel's targets are locked by “targetcli” (process 4711). "
    "Leave that program (in targetcli: exit), then try again."
)
BY_HAND = (
    "iqn.2019-03.de.schule-am-park.storage:backup.vol-2026",
    "iqn.2003-01.org.linux-iscsi.lab-server.x8664:sn.3f9c51d0a7e2",
)
LEFT_OVER = target_iqn("52:54:00:1a:00:f0")
LOGIN = [
    {"step": f"Discover at {PORTAL}", "ok": True, "detail": "The target is offered there."},
    {
        "step": "Without the CHAP secret the login is refused",
        "ok": True,
        "detail": "The target refused the login.",
    },
    {
        "step": "Log in as iqn.2026-11.lan.ggnet:initiator-525400-1a0004 with CHAP as gg00000004",
        "ok": True,
        "detail": "Logged in and out again; LUN 1 answered.",
    },
]
_DIFFERENT = {
    7: (
        FieldDrift("LUN 1 access", "read-only", "writable", FoundIn.RUNNING),
        FieldDrift("LUN 1 serial", "67676e0000000007", "IET 00010001", FoundIn.RUNNING),
    ),
    14: (FieldDrift("initiators", initiator_iqn("52:54:00:1a:00:0e"), "ALL", FoundIn.RUNNING),),
    23: (FieldDrift("portals", PORTAL, f"{PORTAL}, 192.168.7.4:3260", FoundIn.SAVED),),
}
MISSING = (9, 31)
_CUT = (7,)


def wanted_target(machine: MachineRow, image: ImageRow, since: datetime) -> TargetRow:
    """The target of a machine, open and as it should be; nobody is logged in."""
    lun = LunRow(1, image.name, image.id, "", f"67676e{machine.id:010x}", True)
    row = TargetRow(
        id=machine.id,
        iqn=target_iqn(machine.mac),
        machine=machine.name,
        machine_id=machine.id,
        image=image.name,
        image_id=image.id,
        lun=lun.lun,
        serial=lun.serial,
        read_only=lun.read_only,
        initiator_iqn=initiator_iqn(machine.mac),
        host=HOST,
        portal=PORTAL,
        status=TargetStatus.OPEN,
        kept=False,
        error="",
        created_at=since,
        version=1,
        host_id=1,
        origin=TargetOrigin.MACHINE,
        luns=(lun,),
        drift=Drift.IN_STEP,
        portals=(PORTAL,),
        seen_at=since,
    )
    return drawn(row)


def logged_in(row: TargetRow, machine: MachineRow) -> TargetRow:
    """The same with its machine logged in, and reading."""
    n = machine.id
    rate = LunRate(1, (n * 7919) % 61 * 2**20 // 2, (n * 104729) % 17 * 2**18, n * 37 % 900)
    seen = LoggedIn(machine.name, row.initiator_iqn, address_of(machine))
    return drawn(replace(row, sessions=1, logged_in=(seen,), rates=(rate,)))


def drawn(row: TargetRow) -> TargetRow:
    """The same with its tree."""
    return replace(row, tree=tree_of(row))


def make_target(
    machine: MachineRow, image: ImageRow, since: datetime, *, online: bool, error: str
) -> TargetRow:
    """The target of one of the first forty machines, some of which are not as wanted."""
    n = machine.id
    is_kept, is_missing = n % 13 == 0, n in MISSING
    row = replace(
        wanted_target(machine, image, since),
        status=TargetStatus.CLOSED if is_kept else TargetStatus.OPEN,
        kept=is_kept,
        chap_user=f"gg{n:08x}" if n % 4 == 0 else "",
        drift=Drift.DIFFERENT if n in _DIFFERENT else Drift.IN_STEP,
        differences=_DIFFERENT.get(n, ()),
        cut_off=(machine.name,) if n in _CUT else (),
    )
    if error:
        row = replace(row, status=TargetStatus.ERROR, error=error, drift=Drift.MISSING)
    if is_missing:
        row = replace(row, drift=Drift.MISSING, portals=())
    has_session = online and not (error or is_missing or is_kept)
    return logged_in(row, machine) if has_session else drawn(row)


def as_kept(row: TargetRow) -> TargetRow:
    """A target that was prepared, without a session."""
    return drawn(
        replace(row, status=TargetStatus.CLOSED, kept=True, sessions=0, logged_in=(), rates=())
    )


def unwanted(since: datetime) -> list[TargetRow]:
    """What runs without being wanted: one of ours, and two that others made."""

    def row(number: int, iqn: str, origin: TargetOrigin, luns: tuple[LunRow, ...]) -> TargetRow:
        return TargetRow(
            id=-number,
            iqn=iqn,
            machine="",
            machine_id=None,
            image=None,
            image_id=None,
            lun=luns[0].lun,
            serial=luns[0].serial,
            read_only=luns[0].read_only,
            initiator_iqn="iqn.1993-08.org.debian:01:f3c2a9d1b7e0",
            host=HOST,
            portal=PORTAL,
            status=TargetStatus.OPEN,
            kept=False,
            error="",
            created_at=since,
            version=1,
            host_id=1,
            origin=origin,
            luns=luns,
            drift=Drift.EXTRA,
            portals=(PORTAL,),
            seen_at=since,
        )

    disk = LunRow(1, None, None, "/srv/backup/vol 2026 Übungsraum.img", "beaf11", False)
    volume = LunRow(0, None, None, "/dev/vg0/scratch", "3f9c51d0", False)
    left = row(1, LEFT_OVER, TargetOrigin.LEFTOVER, (replace(disk, path="/srv/images/1-1.raw"),))
    hand = row(2, BY_HAND[0], TargetOrigin.FOREIGN, (disk,))
    hand = replace(
        hand,
        sessions=1,
        logged_in=(LoggedIn("", hand.initiator_iqn, "10.0.2.200"),),
        rates=(LunRate(1, 0, 41 * 2**20, 164),),
    )
    odd = row(3, BY_HAND[1], TargetOrigin.FOREIGN, (volume, replace(disk, lun=1)))
    odd = replace(odd, unsupported="it has a second portal group")
    return [drawn(each) for each in (left, hand, odd)]


def tree_of(row: TargetRow) -> str:
    """As the agent draws it, roughly; "" of one that does not run."""
    if row.drift is Drift.MISSING:
        return ""
    lines = [("o- " + row.iqn, "TPGs: 1"), ("  o- tpg1", "no-gen-acls, no-auth")]
    lines += [("    o- acls", "ACLs: 1"), (f"    | o- {row.initiator_iqn}", "Mapped LUNs: 1")]
    lines += [("    |   o- mapped_lun1", "lun1 (ro)"), ("    o- luns", f"LUNs: {len(row.luns)}")]
    for lun in row.luns:
        path = lun.path or "/var/lib/ggnet/images/1-7.raw"
        lines.append((f"    | o- lun{lun.lun}", f"({path}) ro serial {lun.serial}"))
    lines += [("    o- portals", "Portals: 1"), (f"    | o- {PORTAL}", "OK")]
    lines += [("    o- sessions", f"Sessions: {row.sessions}")]
    lines += [
        (f"      o- {one.initiator_iqn}", f"LOGGED_IN from {one.address}") for one in row.logged_in
    ]
    return "\n".join(f"{head} ".ljust(90 - len(tail), ".") + f" [{tail}]" for head, tail in lines)


def want_target(room: Room, machine: MachineRow, image: ImageRow) -> None:
    """Open a machine's target for a session; what was prepared for it stays prepared."""
    row = wanted_target(machine, image, room.now)
    before = room.target_of(machine.id)
    if before is not None:
        row = replace(row, kept=before.kept, chap_user=before.chap_user, version=before.version)
    save(room, row)


def close_target(room: Room, machine_id: int) -> None:
    """Nobody may log in any more; gone unless it is kept."""
    row = room.target_of(machine_id)
    if row is not None and row.kept:
        save(room, as_kept(row), AGENT)
    elif row is not None:
        remove(room, row, AGENT)


def remove_target(room: Room, target_id: int) -> int:
    """Take a machine's target away."""
    row = next((each for each in room.targets if each.id == target_id), None)
    if row is None:
        raise ConsoleError(sentence("This target no longer exists."))
    if row.status is TargetStatus.OPEN:
        raise ConsoleError(
            sentence(
                "{machine} has a session; stop it before removing its target.",
                machine=row.machine,
            )
        )
    remove(room, row)
    return room.ask(JobKind.TARGET_REMOVE, row.machine)


def compare(room: Room, host_ids: Sequence[int]) -> list[int]:
    """Have the storage host compare anew."""
    return [
        room.ask(JobKind.TARGET_COMPARE, HOST, {"targets": len(room.targets)}) for _ in host_ids
    ]


def apply(room: Room, wanted: Sequence[tuple[int, list[str], list[str]]]) -> list[int]:
    """Make these targets of each host as wanted, whoever loses a disk by it."""
    return [
        room.ask(JobKind.TARGET_RECONCILE, HOST, {"changed": _put_right(room, iqns)})
        for _host, iqns, _cut in wanted
    ]


def repair(room: Room, host_ids: Sequence[int], set_saved_aside: bool) -> list[int]:  # noqa: ARG001
    """Make as wanted whatever takes a disk from nobody."""
    jobs = []
    for _host in host_ids:
        differ = [row for row in room.targets if row.drift is not Drift.IN_STEP]
        ours = [row for row in differ if row.origin is not TargetOrigin.FOREIGN]
        result: dict[str, Any] = {
            "changed": _put_right(room, [row.iqn for row in ours if not row.cut_off]),
            "left": [row.iqn for row in ours if row.cut_off],
        }
        jobs.append(room.ask(JobKind.TARGET_REPAIR, HOST, result))
    return jobs


def _put_right(room: Room, iqns: Iterable[str]) -> int:
    """Make these as wanted; answers how many there were."""
    rows = [row for row in room.targets if row.iqn in set(iqns)]
    for row in rows:
        if not row.wanted:
            remove(room, row, AGENT)
            continue
        right = replace(row, drift=Drift.IN_STEP, differences=(), cut_off=(), portals=(PORTAL,))
        if row.cut_off:
            right = replace(right, sessions=0, logged_in=(), rates=())
        if row.error:
            right = replace(right, status=TargetStatus.CLOSED, kept=True, error="")
        save(room, drawn(right), AGENT)
        machine = None if row.machine_id is None else room.machine(row.machine_id)
        if machine is not None and machine.drift is not None:
            save(room, replace(machine, drift=None), AGENT)
    return len(rows)
