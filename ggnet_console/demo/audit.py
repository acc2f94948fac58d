# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail of the demo room, and looking things up in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..enums import Severity
from ..services.audit import AuditFilter, AuditRow
from .targets import LOCKED
from .times import Ago


def make_audit(ago: Ago) -> list[AuditRow]:
    """More entries than one page holds, newest first: the same few again and again."""
    info, warning, critical = Severity
    rows: list[tuple[Severity, str, str, str, int | str, str, dict[str, Any]]] = [
        (info, "anna", "update", "machine", 7, "PC-07", {"room": ["Lab 2", "Lab 3"]}),
        (
            warning,
            "boss",
            "update",
            "user",
            4,
            "carla",
            {
                "role": ["VIEWER", "OPERATOR"],
                "password_hash": ["(hidden)", "(hidden)"],
                "must_change_password": [False, True],
            },
        ),
        (
            warning,
            "",
            "fail",
            "sign-in",
            "",
            "root",
            {"reason": [None, "The name or the password is wrong."]},
        ),
        (critical, "", "fail", "sign-in", "", "", {"not_recorded": [None, 3]}),
        (
            info,
            "ben",
            "insert",
            "machine",
            40,
            "PC-40",
            {
                "name": [None, "PC-40"],
                "mac": [None, "52:54:00:1a:00:28"],
                "boot_mode": [None, "UEFI"],
                "room": [None, "Lab 3"],
            },
        ),
        (warning, "boss", "update", "setting", 2, "image_timeout_s", {"value": [7200, 14400]}),
        (
            info,
            "ggnet_agent_lab-server",
            "update",
            "session",
            5,
            "PC-05",
            {"status": ["PENDING", "ERROR"], "error": ["", LOCKED]},
        ),
        (
            info,
            "anna",
            "update",
            "image",
            1,
            "Win11-Games",
            {"name": ["Win11-Gaming", "Win11-Games"], "notes": ["", "For the lab."]},
        ),
        (
            warning,
            "anna",
            "delete",
            "machine",
            41,
            "PC-41",
            {"name": ["PC-41", None], "ip": ["10.0.2.51", None]},
        ),
    ]
    number = 450
    return [
        AuditRow(
            id=number - n,
            at=ago(2 + n * 7),
            severity=severity,
            user_id={"anna": 1, "boss": 2, "ben": 3}.get(who),
            user_name=who,
            client_address=f"10.0.2.{5 + n % 4}" if n % 3 else None,
            program="ggnet-console" if n % 3 else "ggnet",
            verb=verb,
            noun=noun,
            object_id=str(object_id),
            object_name=name,
            changes=changes,
            job_id=None,
        )
        for n in range(number)
        for severity, who, verb, noun, object_id, name, changes in [rows[n % len(rows)]]
    ]


def find_history(
    entries: list[AuditRow], noun: str, object_id: str, most: int = 50
) -> list[AuditRow]:
    """As the service: the newest of one object, without addresses."""
    found = [r for r in entries if (r.noun, r.object_id) == (noun, object_id)]
    return [replace(row, client_address=None) for row in found[:most]]


def find_audit(
    entries: list[AuditRow], wanted: AuditFilter, *, before_id: int | None = None, limit: int = 200
) -> list[AuditRow]:
    """As the service: newest first, a page at a time."""
    found = [
        row
        for row in entries
        if (before_id is None or row.id < before_id)
        and wanted.user_name in ("", row.user_name)
        and wanted.noun in ("", row.noun)
        and wanted.object_id in ("", row.object_id)
        and wanted.severity in (None, row.severity)
        and (wanted.since is None or row.at >= wanted.since)
        and (wanted.until is None or row.at < wanted.until)
        and wanted.contains.casefold() in f"{row.object_name} {row.changes}".casefold()
    ]
    return found[:limit]
