# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions of the demo room: most run, some wait, some have failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..enums import ImageStatus, JobKind, SessionStatus, SessionType
from ..errors import ConsoleError, listed, sentence
from ..services.boot_sessions import OPEN, BootSessionRow, Started, StartedAgain
from ..services.machines import MachineRow
from ..values import initiator_iqn, target_iqn
from .changes import save
from .hosts import AGENT, HOST, PORTAL
from .machines import address_of, with_session
from .targets import LOCKED, close_target, logged_in, want_target
from .times import Ago

if TYPE_CHECKING:
    from .room import Room

BOOT_S = 6.0
"""From a target that is ready to the machine's login: somebody switches it on at once."""
_LOOK_S = 5.0
"""So often it is looked how much the machines read and write."""


@dataclass(frozen=True)
class Course:
    """How the newest session of a machine went, until ``since`` minutes ago."""

    status: SessionStatus
    since: float
    online: bool = False
    error: str = ""


def course_of(n: int) -> Course:
    """What became of the session of machine number ``n``."""
    if n in (3, 17, 18):
        return Course(SessionStatus.TIMEOUT, 12.0)
    if n in (5, 6, 21):
        return Course(SessionStatus.ERROR, 4.0, error=LOCKED)
    if n in (8, 9, 30, 31):
        return Course(SessionStatus.PENDING, 1.5)
    if n == 12:
        return Course(SessionStatus.ACTIVE, 44.0)
    if n > 34:
        return Course(SessionStatus.STOPPED, 900.0)
    return Course(SessionStatus.ACTIVE, 134.0 - n, online=True)


def make_session(
    number: int, machine: MachineRow, image: str, course: Course, ago: Ago
) -> BootSessionRow:
    """The session of a machine that went so."""
    status, since, online = course.status, course.since, course.online
    begun = since if status is SessionStatus.PENDING else since + 2
    return BootSessionRow(
        id=number,
        machine=machine.name,
        machine_id=machine.id,
        image=image,
        type=SessionType.DISKLESS_BOOT,
        status=status,
        stop_requested=False,
        connected=online,
        target_iqn=target_iqn(machine.mac),
        initiator_iqn=initiator_iqn(machine.mac),
        portal=PORTAL,
        lun=1,
        client_address=address_of(machine) if online else None,
        bytes_read=0,
        bytes_written=0,
        host=HOST,
        error=course.error,
        started_by="anna",
        created_at=ago(begun),
        ready_at=ago(begun - 1),
        active_at=ago(since) if status is SessionStatus.ACTIVE else None,
        last_seen_at=ago(0 if online else since),
        expires_at=ago(-8.5),
        ended_at=None if status in OPEN else ago(since),
    )


def start_boot_sessions(
    room: Room, machine_ids: Sequence[int], image_id: int, session_type: SessionType
) -> Started:
    """Give machines an image, all or none; somebody switches them on in a moment."""
    image = next((row for row in room.images if row.id == image_id), None)
    machines = [row for each in machine_ids if (row := room.machine(each)) is not None]
    if image is None or len(machines) < len(machine_ids):
        raise ConsoleError(sentence("One of the machines no longer exists."))
    for machine in machines:
        if machine.session_status in OPEN:
            raise ConsoleError(
                sentence("{name} already has a session; stop it first.", name=machine.name)
            )
    course, ids = Course(SessionStatus.PENDING, 0), []
    for machine in machines:
        want_target(room, machine, image)
        made = make_session(room.new_id(), machine, image.name, course, room.ago)
        session = replace(made, type=session_type, ready_at=None, last_seen_at=None)
        _keep(room, session, by="")
        ids.append(session.id)
    room.switched_on |= set(ids)
    return Started(ids, room.ask(JobKind.TARGET_APPLY, some_machines(machines)))


def start_boot_sessions_again(
    room: Room, session_ids: Sequence[int], session_type: SessionType | None = None
) -> StartedAgain:
    """Give the machines of these sessions the same image again; names those that could not have it."""
    ready = {row.name: row.id for row in room.images if row.status is ImageStatus.READY}
    started: list[int] = []
    left: list[str] = []
    groups: dict[tuple[int, SessionType], list[int]] = {}
    for row in [row for row in room.sessions if row.id in session_ids]:
        if row.image in ready:
            key = ready[row.image], session_type or row.type
            groups.setdefault(key, []).append(row.machine_id)
        else:
            left.append(f"{row.machine}: its image “{row.image}” is gone or not ready.")
    if not groups:
        raise ConsoleError(listed((sentence("Nothing was started again."), *left), " "))
    for (image_id, kind), machine_ids in groups.items():
        started += start_boot_sessions(room, machine_ids, image_id, kind).session_ids
    return StartedAgain(tuple(started), tuple(left))


def stop_boot_sessions(room: Room, session_ids: Sequence[int]) -> int | None:
    """Ask that machines be refused from now on; a moment later they are."""
    rows = [row for row in room.sessions if row.id in session_ids and row.open]
    for row in rows:
        save(room, replace(row, stop_requested=True))
    machines = [machine for row in rows if (machine := room.machine(row.machine_id)) is not None]
    return room.ask(JobKind.TARGET_REMOVE, some_machines(machines)) if machines else None


def some_machines(rows: Sequence[MachineRow]) -> str:
    """What a job for these machines is called."""
    return rows[0].name if len(rows) == 1 else f"{len(rows)} machines"


def pass_time(room: Room, seconds: float) -> None:
    """What was asked for is done, machines log in, and those that run read and write."""
    room.unseen_s += seconds
    unseen_s = room.unseen_s if room.unseen_s >= _LOOK_S else 0.0
    room.unseen_s -= unseen_s
    for row in [row for row in room.sessions if row.open]:
        if row.stop_requested:
            _end(room, row, SessionStatus.STOPPED)
        elif row.status is SessionStatus.ACTIVE:
            if row.connected and unseen_s:
                _use(room, row, unseen_s)
        elif row.ready_at is None:
            _keep(room, replace(row, ready_at=room.now))
        elif row.id in room.switched_on and (room.now - row.ready_at).total_seconds() > BOOT_S:
            _log_in(room, row)
        elif row.expires_at is not None and row.expires_at < room.now:
            _end(room, row, SessionStatus.TIMEOUT)


def _use(room: Room, row: BootSessionRow, seconds: float) -> None:
    """A machine was seen, and has read and written as fast as its target says."""
    target = room.target_of(row.machine_id)
    rates = () if target is None else target.rates
    read = int(seconds * sum(rate.bytes_read_per_s for rate in rates))
    written = int(seconds * sum(rate.bytes_written_per_s for rate in rates))
    used = replace(
        row,
        last_seen_at=room.now,
        bytes_read=row.bytes_read + read,
        bytes_written=row.bytes_written + written,
    )
    _keep(room, used)


def _log_in(room: Room, row: BootSessionRow) -> None:
    machine, target = room.machine(row.machine_id), room.target_of(row.machine_id)
    if machine is None or target is None:
        return
    session = replace(
        row,
        status=SessionStatus.ACTIVE,
        connected=True,
        client_address=address_of(machine),
        active_at=room.now,
        last_seen_at=room.now,
    )
    _keep(room, session)
    save(room, logged_in(target, machine), AGENT)


def _end(room: Room, row: BootSessionRow, status: SessionStatus) -> None:
    ended = replace(row, status=status, stop_requested=False, connected=False, client_address=None)
    _keep(room, replace(ended, ended_at=room.now))
    close_target(room, row.machine_id)


def _keep(room: Room, session: BootSessionRow, by: str = AGENT) -> None:
    """Keep a session, and its machine as it is read with it."""
    save(room, session, by)
    machine = room.machine(session.machine_id)
    if machine is not None:
        seen = session.last_seen_at if session.connected else machine.last_seen_at
        machine = replace(machine, online=session.connected, last_seen_at=seen)
        save(room, with_session(machine, session), by)
