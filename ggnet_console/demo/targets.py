# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets of the demo room: in step, missing, different, left over, and made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..enums import Drift, FoundIn, TargetOrigin, TargetStatus
from ..services.images import ImageRow
from ..services.machines import MachineRow
from ..services.target_reports import FieldDrift, LunRate
from ..services.targets import LoggedIn, LunRow, TargetRow
from ..values import initiator_iqn, target_iqn
from .hosts import HOST, PORTAL
from .machines import address_of

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


def make_target(
    machine: MachineRow, image: ImageRow, since: datetime, *, online: bool, error: str
) -> TargetRow:
    """The target of a machine with a session, or kept without one."""
    n = machine.id
    drift = Drift.DIFFERENT if n in _DIFFERENT else Drift.IN_STEP
    if n in MISSING:
        drift = Drift.MISSING
    lun = LunRow(1, image.name, image.id, "", f"67676e{n:010x}", True)
    row = TargetRow(
        id=n,
        iqn=target_iqn(machine.mac),
        machine=machine.name,
        machine_id=n,
        image=image.name,
        image_id=image.id,
        lun=1,
        serial=lun.serial,
        read_only=True,
        initiator_iqn=initiator_iqn(machine.mac),
        host=HOST,
        portal=PORTAL,
        status=TargetStatus.OPEN if n % 13 else TargetStatus.CLOSED,
        kept=n % 13 == 0,
        error="",
        created_at=since,
        version=1,
        host_id=1,
        origin=TargetOrigin.MACHINE,
        luns=(lun,),
        chap_user=f"gg{n:08x}" if n % 4 == 0 else "",
        drift=drift,
        differences=_DIFFERENT.get(n, ()),
        cut_off=(machine.name,) if n in _CUT else (),
        portals=() if n in MISSING else (PORTAL,),
        seen_at=since,
    )
    if error:
        return replace(row, status=TargetStatus.ERROR, error=error, drift=Drift.MISSING)
    if n in MISSING or not online or n % 13 == 0:
        return replace(row, tree=tree_of(row))
    rates = LunRate(1, (n * 7919) % 61 * 2**20 // 2, (n * 104729) % 17 * 2**18, n * 37 % 900)
    seen = (LoggedIn(machine.name, row.initiator_iqn, address_of(machine)),)
    row = replace(row, sessions=1, logged_in=seen, rates=(rates,))
    return replace(row, tree=tree_of(row))


def as_kept(row: TargetRow) -> TargetRow:
    """A target that was prepared, without a session."""
    closed = replace(row, status=TargetStatus.CLOSED, kept=True)
    return replace(closed, tree=tree_of(closed))


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
    return [replace(each, tree=tree_of(each)) for each in (left, hand, odd)]


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
