# SPDX-License-Identifier: GPL-3.0-or-later
"""Every object × verb × role tried on the server, against the declared matrix."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from real_database import RealDatabase, Template

from ggnet_console.db import rights, schema
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, agent_role
from ggnet_console.db.rights import MATRIX, Grant, Holder

TABLE_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")


def dsn(database: RealDatabase, who: Holder) -> str:
    """How ``who`` connects, in real life."""
    match who:
        case Holder.CONSOLE:
            return database.server.dsn(CONSOLE_ROLE, database.name)
        case Holder.AGENT:
            return database.server.dsn(agent_role("testhost"), database.name)
        case Holder.NEWCOMER:
            database.rows("UPDATE users SET must_change_password = true WHERE name = 'viewer'")
            return database.dsn(database.log_in("viewer"))
    return database.dsn(database.log_in(who))


def refused(connection: psycopg.Connection, statement: sql.Composed) -> bool:
    """Whether the server says that this role has no right to it; nothing stays done."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error as error:
        # What a function or a constraint objects to comes after the right to try.
        assert not isinstance(error, psycopg.OperationalError), error
    return False


def relations(database: RealDatabase) -> Iterator[tuple[str, str, str, list[str]]]:
    """(schema, name, kind, columns) of every table, view and sequence that is ours."""
    yield from database.rows(
        "SELECT nspname::text, relname::text, relkind::text, "
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 "
        "      AND NOT attisdropped ORDER BY attnum) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname IN ('public', 'attempts') AND relkind IN ('r', 'v', 'm', 'S', 'p', 'f') "
        "ORDER BY 1, 2"
    )


def functions(database: RealDatabase) -> list[tuple[str, list[str]]]:
    """(name, types of the arguments) of every function of ours."""
    return database.rows(
        "SELECT proname::text, ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) "
        "WITH ORDINALITY AS a (t, n) ORDER BY n) FROM pg_proc p "
        "WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS "
        "(SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1"
    )


def attempt(schema_name: str, name: str, verb: str, column: str) -> sql.Composed:
    """A statement that needs ``verb`` on this table's column, or on all of it, and no more."""
    template = {
        "SELECT": "SELECT {1} FROM {0} LIMIT 0",
        "INSERT": "INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT NULL WHERE false",
        "UPDATE": "UPDATE {0} SET {1} = DEFAULT WHERE false",
        "DELETE": "DELETE FROM {0} WHERE false",
        "TRUNCATE": "TRUNCATE {0} CASCADE",
    }[verb]
    return sql.SQL(template).format(sql.Identifier(schema_name, name), sql.Identifier(column))


def may(who: Holder, verb: str, name: str, column: str = "") -> bool:
    """What the matrix says."""
    return any(
        right.verb == verb
        and name in right.objects
        and (not right.columns or column in right.columns)
        and set(right.holders) & set(who.inherits)
        for right in MATRIX
    )


@pytest.mark.parametrize("who", list(Holder))
def test_each_role_does_with_each_table_what_the_matrix_says(
    database: RealDatabase, who: Holder
) -> None:
    tried = 0
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        for schema_name, name, kind, columns in relations(database):
            known = name if schema_name == "public" else ""
            if kind == "S":
                for call in ("SELECT nextval({})", "SELECT setval({}, 1)"):
                    literal = sql.Literal(f"{schema_name}.{name}")
                    assert refused(connection, sql.SQL(call).format(literal)), name
                assert refused(
                    connection,
                    sql.SQL("SELECT last_value FROM {}").format(sql.Identifier(schema_name, name)),
                ), name
                tried += 3
                continue
            for verb in TABLE_VERBS:
                whole = verb in {"DELETE", "TRUNCATE"}
                for column in columns[:1] if whole else columns:
                    allowed = may(who, verb, known, "" if whole else column)
                    statement = attempt(schema_name, name, verb, column)
                    assert refused(connection, statement) is not allowed, (name, verb, column)
                    tried += 1
    assert tried > 600


@pytest.mark.parametrize("who", list(Holder))
def test_each_role_calls_the_functions_that_the_matrix_names(
    database: RealDatabase, who: Holder
) -> None:
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        for name, types in functions(database):
            call = sql.SQL("SELECT {}({})").format(
                sql.Identifier("public", name),
                sql.SQL(", ").join(sql.SQL(f"NULL::{kind}") for kind in types),
            )
            with_right = may(who, "EXECUTE", name)
            assert refused(connection, call) is not with_right, name


def test_the_grants_are_those_of_the_matrix_and_no_others(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        present = rights.found(connection, database.installation)
    assert set(present) == rights.declared(schema.HEAD, database.installation)


@pytest.mark.parametrize(
    ("change", "grant"),
    [
        (
            "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            ("extra", "", "EXECUTE"),
        ),
        ("GRANT SELECT ON audit TO {viewer}", ("audit", "", "SELECT")),
        ("GRANT UPDATE (role) ON users TO {operator}", ("users", "role", "UPDATE")),
        ("CREATE TABLE extra (); GRANT DELETE ON extra TO PUBLIC", ("extra", "", "DELETE")),
    ],
)
def test_a_right_that_nobody_declared_is_found_and_taken_away(
    database: RealDatabase, change: str, grant: tuple[str, str, str]
) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        installation = database.installation
        connection.execute(
            sql.SQL(change).format(
                viewer=sql.Identifier(Holder.VIEWER.role_name(installation)),
                operator=sql.Identifier(Holder.OPERATOR.role_name(installation)),
            )
        )
        declared = rights.declared(schema.HEAD, installation)
        [found] = set(rights.found(connection, installation)) - declared
        assert (found.object, found.column, found.verb) == grant
        rights.apply(connection, schema.HEAD, installation)
        assert set(rights.found(connection, installation)) == declared


def test_a_right_that_was_taken_away_by_hand_is_given_back(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        viewer = Holder.VIEWER.role_name(database.installation)
        connection.execute(
            sql.SQL(
                "REVOKE SELECT ON machines FROM {0}; REVOKE SELECT (name) ON users FROM {0}"
            ).format(sql.Identifier(viewer))
        )
        missing = rights.declared(schema.HEAD, database.installation) - set(
            rights.found(connection, database.installation)
        )
        assert missing == {
            Grant("machines", "", "SELECT", viewer),
            Grant("users", "name", "SELECT", viewer),
        }
        rights.apply(connection, schema.HEAD, database.installation)
        assert missing <= set(rights.found(connection, database.installation))


@pytest.mark.parametrize("who", [Holder.VIEWER, Holder.OPERATOR, Holder.ADMIN])
@pytest.mark.parametrize(
    "attack",
    [
        "SET SESSION AUTHORIZATION DEFAULT; SET SESSION AUTHORIZATION ggnet_console",
        "SET ROLE pg_read_all_data",
        "SET session_replication_role = replica",
        "ALTER TABLE machines DISABLE TRIGGER ALL",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_update ON machines",
        "CREATE OR REPLACE FUNCTION public.audit_rows() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END'",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMP TABLE users (id bigint)",
        "CREATE SCHEMA mine",
        "CREATE EXTENSION dblink",
        "COPY machines TO PROGRAM 'true'",
        "COPY machines TO '/tmp/x'",
        "COPY machines (name) FROM '/etc/passwd'",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, repeat('x', 1000)::bytea)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT pg_reload_conf()",
        "ALTER SYSTEM SET log_statement = 'none'",
        "ALTER DATABASE {database} SET search_path = pg_temp",
        "ALTER ROLE {me} CREATEROLE",
        "ALTER ROLE {me} VALID UNTIL 'infinity'",
        "ALTER ROLE {admin} SET search_path = pg_temp",
        "GRANT {broker} TO {me}",
        "GRANT {group} TO ggnet_console",
        "SELECT password_hash FROM users",
        "SELECT rolpassword FROM pg_authid",
        "UPDATE users SET role = 'ADMIN'",
        "INSERT INTO audit (user_name, verb, noun, changes) VALUES ('x', 'x', 'x', '{{}}')",
        "UPDATE audit_links SET hash = ''",
        "SELECT audit_link()",
        "SELECT audit_event('x', 'x', 'x', 'x', '{{}}')",
        "SELECT end_sign_ins(1, NULL, NULL)",
        "SELECT renew_hash(u, 'x') FROM users u",
        "SELECT stand_in_hash('x')",
        "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON jobs USING (true)",
        "INSERT INTO procrastinate.procrastinate_jobs DEFAULT VALUES",
        "SELECT host_report('x', 'x', 'x', 'x', 'x')",
        "LISTEN x; SELECT pg_terminate_backend(1)",
    ],
)
def test_nobody_gets_further_with_psql(database: RealDatabase, who: Holder, attack: str) -> None:
    mine = database.log_in(who)
    statement = sql.SQL(attack).format(
        database=sql.Identifier(database.name),
        me=sql.Identifier(mine.role_name),
        admin=sql.Identifier(database.group("admin")),
        broker=sql.Identifier(database.group("broker")),
        group=sql.Identifier(database.group(who)),
    )
    with (
        psycopg.connect(database.dsn(mine), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("who", [Holder.VIEWER, Holder.OPERATOR, Holder.ADMIN])
def test_nobody_hands_rights_on(database: RealDatabase, who: Holder) -> None:
    """PostgreSQL only warns those who hold a right that they may not give it away."""
    with psycopg.connect(database.dsn(database.log_in(who)), autocommit=True) as connection:
        connection.execute("GRANT ALL ON machines TO PUBLIC")
        connection.execute("GRANT UPDATE (role) ON users TO PUBLIC")
        connection.execute("GRANT EXECUTE ON FUNCTION who_am_i() TO PUBLIC")
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        present = rights.found(connection, database.installation)
    assert set(present) == rights.declared(schema.HEAD, database.installation)


def test_a_changed_own_password_or_setting_gives_no_right(database: RealDatabase) -> None:
    """What PostgreSQL lets every role do to itself harms nobody else."""
    mine = database.log_in("viewer")
    with psycopg.connect(database.dsn(mine), autocommit=True) as connection:
        me = sql.Identifier(mine.role_name)
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'of my own'").format(me))
        connection.execute(sql.SQL("ALTER ROLE {} SET search_path = pg_temp").format(me))
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() - interval '1 minute'")
    database.log_in("operator")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database.dsn(mine))


def test_an_admin_of_another_database_of_the_server_is_nobody_here(
    database: RealDatabase, template: Template
) -> None:
    with template.server.template() as other, other.clone() as foreign:
        foreign.log_in("admin")
        signed_in = foreign.log_in("admin")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(make_conninfo(foreign.dsn(signed_in), dbname=database.name))


def test_a_matrix_names_only_objects_that_exist(database: RealDatabase) -> None:
    known = {name for name, _ in functions(database)} | {
        name for schema_name, name, *_ in relations(database) if schema_name == "public"
    }
    assert {name for right in MATRIX for name in right.objects} <= known
