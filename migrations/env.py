# SPDX-License-Identifier: GPL-3.0-or-later
"""Alembic's environment: runs inside the connection that ``ggnet_console.db.schema`` hands over."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import context

from ggnet_console.models import Base

sys.path.insert(0, str(Path(__file__).parent))

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    compare_type=True,
    compare_server_default=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
