# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit entries in words, and the History tab of every object's details."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from PySide6.QtWidgets import QVBoxLayout

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
from ..errors import ConsoleError
from ..services import audit
from ..services.audit import AuditRow
from .kit import format as fmt
from .kit.detail_pane import Fact, Tab
from .kit.table_model import R
from .kit.tokens import XL, XS, S, State
from .kit.widgets import StateLine, Value, clear, label
from .page_context import PageContext

NOUNS = {
    "machine": "Machine",
    "image": "Image",
    "image version": "Image version",
    "target": "Target",
    "lun": "LUN",
    "session": "Session",
    "job": "Job",
    "user": "Account",
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
SETTINGS = {
    "audit_keep_days": "Audit trail is kept",
    "bcrypt_cost": "Cost of password hashes",
    "failed_sign_ins_max": "Failed sign-ins in a row",
    "image_timeout_s": "Longest work on an image",
    "lock_out_s": "Lock-out lasts",
    "max_virtual_size_bytes": "Largest image",
    "session_timeout_s": "Wait for boot",
    "sign_in_hours": "Sign-in lasts",
    "sign_ins_per_minute": "Failed sign-ins a minute",
    "user_jobs_per_minute": "Jobs a minute and account",
    "user_power_actions_per_minute": "Starts and stops a minute and account",
    "user_sign_ins_per_minute": "Sign-ins a minute and account",
}
"""What people call the settings."""
_UNITS = {"_s": "seconds", "_bytes": "bytes", "_hours": "hours", "_days": "days"}
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


def setting_title(name: str) -> str:
    """A setting's name as people read it; the unit at its end is said with the value."""
    return SETTINGS.get(name) or name.replace("_", " ").capitalize()


def setting_unit(name: str) -> str:
    """What a setting counts, or an empty text for a bare number."""
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def setting_value(name: str, value: int) -> str:
    """A value of a setting with its unit."""
    match setting_unit(name):
        case "seconds":
            return fmt.duration(value)
        case "bytes":
            return fmt.size(value)
        case "hours":
            return fmt.duration(value * 3600)
        case "days":
            return fmt.count(value, "day")
    return fmt.number(value)


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
            return fmt.word(kind(value))
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


class History(Tab[R]):
    """The audit entries of one object, newest first."""

    title = "History"

    def __init__(
        self,
        context: PageContext,
        noun: str,
        object_id: Callable[[R], object] = lambda row: row.id,
        changed: Callable[[R], object] = lambda row: row,
    ) -> None:
        """``changed``: of a row, what differs whenever there may be new entries."""
        super().__init__()
        self._context, self._noun, self._object_id = context, noun, object_id
        self._changed = changed
        self._shown: R | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(XS)
        context.access.changed.connect(self._forget)

    def _forget(self) -> None:
        self._shown = None

    def show_row(self, row: R) -> None:
        if self._shown is not None and self._changed(row) == self._changed(self._shown):
            return
        self._shown = row
        self._context.runner.run(
            audit.object_history,
            self._noun,
            str(self._object_id(row)),
            done=lambda rows: self._show(row, rows),
            failed=self._on_failed,
            parent=self,
        )

    def _on_failed(self, error: ConsoleError) -> None:
        """The next turn of the page's clock tries again."""
        self._forget()
        self._say(error.summary)

    def _say(self, text: str) -> None:
        clear(self._column)
        self._column.addWidget(label(text, "secondary", wrap=True))

    def _show(self, row: R, rows: list[AuditRow] | None) -> None:
        if self._shown is None or self._shown.id != row.id:
            return
        if not rows:
            self._say("Nothing has been done to it since the audit trail began.")
            return
        clear(self._column)
        for each in rows:
            line = StateLine()
            line.show_state(sign_of(each), f"{action_of(each)} by {who_of(each)}")
            when = label(fmt.ago(each.at), "secondary")
            when.setToolTip(fmt.exact(each.at))
            when.setContentsMargins(XL - XS, 0, 0, 0)
            self._column.addWidget(line)
            self._column.addWidget(when)
            for field, text in changes_of(each):
                change = Value()
                change.set_value(f"{field}: {text}")
                change.setContentsMargins(XL - XS, 0, 0, 0)
                self._column.addWidget(change)
            self._column.addSpacing(S)
