# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is handed to a function that runs with more rights than its caller does no harm."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from real_database import RealDatabase

from ggnet_console.db.cluster import CONSOLE_ROLE, agent_role

FUZZ = settings(
    derandomize=True,  # the same values in every run: the gate must not depend on luck
    max_examples=25,
    deadline=None,
    # The database lives as long as all examples of a test; what they do is rolled back.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = [
    "",
    "'",
    '"',
    "\\",
    "%s",
    "';--",
    "$$",
    "\u202e",
    "\ud7ff",
    "é",
    "e\u0301",
    "😀",
    "\n",
    "ggnet_s_",
]
TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80),
    st.sampled_from([*ODD, "viewer", "admin", "x" * 10_000_000]),
)
VALUES = {
    "text": TEXT,
    "bigint": st.integers(1, 5) | st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "double precision": st.floats(),
    "boolean": st.booleans(),
    "uuid": st.uuids(),
    "jsonb": st.sampled_from(["{}", "[]", "null", '"x"', '{"format": "RAW", "x": [1]}']),
    "bigint[]": st.lists(st.integers(-1, 5), max_size=4),
    "text[]": st.lists(
        st.sampled_from([*ODD, "pc-01", "iqn.2026-11.net.ggnet:x", "x" * 224]), max_size=4
    ),
    "timestamp with time zone": st.datetimes(),
    "user_role": st.sampled_from(["VIEWER", "OPERATOR", "ADMIN"]),
    "image_type": st.sampled_from(["SYSTEM", "DATA", "TEMPLATE"]),
    "backend_choice": st.sampled_from(["AUTO", "LIO", "TGT"]),
    "session_type": st.sampled_from(["DISKLESS_BOOT", "TESTING"]),
}
# What a caller may be told: our own sentences, and that a value fits no column.
SAID = {"GG001", "GG002", "GG005"}
UNFIT = ("22", "23")


def definer_functions(database: RealDatabase, role: str) -> list[tuple[str, list[str]]]:
    """(name, types) of the definer functions that ``role`` may call."""
    return database.rows(
        "SELECT proname::text, ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) "
        "WITH ORDINALITY AS a (t, n) ORDER BY n) FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND prosecdef "
        "AND prorettype <> 'trigger'::regtype AND has_function_privilege(%s, oid, 'EXECUTE') "
        "ORDER BY 1",
        role,
    )


@pytest.mark.parametrize("who", ["console", "admin", "agent"])
def test_a_definer_function_answers_or_says_why_not(database: RealDatabase, who: str) -> None:
    if who == "admin":
        signed_in = database.log_in("admin")
        role, dsn = signed_in.role_name, database.dsn(signed_in)
    else:
        role = CONSOLE_ROLE if who == "console" else agent_role("testhost")
        dsn = database.server.dsn(role, database.name)
    # Refused attempts would wait, and hide what is behind.
    database.rows(
        "UPDATE settings SET value = maximum WHERE name IN "
        "('failed_sign_ins_max', 'sign_ins_per_minute')"
    )
    before = database.rows("SELECT name, role, disabled, locked FROM users ORDER BY id")
    functions = definer_functions(database, role)
    assert functions
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, types in functions:
            fuzz(connection, name, types)
    assert database.rows("SELECT name, role, disabled, locked FROM users ORDER BY id") == before
    assert database.rows("SELECT * FROM audit_verify()") == []


def fuzz(connection: psycopg.Connection, name: str, types: list[str]) -> None:
    """Call one function with many values; each call is rolled back."""
    call = sql.SQL("SELECT {}({})").format(
        sql.Identifier("public", name),
        sql.SQL(", ").join(sql.SQL(f"%s::{kind}") for kind in types),
    )

    @FUZZ
    @given(st.tuples(*(st.none() | VALUES[kind] for kind in types)))
    def once(values: tuple[object, ...]) -> None:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(call, values)
        except psycopg.Error as error:
            assert error.sqlstate, error
            assert error.sqlstate in SAID or error.sqlstate.startswith(UNFIT), (name, error)

    once()


def test_a_nul_never_reaches_the_server(database: RealDatabase) -> None:
    with (
        psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection,
        pytest.raises(psycopg.DataError, match="NUL"),
    ):
        connection.execute("SELECT login(%s, 'x', 'x', 'x')", ["view\0er"])
