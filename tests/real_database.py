# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases for tests: one template per run, and a clone of it for each test."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import bcrypt
import psycopg
from patience import wait_for
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ggnet_console.db import bootstrap
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, Cluster, agent_role
from ggnet_console.db.engine import Database
from ggnet_console.db.installation import make_schema
from ggnet_console.enums import Role
from ggnet_console.services import users

HOST = "testhost"
PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2a$04$abcdefghijklmnopqrstuu").decode()
"""Of the lowest cost bcrypt has: a test signs in in a millisecond. The same in every process."""
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

    def execute(self, statement: str, *names: str) -> list[tuple]:
        """Run one statement as superuser outside of any test's database; ``{}`` are identifiers."""
        return self.rows(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def rows(self, statement: str | sql.Composed, *values: object) -> list[tuple]:
        """What a statement answers to the superuser outside of any test's database."""
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def template(self):
        """A migrated database with one user per role, to be cloned."""
        with self.bare() as database:
            dsn = self.dsn(SUPERUSER, database.name)
            make_schema(dsn, database.installation, HOST)
            with psycopg.connect(dsn) as connection:
                connection.execute(CHEAP)
                for role in Role:
                    connection.execute("SELECT user_create(%s, %s, %s)", [role.lower(), role, HASH])
            yield Template(self, database.name, database.installation)

    @contextmanager
    def bare(self):
        """A database of an installation of its own, without a schema."""
        name = f"ggnet_template_{secrets.token_hex(4)}"
        with psycopg.connect(self.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            installation = bootstrap.create_database(connection, name, HOST)
        database = RealDatabase(self, name, installation)
        try:
            yield database
        finally:
            database.close()
            self.execute("DROP DATABASE {} WITH (FORCE)", name)
            for group in reversed(bootstrap.GROUPS):
                role = bootstrap.group_role(group, installation)
                self.execute("DROP OWNED BY {}", role)
                self.execute("DROP ROLE {}", role)


@dataclass(frozen=True)
class Template:
    """What a run's databases are clones of."""

    server: Server
    name: str
    installation: str
    signed_in: Mapping[Role, users.SignedIn] = field(default_factory=dict)
    """People who have signed in already, in every clone with the same role and secret."""
    images: Mapping[str, int] = field(default_factory=dict)
    """READY images by name."""
    roles: Mapping[str, tuple] = field(default_factory=dict)
    """What makes the roles of those sign-ins; all databases of a server share them."""

    @contextmanager
    def furnished(self, add_image: Callable[[RealDatabase, str, Database], int]):
        """A template with a sign-in of each role and the image “win11”, made as anybody makes them."""
        with self.clone() as room:
            signed_in = {role: room.log_in(role.lower()) for role in Role}
            operator = room.open(room.dsn(signed_in[Role.OPERATOR]))
            image = add_image(room, "win11", operator)
            room.close()
            yield Template(
                self.server,
                room.name,
                self.installation,
                signed_in,
                {"win11": image},
                self._roles(one.role_name for one in signed_in.values()),
            )

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
        clone = RealDatabase(
            self.server, name, self.installation, dict(self.signed_in), dict(self.images)
        )
        try:
            yield clone
        finally:
            clone.close()
            self.server.execute("DROP DATABASE {} WITH (FORCE)", name)
            for role in clone.sign_in_roles:
                self.server.execute("DROP ROLE IF EXISTS {}", role)
            if self.roles:
                self._restore()

    def _roles(self, names: Iterable[str]) -> dict[str, tuple]:
        return {
            name: tuple(more)
            for name, *more in self.server.rows(
                "SELECT rolname, rolpassword, rolcanlogin, rolvaliduntil::text, rolconnlimit, "
                "ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = a.oid), "
                "ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = a.oid) "
                "FROM pg_authid a WHERE rolname = ANY (%s)",
                list(names),
            )
        }

    def _restore(self) -> None:
        """Make those roles again what they were: a test may have ended or changed a sign-in."""
        found = self._roles(self.roles)
        for name, made in self.roles.items():
            if found.get(name) == made:
                continue
            password, _, until, limit, groups, settings = made
            self.server.execute("DROP ROLE IF EXISTS {}", name)
            self.server.rows(
                sql.SQL(
                    "CREATE ROLE {} LOGIN PASSWORD {} VALID UNTIL {} CONNECTION LIMIT {} IN ROLE {}"
                ).format(
                    sql.Identifier(name),
                    password,
                    until,
                    limit,
                    sql.SQL(", ").join(sql.SQL(group) for group in groups),
                )
            )
            for setting in settings:
                key, value = setting.split("=", 1)
                self.server.rows(
                    sql.SQL("ALTER ROLE {} SET {} = {}").format(
                        sql.Identifier(name), sql.Identifier(key), value
                    )
                )


@dataclass
class RealDatabase:
    """One test's database, as each kind of role reaches it."""

    server: Server
    name: str
    installation: str
    signed_in: dict[Role, users.SignedIn] = field(default_factory=dict)
    """Sign-ins that the template has made and no test has used yet."""
    images: dict[str, int] = field(default_factory=dict)
    """READY images likewise."""
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

    def log_in(self, name: str, password: str = PASSWORD) -> users.SignedIn:
        """Sign in by name; the role is dropped when the test ends."""
        with self.console.begin() as session:
            signed_in = users.sign_in(session, name, password, "tests")
        self.sign_in_roles.append(signed_in.role_name)
        return signed_in

    def dsn(self, signed_in: users.SignedIn) -> str:
        """The connection string of a sign-in."""
        return make_conninfo(
            self.server.dsn(signed_in.role_name, self.name), password=signed_in.secret
        )

    def sign_in(self, role: Role) -> Database:
        """As the template's user with this role; every call is a sign-in of its own."""
        return self.open(self.dsn(self.signed_in.pop(role, None) or self.log_in(role.lower())))

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

        def counted() -> Counter[str] | None:
            found = Counter(dict(self.rows(counts)))
            return found if found["login"] else None

        return wait_for(counted, "the server has counted")

    def wait_for_lock(self) -> None:
        """Wait until a connection to this database waits for another one's lock."""
        wait_for(
            lambda: self.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            ),
            "somebody waits for a lock",
        )

    def wait_until_gone(self, pid: int) -> None:
        """Wait until the server has ended the connection with this backend."""
        wait_for(
            lambda: not self.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid),
            "the connection is ended",
        )
