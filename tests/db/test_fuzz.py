# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is handed to a function that runs with more rights than its caller does no harm."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from real_database import HOST, RealDatabase
from steps import add_image, add_machines, begin_upload, make_targets, start_sessions

from ggnet_console.db.cluster import CONSOLE_ROLE, agent_role
from ggnet_console.db.engine import Database
from ggnet_console.enums import JobStatus, Role
from ggnet_console.services import agent_jobs, images, targets

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
PARAMS = ["{}", "[]", "null", '"x"', '{"format": "RAW", "x": [1]}', '{"format": "QCOW2"}']
VALUES = {
    "text": TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "double precision": st.floats(),
    "boolean": st.booleans(),
    "uuid": st.uuids(),
    "jsonb": st.sampled_from(PARAMS),
    "bigint[]": st.lists(st.integers(-1, 5), max_size=4),
    "integer[]": st.lists(st.integers(-1, 5), max_size=4),
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
REACHED = {
    "image_job",
    "session_start",
    "session_stop",
    "target_create",
    "target_chap_on",
    "job_cancel",
    "job_retry",
    "upload_progress",
    "user_set_role",
    "sign_in_revoke",
}
"""Of what an admin may call, functions that must get to their end with some values at least."""


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


def furnish(database: RealDatabase, admin: Database) -> dict[str, st.SearchStrategy]:
    """One of everything, so that functions get past “no longer exists”; values that name it."""
    machine, idle, kept = add_machines(admin, "pc-01", "pc-02", "pc-03")
    image = add_image(database, operator=admin)
    start_sessions(admin, image, machine)
    make_targets(database)
    begin_upload(admin, "on its way")  # the caller's own, or nobody could go on with it
    with admin.begin() as session:
        targets.create_target(session, kept, image)
        failed = images.verify_image(session, image)
    with database.agent.begin() as session:
        agent_jobs.end_job(session, failed, JobStatus.FAILED, error="broken")
    tables = ("machines", "images", "targets", "jobs", "boot_sessions", "users", "hosts")
    ids = {machine, idle, kept} | {
        row_id for table in tables for (row_id,) in database.rows(f"SELECT id FROM {table}")
    }
    verbs = st.sampled_from(["verify", "convert", "remove"])
    names = [HOST, "pc-01", "win11", "machine", "image", "setting", "user", "operator"]
    names += [iqn for (iqn,) in database.rows("SELECT iqn FROM targets")]
    known = {
        "text": st.sampled_from(names) | verbs,
        "bigint": st.sampled_from(sorted(ids)),
        "integer": st.integers(0, 5),
        "bigint[]": st.lists(st.sampled_from(sorted(ids)), min_size=1, max_size=3),
        "text[]": st.lists(st.sampled_from(names), min_size=1, max_size=3),
        "uuid": st.sampled_from([row_id for (row_id,) in database.rows("SELECT id FROM sign_ins")]),
    }
    return VALUES | known


@pytest.mark.parametrize("who", ["console", "newcomer", "admin", "agent"])
def test_a_definer_function_answers_or_says_why_not(database: RealDatabase, who: str) -> None:
    real = furnish(database, database.sign_in(Role.ADMIN))
    if who in ("admin", "newcomer"):
        name = "admin" if who == "admin" else "viewer"
        must = "UPDATE users SET must_change_password = true WHERE name = 'viewer'"
        if who == "newcomer":
            database.rows(must)
        signed_in = database.log_in(name)
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
    answered = set()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, types in functions:
            if fuzz(connection, name, real, types):
                answered.add(name)
    if who == "admin":
        assert answered >= REACHED
    assert database.rows("SELECT name, role, disabled, locked FROM users ORDER BY id") == before
    assert database.rows("SELECT * FROM audit_verify()") == []


def fuzz(
    connection: psycopg.Connection, name: str, real: dict[str, st.SearchStrategy], types: list[str]
) -> bool:
    """Call one function with many values; each call is rolled back. Whether any was answered."""
    call = sql.SQL("SELECT {}({})").format(
        sql.Identifier("public", name),
        sql.SQL(", ").join(sql.SQL(f"%s::{kind}") for kind in types),
    )
    answers = []

    fitting = st.tuples(*(real[kind] for kind in types))
    mixed = st.tuples(*(st.one_of(st.none(), real[kind], VALUES[kind]) for kind in types))

    @given(fitting | mixed)
    def once(values: tuple[object, ...]) -> None:
        try:
            with connection.transaction(force_rollback=True):
                answers.append(connection.execute(call, values).fetchall())
        except psycopg.Error as error:
            assert error.sqlstate, error
            assert error.sqlstate in SAID or error.sqlstate.startswith(UNFIT), (name, error)

    once()
    return bool(answers)


def test_a_nul_never_reaches_the_server(database: RealDatabase) -> None:
    with (
        psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection,
        pytest.raises(psycopg.DataError, match="NUL"),
    ):
        connection.execute("SELECT login(%s, 'x', 'x', 'x')", ["view\0er"])
