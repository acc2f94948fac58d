# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealed image says what was found on its disk, and what its operators should know."""

from __future__ import annotations

from support import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run(
        "ALTER TABLE image_versions ADD COLUMN contents TEXT DEFAULT '' NOT NULL,"
        " ADD COLUMN warning TEXT DEFAULT '' NOT NULL,"
        " ADD COLUMN remarks TEXT DEFAULT '' NOT NULL"
    )
