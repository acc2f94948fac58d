# SPDX-License-Identifier: GPL-3.0-or-later
"""Names are composed letters (Unicode NFC): two that look alike are one."""

from __future__ import annotations

from support import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("machines", "images", "users"):
        run(
            # Of two that only looked alike, the later one gets its number behind its name.
            f"UPDATE {table} one SET name = left(normalize(name, NFC), 48) || ' (' || id || ')'"
            f" WHERE EXISTS (SELECT FROM {table} other WHERE other.id <> one.id"
            " AND lower(normalize(other.name, NFC)) = lower(normalize(one.name, NFC))"
            " AND (other.name IS NFC NORMALIZED OR other.id < one.id)"
            " AND one.name IS NOT NFC NORMALIZED);"
            f"UPDATE {table} SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;"
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_composed"
            " CHECK (name IS NFC NORMALIZED)"
        )
