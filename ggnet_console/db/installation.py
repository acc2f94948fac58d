# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the database of this process's installation is, and how each kind of role reaches it."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import insert

from ..config import Config
from ..errors import ConsoleError, SchemaError, UnreachableError, sentence
from ..models import Host
from . import bootstrap, fingerprint, schema
from .cluster import CONSOLE_ROLE, SUPERUSER, Cluster, agent_role
from .engine import Database, parse_dsn, pinned, shared_dsn
from .errors import in_sentences
from .fingerprint import Difference

DATABASE = "ggnet"
_CREATION_LOCK = 0x67676E65


class Installation:
    """The embedded cluster of ``config.home``, or the shared server ``config`` names.

    A context manager: an embedded cluster runs at least as long as the block; its database is
    made on first use.
    """

    def __init__(
        self, config: Config, console_password: Callable[[], str | None] = lambda: None
    ) -> None:
        """``console_password`` looks up what ``config.database_url`` leaves out, if it is kept."""
        self.config = config
        self._console_password = functools.cache(console_password)
        self.cluster = Cluster(config.tree, config.host, config.pg_bin) if config.embedded else None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start or join the embedded cluster and make its database when there is none yet.

        Raises ConsoleError; then nothing is held.
        """
        if self.cluster is None:
            return
        self.cluster.acquire()
        try:
            self._keep_host_name()
            make_database(self.cluster.dsn(SUPERUSER, "postgres"), DATABASE, self.config.host)
        except UnreachableError as error:
            self.cluster.release()
            raise UnreachableError(
                sentence(
                    "The private database below {home} does not answer.", home=self.config.home
                ),
                error.details,
            ) from error
        except BaseException:
            self.cluster.release()
            raise

    def _keep_host_name(self) -> None:
        """The storage host keeps its name, whatever the computer is called later."""
        config, kept = self.config, self.config.kept_host
        if not kept:
            try:
                config.tree.host_name.write_text(f"{config.host}\n", "utf-8")
            except OSError as error:
                raise ConsoleError(
                    sentence(
                        "{file} cannot be written: {reason}.",
                        file=config.tree.host_name,
                        reason=error.strerror,
                    )
                ) from error
        elif kept != config.host:
            raise ConsoleError(
                sentence(
                    "The installation below {home} is that of the storage host “{kept}”, and "
                    "GGNET_HOST says “{host}”; leave GGNET_HOST out or correct it.",
                    home=config.home,
                    kept=kept,
                    host=config.host,
                )
            )

    def close(self) -> None:
        """Leave the embedded cluster; the last process out stops it."""
        if self.cluster is not None:
            self.cluster.release()

    def revive(self) -> None:
        """Start the embedded server again if it died; a shared server is others' business."""
        if self.cluster is not None:
            self.cluster.revive()

    @property
    def key(self) -> str:
        """Tells this installation from others on this machine, for what is remembered of it."""
        return str(self.config.database_url or self.config.home)

    def console(self, program: str) -> Database:
        """As the console role, which may only sign in and ask for the schema's revision."""
        return Database(pinned(self._dsn(CONSOLE_ROLE)), program=program, pool_size=1)

    def signed_in(self, role_name: str, secret: str, program: str) -> Database:
        """As the role of a sign-in."""
        return Database(self._dsn(role_name, secret), program=program)

    def agent_dsn(self) -> str:
        """The connection string of this host's agent."""
        if self.cluster is not None:
            return self.cluster.dsn(agent_role(self.config.host))
        if self.config.agent_database_url is None:
            raise ConsoleError(
                sentence(
                    "The agent does not know how to sign in; set GGNET_AGENT_DATABASE_URL to the "
                    "connection string of this host's agent role."
                )
            )
        return shared_dsn(self.config.agent_database_url, default_user=agent_role(self.config.host))

    def owner(self, program: str) -> Database:
        """As the owner of an embedded installation, who is this OS user."""
        if self.cluster is None:
            raise ConsoleError(
                sentence(
                    "On a shared server this needs the owner's connection string: --owner-dsn."
                )
            )
        return Database(self.cluster.dsn(SUPERUSER), program=program, pool_size=1)

    def revision(self, dsn: str | None = None) -> str | None:
        """The revision of the database's schema, as the console or an agent (``dsn``) may ask."""
        with self._asking(dsn) as connection:
            return schema.read_revision(connection)

    def require_schema(self, dsn: str | None = None) -> None:
        """Raise SchemaError unless the schema is the one this program was made for."""
        with self._asking(dsn) as connection:
            schema.require(connection)

    def changed_by_hand(self, dsn: str | None = None) -> list[Difference]:
        """What is not as the last upgrade left it, of a database that has the right schema."""
        with self._asking(dsn) as connection:
            try:
                return fingerprint.differences(connection)
            except psycopg.errors.InternalError_ as error:  # what was looked at is made anew
                raise ConsoleError(
                    sentence(
                        "The database is being upgraded; what was changed in it by hand is told "
                        "at the next start."
                    ),
                    str(error),
                ) from error

    @contextlib.contextmanager
    def _asking(self, dsn: str | None) -> Iterator[psycopg.Connection]:
        at = dsn or pinned(self._dsn(CONSOLE_ROLE))
        with in_sentences(), psycopg.connect(at) as connection:
            try:
                yield connection
            except (
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.UndefinedFunction,
                psycopg.errors.UndefinedTable,
            ) as error:
                raise SchemaError(
                    sentence(
                        "The database lacks what every program has to find in it; run “ggnet db "
                        "upgrade” as its owner."
                    ),
                    str(error),
                ) from error

    def _dsn(self, role: str, secret: str | None = None) -> str:
        if self.cluster is not None:
            dsn = self.cluster.dsn(role)
            return make_conninfo(dsn, password=secret) if secret else dsn
        url = self.config.database_url
        if url is None:
            raise ConsoleError(
                sentence(
                    "This computer has an agent's connection only; set GGNET_DATABASE_URL to the "
                    "connection string of the shared server."
                )
            )
        if role != CONSOLE_ROLE:
            return shared_dsn(url, user=role, password=secret)
        dsn = shared_dsn(url, default_user=CONSOLE_ROLE)
        password = None if "password" in parse_dsn(dsn) else self._console_password()
        return make_conninfo(dsn, password=password) if password else dsn


def make_database(server_dsn: str, name: str, *hosts: str) -> bool:
    """Make the database ``name`` for the storage hosts ``hosts``; False when it is there already.

    ``server_dsn`` is a superuser's. The database is made under another name and renamed once it is
    whole, so a process killed in between leaves nothing that looks like a database; an advisory
    lock lets one of several first starters do it.
    """
    unfinished = f"{name}_unfinished"
    unfinished_dsn = make_conninfo(server_dsn, dbname=unfinished)
    with in_sentences(), psycopg.connect(server_dsn, autocommit=True) as server:
        if _exists(server, name):
            return False
        server.execute("SELECT pg_advisory_lock(%s)", [_CREATION_LOCK])
        if _exists(server, name):
            return False
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(unfinished)))
        installation = bootstrap.create_database(server, unfinished, *hosts)
        make_schema(unfinished_dsn, installation, *hosts)
        server.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(unfinished), sql.Identifier(name)
            )
        )
    return True


def make_schema(owner_dsn: str, installation: str, *hosts: str) -> None:
    """Fill a database that ``bootstrap.create_database`` made: extensions, migrations, its hosts."""
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        bootstrap.prepare_database(connection, installation)
    database = Database(owner_dsn, program="ggnet setup", pool_size=1)
    with contextlib.closing(database), in_sentences(), database.engine.connect() as connection:
        schema.upgrade(connection)
        for host in hosts:
            connection.execute(insert(Host).values(name=host, agent_role=agent_role(host)))
        connection.commit()


def _exists(server: psycopg.Connection, name: str) -> bool:
    return bool(server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount)


def read_password(config: Config) -> str:
    """The first line of ``GGNET_PASSWORD_FILE``; ConsoleError when it cannot be read."""
    file = config.password_file
    if file is None:
        raise ConsoleError(sentence("GGNET_USER is set, but GGNET_PASSWORD_FILE is not."))
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise ConsoleError(
            sentence("The password file {file} cannot be read: {reason}.", file=file, reason=reason)
        ) from error
    if not lines:
        raise ConsoleError(sentence("The password file {file} is empty.", file=file))
    return lines[0]
