# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-ins remember that they got other rights until the connections from before have ended."""

from __future__ import annotations

from support import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run(
        "ALTER TABLE sign_ins ADD COLUMN regrouped_in BIGINT;"
        "CREATE INDEX ix_sign_ins_regrouped_in ON sign_ins (regrouped_in)"
        " WHERE regrouped_in IS NOT NULL"
    )
