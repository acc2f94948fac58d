# SPDX-License-Identifier: GPL-3.0-or-later
"""How many jobs one account may start within a minute."""

from __future__ import annotations

from support import grant, restore, run, run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_file("0008_limits.sql")
    grant(revision)


def downgrade() -> None:
    restore("0004_jobs.sql", "new_job")
    run("DROP INDEX ix_jobs_created_by_created_at")
    run("DELETE FROM settings WHERE name = 'user_jobs_per_minute'")
    grant(down_revision)
