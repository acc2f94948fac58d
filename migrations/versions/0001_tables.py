# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of every noun, the settings' defaults, and the queue (procrastinate's own schema)."""

from __future__ import annotations

from procrastinate.schema import SchemaManager
from support import run, run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_file("0001_tables.sql")
    run("CREATE SCHEMA procrastinate; SET LOCAL search_path = procrastinate, pg_catalog")
    run(SchemaManager.get_schema())
    run("SET LOCAL search_path = public")
