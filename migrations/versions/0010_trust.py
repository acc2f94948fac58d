# SPDX-License-Identifier: GPL-3.0-or-later
"""Adjustable cost of passwords, a trail that is shortened for good, agents kept to their own host."""

from __future__ import annotations

from support import grant, restore, run, run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_file("0010_guard.sql")
    run_file("0010_trust.sql")
    grant(revision)


def downgrade() -> None:
    restore("0005_sign_in.sql", "check_password", "login")
    restore("0006_accounts.sql", "checked_hash")
    restore("0007_audit_chain.sql", "audit_rows", "audit_verify")
    run_file("0010_trust_down.sql")
    run("DROP FUNCTION tend_sign_ins(), end_blockers()")
    restore("0006_accounts.sql", "user_create")
    restore("0007_audit_chain.sql", "audit_prune")
    grant(down_revision)
