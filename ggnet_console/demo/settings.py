# SPDX-License-Identifier: GPL-3.0-or-later
"""Some of the settings, as they stand in the demo room."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ConsoleError, FieldChange, sentence
from ..services.settings import SettingRow, SettingSpec
from .changes import save

if TYPE_CHECKING:
    from .room import Room

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


def update_setting(room: Room, read: SettingRow, spec: SettingSpec) -> tuple[FieldChange, ...]:
    """Save a value, which the form has seen to lie in its range."""
    row = next((row for row in room.settings if row.id == read.id), None)
    if row is None:
        raise ConsoleError(sentence("There is no setting “{name}”.", name=read.name))
    save(room, replace(row, value=spec.value))
    return ()
