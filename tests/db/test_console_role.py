# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever knows the console role's password can do to it, as every role may to itself."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from real_database import RealDatabase
from steps import server_log, wait_for_log

from ggnet_console.db import bootstrap
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.engine import pinned
from ggnet_console.db.errors import in_sentences
from ggnet_console.errors import UnreachableError
from ggnet_console.services import users


@pytest.fixture
def evil(database: RealDatabase) -> Iterator[psycopg.Connection]:
    """Connected as the console role, which all of the server's databases share."""
    dsn = database.server.dsn(CONSOLE_ROLE, database.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name), autocommit=True) as owner:
        bootstrap.secure_login(owner, CONSOLE_ROLE)


SETTINGS = (
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "idle_in_transaction_session_timeout = 1",
    "idle_session_timeout = 1",
    "search_path = pg_catalog",
    "client_encoding = 'SQL_ASCII'",
    "local_preload_libraries = 'nothing'",
    "password_encryption = 'md5'",
    "datestyle = 'SQL, DMY'",
    "timezone = 'Asia/Kolkata'",
    "standard_conforming_strings = off",
    "role = 'pg_monitor'",
)


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_of_the_role_keeps_people_from_signing_in(
    database: RealDatabase, evil: psycopg.Connection, setting: str, everywhere: bool
) -> None:
    where = "" if everywhere else f'IN DATABASE "{database.name}"'
    evil.execute(f"ALTER ROLE {CONSOLE_ROLE} {where} SET {setting}")
    console = database.open(pinned(database.server.dsn(CONSOLE_ROLE, database.name)))
    with console.begin() as session:
        signed_in = users.sign_in(session, "viewer", "correct horse", "tests")
    database.sign_in_roles.append(signed_in.role_name)
    with database.open(database.dsn(signed_in)).begin() as session:
        assert users.who_am_i(session).expires_at == signed_in.expires_at


def test_no_setting_of_the_role_brings_others_passwords_into_the_server_s_log(
    database: RealDatabase, evil: psycopg.Connection
) -> None:
    evil.execute(f"ALTER ROLE {CONSOLE_ROLE} SET log_parameter_max_length_on_error = -1")
    word = f"word of {database.name}"
    dsn = pinned(database.server.dsn(CONSOLE_ROLE, database.name))
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.UndefinedFunction):
        connection.execute("SELECT mark_of_the_test(%s::text)", [word])
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / length(%s::text) / 0", [word])
    wait_for_log(database, "mark_of_the_test")
    wait_for_log(database, "/ length(")
    assert word not in server_log(database)


def test_preparing_the_login_again_undoes_what_it_set_for_itself(
    database: RealDatabase, evil: psycopg.Connection
) -> None:
    evil.execute(f"ALTER ROLE {CONSOLE_ROLE} SET work_mem = '64kB'")
    evil.execute(f'ALTER ROLE {CONSOLE_ROLE} IN DATABASE "{database.name}" SET jit = off')
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name), autocommit=True) as owner:
        bootstrap.secure_login(owner, CONSOLE_ROLE)
    assert database.rows(
        "SELECT setdatabase::bigint, setconfig FROM pg_db_role_setting "
        "WHERE setrole = 'ggnet_console'::regrole"
    ) == [(0, ["log_parameter_max_length=0", "temp_file_limit=128MB"])]


def test_it_cannot_take_all_connections(database: RealDatabase) -> None:
    dsn = database.server.dsn(CONSOLE_ROLE, database.name)
    taken: list[psycopg.Connection] = []
    try:
        with pytest.raises(UnreachableError, match="connections that the database allows"):
            while len(taken) < 40:
                with in_sentences():
                    taken.append(psycopg.connect(dsn))
        assert len(taken) <= 20
        with psycopg.connect(database.agent.dsn) as agent:
            agent.execute("SELECT 1")
    finally:
        for connection in taken:
            connection.close()


def test_neither_can_a_sign_in(database: RealDatabase) -> None:
    role = database.log_in("viewer").role_name
    assert database.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", role) == 16


@pytest.mark.parametrize(
    "attack",
    [
        "CONNECTION LIMIT -1",
        "CREATEROLE",
        "SET log_parameter_max_length = -1",
        "SET session_preload_libraries = 'x'",
        "SET log_statement = 'none'",
    ],
)
def test_what_it_may_not_change_of_itself(evil: psycopg.Connection, attack: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        evil.execute(f"ALTER ROLE {CONSOLE_ROLE} {attack}")
