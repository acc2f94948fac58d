# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-in that counts failures, locks out, and can ask for a new password."""

from __future__ import annotations

from support import grant, restore, run, run_file, version

revision = "0005"
down_revision = "0004"

OBSERVED = ("last_sign_in_at",)


def upgrade() -> None:
    run("DROP TRIGGER version ON users")
    run_file("0005_sign_in.sql")
    version("users", OBSERVED)
    grant(revision)


def downgrade() -> None:
    run("DROP TRIGGER version ON users")
    restore("0003_rights.sql", "login")
    run_file("0005_sign_in_down.sql")
    version("users", OBSERVED)
    grant(down_revision)
