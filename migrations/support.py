# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers every migration uses: SQL files, role names, rights, tracking of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import op

from ggnet_console.db import grants
from ggnet_console.db.bootstrap import GROUPS, group_role

if TYPE_CHECKING:
    import psycopg

_SQL = Path(__file__).parent / "sql"


def _connection() -> psycopg.Connection:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    return connection


def _installation() -> str:
    [installation] = _connection().execute("SELECT public.installation_id()").fetchone()
    return installation


def run(sql: str) -> None:
    """Execute SQL (several statements allowed); ``<<viewer>>`` becomes this database's role."""
    installation = _installation()
    for group in GROUPS:
        sql = sql.replace(f"<<{group}>>", group_role(group, installation))
    _connection().execute(sql)


def run_file(name: str) -> None:
    """Execute ``migrations/sql/<name>``."""
    run((_SQL / name).read_text("utf-8"))


def restore(name: str, *functions: str) -> None:
    """Make functions again what ``migrations/sql/<name>`` made them, with their comments."""
    text = (_SQL / name).read_text("utf-8")
    for function in functions:
        found = re.search(
            rf"^CREATE (?:OR REPLACE )?(FUNCTION {function}\(.*?^\$\$;"
            rf"(?:\nCOMMENT ON FUNCTION {function} IS.*?';$)?)",
            text,
            re.DOTALL | re.MULTILINE,
        )
        assert found, function
        run(f"CREATE OR REPLACE {found[1]}")


def grant(revision: str) -> None:
    """Make the grants those of the rights matrix at ``revision``."""
    grants.apply(_connection(), revision, _installation())


def version(table: str, observed: Sequence[str] = ()) -> None:
    """Let changes of ``table``, but for ``observed`` columns, bump its version."""
    names = [
        row[0]
        for row in op.get_bind().exec_driver_sql(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = 'public' AND table_name = '{table}' "
            "ORDER BY ordinal_position"
        )
    ]
    edited = ", ".join(n for n in names if n not in {*observed, "id", "version"})
    run(
        f"CREATE TRIGGER version BEFORE UPDATE OF {edited} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION bump_version()"
    )


def track(
    table: str,
    *,
    noun: str | None = None,
    observed: Sequence[str] = (),
    seen_as: Sequence[tuple[str, str]] = (),
    versioned: bool = True,
) -> None:
    """Let changes of ``table`` bump its version, wake the windows and enter the audit trail.

    ``noun`` is its name in the audit trail, None for no entries; ``observed`` columns count
    neither for the version nor for the trail; ``seen_as`` are the (table, id column) pairs of the
    rows in windows that show it, by default its own.
    """
    if versioned:
        version(table, observed)
    for verb, tables in (
        ("INSERT", "NEW TABLE AS changed"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS changed"),
        ("DELETE", "OLD TABLE AS changed"),
    ):
        when = f"AFTER {verb} ON {table} REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION"
        for shown, key in seen_as or [(table, "id")]:
            run(
                f"CREATE TRIGGER notify_{shown}_{verb.lower()} {when} notify_rows('{shown}', '{key}')"
            )
        if noun:
            ignored = ",".join(observed)
            run(f"CREATE TRIGGER audit_{verb.lower()} {when} audit_rows('{noun}', '{ignored}')")


def untrack(
    table: str, *, noun: bool = True, seen_as: Sequence[str] = (), versioned: bool = True
) -> None:
    """Take away what ``track`` made; ``seen_as`` are the tables it was seen as."""
    for verb in ("insert", "update", "delete"):
        for shown in seen_as or [table]:
            run(f"DROP TRIGGER notify_{shown}_{verb} ON {table}")
        if noun:
            run(f"DROP TRIGGER audit_{verb} ON {table}")
    if versioned:
        run(f"DROP TRIGGER version ON {table}")
