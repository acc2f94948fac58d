# SPDX-License-Identifier: GPL-3.0-or-later
"""A database as one signed-in role sees it: connections, and the unit of work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.orm import Session

from ..errors import ConsoleError, sentence
from .errors import in_sentences

_KEEPALIVE = {
    # A half-open connection (server unplugged) must not look alive for the kernel's two hours.
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SHARED = {
    # Encryption alone would talk to whoever answers. Unix sockets know no TLS: libpq ignores it.
    "sslmode": "verify-full",
    # Of several hosts, the one that takes writes.
    "target_session_attrs": "read-write",
    "connect_timeout": _KEEPALIVE["connect_timeout"],
}


_PINNED = {
    # Every role may ALTER itself, so whoever knows the console's password could make it read-only,
    # too short of time to sign in, or have others' passwords written into the server's log. What a
    # connection asks for at its start counts more (PostgreSQL manual, 20.1.3).
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "local_preload_libraries": "",
    "lock_timeout": "0",
    "log_parameter_max_length_on_error": "0",
    "quote_all_identifiers": "off",
    "search_path": "public",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
}


def pinned(dsn: str) -> str:
    """The connection string with settings that the role's own cannot change."""
    options = " ".join(f"-c {name}={value}" for name, value in _PINNED.items())
    given = parse_dsn(dsn).get("options", "")
    return make_conninfo(dsn, options=f"{given} {options}".strip())


def shared_dsn(dsn: str, *, default_user: str | None = None, **values: str | None) -> str:
    """The connection string of a shared server with what ``dsn`` leaves out; ``values`` replace.

    What ``dsn`` says counts, a weaker ``sslmode`` as well. Raises ConsoleError when it is none.
    """
    defaults = _SHARED | ({"user": default_user} if default_user else {})
    return make_conninfo("", **{**defaults, **parse_dsn(dsn), **values})


def parse_dsn(dsn: str) -> dict[str, Any]:
    """The keywords and values of a libpq connection string or URI; raises ConsoleError."""
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.ProgrammingError:
        # libpq's own words quote what it stumbled over, which may be part of a password.
        raise ConsoleError(
            sentence(
                "The server's connection string cannot be understood; it looks like "
                "“host=db.example.net dbname=ggnet”, and values with spaces stand in single "
                "quotes."
            )
        ) from None


def refuse_password(dsn: str) -> None:
    """Raise ConsoleError when a connection string from a command line holds a password.

    proc(5): /proc/PID/cmdline is readable by every user.
    """
    if "password" in parse_dsn(dsn):
        raise ConsoleError(
            sentence(
                "Every user of this computer can read a password on the command line; leave it "
                "out of the connection string and put it into ~/.pgpass or PGPASSWORD."
            )
        )


class Database:
    """Connections of one role to one database; shared between threads, sessions are not."""

    def __init__(self, dsn: str, *, program: str, pool_size: int = 4) -> None:
        """``dsn`` is a libpq connection string; ``program`` shows in the server's activity view."""
        given = conninfo_to_dict(dsn)
        self.dsn = make_conninfo("", **{**_KEEPALIVE, "application_name": program, **given})
        self._engine: Engine = create_engine(
            URL.create("postgresql+psycopg"),
            connect_args=conninfo_to_dict(self.dsn),
            pool_size=pool_size,
            max_overflow=2,
            pool_pre_ping=True,
            # Passwords and secrets are parameters; an error's text goes into the log.
            hide_parameters=True,
        )

    @property
    def server(self) -> str:
        """The server's name for people: a host name, or “this computer” over a local socket."""
        host = str(conninfo_to_dict(self.dsn).get("host", ""))
        return sentence("this computer") if not host or host.startswith("/") else host

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        """One unit of work: commits at the end of the block, rolls back on any error.

        Raises ConsoleError for whatever of the database's refusals is a sentence for people.
        """
        with in_sentences(), Session(self._engine) as session, session.begin():
            yield session

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for migrations."""
        return self._engine

    def close(self) -> None:
        """Close the idle connections; to be called when nothing uses the database any more."""
        self._engine.dispose()
