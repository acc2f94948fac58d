# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint of a database: all that was defined when it was upgraded, to tell what differs.

Two things can differ: what this program would define (``source``; then it must not work with the
database), and what somebody has changed by hand since. Looked at is what belongs to ggnet's roles,
what others have put on its tables, and what those roles may do; nothing else in the database.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from psycopg import sql

from ..errors import listed, sentence
from . import definitions, grants
from .rights import INNER

if TYPE_CHECKING:
    import psycopg

_SURE = ("function", "source", "trigger", "view")
MADE_ANEW = (*_SURE, "grant", "policy")
"""Kinds that every upgrade makes anew, and no others; the rest is not ours to change unasked."""
IN_THE_WAY = ("column", "table", "type")
"""Kinds without which functions cannot be made."""


class Change(StrEnum):
    """How an object differs from what was there after the last upgrade."""

    MISSING = "missing"
    CHANGED = "changed"
    ADDED = "added"


@dataclass(frozen=True)
class Difference:
    """An object that is not as it was; ``definition`` is what it was, ``now`` what it is."""

    kind: str
    name: str
    change: Change
    definition: str
    now: str

    @property
    def short_name(self) -> str:
        """Without a function's arguments; no two of ours share a name."""
        return self.name.partition("(")[0] if self.kind.endswith("function") else self.name

    def __str__(self) -> str:
        told = self.now if self.change is Change.ADDED else self.definition
        return f"{self.change} {self.kind} {self.name}: {told}"


def told(found: list[Difference], most: int = 3) -> str:
    """What differs as part of a sentence, the first few by name."""
    shown = found[: most if len(found) > most + 1 else None]
    named = listed(_told(each) for each in shown)
    rest = len(found) - len(shown)
    if not rest:
        return named
    return sentence("{named} and {rest} more differences", named=named, rest=rest)


def _told(difference: Difference) -> str:
    kind, name = difference.kind, difference.short_name
    match difference.change:
        case Change.MISSING:
            return sentence("{kind} {name} is missing", kind=kind, name=name)
        case Change.ADDED:
            return sentence("{kind} {name} was added", kind=kind, name=name)
        case Change.CHANGED:
            return sentence("{kind} {name} was changed", kind=kind, name=name)


def warning(found: list[Difference]) -> str:
    """What a person reads who works with such a database, "" when nothing differs."""
    if not found:
        return ""
    if any(each.kind in MADE_ANEW for each in found):
        return sentence(
            "The database was changed by hand since its last upgrade: {changes}; run “ggnet db "
            "upgrade” as its owner.",
            changes=told(found),
        )
    return sentence(
        "The database was changed by hand since its last upgrade: {changes}; “ggnet db status” "
        "shows what it was, for its administrator to make it so again.",
        changes=told(found),
    )


def details(found: list[Difference]) -> str:
    """Every difference on a line, with what the object was."""
    return "\n".join(map(str, found))


# Functions by their digest, the rest as text that tells a person what it was; without the id that
# roles carry. Counters of a pool count as one; not-null constraints are those of their columns.
_DEFINED = grants.CELLS + sql.SQL("""
    , class AS (
        SELECT c.oid, relkind, relowner::regrole::text AS owner, relrowsecurity,
            relforcerowsecurity, prefix || relname AS name
        FROM pg_class c JOIN ours ON ours.oid = relnamespace
        WHERE relowner IN (SELECT role FROM owning) OR EXISTS (
            SELECT FROM public.schema_objects s
            WHERE s.kind IN ('table', 'sequence', 'view') AND s.name = prefix || relname)
    ), tables AS (
        SELECT * FROM class WHERE relkind IN ('r', 'p')
    ), account AS (
        SELECT oid, rolname, concat_ws(' ',
            CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
            CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
            CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolcanlogin THEN 'LOGIN' END,
            CASE WHEN NOT rolinherit THEN 'NOINHERIT' END,
            -- From PostgreSQL 16 on a role that makes others is one of their members.
            'IN ' || (SELECT string_agg(roleid::regrole::text, ', ' ORDER BY roleid::regrole::text)
                      FROM pg_auth_members
                      WHERE member = r.oid AND roleid::regrole::text !~ '^ggnet_(s|agents)_')) AS holds
        FROM pg_roles r
    ), role AS (
        SELECT * FROM account WHERE rolname = 'ggnet_console' OR rolname ~ (
            '^ggnet_(owner|broker|signaller|newcomer|viewer|operator|admin|agents)_' || %(installation)s)
    ), seen AS (
        SELECT 'table' AS kind, name,
            concat_ws(', ', 'owner ' || owner, CASE WHEN relrowsecurity THEN 'row level security' END,
                CASE WHEN relforcerowsecurity THEN 'forced' END) AS definition
        FROM tables
        UNION ALL
        SELECT 'child table', name || '.' || inhrelid::regclass, 'owner ' || relowner::regrole
        FROM pg_inherits JOIN tables ON tables.oid = inhparent JOIN pg_class c ON c.oid = inhrelid
        UNION ALL
        SELECT 'database', 'owner', datdba::regrole::text FROM pg_database
        WHERE datname = current_database()
        UNION ALL
        SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, name,
            'owner ' || owner || ', ' || pg_get_viewdef(oid)
        FROM class WHERE relkind IN ('v', 'm')
        UNION ALL
        SELECT 'sequence', regexp_replace(name, '^(attempts[.].*_)[0-9]+$', '\\1N'),
            count(*) || ', ' || array_agg(DISTINCT
                (owner, seqmin, seqmax, seqincrement, seqcycle, seqcache)::text)::text
        FROM class JOIN pg_sequence ON seqrelid = oid GROUP BY 2
        UNION ALL
        SELECT 'column', name || '.' || attname, concat_ws(' ',
            format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
            CASE attgenerated WHEN '' THEN 'DEFAULT ' ELSE 'GENERATED ' END || pg_get_expr(adbin, adrelid),
            'IDENTITY ' || nullif(attidentity::text, ''))
        FROM tables JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        UNION ALL
        SELECT 'index', prefix || relname,
            pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ', invalid' END
        FROM tables JOIN pg_index ON indrelid = tables.oid JOIN pg_class i ON i.oid = indexrelid
        JOIN ours ON ours.oid = relnamespace
        WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
        UNION ALL
        SELECT 'constraint', name || '.' || conname, pg_get_constraintdef(k.oid) || CASE WHEN EXISTS (
            SELECT FROM pg_trigger WHERE tgconstraint = k.oid AND tgisinternal AND tgenabled <> 'O')
            THEN ', not enforced' ELSE '' END
        FROM pg_constraint k JOIN tables ON tables.oid = conrelid WHERE contype IN ('c', 'f', 'p', 'u', 'x')
        UNION ALL
        SELECT CASE WHEN proowner NOT IN (SELECT role FROM owning) THEN 'foreign '
                    WHEN nspname <> 'public' THEN 'queue ' ELSE '' END || 'trigger',
            name || '.' || tgname, tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN tables ON tables.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
        JOIN pg_namespace n ON n.oid = pronamespace
        WHERE NOT tgisinternal
        UNION ALL
        SELECT CASE WHEN polroles && ARRAY(SELECT oid FROM role UNION SELECT 0) THEN '' ELSE 'foreign ' END
                || 'policy',
            name || '.' || polname, concat_ws(' ', polpermissive, polcmd, 'TO',
                (SELECT string_agg(r::regrole::text, ', ' ORDER BY r::regrole::text) FROM unnest(polroles) AS r),
                'USING ' || pg_get_expr(polqual, polrelid), 'CHECK ' || pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy p JOIN tables ON tables.oid = polrelid
        UNION ALL
        SELECT 'rule', name || '.' || rulename, ev_enabled::text || ' ' || pg_get_ruledef(r.oid)
        FROM pg_rewrite r JOIN class ON class.oid = ev_class WHERE rulename <> '_RETURN'
        UNION ALL
        SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || ' ' END || 'function',
            prefix || proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
            md5(replace(concat_ws(' ', proowner::regrole,
                CASE prokind WHEN 'a' THEN prosrc ELSE pg_get_functiondef(p.oid) END), %(installation)s, ''))
        FROM pg_proc p JOIN ours ON ours.oid = pronamespace
        WHERE proowner IN (SELECT role FROM owning)
        UNION ALL
        SELECT 'type', prefix || typname, 'owner ' || typowner::regrole || ', ' ||
            coalesce((SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                      FROM pg_enum WHERE enumtypid = t.oid), '')
        FROM pg_type t JOIN ours ON ours.oid = typnamespace
        WHERE typtype = 'e' AND typowner IN (SELECT role FROM owning)
        UNION ALL
        SELECT CASE kind WHEN 'DEFAULT' THEN 'default ' WHEN 'FOREIGN EXTENSION ROUTINE' THEN 'foreign '
                         WHEN 'FOREIGN DATABASE' THEN 'foreign '
                         ELSE CASE WHEN kind ~ '^HANDED ON' THEN 'handed-on ' ELSE '' END END || 'grant',
            concat_ws(' ', verb, 'ON', name, '(' || nullif("column", '') || ')', 'TO', role),
            count(*) || CASE WHEN bool_or(option) THEN ', with grant option' ELSE '' END
        FROM cell WHERE role ~ %(ours)s AND (kind !~ '^FOREIGN (?!DATABASE)'
            OR kind = 'FOREIGN EXTENSION ROUTINE' AND name = ANY (%(called)s))
        GROUP BY 1, 2
        UNION ALL
        SELECT 'role', rolname, holds FROM role
        UNION ALL
        SELECT 'role', 'of each agent', string_agg(DISTINCT holds, '; ')
        FROM account JOIN pg_auth_members ON member = oid
        WHERE roleid::regrole::text = 'ggnet_agents_' || %(installation)s HAVING count(*) > 0
        UNION ALL
        SELECT 'database setting', split_part(setting, '=', 1), split_part(setting, '=', 2)
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS setting
        WHERE datname = current_database() AND setrole = 0 AND split_part(setting, '=', 1) IN (
            'check_function_bodies', 'log_parameter_max_length', 'log_parameter_max_length_on_error',
            'row_security', 'search_path', 'session_replication_role')
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
        coalesce(s.definition, '') AS definition, coalesce(d.definition, '') AS now
    FROM defined d FULL JOIN public.schema_objects s USING (kind, name)
    WHERE d.definition IS DISTINCT FROM s.definition ORDER BY kind, name
""")
_STORE = _DEFINED + sql.SQL("""
    , kept AS (
        SELECT * FROM jsonb_to_recordset(%(kept)s) AS b (kind text, name text)
    ), gone AS (
        DELETE FROM public.schema_objects s WHERE (s.kind, s.name) NOT IN (SELECT * FROM kept)
            AND NOT EXISTS (SELECT FROM defined d WHERE (d.kind, d.name) = (s.kind, s.name))
    )
    INSERT INTO public.schema_objects
    SELECT * FROM defined WHERE (kind, name) NOT IN (SELECT * FROM kept)
    ON CONFLICT (kind, name) DO UPDATE SET definition = excluded.definition
""")


def differences(connection: psycopg.Connection) -> list[Difference]:
    """What is not as it was after the last upgrade, or not what this program would define.

    Any role may ask that may read ``schema_objects``.
    """
    with _looking(connection) as known:
        return [
            Difference(kind, name, Change(change), *definitions)
            for kind, name, change, *definitions in connection.execute(_DIFFERENCES, known)
        ]


def stored_sources(connection: psycopg.Connection) -> dict[str, str]:
    """What the functions and rights of the database were made of, as ``definitions.sources``."""
    return dict(
        connection.execute(
            "SELECT name, definition FROM public.schema_objects WHERE kind = 'source'"
        ).fetchall()
    )


def store(connection: psycopg.Connection, found: Iterable[Difference] = ()) -> None:
    """Take what is defined now as what has to be there.

    What was ``found`` to differ before stays told, but for what was surely made anew since.
    """
    kept = json.dumps(
        [{"kind": each.kind, "name": each.name} for each in found if each.kind not in _SURE]
    )
    with _looking(connection) as known:
        connection.execute(_STORE, {**known, "kept": kept})


def settle(connection: psycopg.Connection) -> None:
    """Until the transaction ends, names are read and written the same, whatever a role has set."""
    connection.execute(
        "SET LOCAL search_path = public; SET LOCAL quote_all_identifiers = off; "
        "SET LOCAL standard_conforming_strings = on; SET LOCAL statement_timeout = 0"
    )


@contextlib.contextmanager
def _looking(connection: psycopg.Connection) -> Iterator[dict[str, object]]:
    """What the query has to know; nobody who holds a table is waited for long."""
    row = connection.execute("SELECT public.installation_id()").fetchone()
    settle(connection)
    # Compiling the query would take ten times as long as running it.
    connection.execute(
        "SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off"
    )
    yield {
        "installation": row[0] if row else "",
        "sources": json.dumps(definitions.sources()),
        "ours": f"^({grants.OURS})$",
        "called": [name for right in INNER if right.verb == "EXECUTE" for name in right.objects],
    }
    settle(connection)
