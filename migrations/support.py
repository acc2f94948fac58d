# SPDX-License-Identifier: GPL-3.0-or-later
"""What every revision uses: SQL of several statements, as it stands or from a file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

_VERSIONS = Path(__file__).parent / "versions"


def run(sql: str) -> None:
    """Execute SQL; several statements are allowed."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(sql)


def run_file(name: str) -> None:
    """Execute ``migrations/versions/<name>``."""
    run((_VERSIONS / name).read_text("utf-8"))
