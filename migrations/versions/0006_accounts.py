# SPDX-License-Identifier: GPL-3.0-or-later
"""What admins do with accounts and sign-ins, and everybody with their own password."""

from __future__ import annotations

from support import grant, restore, run, run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run("DROP FUNCTION who_am_i()")
    run_file("0006_accounts.sql")
    grant(revision)


def downgrade() -> None:
    restore("0003_rights.sql", "user_create")
    run_file("0006_accounts_down.sql")
    restore("0003_rights.sql", "who_am_i")
    grant(down_revision)
