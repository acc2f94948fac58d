# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a database of GGnet Console on a PostgreSQL server: roles, database, extensions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from psycopg import sql

from . import everybody
from .cluster import CONSOLE_ROLE, agent_role

if TYPE_CHECKING:
    import psycopg

GROUPS = ("owner", "broker", "signaller", "newcomer", "viewer", "operator", "admin", "agents")
"""Newcomers may do nothing but change their password; the signaller ends others' connections."""


def group_role(group: str, installation: str) -> str:
    """A group role; it carries the database's id because roles belong to the whole server."""
    return f"ggnet_{group}_{installation}"


def create_database(connection: psycopg.Connection, name: str, *hosts: str) -> str:
    """Create the roles and the empty database ``name``; returns the installation's id.

    ``connection`` is an autocommit superuser connection to any database of the server. The
    schema is the migrations' business. Half-made roles of a failed attempt harm nobody: every
    attempt draws a new id.
    """
    installation = secrets.token_hex(4)
    role = {group: sql.Identifier(group_role(group, installation)) for group in GROUPS}
    for group in GROUPS:
        connection.execute(
            sql.SQL("CREATE ROLE {} NOLOGIN {}").format(
                role[group], sql.SQL("CREATEROLE" if group == "broker" else "")
            )
        )
    for member, group in (
        ("operator", "viewer"),
        ("admin", "operator"),
        ("owner", "broker"),
        ("owner", "signaller"),
    ):
        connection.execute(sql.SQL("GRANT {} TO {}").format(role[group], role[member]))
    # To end connections, and to see since when their transactions are open.
    connection.execute(
        sql.SQL("GRANT pg_signal_backend, pg_read_all_stats TO {}").format(role["signaller"])
    )
    # PostgreSQL 16 and later let CREATEROLE grant only what it holds with ADMIN OPTION.
    for group in ("newcomer", "viewer", "operator", "admin"):
        connection.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(role[group], role["broker"])
        )
    _ensure_login(connection, CONSOLE_ROLE)
    for host in hosts:
        admit_agent(connection, installation, host)
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
            sql.Identifier(name), role["owner"]
        )
    )
    open_database(connection, name, installation)
    return installation


def admit_agent(connection: psycopg.Connection, installation: str, host: str) -> None:
    """Make the agent of the storage host ``host`` one of this installation's agents."""
    _ensure_login(connection, agent_role(host))
    connection.execute(
        sql.SQL("GRANT {} TO {}").format(
            sql.Identifier(group_role("agents", installation)), sql.Identifier(agent_role(host))
        )
    )


def _ensure_login(connection: psycopg.Connection, role: str) -> None:
    """A role that connects by itself; installations on one server share it."""
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    secure_login(connection, role)


def secure_login(connection: psycopg.Connection, role: str) -> None:
    """Undo what a role that connects by itself has set for itself, as every role may."""
    name = sql.Identifier(role)
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    databases = connection.execute(
        "SELECT datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase "
        "WHERE setrole = %s::regrole",
        [role],
    )
    for (database,) in databases.fetchall():
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(name, sql.Identifier(database))
        )
    # What people type into the sign-in page is a parameter of the console's one statement, the
    # CHAP secret of a target that is adopted one of an agent's.
    connection.execute(sql.SQL("ALTER ROLE {} SET log_parameter_max_length = 0").format(name))
    connection.execute(
        sql.SQL("ALTER ROLE {} SET temp_file_limit = {}").format(name, everybody.TEMP_FILE_LIMIT)
    )
    if role == CONSOLE_ROLE:
        # Who has its password alone shall not take all connections; a sign-in needs one for moments.
        connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 20").format(name))


def connecting_groups(installation: str) -> list[str]:
    """The groups whose members, and the members of their members, may connect."""
    return [group_role(group, installation) for group in ("newcomer", "viewer", "agents")]


def open_database(connection: psycopg.Connection, name: str, installation: str) -> None:
    """Let this installation's roles, and nobody else, connect to the database ``name``.

    Its statements' parameters are never logged.
    """
    database = sql.Identifier(name)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    members = [CONSOLE_ROLE, *connecting_groups(installation)]
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            database, sql.SQL(", ").join(map(sql.Identifier, members))
        )
    )
    # A new password is a parameter, too, and so is its hash.
    for setting in ("log_parameter_max_length", "log_parameter_max_length_on_error"):
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = 0").format(database, sql.Identifier(setting))
        )


def bound_everybody(connection: psycopg.Connection, installation: str) -> None:
    """Inside the database, as superuser: nobody who connects holds or fills what others need."""
    owner, broker, signaller = (
        group_role(group, installation) for group in ("owner", "broker", "signaller")
    )
    everybody.take(connection, owner, broker, signaller)


def prepare_database(connection: psycopg.Connection, installation: str) -> None:
    """Inside the new database, as superuser: extensions, and the id the migrations read."""
    owner = sql.Identifier(group_role("owner", installation))
    connection.execute("CREATE EXTENSION IF NOT EXISTS pgcrypto")
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    # Otherwise anybody could keep the server busy with bcrypt before signing in.
    connection.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    connection.execute(
        sql.SQL(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
        ).format(owner)
    )
    bound_everybody(connection, installation)
    connection.execute(
        sql.SQL(
            "GRANT EXECUTE ON FUNCTION crypt(text, text), gen_random_bytes(int), "
            "hmac(bytea, bytea, text) TO {}"
        ).format(sql.Identifier(group_role("broker", installation)))
    )
    connection.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION installation_id() RETURNS text LANGUAGE sql IMMUTABLE "
            "AS $$ SELECT {}::text $$"
        ).format(sql.Literal(installation))
    )
    connection.execute(sql.SQL("ALTER FUNCTION installation_id() OWNER TO {}").format(owner))
    connection.execute("REVOKE EXECUTE ON FUNCTION installation_id() FROM PUBLIC")
