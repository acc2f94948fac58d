# SPDX-License-Identifier: GPL-3.0-or-later
"""What only admins see of the demonstration room: accounts, sign-ins, settings, audit entries."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from ggnet_console.enums import Role, Severity
from ggnet_console.services.audit import AuditFilter, AuditRow
from ggnet_console.services.settings import SettingRow
from ggnet_console.services.users import FailedSignIns, SignInRow, UserRow

Ago = Callable[[float], datetime]
"""The time so many minutes ago."""

SETTINGS = [
    SettingRow(n, name, value, minimum, maximum, description, 1)
    for n, (name, value, minimum, maximum, description) in enumerate(
        (
            (
                "failed_sign_ins_max",
                5,
                1,
                1000,
                "Failed sign-ins in a row, with one name from one computer, after which it is "
                "locked out",
            ),
            (
                "image_timeout_s",
                14400,
                60,
                604800,
                "Seconds the processing, exporting or verifying of one image may take",
            ),
            (
                "max_virtual_size_bytes",
                16 * 2**40,
                2**20,
                2**50,
                "Largest virtual size, in bytes, an imported image may claim",
            ),
            (
                "audit_keep_days",
                365,
                30,
                36500,
                "Days for which nobody, not even an admin, can remove entries of the audit trail",
            ),
            ("sign_in_hours", 12, 1, 720, "Hours a sign-in lasts unless it is renewed"),
        ),
        1,
    )
]


def make_users(ago: Ago, role: Role) -> list[UserRow]:
    rows = (
        ("anna", role, "", 20, 2),
        ("boss", Role.ADMIN, "", 60 * 26, 0),
        ("ben", Role.OPERATOR, "locked", 60 * 24 * 3, 0),
        ("carla", Role.OPERATOR, "must_change_password", None, 0),
        ("reception", Role.VIEWER, "", 3, 1),
        ("summer intern", Role.VIEWER, "disabled", 60 * 24 * 70, 0),
    )
    return [
        UserRow(
            id=n,
            name=name,
            role=role,
            disabled=state == "disabled",
            locked=state == "locked",
            must_change_password=state == "must_change_password",
            created_at=ago(60 * 24 * (120 - n)),
            last_sign_in_at=None if minutes is None else ago(minutes),
            open_sign_ins=open_sign_ins,
            failed=make_failed(ago).get(name, ()),
        )
        for n, (name, role, state, minutes, open_sign_ins) in enumerate(rows, 1)
    ]


def make_failed(ago: Ago) -> dict[str, tuple[FailedSignIns, ...]]:
    return {
        "boss": (
            FailedSignIns("10.0.7.14", "desk@reception-1", 6, ago(4), True, ago(-11)),
            FailedSignIns(None, "anna@lab-server", 1, ago(95), False, None),
        ),
        "reception": (FailedSignIns("10.0.7.14", "desk@reception-1", 2, ago(4), False, None),),
    }


def make_sign_ins(ago: Ago) -> list[SignInRow]:
    rows = (
        (1, "anna", "ggnet-console", "anna@lab-desk", "10.0.2.5", 20),
        (1, "anna", "ggnet", "anna@lab-server", None, 190),
        (5, "reception", "ggnet-console", "desk@reception-1", "10.0.7.14", 3),
    )
    return [
        SignInRow(
            id=uuid.UUID(int=n),
            user_id=user_id,
            name=name,
            program=program,
            workstation=workstation,
            client_address=address,
            created_at=ago(minutes),
            expires_at=ago(minutes - 720),
            ended_at=None,
        )
        for n, (user_id, name, program, workstation, address, minutes) in enumerate(rows, 1)
    ]


def make_audit(ago: Ago, error: str) -> list[AuditRow]:
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
            {"status": ["PENDING", "ERROR"], "error": ["", error]},
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
