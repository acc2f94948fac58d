# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of the demo room, who is signed in, and whose sign-ins failed."""

from __future__ import annotations

import uuid

from ..enums import Role
from ..services.users import FailedSignIns, SignInRow, UserRow
from .times import Ago


def make_users(ago: Ago, role: Role) -> list[UserRow]:
    """All users; ``role`` is anna's."""
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
            failed=_failed(ago).get(name, ()),
        )
        for n, (name, role, state, minutes, open_sign_ins) in enumerate(rows, 1)
    ]


def _failed(ago: Ago) -> dict[str, tuple[FailedSignIns, ...]]:
    return {
        "boss": (
            FailedSignIns("10.0.7.14", "desk@reception-1", 6, ago(4), True, ago(-11)),
            FailedSignIns(None, "anna@lab-server", 1, ago(95), False, None),
        ),
        "reception": (FailedSignIns("10.0.7.14", "desk@reception-1", 2, ago(4), False, None),),
    }


def make_sign_ins(ago: Ago) -> list[SignInRow]:
    """The sign-ins that are open."""
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
