# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the demo room."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..enums import BootMode, Drift, MachineStatus
from ..services.boot_sessions import BootSessionRow
from ..services.machines import MachineRow
from .times import Ago

if TYPE_CHECKING:
    from .boot_sessions import Course

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
