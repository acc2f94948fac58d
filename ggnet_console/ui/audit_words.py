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
from .kit.translate import tr
from .setting_words import setting_title, setting_value

NOUNS = {
    "machine": tr("Machine"),
    "image": tr("Image"),
    "image version": tr("Image version"),  # no text
    "target": tr("Target"),
    "lun": "LUN",
    "session": tr("Session"),
    "job": tr("Job"),
    "user": tr("User"),
    "sign-in": tr("Sign-in"),
    "setting": tr("Setting"),
    "host": tr("Storage host"),
    "audit": tr("Audit trail"),
}
"""What entries are about, in the words of the pages."""
_ACTIONS = {
    "insert": tr("{noun} added"),
    "update": tr("{noun} changed"),
    "delete": tr("{noun} removed"),
    "fail": tr("{noun} failed"),
    "revoke": tr("{noun} revoked"),
    "cut": tr("{noun} cut off"),
    "prune": tr("{noun} shortened"),
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
_HIDDEN = ["(hidden)", "(hidden)"]  # no text
FIELDS = {
    "active_at": tr("Active", "since when"),
    "actual_size_bytes": tr("Actual size"),
    "asset_tag": tr("Asset tag"),
    "backend_choice": tr("Served by"),
    "backend_reason": tr("Why"),
    "bcrypt_cost": tr("Bcrypt cost"),
    "before": tr("Before"),
    "boot_mode": tr("Boot mode"),
    "cancel_requested": tr("Cancel asked for"),
    "chap_user": tr("CHAP name"),
    "contents": tr("Contents"),
    "created_by_name": tr("Created by"),
    "description": tr("Description"),
    "disabled": tr("Disabled"),
    "ended_at": tr("Ended"),
    "entries": tr("Entries"),
    "error": tr("Error"),
    "error_details": tr("Error details"),
    "expires_at": tr("Expires"),
    "finished_at": tr("Finished"),
    "follows": tr("Follows"),
    "hash": tr("Hash"),
    "image_name": tr("Image"),
    "initiator_iqn": tr("Initiator"),
    "initiators": tr("Initiators"),
    "ip": tr("IP address"),
    "iqn": "IQN",
    "kept": tr("Kept"),
    "kind": tr("Work"),
    "location": tr("Location"),
    "locked": tr("Locked"),
    "lun": "LUN",
    "mac": tr("MAC address"),
    "maximum": tr("At most"),
    "minimum": tr("At least"),
    "must_change_password": tr("Must change password"),
    "name": tr("Name"),
    "not_recorded": tr("More failed sign-ins, not recorded one by one"),
    "notes": tr("Notes"),
    "number": tr("Number"),
    "object_name": tr("On", "what a job works on"),
    "password_hash": tr("Password"),
    "path": tr("Path"),
    "portal": tr("Portal"),
    "program": tr("Program"),
    "read_only": tr("Read only"),
    "ready_at": tr("Ready", "since when"),
    "reason": tr("Reason"),
    "refused_unseen": tr("Refused unseen"),
    "result": tr("Result"),
    "remarks": tr("Remarks"),
    "role": tr("Role"),
    "room": tr("Room"),
    "serial": tr("Serial"),
    "sha256": "SHA-256",
    "sign_ins": tr("Sign-ins"),
    "size_bytes": tr("Size"),
    "source_format": tr("Format of the file"),
    "source_name": tr("File"),
    "source_sha256": tr("SHA-256 of the file"),
    "source_size_bytes": tr("Size of the file"),
    "started_at": tr("Started"),
    "status": tr("Status"),
    "stop_requested": tr("Stop asked for"),
    "store": tr("Store"),
    "target_iqn": tr("Target"),
    "type": tr("Type"),
    "unlocked_at": tr("Unlocked"),
    "value": tr("Value"),
    "verified_at": tr("Verified"),
    "virtual_size_bytes": tr("Virtual size"),
    "workstation": tr("Workstation"),
    "warning": tr("Warning"),
    "write_back": tr("Write back"),
}
"""The words for columns, and for what else an entry tells."""
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
    deed = _ACTIONS.get(row.verb)
    return f"{noun} {row.verb}" if deed is None else deed.format(noun=noun)


def who_of(row: AuditRow) -> str:
    """Who did it; nobody for a sign-in that failed."""
    if row.user_name.startswith(_AGENT):
        return tr("Agent of {host}").format(host=row.user_name.removeprefix(_AGENT))
    if row.user_id is None and row.user_name:
        return tr("Set-up") if row.program.startswith(_OURS) else tr("Database owner")
    return row.user_name or fmt.NONE


def object_of(row: AuditRow) -> str:
    """What it was done to."""
    if row.noun == "setting":
        return setting_title(row.object_name)
    if row.object_name or not row.object_id:
        return row.object_name or fmt.NONE
    return tr("no. {number}").format(number=row.object_id)


def field_of(noun: str, name: str) -> str:
    """A column's name as it stands on the pages."""
    if (noun, name) == ("session", "type"):
        return tr("Purpose")
    if name in FIELDS:
        return FIELDS[name]
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
        return tr("Yes") if value else tr("No")
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
            result.append((words, tr("changed")))
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
    return tr("{changes} and %n more", "", more).format(changes=shown) if more > 0 else shown


def facts(row: AuditRow) -> list[Fact]:
    """Everything an entry says."""
    changes = changes_of(row)
    return [
        Fact(tr("When"), fmt.ago(row.at), fmt.exact(row.at)),
        Fact(tr("By"), who_of(row), row.user_name),
        Fact(tr("From"), row.client_address or tr("this server")),
        Fact(tr("Program"), row.program or fmt.NONE),
        Fact(tr("Object"), object_of(row)),
        Fact(tr("Job"), str(row.job_id) if row.job_id else fmt.NONE),
        Fact(tr("Entry"), str(row.id)),
        *(
            Fact(field, text, section="" if number else tr("Fields"))
            for number, (field, text) in enumerate(changes)
        ),
    ]
