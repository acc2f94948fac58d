# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shared server this user's programs use: asked for, tried out, and remembered without secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg.conninfo import make_conninfo

from .. import config
from ..config import Config
from ..db.engine import parse_dsn
from ..db.installation import Installation
from ..enums import TlsMode
from ..errors import ConsoleError, sentence
from ..tools.secret_store import ConsolePassword


@dataclass(frozen=True)
class ServerSpec:
    """A shared server as a person names it."""

    hosts: str
    """One host name, or several with commas between: the one that takes writes is used."""
    port: str
    database: str
    ca_file: str
    """Certificate authority of the server's certificate; empty: ~/.postgresql/root.crt."""
    tls: TlsMode
    password: str = field(repr=False)
    """Of the console role; empty when it is kept already, or in ~/.pgpass."""

    @property
    def dsn(self) -> str:
        """libpq's connection string, without the password."""
        values = {
            "host": ",".join(host.strip() for host in self.hosts.split(",")),
            "port": self.port,
            "dbname": self.database,
            "sslmode": self.tls,
            "sslrootcert": self.ca_file,
        }
        return make_conninfo("", **{name: value for name, value in values.items() if value})


def spec_of(dsn: str | None) -> ServerSpec:
    """What a form begins with: the server used now, else what most servers are."""
    given = parse_dsn(dsn or "")
    mode = given.get("sslmode", TlsMode.VERIFY_FULL)
    return ServerSpec(
        hosts=given.get("host", ""),
        port=given.get("port", "5432"),
        database=given.get("dbname", "ggnet"),
        ca_file=given.get("sslrootcert", ""),
        tls=TlsMode(mode) if mode in set(TlsMode) else TlsMode.VERIFY_FULL,
        password="",
    )


def kept_password(settings: Config, folder: Path) -> Callable[[], str | None]:
    """Looks up the console role's password of the configured server; a keyring takes its time."""
    return ConsolePassword(str(settings.database_url), folder).load


def try_out(settings: Config, dsn: str, password: str, folder: Path) -> str:
    """Connect as the console role does; a sentence, or ConsoleError with what is wrong.

    An empty ``password`` means the one that is kept already.
    """
    tried = replace(settings, database_url=dsn)
    known = (lambda: password) if password else kept_password(tried, folder)
    Installation(tried, known).require_schema()
    mode = parse_dsn(dsn).get("sslmode", TlsMode.VERIFY_FULL)
    match mode:
        case TlsMode.VERIFY_FULL:
            return sentence(
                "The server answers, its certificate is right, and its database fits this program."
            )
        case TlsMode.VERIFY_CA:
            return sentence(
                "The server answers, its certificate is of this authority, its name was not "
                "checked, and its database fits this program."
            )
        case _:
            return sentence(
                "The server answers, who it is was not checked, and its database fits this program."
            )


def keep_password(dsn: str, password: str, folder: Path) -> str:
    """Keep the console role's password for the server ``dsn``; returns where, in words."""
    return ConsolePassword(dsn, folder).save(password) if password else ""


def remember(dsn: str | None) -> None:
    """Use this server from the next start on, or with None this computer's private database.

    The configuration file gets the connection string, which must not hold a password.
    """
    if dsn is not None and "password" in parse_dsn(dsn):
        raise ConsoleError(sentence("A password does not belong in the configuration file."))
    config.remember(database_url=dsn)
