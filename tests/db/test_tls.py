# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a shared server: what is safe by default, and a sentence for every refusal."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import exc
from tls_server import Authority, TlsServer, free_port, tls_server

from ggnet_console.config import Config
from ggnet_console.db.engine import Database, shared_dsn
from ggnet_console.db.installation import Installation
from ggnet_console.errors import ConsoleError, RefusedError, SignInError, UnreachableError
from ggnet_console.services import users


@pytest.fixture(scope="module")
def shared() -> Iterator[TlsServer]:
    with tls_server() as server:
        server.admit("hostssl all all 127.0.0.1/32 scram-sha-256")
        server.execute("CREATE DATABASE closed")
        server.execute("REVOKE ALL ON DATABASE closed FROM PUBLIC")
        server.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        yield server


@pytest.fixture(autouse=True)
def no_certificates_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """libpq looks for root.crt in the home folder, and a developer may have one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)


def connect(dsn: str) -> None:
    """Ask for the schema's revision, as every program does first; there is no schema here."""
    assert Installation(Config(Path("/nowhere"), database_url=dsn)).revision() is None


def refusal(dsn: str) -> ConsoleError:
    with pytest.raises(ConsoleError) as caught:
        connect(dsn)
    return caught.value


def test_a_server_whose_certificate_is_right_is_talked_to_with_tls(shared: TlsServer) -> None:
    connect(shared.dsn())
    with psycopg.connect(shared_dsn(shared.dsn())) as connection:
        [(encrypted,)] = connection.execute(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    assert encrypted is True


@pytest.mark.parametrize(
    "dsn", ["host=db", "postgresql://db/ggnet", "host=a,b port=1,2", "hostaddr=10.0.0.1", "user=x"]
)
def test_a_server_s_certificate_is_checked_unless_the_connection_string_says_otherwise(
    dsn: str,
) -> None:
    given = conninfo_to_dict(shared_dsn(dsn))
    assert (given["sslmode"], given["target_session_attrs"]) == ("verify-full", "read-write")
    weaker = conninfo_to_dict(shared_dsn(f"{dsn}{'?' if '//' in dsn else ' '}sslmode=require"))
    assert weaker["sslmode"] == "require"


def test_the_environment_of_other_programs_does_not_weaken_it(
    shared: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path, "other")
    monkeypatch.setenv("PGSSLMODE", "disable")
    assert "not issued by the authority" in refusal(shared.dsn(sslrootcert=other.file)).summary


def test_a_socket_of_this_computer_needs_no_certificate(shared: TlsServer) -> None:
    connect(shared.dsn(host=shared.folder, sslrootcert=None))


def test_a_weaker_mode_is_taken_when_it_is_asked_for(shared: TlsServer) -> None:
    connect(shared.dsn(sslmode="require", sslrootcert=None))
    connect(shared.dsn(sslmode="verify-ca", host="127.0.0.1"))


def test_of_several_hosts_the_one_that_takes_writes_is_used(shared: TlsServer) -> None:
    connect(shared.dsn(host="localhost,localhost", port=f"{free_port()},{shared.port}"))


def test_a_standby_alone_is_refused_before_anything_fails_to_be_saved(shared: TlsServer) -> None:
    with shared.standing_by():
        error = refusal(shared.dsn())
    assert "is a standby and takes no writes" in error.summary


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"host": "127.0.0.1"}, "issued for “localhost”, not for “127.0.0.1”"),
        ({"sslrootcert": None}, r"There is no CA file /.*root\.crt"),
        ({"sslrootcert": "/none.crt"}, r"There is no CA file /none\.crt"),
        ({"sslrootcert": "/etc/hostname"}, "The CA file /etc/hostname holds no certificate"),
        ({"host": "nosuch.invalid"}, "No computer named “nosuch.invalid”"),
        ({"dbname": "nosuch"}, "There is no database “nosuch” on the server .*setup-server"),
        ({"user": "nobody"}, "does not know the role “nobody”, or its password is another"),
        ({"password": "wrong"}, "does not know the role “postgres”, or its password is another"),
        ({"password": None}, "wants a password and none is kept here"),
        ({"sslmode": "disable"}, "lets nobody in without TLS"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said(
    shared: TlsServer, changed: dict[str, str | None], sentence: str
) -> None:
    error = refusal(shared.dsn(**changed))
    assert isinstance(error, UnreachableError)
    assert not isinstance(error, SignInError)
    with pytest.raises(ConsoleError, match=sentence):
        raise error
    assert error.details, "libpq's own words are kept"


def test_a_certificate_of_another_authority_is_refused(shared: TlsServer, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    error = refusal(shared.dsn(sslrootcert=other.file))
    assert f"The certificate of the server 127.0.0.1:{shared.port} was not issued" in error.summary


def test_a_server_without_tls_is_refused(shared: TlsServer) -> None:
    shared.set("ssl", "off")
    try:
        error = refusal(shared.dsn())
    finally:
        shared.set("ssl", "on")
    assert f"The server 127.0.0.1:{shared.port} offers no TLS" in error.summary


def test_a_port_where_nothing_listens_is_named(shared: TlsServer) -> None:
    port = free_port()
    assert (
        f"Nothing answers at the server 127.0.0.1:{port}" in refusal(shared.dsn(port=port)).summary
    )


def test_a_server_that_never_answers_is_given_up(shared: TlsServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = refusal(shared.dsn(port=silent.getsockname()[1], connect_timeout=2))
    assert "did not answer in time" in error.summary


def test_a_host_that_pg_hba_conf_leaves_out_is_told_which_lines_are_missing(
    shared: TlsServer,
) -> None:
    rules = shared.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all postgres scram-sha-256\n")
    shared.reload()
    try:
        sentences = [refusal(shared.dsn(user=user)) for user in ("stranger", "ggnet_s_1")]
    finally:
        rules.write_text(before)
        shared.reload()
    assert "its pg_hba.conf needs the lines" in sentences[0].summary
    # The lines of setup-server name groups, and an ended sign-in is in none any more.
    assert isinstance(sentences[1], SignInError)


def test_a_database_of_another_installation_is_refused(shared: TlsServer) -> None:
    error = refusal(shared.dsn(user="stranger", password="x", dbname="closed"))
    assert isinstance(error, RefusedError)
    assert "may not use the database “closed”" in error.summary


def test_an_ended_sign_in_is_told_from_a_wrong_password_of_the_console(shared: TlsServer) -> None:
    error = refusal(shared.dsn(user="ggnet_s_0123"))
    assert isinstance(error, SignInError)
    assert "sign in again" in error.summary


@pytest.mark.parametrize("dsn", ["nonsense", "host=db password=se cret", "postgresql://[db"])
def test_what_is_no_connection_string_is_said_without_quoting_it(dsn: str) -> None:
    error = refusal(dsn)
    assert "connection string cannot be understood" in error.summary
    assert "cret" not in f"{error.summary}{error.details}"
    assert error.__suppress_context__


def test_the_kept_password_is_used_only_where_the_connection_string_has_none(
    shared: TlsServer,
) -> None:
    config = Config(Path("/nowhere"), database_url=shared.dsn(password=None))
    assert Installation(config, lambda: "of-the-superuser").revision() is None
    with pytest.raises(UnreachableError):
        Installation(config, lambda: "wrong").revision()
    config = Config(Path("/nowhere"), database_url=shared.dsn())
    assert Installation(config, lambda: "wrong").revision() is None


def test_a_configuration_shown_in_a_log_has_no_password_in_it() -> None:
    config = Config(
        Path("/x"), database_url="password=secret1", agent_database_url="password=secret2"
    )
    assert "secret" not in repr(config)


def test_an_error_of_the_database_does_not_quote_the_password_somebody_typed(
    shared: TlsServer,
) -> None:
    database = Database(shared_dsn(shared.dsn()), program="tests")
    with (
        contextlib.closing(database),
        pytest.raises(exc.DBAPIError) as caught,
        database.begin() as session,
    ):
        users.sign_in(session, "anna", "my dog's name", "tests")
    assert "login" in str(caught.value), "there is no such function in this database"
    assert "my dog" not in str(caught.value)


def test_a_full_server_is_not_taken_for_a_full_role(shared: TlsServer) -> None:
    shared.execute("CREATE ROLE one LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
    with contextlib.closing(psycopg.connect(shared_dsn(shared.dsn(user="one", password="x")))):
        assert "allows to this role" in refusal(shared.dsn(user="one", password="x")).summary
    with tls_server(max_connections="6", superuser_reserved_connections="3") as small:
        small.admit("hostssl all all 127.0.0.1/32 scram-sha-256")
        small.execute("CREATE ROLE many LOGIN PASSWORD 'x'")
        dsn = small.dsn(user="many", password="x")
        with contextlib.ExitStack() as held:
            for _ in range(3):
                held.enter_context(contextlib.closing(psycopg.connect(shared_dsn(dsn))))
            full = refusal(dsn).summary
        assert f":{small.port} has no connection left; try again later" in full
