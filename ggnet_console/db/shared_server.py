# SPDX-License-Identifier: GPL-3.0-or-later
"""What a superuser does once on a shared server: the database, its roles and their passwords."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ..errors import ConsoleError, sentence
from . import bootstrap
from .cluster import CONSOLE_ROLE, agent_role
from .engine import parse_dsn, refuse_password, shared_dsn
from .errors import in_sentences
from .installation import make_database

_OLDEST = 150000
ENOUGH_LOCKS = 256


@dataclass(frozen=True)
class Prepared:
    """What was made, and what is left to the server's administrator."""

    database: str
    made: bool
    """False when the database was there already."""
    passwords: dict[str, str] = field(repr=False)
    """Of the roles that had none; nobody can be told them again."""
    hba_line: str
    """The line of pg_hba.conf that lets this installation's roles in, with TLS only."""
    hba_reject: str
    """The line that keeps them out of the server's other databases."""
    remarks: tuple[str, ...]
    """Settings of the server that are to be changed."""


def owner_dsn(dsn: str) -> str:
    """The owner's connection string as it was given on a command line, completed."""
    refuse_password(dsn)
    return shared_dsn(dsn)


def require_ours(dsn: str) -> None:
    """Raise ConsoleError unless ``dsn`` leads to a database made for GGnet Console."""
    with in_sentences(), psycopg.connect(dsn) as connection:
        _installation(connection)


def prepare(dsn: str, name: str, hosts: Sequence[str]) -> Prepared:
    """Make the database ``name`` with an agent's role for each of ``hosts``, or add what lacks.

    ``dsn`` is a superuser's, to any database of the server.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,47}", name):
        raise ConsoleError(
            sentence(
                "“{name}” cannot be the database's name; it takes up to 48 small letters, digits "
                "and underscores and begins with a letter.",
                name=name,
            )
        )
    roles = [agent_role(host) for host in hosts]  # checks the names before anything is made
    server_dsn = dsn if "dbname" in parse_dsn(dsn) else make_conninfo(dsn, dbname="postgres")
    with _superuser(server_dsn):  # refuses before anything is made
        pass
    made = make_database(server_dsn, name, *hosts)
    with _superuser(make_conninfo(server_dsn, dbname=name)) as database:
        return _let_in(database, [CONSOLE_ROLE, *roles], hosts, made=made)


def add_host(dsn: str, host: str) -> Prepared:
    """Let the agent of one more storage host in; ``dsn`` is a superuser's, to GGnet's database."""
    roles = [agent_role(host)]
    with _superuser(dsn) as database:
        return _let_in(database, roles, [host], made=False)


def _let_in(
    database: psycopg.Connection, roles: Sequence[str], hosts: Sequence[str], *, made: bool
) -> Prepared:
    installation = _installation(database)
    for host in hosts:
        bootstrap.admit_agent(database, installation, host)
        database.execute(
            "INSERT INTO public.hosts (name, agent_role) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [host, agent_role(host)],
        )
    [(tls, language, prepared, locks)] = database.execute(
        "SELECT current_setting('ssl'), current_setting('lc_messages'), "
        "current_setting('max_prepared_transactions')::int, "
        "current_setting('max_locks_per_transaction')::int"
    ).fetchall()
    name = database.info.dbname
    bootstrap.open_database(database, name, installation)
    bootstrap.bound_everybody(database, installation)
    for role in roles:
        bootstrap.secure_login(database, role)
    groups = [f"+{group}" for group in bootstrap.connecting_groups(installation)]
    members = ",".join([CONSOLE_ROLE, *groups])
    return Prepared(
        database=name,
        made=made,
        passwords=_give_passwords(database, roles),
        hba_line=f"hostssl {name} {members} all scram-sha-256",
        hba_reject=f"host all {members} all reject",
        remarks=remarks(tls, language, _open_databases(database), prepared, locks),
    )


def _installation(database: psycopg.Connection) -> str:
    """The installation's id; ConsoleError when this is not a database of GGnet Console."""
    known = database.execute("SELECT to_regproc('public.installation_id')").fetchone()
    if known == (None,):
        raise ConsoleError(
            sentence(
                "The database “{name}” was not made for GGnet Console; check the name of the "
                "database (dbname).",
                name=database.info.dbname,
            )
        )
    row = database.execute("SELECT public.installation_id()").fetchone()
    assert row is not None  # noqa: S101 - a function without a set answers one row
    return str(row[0])


@contextlib.contextmanager
def _superuser(dsn: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection; ConsoleError unless it is a superuser's and the server new enough."""
    with in_sentences(), psycopg.connect(dsn, autocommit=True) as connection:
        if connection.info.server_version < _OLDEST:
            raise ConsoleError(
                sentence("The server is older than PostgreSQL 15; GGnet Console needs that.")
            )
        if connection.info.parameter_status("is_superuser") != "on":
            raise ConsoleError(
                sentence(
                    "“{user}” is no superuser of the server; roles and extensions are made by "
                    "one, such as postgres.",
                    user=connection.info.user,
                )
            )
        yield connection


def _open_databases(server: psycopg.Connection) -> list[str]:
    """Databases to which every role may connect."""
    rows = server.execute(
        "SELECT DISTINCT datname FROM pg_database, "
        "aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl "
        "WHERE datallowconn AND acl.grantee = 0 AND acl.privilege_type = 'CONNECT' ORDER BY 1"
    )
    return [str(name) for (name,) in rows]


def remarks(
    tls: str,
    language: str,
    open_databases: Sequence[str] = (),
    prepared_transactions: int = 0,
    locks: int = ENOUGH_LOCKS,
) -> tuple[str, ...]:
    """What to change on a server with these values of ``ssl`` and ``lc_messages``.

    ``open_databases`` are those to which every role may connect, ``prepared_transactions`` and
    ``locks`` are ``max_prepared_transactions`` and ``max_locks_per_transaction``.
    """
    found = []
    if tls != "on":
        found.append(
            sentence("TLS is off: set ssl = on, ssl_cert_file and ssl_key_file in postgresql.conf.")
        )
    if language not in {"", "C", "POSIX"} and not language.startswith(("C.", "en")):
        found.append(
            sentence(
                "The server words its refusals in {language}: set lc_messages = 'C' in "
                "postgresql.conf, or consoles cannot tell an ended sign-in from a lost "
                "connection.",
                language=language,
            )
        )
    if open_databases:
        found.append(
            sentence(
                "Every role of the server may connect to {names}: without the line that rejects, "
                "REVOKE CONNECT ON DATABASE … FROM PUBLIC keeps people of GGnet Console out of "
                "them.",
                names=", ".join(open_databases),
            )
        )
    if prepared_transactions:
        found.append(
            sentence(
                "Everybody may leave locks behind with PREPARE TRANSACTION: set "
                "max_prepared_transactions = 0 in postgresql.conf unless other programs need it."
            )
        )
    if locks < ENOUGH_LOCKS:
        found.append(
            sentence(
                "The server's table of locks is small enough for one person to fill it within "
                "seconds: set max_locks_per_transaction = {enough} in postgresql.conf.",
                enough=ENOUGH_LOCKS,
            )
        )
    return tuple(found)


def _give_passwords(server: psycopg.Connection, roles: Sequence[str]) -> dict[str, str]:
    """A password for each of ``roles`` that has none; those of other installations' use stay."""
    lacking = server.execute(
        "SELECT rolname FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NULL",
        [list(roles)],
    )
    passwords = {role: secrets.token_urlsafe(24) for (role,) in lacking}
    for role, password in passwords.items():
        # Only its SCRAM verifier goes to the server, whose log and activity view show statements.
        verifier = server.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        )
        server.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier.decode())
            )
        )
    return passwords
