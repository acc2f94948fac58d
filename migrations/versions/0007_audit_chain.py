# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail as a hash chain, one link per transaction; search; retention."""

from __future__ import annotations

from support import grant, restore, run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_file("0007_audit_chain.sql")
    grant(revision)


def downgrade() -> None:
    restore("0002_tracking.sql", "audit_rows")
    run_file("0007_audit_chain_down.sql")
    grant(down_revision)
