# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint of a database: all that was defined when it was upgraded, to tell what differs.

Two things can differ: what this program would define (``source``; then it must not work with the
database), and what somebody has changed by hand since.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from psycopg import sql

from . import definitions, grants

if TYPE_CHECKING:
    import psycopg

MADE_ANEW = ("function", "grant", "policy", "source", "trigger", "view")
"""Kinds that every upgrade makes anew; the others are tables and what belongs to them or to others."""


class Change(StrEnum):
    """How an object differs from what was there after the last upgrade."""

    MISSING = "missing"
    CHANGED = "changed"
    ADDED = "added"


@dataclass(frozen=True)
class Difference:
    """An object that is not as it was; ``definition`` is what it was, or now is when it was added.

    Kinds begin with “foreign” for what belongs to others or concerns roles of others alone.
    """

    kind: str
    name: str
    change: Change
    definition: str

    @property
    def short_name(self) -> str:
        """Without a function's arguments; no two of ours share a name."""
        return self.name.partition("(")[0] if self.kind.endswith("function") else self.name


def told(found: list[Difference], most: int = 3) -> str:
    """What differs as part of a sentence, the first few by name."""
    named = [
        f"{each.kind} {each.short_name} "
        + ("is missing" if each.change is Change.MISSING else f"was {each.change}")
        for each in found[:most]
    ]
    rest = len(found) - len(named)
    return ", ".join(named) + (f" and {rest} more differences" if rest > 1 else "")


def sentence(found: list[Difference]) -> str:
    """What a person reads who works with such a database, "" when nothing differs."""
    if not found:
        return ""
    return (
        f"The database was changed by hand since its last upgrade: {told(found)}; "
        "run “ggnet db upgrade” as its owner."
    )


def details(found: list[Difference]) -> str:
    """Every difference on a line, with what the object was."""
    return "\n".join(
        f"{each.change} {each.kind} {each.name}: {each.definition}".rstrip(": ") for each in found
    )


# Functions by their digest, the rest as text that tells a person what it was; without the id that
# roles carry. Counters of a pool count as one; not-null constraints are those of their columns.
_DEFINED = grants.CELLS + sql.SQL("""
    , class AS (
        SELECT c.oid, relkind, relowner::regrole::text AS owner, relrowsecurity,
            ours.prefix || relname AS name,
            CASE WHEN relowner IN (SELECT role FROM owning) THEN '' ELSE 'foreign ' END AS whose
        FROM pg_class c JOIN ours ON ours.oid = relnamespace
    ), seen AS (
        SELECT whose || 'table' AS kind, name,
            format('owner %%s%%s', owner, CASE WHEN relrowsecurity THEN ', row level security' END)
                AS definition
        FROM class WHERE relkind IN ('r', 'p')
        UNION ALL
        SELECT whose || 'view', name, format('owner %%s, %%s', owner, pg_get_viewdef(oid))
        FROM class WHERE relkind IN ('v', 'm')
        UNION ALL
        SELECT 'sequence', regexp_replace(name, '^(attempts\\..*_)\\d+$', '\\1N'),
            format('%%s, from %%s to %%s by %%s', count(*), min(seqmin), max(seqmax), min(seqincrement))
        FROM class JOIN pg_sequence ON seqrelid = oid GROUP BY 2
        UNION ALL
        SELECT 'column', format('%%s.%%s', name, attname), concat_ws(' ',
            format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || pg_get_expr(adbin, adrelid), 'IDENTITY ' || nullif(attidentity::text, ''))
        FROM class JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relkind IN ('r', 'p')
        UNION ALL
        SELECT 'index', name, pg_get_indexdef(oid) || CASE WHEN indisvalid THEN '' ELSE ', invalid' END
        FROM class JOIN pg_index ON indexrelid = oid
        WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = class.oid AND contype IN ('p', 'u', 'x'))
        UNION ALL
        SELECT 'constraint', format('%%s.%%s', name, conname), pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN class ON class.oid = conrelid WHERE contype IN ('c', 'f', 'p', 'u', 'x')
        UNION ALL
        SELECT CASE WHEN proowner IN (SELECT role FROM owning) THEN '' ELSE 'foreign ' END || 'trigger',
            format('%%s.%%s', name, tgname),
            format('%%s %%s', tgenabled, pg_get_triggerdef(t.oid))
        FROM pg_trigger t JOIN class ON class.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
        WHERE NOT tgisinternal
        UNION ALL
        SELECT CASE WHEN polroles && ARRAY(SELECT oid FROM pg_roles WHERE rolname ~ '^ggnet_' UNION SELECT 0)
                    THEN '' ELSE 'foreign ' END || 'policy',
            format('%%s.%%s', name, polname), format('%%s %%s TO %%s USING (%%s) CHECK (%%s)',
            polpermissive, polcmd, (SELECT string_agg(r::regrole::text, ', ' ORDER BY r::regrole::text)
                                    FROM unnest(polroles) AS r),
            pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy p JOIN class ON class.oid = polrelid
        UNION ALL
        SELECT CASE WHEN proowner IN (SELECT role FROM owning) THEN '' ELSE 'foreign ' END || 'function',
            prefix || format('%%s(%%s)', proname, pg_get_function_identity_arguments(p.oid)),
            md5(replace(concat_ws(' ', proowner::regrole, l.lanname, prosecdef, provolatile, proisstrict,
                proretset, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), proconfig,
                coalesce(pg_get_function_sqlbody(p.oid), prosrc)), %(installation)s, ''))
        FROM pg_proc p JOIN ours ON ours.oid = pronamespace JOIN pg_language l ON l.oid = prolang
        WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 'type', prefix || typname,
            (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
             FROM pg_enum WHERE enumtypid = t.oid)
        FROM pg_type t JOIN ours ON ours.oid = typnamespace WHERE typtype = 'e'
        UNION ALL
        SELECT CASE kind WHEN 'FOREIGN EXTENSION FUNCTION' THEN 'foreign ' ELSE '' END || 'grant',
            concat_ws(' ', verb, 'ON', name, '(' || nullif("column", '') || ')', 'TO', role), count(*)::text
        FROM cell WHERE kind !~ '^FOREIGN (?!EXTENSION)' AND role = ANY (%(roles)s) GROUP BY 1, 2
        UNION ALL
        SELECT 'source', key, value FROM jsonb_each_text(%(sources)s)
    ), defined AS (
        SELECT kind, replace(name, %(installation)s, '') AS name,
            replace(definition, %(installation)s, '') AS definition
        FROM seen
    )
""")
_DIFFERENCES = _DEFINED + sql.SQL("""
    SELECT kind, name,
        CASE WHEN d.kind IS NULL THEN 'missing' WHEN s.kind IS NULL THEN 'added' ELSE 'changed' END
            AS change,
        coalesce(s.definition, d.definition) AS definition
    FROM defined d FULL JOIN public.schema_objects s USING (kind, name)
    WHERE d.definition IS DISTINCT FROM s.definition ORDER BY kind, name
""")
_STORE = _DEFINED + sql.SQL("""
    INSERT INTO public.schema_objects
    SELECT kind, name, definition FROM defined
    WHERE (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s)) AND (kind, name) NOT IN
        (SELECT * FROM jsonb_to_recordset(%(but)s) AS b (kind text, name text))
""")


def differences(connection: psycopg.Connection) -> list[Difference]:
    """What is not as it was after the last upgrade, or not what this program would define.

    Any role may ask that may read ``schema_objects``.
    """
    with _looking(connection) as known:
        return [
            Difference(kind, name, Change(change), definition)
            for kind, name, change, definition in connection.execute(_DIFFERENCES, known)
        ]


def stored_sources(connection: psycopg.Connection) -> dict[str, str]:
    """What the functions and rights of the database were made of, as ``definitions.sources``."""
    return dict(
        connection.execute(
            "SELECT name, definition FROM public.schema_objects WHERE kind = 'source'"
        ).fetchall()
    )


def store(
    connection: psycopg.Connection, *, whole: bool = True, but: Iterable[Difference] = ()
) -> None:
    """Take what is defined now as what has to be there, or only the kinds that are made anew.

    ``but`` was there without belonging there, and still does not.
    """
    kinds = None if whole else list(MADE_ANEW)
    connection.execute(
        "DELETE FROM public.schema_objects WHERE %(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s)",
        {"kinds": kinds},
    )
    others = json.dumps([{"kind": each.kind, "name": each.name} for each in but])
    with _looking(connection) as known:
        connection.execute(_STORE, {**known, "kinds": kinds, "but": others})


@contextlib.contextmanager
def _looking(connection: psycopg.Connection) -> Iterator[dict[str, object]]:
    """What the query has to know; names in definitions are written the same, whoever asks."""
    row = connection.execute(
        "SELECT public.installation_id(), current_setting('search_path')"
    ).fetchone()
    installation, path = row or ("", "")
    connection.execute("SET LOCAL search_path = pg_catalog")
    yield {
        "installation": installation,
        "roles": list(grants.roles(installation)),
        "sources": json.dumps(definitions.sources()),
    }
    connection.execute("SELECT set_config('search_path', %s, true)", [path])
