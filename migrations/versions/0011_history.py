# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to one object, for all who see it; and whose sign-ins fail, for admins."""

from __future__ import annotations

from support import grant, run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_file("0011_history.sql")
    grant(revision)


def downgrade() -> None:
    run_file("0011_history_down.sql")
    grant(down_revision)
