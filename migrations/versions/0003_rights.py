# SPDX-License-Identifier: GPL-3.0-or-later
"""Grants of the group roles, sign-in, accounts."""

from __future__ import annotations

from support import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_file("0003_rights.sql")


def downgrade() -> None:
    run_file("0003_rights_down.sql")
