# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens by itself when a row of the room changes: its version, a hint, the audit trail.

The triggers of ``migrations/functions/changes.sql`` in small.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, get_type_hints

from ..enums import Severity
from ..services.audit import AuditRow
from ..services.boot_sessions import BootSessionRow
from ..services.images import ImageRow
from ..services.jobs import JobRow
from ..services.machines import MachineRow, MachineSpec
from ..services.settings import SettingRow
from ..services.targets import TargetRow

if TYPE_CHECKING:
    from .room import Room


@dataclass(frozen=True)
class _Kind:
    """Where rows of a kind are kept, how hints and the audit trail call them, what the trail tells."""

    rows: str
    table: str
    noun: str
    told: tuple[str, ...]


_KINDS: dict[type, _Kind] = {
    MachineRow: _Kind(
        "machines", "machines", "machine", tuple(field.name for field in fields(MachineSpec))
    ),
    BootSessionRow: _Kind(
        "sessions", "boot_sessions", "session", ("image", "type", "status", "stop_requested")
    ),
    ImageRow: _Kind("images", "images", "image", ("name", "type", "notes", "status", "error")),
    TargetRow: _Kind("targets", "targets", "target", ("status", "kept")),
    JobRow: _Kind("jobs", "jobs", "job", ("status", "object_name")),
    SettingRow: _Kind("settings", "settings", "setting", ("value",)),
}

_COLUMNS = {"image": "image_name"}
"""Columns that rows call otherwise."""
_ENUMS = {
    kind: [
        (name, hint)
        for name, hint in get_type_hints(kind).items()
        if isinstance(hint, type) and issubclass(hint, Enum)
    ]
    for kind in _KINDS
}
"""The fields that are enumerations, each with its own."""


def save(room: Room, row: Any, by: str = "") -> None:
    """Keep ``row``, new or in place of the one with its id; ``by`` whom, if not by who is signed in."""
    kind = _KINDS[type(row)]
    row = _typed(row)
    rows = getattr(room, kind.rows)
    place = next((n for n, each in enumerate(rows) if each.id == row.id), None)
    before = None if place is None else rows[place]
    told = _told(kind, before, row)
    if place is None:
        rows.append(row)
    else:
        rows[place] = replace(row, version=row.version + 1) if told and _counts(row) else row
    _tell(room, kind, row, told, "insert" if before is None else "update", by)


def remove(room: Room, row: Any, by: str = "") -> None:
    """Forget ``row``; ``by`` as in ``save``."""
    kind = _KINDS[type(row)]
    rows = getattr(room, kind.rows)
    rows[:] = [each for each in rows if each.id != row.id]
    _tell(room, kind, row, _told(kind, row, None), "delete", by)


def _typed(row: Any) -> Any:
    """As the database reads it back: Qt's boxes make plain texts of enumerations."""
    return replace(row, **{name: kind(getattr(row, name)) for name, kind in _ENUMS[type(row)]})


def _counts(row: Any) -> bool:
    return any(field.name == "version" for field in fields(row))


def _told(kind: _Kind, before: Any, after: Any) -> dict[str, Any]:
    """The fields that differ, as the trail writes them: ``[old, new]``."""
    pairs = {
        _COLUMNS.get(name, name): [_plain(getattr(each, name, None)) for each in (before, after)]
        for name in kind.told
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _plain(value: Any) -> Any:
    """As JSON; nothing for an empty text."""
    return (str(value) or None) if isinstance(value, str) else value


def _tell(room: Room, kind: _Kind, row: Any, told: dict[str, Any], verb: str, by: str) -> None:
    room.hints.setdefault(kind.table, set()).add(row.id)
    if isinstance(row, JobRow) and row.image_id is not None:
        room.hints.setdefault("images", set()).add(row.image_id)
    if not told:
        return
    mine = not by
    name = (
        getattr(row, "name", "") or getattr(row, "machine", "") or getattr(row, "object_name", "")
    )
    entry = AuditRow(
        id=room.audit[0].id + 1 if room.audit else 1,
        at=room.now,
        severity=Severity.WARNING if kind.noun == "setting" or verb == "delete" else Severity.INFO,
        user_id=room.me.user_id if mine else None,
        user_name=by or room.me.name,
        client_address=None,
        program="ggnet-console" if mine else "ggnet-agent",
        verb=verb,
        noun=kind.noun,
        object_id=str(row.id),
        object_name=name,
        changes=told,
        job_id=None,
    )
    room.audit.insert(0, entry)
