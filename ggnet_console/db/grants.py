# SPDX-License-Identifier: GPL-3.0-or-later
"""What is granted in a database: found there, compared with the rights matrix, and made so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from .rights import CONNECTING, INNER, MATRIX, NOBODY, Holder, Right

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Grant:
    """One cell of the matrix; ``column`` is "" where the right is on the whole object."""

    object: str
    column: str
    verb: str
    role: str


def declared(
    revision: str, installation: str, rights: tuple[Right, ...] = (*MATRIX, *INNER)
) -> set[Grant]:
    """The grants that ``rights`` ask for up to ``revision``."""
    return {
        Grant(name, column, right.verb, holder.role_name(installation))
        for right in rights
        if right.since <= revision
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
    ), object AS (
        SELECT c.oid, relowner AS owner, relacl AS acl,
            prefix || regexp_replace(relname, CASE nspname WHEN 'attempts' THEN '_\\d+$' ELSE '^$' END, '_N')
                AS name,
            CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            format('%I.%I', nspname, relname) AS target
        FROM pg_class c JOIN ours ON ours.oid = relnamespace
        WHERE relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
        UNION ALL
        SELECT p.oid, proowner, coalesce(proacl, acldefault('f', proowner)), prefix || proname,
            CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
                 THEN 'EXTENSION FUNCTION' ELSE 'FUNCTION' END,
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
_GRANTS = _OBJECTS + sql.SQL("""
    , cell AS (
        SELECT object.*, '' AS col, (aclexplode(acl)).* FROM object
        UNION ALL
        SELECT object.*, attname, (aclexplode(attacl)).*
        FROM object JOIN pg_attribute ON attrelid = object.oid AND NOT attisdropped
        WHERE kind = 'TABLE'
    )
    SELECT name, col, privilege_type, coalesce(rolname::text, 'PUBLIC'), kind, target
    FROM cell LEFT JOIN pg_roles r ON r.oid = grantee WHERE grantee <> owner
""")
_NAMES = _OBJECTS + sql.SQL("""
    SELECT name || CASE kind WHEN 'FUNCTION' THEN '()' ELSE '' END, kind, target
    FROM object WHERE kind IN ('TABLE', 'SEQUENCE', 'FUNCTION')
""")
_NUMBERING = _OBJECTS + sql.SQL("""
    SELECT name FROM object JOIN pg_depend d ON d.objid = object.oid
    WHERE kind = 'SEQUENCE' AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
""")


def found(connection: psycopg.Connection) -> dict[Grant, tuple[str, str]]:
    """What is granted in the database to whomever but an object's owner, with its kind and name.

    Also on schemas, the database itself, by default, and on what belongs to an extension.
    """
    rows = connection.execute(_GRANTS)
    return {Grant(*cell): (kind, target) for *cell, kind, target in rows}


def objects(connection: psycopg.Connection) -> dict[str, tuple[str, str]]:
    """Kind and name in statements of our relations and functions, these as ``name()``."""
    rows = connection.execute(_NAMES)
    return {name: (kind, target) for name, kind, target in rows}


def undeclared(connection: psycopg.Connection) -> set[str]:
    """Relations and functions of which neither the matrix nor ``NOBODY`` says a word."""
    known = NOBODY | {
        f"{name}()" if right.verb == "EXECUTE" else name
        for right in (*MATRIX, *INNER)
        for name in right.objects
    }
    numbering = connection.execute(_NUMBERING)
    return objects(connection).keys() - known - {name for (name,) in numbering}


def apply(connection: psycopg.Connection, revision: str, installation: str) -> None:
    """Make the grants of the roles that connect those of the matrix at ``revision``, as the owner.

    The broker's are made with the functions that need them; what a database's administrator has
    granted to roles of their own stays.
    """
    roles = {who.role_name(installation) for who in (*CONNECTING, Holder.EVERYBODY)}
    present = {
        grant: (kind, target)
        for grant, (kind, target) in found(connection).items()
        if grant.role in roles and kind in {"TABLE", "SEQUENCE", "FUNCTION"}
    }
    wanted = declared(revision, installation, MATRIX)
    known = objects(connection)
    for grant in sorted(present.keys() - wanted, key=repr):
        connection.execute(_statement("REVOKE", grant, *present[grant]))
    for grant in sorted(wanted - present.keys(), key=repr):
        name = f"{grant.object}()" if grant.verb == "EXECUTE" else grant.object
        connection.execute(_statement("GRANT", grant, *known[name]))


def _statement(action: LiteralString, grant: Grant, kind: str, target: str) -> sql.Composed:
    column = sql.SQL("({})").format(sql.Identifier(grant.column)) if grant.column else sql.SQL("")
    return sql.SQL("{} {} {} ON {} {} {} {}").format(
        sql.SQL(action),
        sql.SQL(grant.verb),
        column,
        sql.SQL(kind),
        sql.SQL(target),
        sql.SQL("TO" if action == "GRANT" else "FROM"),
        sql.SQL("PUBLIC") if grant.role == "PUBLIC" else sql.Identifier(grant.role),
    )
