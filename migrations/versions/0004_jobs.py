# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue (procrastinate's own schema) and the functions that put work into it."""

from __future__ import annotations

from procrastinate.schema import SchemaManager
from support import grant, run, run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run("CREATE SCHEMA procrastinate; SET LOCAL search_path = procrastinate, pg_catalog")
    run(SchemaManager.get_schema())
    run("SET LOCAL search_path = public, pg_catalog")
    run_file("0004_jobs.sql")
    grant(revision)


def downgrade() -> None:
    run_file("0004_jobs_down.sql")
