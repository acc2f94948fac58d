# SPDX-License-Identifier: GPL-3.0-or-later
"""How many jobs one account may start within a minute, and how many machines."""

from __future__ import annotations

from support import grant, restore, run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_file("0008_limits.sql")
    grant(revision)


def downgrade() -> None:
    restore("0004_jobs.sql", "new_job")
    run_file("0008_limits_down.sql")
    grant(down_revision)
