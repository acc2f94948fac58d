# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services read, answered by the demo room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..services import (
    audit,
    boot_sessions,
    concurrent_edits,
    hosts,
    images,
    jobs,
    machines,
    settings,
    target_plans,
    targets,
    users,
)
from ..services.boot_sessions import BootSessionRow
from ..services.users import PublicUser
from .audit import find_audit, find_history
from .room import Room

Answer = Callable[..., Any]
"""Called with the room in place of the session, and with what the service would be called with."""


def _all_or_some(rows: Callable[[Room], list[Any]]) -> Answer:
    """A list function: all rows of a noun, or those with these ids."""

    def read(room: Room, ids: Iterable[int] | None = None) -> list[Any]:
        wanted = None if ids is None else set(ids)
        return [row for row in rows(room) if wanted is None or row.id in wanted]

    return read


def _sessions(
    room: Room, ids: Iterable[int] | None = None, *, machine_id: int | None = None, limit: int = 0
) -> list[BootSessionRow]:
    if machine_id is None:
        return list(_all_or_some(lambda room: room.sessions)(room, ids))
    found = [row for row in room.sessions if row.machine_id == machine_id]
    return sorted(found, key=lambda row: -row.id)[:limit]


def _users(room: Room) -> list[PublicUser]:
    return [PublicUser(a.id, a.name, a.role, a.disabled, a.locked) for a in room.users]


READS: dict[Callable[..., Any], Answer] = {
    machines.list_machines: _all_or_some(lambda room: room.machines),
    images.list_images: Room.list_images,
    targets.list_targets: _all_or_some(lambda room: room.targets),
    boot_sessions.list_boot_sessions: _sessions,
    jobs.list_jobs: _all_or_some(lambda room: room.jobs),
    hosts.list_hosts: _all_or_some(lambda room: room.hosts),
    concurrent_edits.list_open: _all_or_some(lambda room: room.opened),
    # Nobody else is there to be told.
    concurrent_edits.open_object: lambda *_object: None,
    concurrent_edits.close_object: lambda *_object: None,
    users.list_users: _all_or_some(lambda room: room.users),
    users.list_public_users: _users,
    users.list_sign_ins: lambda room, user: [s for s in room.sign_ins if s.user_id == user],
    users.who_am_i: lambda room: room.me,
    settings.list_settings: _all_or_some(lambda room: room.settings),
    settings.get_setting: lambda room, name: next(
        row.value for row in room.settings if row.name == name
    ),
    target_plans.read_plans: lambda room: target_plans.plans_of(room.hosts, room.targets),
    audit.list_audit: lambda room, wanted, **how: find_audit(room.audit, wanted, **how),
    audit.object_history: lambda room, *what: find_history(room.audit, *what),
}
