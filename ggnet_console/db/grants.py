# SPDX-License-Identifier: GPL-3.0-or-later
"""What is granted in a database: found there, compared with the rights matrix, and made so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from .rights import INNER, MATRIX, NOBODY

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Grant:
    """One cell of the matrix; ``column`` is "" where the right is on the whole object."""

    object: str
    column: str
    verb: str
    role: str
    option: bool = False
    """Whether the role may hand it on; the matrix lets nobody do so."""

    @property
    def known_as(self) -> str:
        """How ``objects`` names the object."""
        return f"{self.object}()" if self.verb == "EXECUTE" else self.object


Targets = frozenset[tuple[LiteralString, LiteralString]]
"""Kinds and names in statements of what the matrix knows by one name."""
_NONE: Targets = frozenset()
OURS = (
    "PUBLIC|ggnet_(console|agent_.*|s_[0-9a-f]{32}|"
    "(owner|broker|signaller|newcomer|viewer|operator|admin|agents)_[0-9a-f]{8})"
)
"""Whose grants are those of the matrix and no others: roles that ggnet makes, and everybody."""
_GRANTED = {"TABLE", "SEQUENCE", "ROUTINE", "SCHEMA", "DATABASE"}
"""Kinds of what the owner owns and grants; the rest is granted when the database is made."""


def declared(installation: str) -> set[Grant]:
    """The grants of the rights matrix."""
    return {
        Grant(name, column, right.verb, holder.role_name(installation))
        for right in (*MATRIX, *INNER)
        for name in right.objects
        for holder in right.holders
        for column in right.columns or ("",)
    }


# Functions carry their arguments in statements, but not in the matrix: no two share a name. The
# counters of a pool have one name there, too.
_OBJECTS = sql.SQL("""
    WITH ours AS (
        SELECT oid, nspname, CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END AS prefix
        FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ), owning AS (
        SELECT oid AS role FROM pg_roles WHERE rolname = 'pg_database_owner'
            OR rolname ~ ('^ggnet_(owner|broker|signaller)_' || public.installation_id() || '$')
    ), object AS (
        SELECT c.oid, relowner AS owner, relacl AS acl,
            prefix || regexp_replace(relname, CASE nspname WHEN 'attempts' THEN '_\\d+$' ELSE '^$' END, '_N')
                AS name,
            CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            quote_ident(nspname) || '.' || quote_ident(relname) AS target
        FROM pg_class c JOIN ours ON ours.oid = relnamespace
        WHERE relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
        UNION ALL
        SELECT p.oid, proowner, coalesce(proacl, acldefault('f', proowner)), prefix || proname,
            CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
                 THEN 'EXTENSION ROUTINE' ELSE 'ROUTINE' END,
            p.oid::regprocedure::text
        FROM pg_proc p JOIN ours ON ours.oid = pronamespace
        UNION ALL
        SELECT n.oid, n.nspowner, n.nspacl, 'SCHEMA ' || n.nspname, 'SCHEMA', quote_ident(n.nspname)
        FROM pg_namespace n JOIN ours USING (oid)
        UNION ALL
        SELECT oid, datdba, datacl, 'DATABASE', 'DATABASE', quote_ident(datname)
        FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT oid, defaclrole, defaclacl, 'DEFAULT ' || defaclobjtype::text, 'DEFAULT', '' FROM pg_default_acl
    )
""")
CELLS = _OBJECTS + sql.SQL("""
    , acl AS (
        SELECT object.*, '' AS "column", (aclexplode(acl)).* FROM object
        UNION ALL
        SELECT object.*, attname, (aclexplode(attacl)).*
        FROM object JOIN pg_attribute ON attrelid = object.oid AND NOT attisdropped
        WHERE kind = 'TABLE'
    ), cell AS (
        SELECT name, "column", privilege_type AS verb,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE rolname::text END AS role, is_grantable AS option,
            CASE WHEN owner NOT IN (SELECT role FROM owning) THEN 'FOREIGN '
                 WHEN grantor <> owner THEN 'HANDED ON ' ELSE '' END || kind AS kind,
            target
        FROM acl LEFT JOIN pg_roles r ON r.oid = grantee WHERE grantee <> owner
    )
""")
"""The beginning of a query: ``cell`` is what is granted to whomever but an object's owner."""
_GRANTS = CELLS + sql.SQL("SELECT * FROM cell")
_NAMES = _OBJECTS + sql.SQL("""
    SELECT name || CASE kind WHEN 'ROUTINE' THEN '()' ELSE '' END, kind, target
    FROM object WHERE kind IN ('TABLE', 'SEQUENCE', 'ROUTINE', 'SCHEMA', 'DATABASE')
""")
_NUMBERING = _OBJECTS + sql.SQL("""
    SELECT name FROM object JOIN pg_depend d ON d.objid = object.oid
    WHERE kind = 'SEQUENCE' AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
""")


def found(connection: psycopg.Connection) -> dict[Grant, Targets]:
    """What is granted in the database to whomever but an object's owner, and on what.

    Also on schemas, the database itself, by default, and on what belongs to an extension.
    """
    present = defaultdict(set)
    for *cell, kind, target in connection.execute(_GRANTS):
        present[Grant(*cell)].add((kind, target))
    return {grant: frozenset(targets) for grant, targets in present.items()}


def objects(connection: psycopg.Connection) -> dict[str, Targets]:
    """Our relations, schemas and functions, these as ``name()``."""
    known = defaultdict(set)
    for name, kind, target in connection.execute(_NAMES):
        known[name].add((kind, target))
    return {name: frozenset(targets) for name, targets in known.items()}


def undeclared(connection: psycopg.Connection) -> set[str]:
    """Relations and functions of which neither the matrix nor ``NOBODY`` says a word."""
    known = NOBODY | {
        f"{name}()" if right.verb == "EXECUTE" else name
        for right in (*MATRIX, *INNER)
        for name in right.objects
    }
    numbering = connection.execute(_NUMBERING)
    return objects(connection).keys() - known - {name for (name,) in numbering}


def _is_ours(role: str) -> bool:
    return re.fullmatch(OURS, role) is not None


def apply(connection: psycopg.Connection, installation: str) -> None:
    """Make the grants of our roles those of the matrix, as the owner; what they handed on goes.

    What a database's administrator has granted to roles of their own stays.
    """
    known = objects(connection)
    wanted = {grant: known.get(grant.known_as, _NONE) for grant in declared(installation)}
    present = {
        grant: frozenset(target for target in targets if target[0] in _GRANTED)
        for grant, targets in found(connection).items()
        if _is_ours(grant.role)
    }
    for grant, targets in present.items():
        _change(connection, "REVOKE", grant, targets - wanted.get(grant, _NONE))
    for grant, targets in wanted.items():
        _change(connection, "GRANT", grant, targets - present.get(grant, _NONE))


def of_others(connection: psycopg.Connection) -> dict[Grant, Targets]:
    """What roles that are not ours may do with functions of ours."""
    return {
        grant: frozenset(target for target in targets if target[0] == "ROUTINE")
        for grant, targets in found(connection).items()
        if not _is_ours(grant.role)
    }


def give(connection: psycopg.Connection, given: Mapping[Grant, Targets]) -> None:
    """Make such grants again where what they are on still exists."""
    known = objects(connection)
    for grant, targets in given.items():
        _change(connection, "GRANT", grant, targets & known.get(grant.known_as, _NONE))


def _change(
    connection: psycopg.Connection, action: LiteralString, grant: Grant, targets: Targets
) -> None:
    column = sql.SQL("({})").format(sql.Identifier(grant.column)) if grant.column else sql.SQL("")
    for kind in {kind for kind, _ in targets}:
        connection.execute(
            sql.SQL("{} {} {} ON {} {} {} {} {}").format(
                sql.SQL(action),
                sql.SQL(grant.verb),
                column,
                sql.SQL(kind),
                sql.SQL(", ").join(sql.SQL(target) for of, target in targets if of == kind),
                sql.SQL("TO" if action == "GRANT" else "FROM"),
                sql.SQL("PUBLIC") if grant.role == "PUBLIC" else sql.Identifier(grant.role),
                sql.SQL(
                    "CASCADE" if action == "REVOKE" else "WITH GRANT OPTION" if grant.option else ""
                ),
            )
        )
