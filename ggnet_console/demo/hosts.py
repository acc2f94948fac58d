# SPDX-License-Identifier: GPL-3.0-or-later
"""The one storage host of the demo room."""

from __future__ import annotations

from datetime import datetime

from ..services.hosts import HostRow

HOST = "lab-server"
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
