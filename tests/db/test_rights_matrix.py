# SPDX-License-Identifier: GPL-3.0-or-later
"""Every object × verb × role tried on the server, against the declared matrix."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from real_database import RealDatabase, Template

from ggnet_console.db import bootstrap, grants
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, agent_role
from ggnet_console.db.grants import Grant
from ggnet_console.db.rights import CONNECTING, INNER, MATRIX, NOBODY, Holder

COLUMN_VERBS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
# What PostgreSQL 17 calls MAINTAIN was the owner's alone before.
TABLE_VERBS = ("DELETE", "TRUNCATE", "TRIGGER", "MAINTAIN")
SEQUENCE_VERBS = {
    "USAGE": "SELECT nextval({1})",
    "UPDATE": "SELECT setval({1}, 1)",
    "SELECT": "SELECT last_value FROM {0}",
}


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


def relations(database: RealDatabase) -> list[tuple[str, sql.Identifier, str, list[str]]]:
    """(name in the matrix, name, kind, columns) of every table, view and sequence of ours.

    Of the counters of a pool, which are alike, the first ten.
    """
    rows = database.rows(
        "SELECT nspname::text, relname::text, relkind::text, "
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 "
        "      AND NOT attisdropped ORDER BY attnum) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname !~ '^pg_|^information_schema$' AND relkind IN ('r', 'v', 'm', 'S', 'p', 'f') "
        r"AND relname !~ '_\d\d+$' ORDER BY 1, 2"
    )
    return [
        (known(schema_name, name), sql.Identifier(schema_name, name), kind, columns)
        for schema_name, name, kind, columns in rows
    ]


def functions(database: RealDatabase) -> list[tuple[str, sql.Identifier, list[str]]]:
    """(name in the matrix, name, arguments of no value) of every function of ours."""
    rows = database.rows(
        "SELECT nspname::text, proname::text, ARRAY(SELECT "
        "CASE WHEN n = pronargs AND provariadic <> 0 THEN 'VARIADIC ' ELSE '' END "
        "|| 'NULL::' || format_type(t, NULL) FROM "
        "unnest(proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n) "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE nspname !~ '^pg_|^information_schema$' AND NOT EXISTS "
        "(SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1, 2"
    )
    return [
        (known(schema_name, name), sql.Identifier(schema_name, name), arguments)
        for schema_name, name, arguments in rows
    ]


def known(schema_name: str, name: str) -> str:
    """What the matrix calls it."""
    return name if schema_name == "public" else f"{schema_name}.{name}"


def attempt(name: sql.Identifier, verb: str, column: str) -> sql.Composed:
    """A statement that needs ``verb`` on this table's column, or on all of it, and no more."""
    template = {
        "SELECT": "SELECT {1} FROM {0} LIMIT 0",
        "INSERT": "INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT NULL WHERE false",
        "UPDATE": "UPDATE {0} SET {1} = DEFAULT WHERE false",
        "DELETE": "DELETE FROM {0} WHERE false",
        "TRUNCATE": "TRUNCATE {0} CASCADE",
        "TRIGGER": "CREATE TRIGGER mine BEFORE UPDATE ON {0} FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "MAINTAIN": "REINDEX TABLE {0}",
    }[verb]
    return sql.SQL(template).format(name, sql.Identifier(column))


def may(who: Holder, verb: str, name: str, column: str = "") -> bool:
    """What the matrix says."""
    return any(
        right.verb == verb
        and name in right.objects
        and (not right.columns or column in right.columns)
        and set(right.holders) & set(who.inherits)
        for right in MATRIX
    )


@pytest.mark.parametrize("who", CONNECTING)
def test_each_role_does_with_each_table_what_the_matrix_says(
    database: RealDatabase, who: Holder
) -> None:
    tried = 0
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        for known_as, name, kind, columns in relations(database):
            if kind == "S":
                literal = sql.Literal(name.as_string())
                for verb, template in SEQUENCE_VERBS.items():
                    statement = sql.SQL(template).format(name, literal)
                    assert refused(connection, statement) is not may(who, verb, known_as), known_as
                continue
            for verb in TABLE_VERBS:
                statement = attempt(name, verb, columns[0])
                assert refused(connection, statement) is not may(who, verb, known_as), known_as
            for verb in COLUMN_VERBS:
                for column in columns:
                    if verb == "REFERENCES":  # would need a schema to make the other table in
                        [[allowed]] = connection.execute(
                            "SELECT has_column_privilege(oid, %s, 'REFERENCES') FROM pg_class "
                            "WHERE oid::regclass::text = %s",
                            [column, known_as],
                        )
                    else:
                        allowed = not refused(connection, attempt(name, verb, column))
                    assert allowed is may(who, verb, known_as, column), (known_as, verb, column)
                    tried += 1
    assert tried > 700


@pytest.mark.parametrize("who", CONNECTING)
def test_each_role_calls_the_functions_that_the_matrix_names(
    database: RealDatabase, who: Holder
) -> None:
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        for known_as, name, arguments in functions(database):
            call = sql.SQL("SELECT {}({})").format(name, sql.SQL(", ".join(arguments)))
            assert refused(connection, call) is not may(who, "EXECUTE", known_as), known_as


def test_the_grants_are_those_of_the_matrix_and_no_others(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        present = grants.found(connection)
    assert set(present) == grants.declared(database.installation)


def test_every_object_is_in_the_matrix_or_nobodys(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        assert grants.undeclared(connection) == set()
        assert grants.objects(connection).keys() >= NOBODY
    named = {
        f"{name}()" if right.verb == "EXECUTE" else name
        for right in (*MATRIX, *INNER)
        for name in right.objects
    }
    assert not named & NOBODY


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("CREATE TABLE extra (id bigint)", "extra"),
        ("CREATE VIEW extra AS SELECT 1", "extra"),
        ("CREATE SEQUENCE attempts.extra", "attempts.extra"),
        ("CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'", "extra()"),
        ("CREATE TABLE procrastinate.extra (id bigint)", "procrastinate.extra"),
        ("CREATE SCHEMA extra", "SCHEMA extra"),
    ],
)
def test_a_new_object_without_an_entry_is_found(
    database: RealDatabase, change: str, name: str
) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        connection.execute(change)
        assert grants.undeclared(connection) == {name}


def test_everything_belongs_to_the_owner_or_to_the_two_that_lend_their_rights(
    database: RealDatabase,
) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        names = grants.objects(connection)
        owners = connection.execute(
            "SELECT relowner::regrole::text FROM pg_class WHERE relkind IN ('r', 'v', 'S') "
            "AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$' UNION "
            "SELECT proowner::regrole::text FROM pg_proc p WHERE NOT EXISTS "
            "(SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') "
            "AND pronamespace::regnamespace::text !~ '^pg_|^information_schema$'"
        ).fetchall()
    assert names
    assert {name for (name,) in owners} == {
        database.group(name) for name in ("owner", "broker", "signaller")
    }


def test_nobody_else_is_a_member_of_the_groups(database: RealDatabase) -> None:
    members = database.rows(
        "SELECT g.rolname::text, m.rolname::text FROM pg_auth_members a "
        "JOIN pg_roles g ON g.oid = roleid JOIN pg_roles m ON m.oid = member "
        "WHERE g.rolname LIKE %s AND m.rolname NOT LIKE 'ggnet\\_s\\_%%' OR g.rolname LIKE 'pg\\_signal%%'",
        f"ggnet%{database.installation}",
    )
    group = database.group
    assert {pair for pair in members if pair[0].startswith("ggnet")} == {
        (group("viewer"), group("operator")),
        (group("operator"), group("admin")),
        (group("broker"), group("owner")),
        (group("signaller"), group("owner")),
        (group("agents"), agent_role("testhost")),
        *((group(name), group("broker")) for name in ("newcomer", "viewer", "operator", "admin")),
    }
    assert ("pg_signal_backend", group("signaller")) in members


@pytest.mark.parametrize(
    ("change", "grant"),
    [
        (
            "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
            "ALTER FUNCTION extra OWNER TO {owner}",
            ("extra", "", "EXECUTE"),
        ),
        ("GRANT SELECT ON audit TO {viewer}", ("audit", "", "SELECT")),
        ("GRANT UPDATE (role) ON users TO {operator}", ("users", "role", "UPDATE")),
        (
            "CREATE TABLE extra (); GRANT DELETE ON extra TO PUBLIC; "
            "ALTER TABLE extra OWNER TO {owner}",
            ("extra", "", "DELETE"),
        ),
        (
            "GRANT DELETE ON procrastinate.procrastinate_events TO {agents}",
            ("procrastinate.procrastinate_events", "", "DELETE"),
        ),
        (
            "GRANT EXECUTE ON FUNCTION procrastinate.procrastinate_retry_job_v1 TO {operator}",
            ("procrastinate.procrastinate_retry_job_v1", "", "EXECUTE"),
        ),
        ("GRANT USAGE ON SEQUENCE machines_id_seq TO {admin}", ("machines_id_seq", "", "USAGE")),
        ("GRANT SELECT ON target_secrets TO {broker}", ("target_secrets", "", "SELECT")),
        ("GRANT UPDATE ON audit TO {signaller}", ("audit", "", "UPDATE")),
        ("GRANT CREATE ON SCHEMA public TO {viewer}", ("SCHEMA public", "", "CREATE")),
        ("GRANT REFERENCES ON users TO ggnet_agent_testhost", ("users", "", "REFERENCES")),
        ("GRANT TEMP ON DATABASE {database} TO {viewer}", ("DATABASE", "", "TEMPORARY")),
    ],
)
def test_a_right_that_nobody_declared_is_found_and_taken_away(
    database: RealDatabase, change: str, grant: tuple[str, str, str]
) -> None:
    assert undeclared_right(database, change, taken_away=True) == grant


@pytest.mark.parametrize(
    ("change", "grant"),
    [
        ("CREATE TABLE theirs (); GRANT DELETE ON theirs TO PUBLIC", ("theirs", "", "DELETE")),
        ("GRANT SELECT (name) ON machines TO pg_monitor", ("machines", "name", "SELECT")),
        ("GRANT EXECUTE ON FUNCTION crypt(text, text) TO PUBLIC", ("crypt", "", "EXECUTE")),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {viewer}",
            ("DEFAULT r", "", "SELECT"),
        ),
    ],
)
def test_a_right_of_whomever_on_whatever_is_found(
    database: RealDatabase, change: str, grant: tuple[str, str, str]
) -> None:
    assert undeclared_right(database, change, taken_away=False) == grant


def undeclared_right(
    database: RealDatabase, change: str, *, taken_away: bool
) -> tuple[str, str, str]:
    """The one right that is found after ``change``; ``taken_away``: whether a migration does so."""
    roles = {name: sql.Identifier(database.group(name)) for name in bootstrap.GROUPS}
    declared = grants.declared(database.installation)
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        connection.execute(sql.SQL(change).format(database=sql.Identifier(database.name), **roles))
        [found] = set(grants.found(connection)) - declared
        grants.apply(connection, database.installation)
        assert (set(grants.found(connection)) == declared) is taken_away
        connection.rollback()
    return found.object, found.column, found.verb


def test_a_right_that_was_taken_away_by_hand_is_given_back(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        viewer = Holder.VIEWER.role_name(database.installation)
        connection.execute(
            sql.SQL(
                "REVOKE SELECT ON machines FROM {0}; REVOKE SELECT (name) ON users FROM {0}"
            ).format(sql.Identifier(viewer))
        )
        missing = grants.declared(database.installation) - set(grants.found(connection))
        assert missing == {
            Grant("machines", "", "SELECT", viewer),
            Grant("users", "name", "SELECT", viewer),
        }
        grants.apply(connection, database.installation)
        assert missing <= set(grants.found(connection))


@pytest.mark.parametrize("who", CONNECTING)
@pytest.mark.parametrize(
    "attack",
    [
        "SET SESSION AUTHORIZATION DEFAULT; SET SESSION AUTHORIZATION {admin}",
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
    if who is Holder.AGENT and attack.startswith("SELECT host_report"):
        attack = "SELECT login('admin', 'x', 'x', 'x')"  # what agents report is theirs to say
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        statement = sql.SQL(attack).format(
            database=sql.Identifier(database.name),
            me=sql.Identifier(connection.info.user),
            admin=sql.Identifier(database.group("admin")),
            broker=sql.Identifier(database.group("broker")),
            group=sql.Identifier(who.role_name(database.installation)),
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("who", [Holder.VIEWER, Holder.OPERATOR, Holder.ADMIN])
def test_nobody_hands_rights_on(database: RealDatabase, who: Holder) -> None:
    """PostgreSQL only warns those who hold a right that they may not give it away."""
    with psycopg.connect(database.dsn(database.log_in(who)), autocommit=True) as connection:
        connection.execute("GRANT ALL ON machines TO PUBLIC")
        connection.execute("GRANT UPDATE (role) ON users TO PUBLIC")
        connection.execute("GRANT EXECUTE ON FUNCTION who_am_i() TO PUBLIC")
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        present = grants.found(connection)
    assert set(present) == grants.declared(database.installation)


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
    existing = {name for name, *_ in (*functions(database), *relations(database))}
    assert {name for right in MATRIX for name in right.objects} <= existing
