# SPDX-License-Identifier: GPL-3.0-or-later
"""The one storage host of the demo room."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..services.hosts import HostRow

if TYPE_CHECKING:
    from .room import Room

HOST = "lab-server"
AGENT = f"ggnet_agent_{HOST}"
"""Its agent, as the audit trail calls it."""
PORTAL = "10.0.2.1:3260"


def make_host(now: datetime, undoable: int) -> HostRow:
    """The storage host, whose agent has just reported."""
    return HostRow(
        id=1,
        name=HOST,
        portal=PORTAL,
        backend="lio",
        problem="",
        heartbeat_at=now,
        alive=True,
        backend_reason="found by itself: root, and the kernel has LIO",
        undoable=undoable,
        compared_at=now,
    )


def pass_time(room: Room) -> None:
    """Its agent reports, and compares, all the time."""
    room.hosts = [replace(row, heartbeat_at=room.now, compared_at=room.now) for row in room.hosts]
