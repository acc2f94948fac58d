# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a shared server: what is made, for whom, and what an installation is to another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tls_server import TlsServer, tls_server

from ggnet_console.config import Config
from ggnet_console.db import shared_server
from ggnet_console.db.cluster import CONSOLE_ROLE
from ggnet_console.db.engine import Database, shared_dsn
from ggnet_console.db.installation import Installation
from ggnet_console.db.shared_server import Prepared
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, RefusedError, SignInError
from ggnet_console.services import users
from ggnet_console.services.users import SignedIn

PERSON = "correct horse battery"


@pytest.fixture(scope="module")
def shared() -> Iterator[TlsServer]:
    with tls_server(log_statement="all", log_min_duration_statement="0") as server:
        yield server


@pytest.fixture(scope="module")
def production(shared: TlsServer) -> Prepared:
    """The database “ggnet” with two storage hosts."""
    prepared = shared_server.prepare(shared_dsn(shared.dsn()), "ggnet", ["store1", "store2"])
    shared.admit(prepared.hba_line)
    add_admin(shared, "ggnet")
    return prepared


@pytest.fixture(scope="module")
def trial(shared: TlsServer, production: Prepared) -> Prepared:
    """A test database on the same server, with a storage host of its own."""
    prepared = shared_server.prepare(shared_dsn(shared.dsn()), "trial", ["trialhost"])
    shared.admit(prepared.hba_line)
    add_admin(shared, "trial")
    return prepared


def add_admin(shared: TlsServer, database: str) -> None:
    owner = Database(shared_dsn(shared.dsn(dbname=database)), program="tests")
    with contextlib.closing(owner), owner.begin() as session:
        users.create_user(session, "anna", Role.ADMIN, PERSON)


def installation(shared: TlsServer, production: Prepared, database: str) -> Installation:
    """As a console knows it."""
    url = shared.dsn(dbname=database, user=None, password=None)
    password = production.passwords[CONSOLE_ROLE]
    return Installation(Config(Path("/nowhere"), database_url=url), lambda: password)


def sign_in(place: Installation) -> SignedIn:
    with contextlib.closing(place.console("tests")) as console, console.begin() as session:
        return users.sign_in(session, "anna", PERSON, "tests")


def test_the_console_and_each_host_s_agent_get_a_password_of_their_own(
    production: Prepared,
) -> None:
    assert production.made
    assert set(production.passwords) == {
        "ggnet_console",
        "ggnet_agent_store1",
        "ggnet_agent_store2",
    }
    assert len({*production.passwords.values()}) == 3
    assert min(map(len, production.passwords.values())) == 32
    [remark] = production.remarks
    assert "may connect to postgres, template1: " in remark


def test_people_and_agents_come_in_by_the_printed_line_of_pg_hba_conf(
    shared: TlsServer, production: Prepared
) -> None:
    place = installation(shared, production, "ggnet")
    place.require_schema()
    person = sign_in(place)
    with (
        contextlib.closing(place.signed_in(person.role_name, person.secret, "tests")) as database,
        database.begin() as session,
    ):
        assert users.who_am_i(session).name == "anna"
    agent = shared.dsn(
        dbname="ggnet", user=None, password=production.passwords["ggnet_agent_store2"]
    )
    config = Config(Path("/nowhere"), agent_database_url=agent, host="store2")
    at_host = Installation(config)
    at_host.require_schema(at_host.agent_dsn())
    with pytest.raises(ConsoleError, match="set GGNET_DATABASE_URL"):
        at_host.require_schema()


def test_the_printed_lines_keep_them_out_of_all_other_databases(
    shared: TlsServer, production: Prepared, trial: Prepared
) -> None:
    person = sign_in(installation(shared, production, "ggnet"))
    logins = {**production.passwords, **trial.passwords, person.role_name: person.secret}
    with shared.admitting(
        production.hba_reject, trial.hba_reject, "hostssl all all all scram-sha-256"
    ):
        for user, password in logins.items():
            with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
                psycopg.connect(shared.dsn(dbname="postgres", user=user, password=password))
        sign_in(installation(shared, production, "ggnet"))
        sign_in(installation(shared, production, "trial"))


def test_preparing_again_undoes_what_the_console_role_set_for_itself(
    shared: TlsServer, production: Prepared
) -> None:
    dsn = shared.dsn(dbname="ggnet", user=CONSOLE_ROLE, password=production.passwords[CONSOLE_ROLE])
    with psycopg.connect(dsn, autocommit=True) as evil:
        evil.execute("ALTER ROLE ggnet_console SET statement_timeout = 1")
        evil.execute("ALTER ROLE ggnet_console IN DATABASE ggnet SET work_mem = '64kB'")
    shared_server.prepare(shared_dsn(shared.dsn()), "ggnet", [])
    assert shared.execute(
        "SELECT setdatabase::bigint, setconfig FROM pg_db_role_setting "
        "WHERE setrole = 'ggnet_console'::regrole"
    ) == [(0, ["log_parameter_max_length=0", "temp_file_limit=128MB"])]


def test_a_sign_in_that_was_ended_says_so(shared: TlsServer, production: Prepared) -> None:
    place = installation(shared, production, "ggnet")
    person = sign_in(place)
    database = place.signed_in(person.role_name, person.secret, "tests")
    with contextlib.closing(database), database.begin() as session:
        users.sign_out(session)
    database = place.signed_in(person.role_name, person.secret, "tests")
    with (
        contextlib.closing(database),
        pytest.raises(SignInError, match="sign in again"),
        database.begin() as session,
    ):
        session.connection()


def test_without_tls_nobody_of_the_installation_is_let_in(
    shared: TlsServer, production: Prepared
) -> None:
    for role, password in production.passwords.items():
        dsn = shared.dsn(dbname="ggnet", user=role, password=password, sslmode="disable")
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(dsn)


def test_an_admin_of_a_test_database_is_nobody_in_production(
    shared: TlsServer, production: Prepared, trial: Prepared
) -> None:
    assert set(trial.passwords) == {"ggnet_agent_trialhost"}, "the console's password stays"
    person = sign_in(installation(shared, production, "trial"))
    assert person.role is Role.ADMIN
    in_production = installation(shared, production, "ggnet")
    database = in_production.signed_in(person.role_name, person.secret, "tests")
    with contextlib.closing(database), pytest.raises(SignInError), database.begin() as session:
        session.connection()
    # Even where pg_hba.conf lets everybody in, the database does not.
    with (
        shared.admitting("hostssl all all all scram-sha-256"),
        contextlib.closing(database),
        pytest.raises(RefusedError, match="“ggnet”; it belongs to another installation"),
        database.begin() as session,
    ):
        session.connection()
    ids = {prepared.hba_line.split("+ggnet_viewer_")[1][:8] for prepared in (production, trial)}
    assert len(ids) == 2
    rights = shared.execute(
        "SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'MEMBER') AND rolname <> %s",
        person.role_name,
        person.role_name,
    )
    production_id = production.hba_line.split("+ggnet_viewer_")[1][:8]
    assert rights
    assert not [name for (name,) in rights if production_id in name]


def test_an_agent_of_a_test_database_is_nobody_in_production(
    shared: TlsServer, production: Prepared, trial: Prepared
) -> None:
    [(role, password)] = trial.passwords.items()
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba.conf entry|permission denied"):
        psycopg.connect(shared.dsn(dbname="ggnet", user=role, password=password))
    psycopg.connect(shared.dsn(dbname="trial", user=role, password=password)).close()


def test_preparing_again_changes_no_password_and_adds_what_lacks(
    shared: TlsServer, production: Prepared
) -> None:
    again = shared_server.prepare(shared_dsn(shared.dsn()), "ggnet", ["store1", "store3"])
    assert (again.made, set(again.passwords)) == (False, {"ggnet_agent_store3"})
    assert again.hba_line == production.hba_line
    added = shared_server.add_host(shared_dsn(shared.dsn(dbname="ggnet")), "store4")
    for name, password in {**again.passwords, **added.passwords}.items():
        with psycopg.connect(
            shared.dsn(dbname="ggnet", user=name, password=password)
        ) as connection:
            row = connection.execute("SELECT public.schema_revision()").fetchone()
        assert row
    hosts = shared.execute("SELECT name, agent_role FROM hosts ORDER BY name", dbname="ggnet")
    assert hosts == [(f"store{n}", f"ggnet_agent_store{n}") for n in range(1, 5)]


def test_no_password_reaches_the_server_s_log(shared: TlsServer, production: Prepared) -> None:
    place = installation(shared, production, "ggnet")
    person = sign_in(place)
    database = place.signed_in(person.role_name, person.secret, "tests")
    hashes = []
    with contextlib.closing(database):
        for present, new in ((PERSON, "another " + PERSON), ("another " + PERSON, PERSON)):
            with database.begin() as session:
                users.change_password(session, present, new)
            hashes += shared.execute("SELECT password_hash FROM users", dbname="ggnet")
    log = shared.log.read_text()
    assert "ALTER ROLE" in log, "statements are logged"
    assert "login(" in log
    for secret in (*production.passwords.values(), PERSON, person.secret, *(h for (h,) in hashes)):
        assert secret not in log


def test_only_a_superuser_prepares_a_server(shared: TlsServer, production: Prepared) -> None:
    dsn = shared.dsn(dbname="ggnet", user=CONSOLE_ROLE, password=production.passwords[CONSOLE_ROLE])
    with pytest.raises(ConsoleError, match="“ggnet_console” is no superuser"):
        shared_server.prepare(shared_dsn(dsn), "other", [])


@pytest.mark.parametrize(
    ("name", "host"), [("Ggnet", "a"), ("a b", "a"), ("ggnet", "Store 1"), ("x" * 49, "a")]
)
def test_names_nothing_can_carry_are_refused_before_anything_is_made(
    shared: TlsServer, name: str, host: str
) -> None:
    before = shared.execute("SELECT rolname FROM pg_roles ORDER BY 1")
    with pytest.raises(ConsoleError, match="cannot be the"):
        shared_server.prepare(shared_dsn(shared.dsn()), name, [host])
    assert shared.execute("SELECT rolname FROM pg_roles ORDER BY 1") == before


def test_another_database_is_not_taken_for_ggnet_s(shared: TlsServer) -> None:
    with pytest.raises(ConsoleError, match="“postgres” was not made for GGnet Console"):
        shared_server.add_host(shared_dsn(shared.dsn()), "store9")
    with pytest.raises(ConsoleError, match="“postgres” was not made for GGnet Console"):
        shared_server.require_ours(shared_dsn(shared.dsn()))
    assert shared.execute("SELECT FROM pg_roles WHERE rolname = 'ggnet_agent_store9'") == []


def test_a_server_that_is_not_ready_is_told_what_it_needs(
    shared: TlsServer, production: Prepared
) -> None:
    shared.set("ssl", "off")
    try:
        dsn = shared_dsn(shared.dsn(host=shared.folder))
        prepared = shared_server.prepare(dsn, "ggnet", [])
    finally:
        shared.set("ssl", "on")
    assert prepared.remarks == shared_server.remarks("off", "C", ["postgres", "template1"])
    assert "TLS is off" in prepared.remarks[0]
    # The server takes only languages that are installed on its computer.
    [remark] = shared_server.remarks("on", "de_DE.UTF-8")
    assert "words its refusals in de_DE.UTF-8: set lc_messages = 'C'" in remark
    [remark] = shared_server.remarks("on", "C", prepared_transactions=10)
    assert "set max_prepared_transactions = 0" in remark
    [remark] = shared_server.remarks("on", "C", locks=64)
    assert "set max_locks_per_transaction = 256" in remark
    for plain in ("", "C", "POSIX", "C.UTF-8", "en_US.UTF-8"):
        assert shared_server.remarks("on", plain) == ()


def test_a_password_does_not_belong_on_the_command_line(shared: TlsServer) -> None:
    with pytest.raises(ConsoleError, match="Every user of this computer can read") as caught:
        shared_server.owner_dsn(shared.dsn())
    assert "of-the-superuser" not in f"{caught.value.summary}{caught.value.details}"
