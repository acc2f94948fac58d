# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that outlives its sign-in: it ends, and until then nothing is done by nobody."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from real_database import HASH, RealDatabase
from steps import begin_upload

from ggnet_console.enums import Role
from ggnet_console.services import users

ENDED = "ended_at = clock_timestamp(), expires_at = clock_timestamp()"
EXPIRED = "expires_at = clock_timestamp() - interval '2 days'"


def connect_as_group(database: RealDatabase, who: str) -> psycopg.Connection:
    """A connection that keeps its rights whatever becomes of the sign-in's own role."""
    connection = psycopg.connect(database.dsn(database.log_in(who)), autocommit=True)
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.group(who))))
    return connection


def wait_until_gone(database: RealDatabase, connection: psycopg.Connection) -> None:
    database.wait_until_gone(connection.info.backend_pid)
    connection.close()


@pytest.mark.parametrize("over", [ENDED, EXPIRED], ids=["ended", "expired"])
@pytest.mark.parametrize(
    "deed",
    [
        "INSERT INTO machines (name, mac) VALUES ('x', '525400000099')",
        "UPDATE machines SET notes = 'x'",
        "SELECT machines_delete(array_agg(id)) FROM machines",
        "SELECT targets_compare(1)",
        "SELECT image_start('x', 'SYSTEM', 'testhost', 'x', 1)",
        "SELECT upload_progress(j.id, 0.5, 1, 2, 3, 4) FROM jobs j",
        "SELECT job_cancel(j.id) FROM jobs j",
        "SELECT host_choose_backend(1, 'LIO')",
        "SELECT object_open('machine', id) FROM machines",
        "UPDATE settings SET value = value + 1 WHERE name = 'sign_in_hours'",
        f"SELECT user_create('ghost', 'ADMIN', '{HASH}')",
        f"SELECT user_reset_password(id, '{HASH}') FROM users WHERE name = 'admin'",
        "SELECT user_set_role(id, 'ADMIN') FROM users WHERE name = 'viewer'",
        "SELECT user_revoke(id) FROM users WHERE name = 'viewer'",
        "SELECT sign_in_revoke(id) FROM sign_ins",
        "SELECT audit_prune('2020-01-01')",
        "SELECT change_password('x', 'x')",
        "SELECT renew_sign_in()",
    ],
)
def test_nothing_is_done_or_enqueued_in_the_name_of_nobody(
    database: RealDatabase, over: str, deed: str
) -> None:
    database.rows("INSERT INTO machines (name, mac) VALUES ('pc-01', '525400000001')")
    connection = connect_as_group(database, "admin")
    begin_upload(database.sign_in(Role.OPERATOR))
    database.rows(f"UPDATE sign_ins SET {over}")
    before = database.value("SELECT max(id) FROM audit")
    with connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(deed.replace("id) FROM sign_ins", "gen_random_uuid())"))
    assert (caught.value.sqlstate, caught.value.diag.message_primary) == (
        "GG005",
        "The sign-in has ended; sign in again.",
    )
    assert database.value("SELECT max(id) FROM audit") == before


def test_signing_out_ends_also_connections_that_have_taken_the_group_s_rights(
    database: RealDatabase,
) -> None:
    signed_in = database.log_in("admin")
    kept = psycopg.connect(database.dsn(signed_in), autocommit=True)
    kept.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.group("admin"))))
    with psycopg.connect(database.dsn(signed_in)) as here:
        here.execute("SELECT sign_out()")
    wait_until_gone(database, kept)


def test_an_agent_ends_connections_of_expired_sign_ins_and_clears_their_roles(
    database: RealDatabase,
) -> None:
    expired = connect_as_group(database, "operator")
    going_on = connect_as_group(database, "viewer")
    role = expired.info.user
    database.rows(f"UPDATE sign_ins SET {EXPIRED} WHERE role_name = %s", role)
    with database.agent.begin() as session:
        users.tend_sign_ins(session)
    wait_until_gone(database, expired)
    assert database.rows("SELECT FROM pg_roles WHERE rolname = %s", role) == []
    with going_on:
        going_on.execute("SELECT FROM machines")


def test_who_ends_their_own_sign_ins_stands_in_the_trail(database: RealDatabase) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        users.revoke_sign_ins(session, users.who_am_i(session).user_id)
    assert database.rows("SELECT user_name, user_id IS NULL FROM audit WHERE verb = 'revoke'") == [
        ("admin", False)
    ]
