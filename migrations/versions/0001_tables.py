# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of every noun, and the settings' defaults."""

from __future__ import annotations

from support import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_file("0001_tables.sql")


def downgrade() -> None:
    run_file("0001_tables_down.sql")
