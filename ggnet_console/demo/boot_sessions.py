# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions of the demo room: most run, some wait, some have failed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from ..enums import SessionStatus, SessionType
from ..services.boot_sessions import OPEN, BootSessionRow
from ..services.machines import MachineRow
from ..values import initiator_iqn, target_iqn
from .hosts import HOST, PORTAL
from .machines import address_of
from .targets import LOCKED
from .times import Ago

_GIB = 2**30


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
    machine: MachineRow, image: str, course: Course, ago: Ago, chance: random.Random
) -> BootSessionRow:
    """The session of a machine, under the machine's number; ``chance`` says how much it read."""
    status, since, online = course.status, course.since, course.online
    begun = since if status is SessionStatus.PENDING else since + 2
    return BootSessionRow(
        id=machine.id,
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
        bytes_read=chance.randint(2, 60) * _GIB // 7 if online else 0,
        bytes_written=chance.randint(1, 30) * _GIB // 90 if online else 0,
        host=HOST,
        error=course.error,
        started_by="anna",
        created_at=ago(begun),
        ready_at=ago(begun - 1),
        active_at=ago(since) if status is SessionStatus.ACTIVE else None,
        last_seen_at=ago(0 if online else since),
        expires_at=ago(0) + timedelta(minutes=8.5),
        ended_at=None if status in OPEN else ago(since),
    )
