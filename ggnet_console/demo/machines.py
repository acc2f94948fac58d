# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the demo room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..enums import BootMode, Drift, MachineStatus
from ..errors import ConsoleError, FieldChange, FieldError, RemovedError, sentence
from ..services.boot_sessions import BootSessionRow
from ..services.machines import MachineChanges, MachineRow, MachineSpec, Skipped, checked
from .changes import remove, save
from .times import Ago

if TYPE_CHECKING:
    from .boot_sessions import Course
    from .room import Room

_IN_MAINTENANCE = 38
_TEACHERS = 11


def make_machine(n: int, course: Course, ago: Ago) -> MachineRow:
    """Machine number ``n``, before it has a session."""
    return MachineRow(
        id=n,
        name=f"PC-{n:02d}" if n != _TEACHERS else "Teacher’s desk, window side",
        mac=f"52:54:00:1a:{n // 256:02x}:{n % 256:02x}",
        ip=f"10.0.2.{10 + n}" if n % 9 else None,
        boot_mode=BootMode.UEFI if n % 4 else BootMode.BIOS,
        status=MachineStatus.MAINTENANCE if n == _IN_MAINTENANCE else MachineStatus.ACTIVE,
        location="Main building, 2nd floor",
        room="Lab 2" if n <= 20 else "Lab 3",
        asset_tag=f"A-{4100 + n}",
        notes="Fan is loud." if n == 7 else "",
        online=course.online,
        last_seen_at=ago(0 if course.online else course.since + 3),
        created_at=ago(60 * 24 * 40),
        version=1,
        session_id=None,
        session_status=None,
        session_error=None,
        session_since=None,
        image=None,
    )


def with_session(
    row: MachineRow, session: BootSessionRow, drift: Drift | None = None
) -> MachineRow:
    """The machine as it is read with its newest session; ``drift`` of its target."""
    return replace(
        row,
        session_id=session.id,
        session_status=session.status,
        session_error=session.error or None,
        session_since=session.ended_at or session.active_at or session.created_at,
        image=session.image,
        drift=drift,
    )


def address_of(row: MachineRow) -> str:
    """The address it has once it has booted: its own, or one that the network assigns."""
    return row.ip or f"10.0.2.{10 + row.id % 240}"


def create_machine(room: Room, spec: MachineSpec) -> int:
    """Add a machine."""
    values: dict[str, Any] = checked(spec)
    _refuse_duplicate(room, values, None)
    row = MachineRow(
        id=room.new_id(),
        **values,
        online=False,
        last_seen_at=None,
        created_at=room.now,
        version=1,
        session_id=None,
        session_status=None,
        session_error=None,
        session_since=None,
        image=None,
    )
    save(room, row)
    return row.id


def update_machine(room: Room, read: MachineRow, spec: MachineSpec) -> tuple[FieldChange, ...]:
    """Save what differs from how a machine was read; nobody else is there to have changed it."""
    now = room.machine(read.id)
    if now is None:
        raise _removed(room, read)
    wanted: dict[str, Any] = checked(spec)
    own = {name: value for name, value in wanted.items() if value != getattr(read, name)}
    _refuse_duplicate(room, own, read.id)
    target = room.target_of(read.id)
    if "mac" in own and target is not None:
        raise ConsoleError(
            sentence(
                "{name} has a target named after its MAC address; stop its session and remove "
                "the target before changing the address.",
                name=read.name,
            )
        )
    save(room, replace(now, **own))
    if "name" in own:
        _rename(room, read.id, own["name"])
    return ()


def _rename(room: Room, machine_id: int, name: str) -> None:
    """Call a machine so wherever it is named."""
    for session in [row for row in room.sessions if row.machine_id == machine_id]:
        save(room, replace(session, machine=name))
    target = room.target_of(machine_id)
    if target is not None:
        seen = tuple(replace(one, machine=name) for one in target.logged_in)
        cut_off = tuple(name for _one in target.cut_off)
        save(room, replace(target, machine=name, logged_in=seen, cut_off=cut_off))


def change_machines(
    room: Room, read: Sequence[MachineRow], changes: MachineChanges
) -> list[Skipped]:
    """Change many machines; answers those that are gone."""
    values = {name: value for name, value in asdict(changes).items() if value is not None}
    left = []
    for row in read:
        now = room.machine(row.id)
        if now is None:
            left.append(Skipped(row.name, None, (), _removed(room, row)))
        else:
            save(room, replace(now, **values))
    return left


def delete_machines(room: Room, ids: Iterable[int]) -> int:
    """Remove machines with their ended sessions, all or none."""
    rows = [row for each in ids if (row := room.machine(each)) is not None]
    served = {row.machine_id for row in room.targets}
    for row in rows:
        if row.id in served:
            raise ConsoleError(
                sentence(
                    "{name} has a target; stop its session and remove the target first.",
                    name=row.name,
                )
            )
    for row in rows:
        for session in [each for each in room.sessions if each.machine_id == row.id]:
            remove(room, session)
        remove(room, row)
    return len(rows)


def _removed(room: Room, row: MachineRow) -> RemovedError:
    return RemovedError(
        sentence("{name} was removed.", name=row.name), row.name, room.me.name, None
    )


def _refuse_duplicate(room: Room, values: dict[str, Any], own_id: int | None) -> None:
    """FieldError that names the machine which already has this name, MAC or IP."""
    for field, kind in (("name", "name"), ("mac", "MAC address"), ("ip", "IP address")):
        value = values.get(field)
        for row in room.machines if value is not None else ():
            has = str(getattr(row, field)).casefold()
            if row.id != own_id and has == str(value).casefold():
                sentence = f"The {kind} {value} already belongs to the machine {row.name}."
                raise FieldError(field, sentence)
