# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit entries in words: who did what to which object, and which fields it changed."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..enums import (
    BackendChoice,
    BootMode,
    ImageFormat,
    ImageStatus,
    ImageType,
    JobKind,
    JobStatus,
    MachineStatus,
    Role,
    SessionStatus,
    SessionType,
    Severity,
    TargetStatus,
)
from ..services.audit import AuditRow
from .enum_words import word
from .kit import format as fmt
from .kit.detail_pane import Fact
from .kit.tokens import State
from .setting_words import setting_title, setting_value

NOUNS = {
    "machine": "Machine",
    "image": "Image",
    "image version": "Image version",
    "target": "Target",
    "lun": "LUN",
    "session": "Session",
    "job": "Job",
    "user": "User",
    "sign-in": "Sign-in",
    "setting": "Setting",
    "host": "Storage host",
    "audit": "Audit trail",
}
"""What entries are about, in the words of the pages."""
_VERBS = {
    "insert": "added",
    "update": "changed",
    "delete": "removed",
    "fail": "failed",
    "revoke": "revoked",
    "cut": "cut off",
    "prune": "shortened",
}
_SIGNS = {
    Severity.INFO: State.OFF,
    Severity.WARNING: State.ATTENTION,
    Severity.CRITICAL: State.FAILED,
}
_ENUMS: dict[tuple[str, str], type[StrEnum]] = {
    ("machine", "status"): MachineStatus,
    ("machine", "boot_mode"): BootMode,
    ("image", "status"): ImageStatus,
    ("image", "type"): ImageType,
    ("image", "source_format"): ImageFormat,
    ("target", "status"): TargetStatus,
    ("session", "status"): SessionStatus,
    ("session", "type"): SessionType,
    ("job", "status"): JobStatus,
    ("job", "kind"): JobKind,
    ("user", "role"): Role,
    ("host", "backend_choice"): BackendChoice,
}
_AGENT = "ggnet_agent_"
"""What the database's roles of storage hosts begin with."""
_OURS = "ggnet"
"""What our programs' names begin with; one that works as the database's owner sets up."""
_HIDDEN = ["(hidden)", "(hidden)"]
_FIELDS = {
    "backend_choice": "Served by",
    "backend_reason": "Why",
    "cancel_requested": "Cancel asked for",
    "chap_user": "CHAP name",
    "initiator_iqn": "Initiator",
    "ip": "IP address",
    "iqn": "IQN",
    "kind": "Work",
    "lun": "LUN",
    "mac": "MAC address",
    "maximum": "At most",
    "minimum": "At least",
    "not_recorded": "More failed sign-ins, not recorded one by one",
    "object_name": "On",
    "password_hash": "Password",
    "sha256": "SHA-256",
    "source_format": "Format of the file",
    "source_name": "File",
    "source_sha256": "SHA-256 of the file",
    "source_size_bytes": "Size of the file",
    "stop_requested": "Stop asked for",
    "target_iqn": "Target",
}
"""Columns that people call otherwise than the database does."""
_TECHNICAL = frozenset({"id", "agent_role", "created_at", "created_by", "started_by", "params"})
"""Columns that say nothing to people, or what stands beside the entry anyway; as all keys do."""
_SHORT = 3
"""So many fields stand in one line."""


def sign_of(row: AuditRow) -> State:
    """The sign of an entry's severity."""
    return _SIGNS[row.severity]


def action_of(row: AuditRow) -> str:
    """What was done, such as “Machine changed”."""
    noun = NOUNS.get(row.noun, row.noun.capitalize())
    return f"{noun} {_VERBS.get(row.verb, row.verb)}"


def who_of(row: AuditRow) -> str:
    """Who did it; nobody for a sign-in that failed."""
    if row.user_name.startswith(_AGENT):
        return f"Agent of {row.user_name.removeprefix(_AGENT)}"
    if row.user_id is None and row.user_name:
        return "Set-up" if row.program.startswith(_OURS) else "Database owner"
    return row.user_name or fmt.NONE


def object_of(row: AuditRow) -> str:
    """What it was done to."""
    if row.noun == "setting":
        return setting_title(row.object_name)
    return row.object_name or (f"no. {row.object_id}" if row.object_id else fmt.NONE)


def field_of(noun: str, name: str) -> str:
    """A column's name as it stands on the pages."""
    if (noun, name) == ("session", "type"):
        return "Purpose"
    if name in _FIELDS:
        return _FIELDS[name]
    for suffix in ("_at", "_bytes", "_name"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ").capitalize()


def _is_technical(row: AuditRow, field: str, pair: object) -> bool:
    """Whether a field tells nobody anything: keys, and what a new object does not have."""
    if row.noun == "setting" and field in ("name", "description"):
        return True  # the object's name says it in words
    if isinstance(pair, list) and None in pair and any(value is False for value in pair):
        return True
    return field in _TECHNICAL or field.endswith("_id")


def value_of(row: AuditRow, field: str, value: Any) -> str:
    """A field's value in words."""
    if value is None or value == "":
        return fmt.NONE
    if isinstance(value, bool):
        return "Yes" if value else "No"
    noun = row.noun
    if noun == "setting" and isinstance(value, int):
        return setting_value(row.object_name, value)
    if isinstance(value, str):
        kind = _ENUMS.get((noun, field))
        if kind is not None and value in list(kind):
            return word(kind(value))
        return _time(value) if field.endswith("_at") else value
    if isinstance(value, int):
        return fmt.size(value) if field.endswith("_bytes") else str(value)
    return json.dumps(value, ensure_ascii=False)


def _time(text: str) -> str:
    try:
        return fmt.exact(datetime.fromisoformat(text))
    except ValueError:  # anything may stand in the trail
        return text


def changes_of(row: AuditRow) -> list[tuple[str, str]]:
    """Field by field what became of it: “old → new”, or the one value there was."""
    result = []
    for field, pair in row.changes.items():
        if _is_technical(row, field, pair):
            continue
        words = field_of(row.noun, field)
        if not (isinstance(pair, list) and len(pair) == 2):
            result.append((words, value_of(row, field, pair)))
            continue
        if pair == _HIDDEN:
            result.append((words, "changed"))
            continue
        before, after = (value_of(row, field, value) for value in pair)
        if pair[0] is None and row.verb != "update":
            text = after
        elif pair[1] is None and row.verb != "update":
            text = before
        else:
            text = f"{before} → {after}"
        result.append((words, text))
    return sorted(result)


def summary_of(row: AuditRow) -> str:
    """The changes in one line."""
    changes = changes_of(row)
    shown = " · ".join(f"{field}: {text}" for field, text in changes[:_SHORT])
    more = len(changes) - _SHORT
    return f"{shown} and {more} more" if more > 0 else shown


def facts(row: AuditRow) -> list[Fact]:
    """Everything an entry says."""
    changes = changes_of(row)
    return [
        Fact("When", fmt.ago(row.at), fmt.exact(row.at)),
        Fact("By", who_of(row), row.user_name),
        Fact("From", row.client_address or "this server"),
        Fact("Program", row.program or fmt.NONE),
        Fact("Object", object_of(row)),
        Fact("Job", str(row.job_id) if row.job_id else fmt.NONE),
        Fact("Entry", str(row.id)),
        *(
            Fact(field, text, section="" if number else "Fields")
            for number, (field, text) in enumerate(changes)
        ),
    ]
