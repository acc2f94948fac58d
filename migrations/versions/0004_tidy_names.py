# SPDX-License-Identifier: GPL-3.0-or-later
"""Names are composed letters (Unicode NFC) with plain spaces: two that look alike are one."""

from __future__ import annotations

from support import run

revision = "0004"
down_revision = "0003"


_SPACES = "00A0 1680 2000 2001 2002 2003 2004 2005 2006 2007 2008 2009 200A 202F 205F 3000"
_TIDY = (
    "btrim(translate(normalize(name, NFC), U&'"
    + "".join(f"\\{code}" for code in _SPACES.split())
    + f"', repeat(' ', {len(_SPACES.split())})))"
)
"""``values.tidy`` in SQL."""


def upgrade() -> None:
    for table in ("machines", "images", "users"):
        run(
            # One that another has already gets a number behind it.
            f"""
            DO $$
            DECLARE
                one record;
                wanted text;
                number integer;
            BEGIN
                FOR one IN SELECT id, {_TIDY} AS name FROM {table} WHERE name <> {_TIDY} ORDER BY id LOOP
                    wanted := coalesce(nullif(rtrim(left(one.name, 64)), ''), 'unnamed');
                    number := 2;
                    WHILE EXISTS (SELECT FROM {table} other
                                  WHERE other.id <> one.id AND lower(other.name) = lower(wanted)) LOOP
                        wanted := rtrim(left(one.name, 48)) || ' (' || number || ')';
                        number := number + 1;
                    END LOOP;
                    UPDATE {table} SET name = wanted WHERE id = one.id;
                END LOOP;
            END
            $$;
            ALTER TABLE {table} ADD CONSTRAINT ck_{table}_tidy CHECK (name = {_TIDY})
            """
        )
