# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases for tests: one template per run, and a clone of it for each test."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import bcrypt
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ggnet_console.db import bootstrap
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, Cluster, agent_role
from ggnet_console.db.engine import Database
from ggnet_console.db.installation import make_schema
from ggnet_console.enums import Role
from ggnet_console.services import accounts

HOST = "testhost"
PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()
"""Of the lowest cost bcrypt has: a test signs in in a millisecond."""
CHEAP = (
    "SET session_replication_role = replica; "
    "UPDATE settings SET minimum = 4, value = 4 WHERE name = 'bcrypt_cost'; "
    "RESET session_replication_role"
)
"""Lets a database take such hashes, and make them; leaves no trace in the audit trail."""

_numbers = itertools.count(1)


class Server:
    """The PostgreSQL server of a test run: our own cluster, or the one ``GGNET_TEST_DSN`` names."""

    def __init__(self, dsn: Callable[[str, str], str]) -> None:
        """``dsn`` makes the connection string of a role (first) and a database."""
        self.dsn = dsn

    @classmethod
    def of_cluster(cls, cluster: Cluster) -> Server:
        """Our own private server: no password is asked of this OS user."""
        return cls(cluster.dsn)

    @classmethod
    def existing(cls, superuser_dsn: str) -> Server:
        """A throw-away server; its console and agent roles get a password of this run."""
        password = secrets.token_hex(8)
        with psycopg.connect(superuser_dsn, autocommit=True) as connection:
            for name in (CONSOLE_ROLE, agent_role(HOST)):
                role = sql.Identifier(name)
                if not connection.execute(
                    "SELECT FROM pg_roles WHERE rolname = %s", [name]
                ).rowcount:
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(password))
                )

        def dsn(role: str, database: str) -> str:
            if role == SUPERUSER:
                return make_conninfo(superuser_dsn, dbname=database)
            return make_conninfo(superuser_dsn, dbname=database, user=role, password=password)

        return cls(dsn)

    def execute(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        """Run one statement as superuser outside of any test's database; ``{}`` are identifiers."""
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            cursor = connection.execute(
                sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
            )
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def template(self):
        """A migrated database with one account per role, to be cloned; its name and its id."""
        name = f"ggnet_template_{secrets.token_hex(4)}"
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            installation = bootstrap.create_database(connection, name, HOST)
        try:
            make_schema(self.dsn(SUPERUSER, name), installation, HOST)
            with psycopg.connect(self.dsn(SUPERUSER, name)) as connection:
                connection.execute(CHEAP)
                for role in Role:
                    connection.execute("SELECT user_create(%s, %s, %s)", [role.lower(), role, HASH])
            yield Template(self, name, installation)
        finally:
            self.execute("DROP DATABASE {} WITH (FORCE)", name)
            for group in reversed(bootstrap.GROUPS):
                self.execute("DROP ROLE {}", bootstrap.group_role(group, installation))


@dataclass(frozen=True)
class Template:
    """What a run's databases are clones of."""

    server: Server
    name: str
    installation: str

    @contextmanager
    def clone(self):
        """A database for one test, gone afterwards with its sign-in roles."""
        name = f"{self.name}_{next(_numbers)}"
        with psycopg.connect(self.server.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                # Of many small files it copies faster than through the log.
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
                    *map(
                        sql.Identifier,
                        (name, self.name, bootstrap.group_role("owner", self.installation)),
                    )
                )
            )
            bootstrap.open_database(connection, name, self.installation)
        clone = RealDatabase(self.server, name, self.installation)
        try:
            yield clone
        finally:
            clone.close()
            self.server.execute("DROP DATABASE {} WITH (FORCE)", name)
            for role in clone.sign_in_roles:
                self.server.execute("DROP ROLE IF EXISTS {}", role)


@dataclass
class RealDatabase:
    """One test's database, as each kind of role reaches it."""

    server: Server
    name: str
    installation: str
    sign_in_roles: list[str] = field(default_factory=list)
    _open: list[Database] = field(default_factory=list)

    @cached_property
    def owner(self) -> Database:
        """As the installation's owner."""
        return self.open(self.server.dsn(SUPERUSER, self.name))

    @cached_property
    def console(self) -> Database:
        """As the console before anybody has signed in."""
        return self.open(self.server.dsn(CONSOLE_ROLE, self.name))

    @cached_property
    def agent(self) -> Database:
        """As the agent of the storage host ``HOST``."""
        dsn = self.server.dsn(agent_role(HOST), self.name)
        # The queue's functions look for their tables in the agent's own search path.
        return self.open(make_conninfo(dsn, options="-c search_path=public,procrastinate"))

    @cached_property
    def host_id(self) -> int:
        """The storage host ``HOST``."""
        return self.value("SELECT id FROM hosts")

    def open(self, dsn: str) -> Database:
        """A Database that is closed when the test ends."""
        database = Database(dsn, program="tests")
        self._open.append(database)
        return database

    def group(self, name: str) -> str:
        """A group role of this installation."""
        return bootstrap.group_role(name, self.installation)

    def log_in(self, name: str, password: str = PASSWORD) -> accounts.SignedIn:
        """Sign in by name; the role is dropped when the test ends."""
        with self.console.begin() as session:
            signed_in = accounts.sign_in(session, name, password, "tests")
        self.sign_in_roles.append(signed_in.role_name)
        return signed_in

    def dsn(self, signed_in: accounts.SignedIn) -> str:
        """The connection string of a sign-in."""
        return make_conninfo(
            self.server.dsn(signed_in.role_name, self.name), password=signed_in.secret
        )

    def sign_in(self, role: Role) -> Database:
        """As the template's account with this role; every call is a sign-in of its own."""
        return self.open(self.dsn(self.log_in(role.lower())))

    def rows(self, statement: str | sql.Composed, *values: object) -> list[tuple]:
        """What a statement answers to the owner."""
        with psycopg.connect(self.server.dsn(SUPERUSER, self.name)) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: object):
        """The one value a statement answers to the owner."""
        [[value]] = self.rows(statement, *values)
        return value

    def close(self) -> None:
        """Close every connection that was opened for the test."""
        for database in self._open:
            database.close()

    def functions_called(self, name: str) -> Counter[str]:
        """Which functions the server runs when somebody signs in with a wrong password."""
        track = sql.SQL("ALTER DATABASE {} SET track_functions = 'all'")
        self.rows(track.format(sql.Identifier(self.name)))
        with psycopg.connect(self.server.dsn(CONSOLE_ROLE, self.name)) as connection:
            connection.execute("SELECT login(%s, 'wrong password', 'tests', '')", [name])
        counts = "SELECT funcname::text, calls FROM pg_stat_user_functions"
        deadline = time.monotonic() + 30
        while not (found := Counter(dict(self.rows(counts))))["login"]:
            assert time.monotonic() < deadline, "the server counts nothing"
            time.sleep(0.01)
        return found

    def wait_for_lock(self) -> None:
        """Wait until a connection to this database waits for another one's lock."""
        deadline = time.monotonic() + 30
        while not self.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        ):
            assert time.monotonic() < deadline, "nobody ever waited"
            time.sleep(0.005)
