# SPDX-License-Identifier: GPL-3.0-or-later
"""What is defined on top of the tables: functions, triggers, policies, grants; made anew as a whole.

A revision of ``migrations/versions`` holds tables and data. Everything else stands once, as it is
today, in ``migrations/functions`` and ``rights.py``, and is made after every upgrade.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from psycopg import sql

from .. import __version__
from ..errors import ConsoleError, sentence
from ..paths import MIGRATIONS
from . import grants
from .bootstrap import GROUPS, group_role
from .rights import INNER, MATRIX

if TYPE_CHECKING:
    import psycopg

VERSION = "version"
"""The source that is not a digest, but this program's version."""


def sources() -> dict[str, str]:
    """What this program would define: SHA-256 by name, of each file and of the rights; its version."""
    texts = {**_files(), "rights": repr((MATRIX, INNER))}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return {**digests, VERSION: __version__}


def make(connection: psycopg.Connection, installation: str) -> None:
    """Remove all that is defined and make it anew, in the caller's transaction.

    Also what somebody changed, and what an earlier version had. What others have made on top of it
    stays, and so do their rights. Raises ``DependentObjectsStillExist`` when it is in the way, and
    ConsoleError when a function of somebody else has the name of one of ours.
    """
    role = {group: sql.Identifier(group_role(group, installation)) for group in GROUPS}
    text = "\n".join(_files().values())
    known = {
        "groups": [group_role(group, installation) for group in GROUPS],
        "names": re.findall(r"^CREATE FUNCTION (\w+)\(", text, re.MULTILINE),
        "defaults": re.findall(
            r"^ALTER TABLE (\w+ ALTER COLUMN \w+) SET DEFAULT", text, re.MULTILINE
        ),
    }
    rights_of_others = grants.of_others(connection)
    taken = [name for (name,) in connection.execute(_TAKEN, known)]
    if taken:
        raise ConsoleError(
            sentence(
                "The database cannot be upgraded: {names} in it belongs to somebody else and has "
                "the name of a function of ggnet's; drop or rename it first.",
                names=", ".join(taken),
            )
        )
    for _, removal in connection.execute(_REMOVALS, known).fetchall():
        connection.execute(removal)
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(role["owner"]))
    lent = sql.SQL("CREATE ON SCHEMA public {} {broker}, {signaller}")
    connection.execute(sql.SQL("GRANT ") + lent.format(sql.SQL("TO"), **role))
    # They call each other, so their bodies are looked at when all of them are there.
    connection.execute("SET LOCAL check_function_bodies = off")
    connection.execute(re.sub("<<([a-z]+)>>", lambda at: group_role(at[1], installation), text))
    connection.execute("SET LOCAL check_function_bodies = on")
    connection.execute(_CHECK, known)
    connection.execute(sql.SQL("REVOKE ") + lent.format(sql.SQL("FROM"), **role))
    grants.apply(connection, installation)
    connection.execute("RESET ROLE")
    grants.give(connection, rights_of_others)


def _files() -> dict[str, str]:
    """The definitions by file name, in the order in which they are made."""
    folder = MIGRATIONS / "functions"
    return {file.name: file.read_text("utf-8") for file in sorted(folder.glob("*.sql"))}


# On our tables alone; a trigger or policy that others made with functions or for roles of their own
# stays. ``installation_id`` was made before, by ``bootstrap``.
_REMOVALS = """
    WITH ours AS (
        SELECT oid FROM pg_class WHERE relowner = ANY (%(groups)s::regrole[])
    ), functions AS (
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proowner = ANY (%(groups)s::regrole[])
            AND proname <> 'installation_id'
    ), views AS (
        SELECT oid FROM pg_class WHERE relkind = 'v' AND relowner = ANY (%(groups)s::regrole[])
            AND relnamespace = 'public'::regnamespace
    )
    SELECT 1, format('DROP TRIGGER %%I ON %%s', tgname, tgrelid::regclass)
    FROM pg_trigger JOIN functions f ON f.oid = tgfoid JOIN ours o ON o.oid = tgrelid
    WHERE NOT tgisinternal
    UNION ALL
    SELECT 2, format('DROP POLICY %%I ON %%s', polname, polrelid::regclass)
    FROM pg_policy JOIN ours o ON o.oid = polrelid
    WHERE polroles && (ARRAY[0::oid] || %(groups)s::regrole[]::oid[])
    UNION ALL
    SELECT 3, 'ALTER TABLE ' || name || ' DROP DEFAULT' FROM unnest(%(defaults)s::text[]) AS name
    JOIN ours ON to_regclass(split_part(name, ' ', 1)) = oid
    UNION ALL
    SELECT 4, 'DROP VIEW ' || string_agg(oid::regclass::text, ', ') FROM views HAVING count(*) > 0
    UNION ALL
    SELECT 5, 'DROP ROUTINE ' || string_agg(oid::regprocedure::text, ', ')
    FROM functions HAVING count(*) > 0
    ORDER BY 1
"""
_TAKEN = """
    SELECT oid::regprocedure::text FROM pg_proc p
    WHERE pronamespace = 'public'::regnamespace AND proname = ANY (%(names)s)
        AND proowner <> ALL (%(groups)s::regrole[])
"""
_CHECK = """
    SELECT CASE lanname WHEN 'plpgsql' THEN plpgsql_validator(p.oid) ELSE fmgr_sql_validator(p.oid) END
    FROM pg_proc p JOIN pg_language l ON l.oid = prolang
    WHERE proowner = ANY (%(groups)s::regrole[]) AND pronamespace = 'public'::regnamespace
        AND lanname IN ('plpgsql', 'sql')
"""
