# SPDX-License-Identifier: GPL-3.0-or-later
"""What each role may do, asked of the server itself and not of the window."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from real_database import HASH, RealDatabase
from steps import add_image, add_machines, begin_upload, start_sessions

from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, agent_role
from ggnet_console.enums import Role

BEFORE_SIGN_IN = {"login", "schema_revision", "has_users", "installation_id"}
VIEWER = {
    "installation_id",
    "schema_revision",
    "renew_sign_in",
    "sign_out",
    "who_am_i",
    "objects_open_elsewhere",
    "change_password",
    "object_history",
    "password_cost",
    "targets_compare",
}
OPERATOR = VIEWER | {
    "machines_delete",
    "image_start",
    "image_import_entry",
    "upload_progress",
    "upload_done",
    "upload_failed",
    "image_job",
    "session_start",
    "session_stop",
    "target_create",
    "target_remove",
    "job_cancel",
    "job_retry",
    "object_open",
    "object_close",
    "last_changes",
    "targets_reconcile",
    "targets_repair",
    "targets_undo",
    "target_chap_on",
    "target_chap_off",
    "target_test",
}
ADMIN = OPERATOR | {
    "user_create",
    "user_set_role",
    "user_set_locked",
    "user_set_disabled",
    "user_reset_password",
    "user_revoke",
    "sign_in_revoke",
    "end_stale_connections",
    "audit_verify",
    "audit_head",
    "audit_prune",
    "failed_sign_ins",
    "target_adopt",
    "target_release",
    "host_choose_backend",
}
AGENT = {
    "installation_id",
    "schema_revision",
    "host_report",
    "tend_sign_ins",
    "end_holders",
    "own_hosts",
    "host_compared",
    "host_secrets",
    "target_adopted",
}

SEEN = {
    "hosts",
    "machines",
    "images",
    "image_versions",
    "targets",
    "luns",
    "schema_objects",
    "target_reports",
    "boot_sessions",
    "jobs",
    "settings",
}
MACHINE = {
    "name",
    "mac",
    "ip",
    "boot_mode",
    "status",
    "location",
    "room",
    "asset_tag",
    "notes",
}


def role_name(database: RealDatabase, who: str) -> str:
    """The PostgreSQL role that the rights of ``who`` come from."""
    others = {"console": CONSOLE_ROLE, "agent": agent_role("testhost")}
    return others.get(who) or database.group(who)


def refused(database: RealDatabase, who: str, statement: str) -> psycopg.Error | None:
    """What the server says when ``who`` runs ``statement``; None when it does it.

    As superuser in the clothes of the group role: exactly its rights, and no sign-in.
    """
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role_name(database, who))))
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            return error
        connection.rollback()
        return None


@pytest.mark.parametrize(
    ("who", "functions"),
    [
        ("console", BEFORE_SIGN_IN),
        ("viewer", VIEWER),
        ("operator", OPERATOR),
        ("admin", ADMIN),
        ("agent", AGENT),
    ],
)
def test_each_role_may_call_these_functions_and_no_other(
    database: RealDatabase, who: str, functions: set[str]
) -> None:
    callable_ = database.rows(
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND has_function_privilege(%s, oid, 'EXECUTE')",
        role_name(database, who),
    )
    assert {name for (name,) in callable_} == functions


@pytest.mark.parametrize("who", ["console", "viewer", "operator", "admin"])
def test_no_person_has_any_right_on_the_queue(database: RealDatabase, who: str) -> None:
    role = role_name(database, who)
    assert not database.value("SELECT has_schema_privilege(%s, 'procrastinate', 'USAGE')", role)
    tables = database.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'procrastinate'::regnamespace "
        "AND relkind IN ('r', 'S', 'v') AND CASE relkind WHEN 'S' "
        "THEN has_sequence_privilege(%s, oid, 'USAGE, SELECT, UPDATE') "
        "ELSE has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') END",
        role,
        role,
    )
    assert tables == []
    functions = database.rows(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'procrastinate'::regnamespace "
        "AND has_function_privilege(%s, oid, 'EXECUTE')",
        role,
    )
    assert functions == []


def columns(database: RealDatabase, who: str, right: str) -> dict[str, set[str]]:
    """Table → columns on which ``who`` has ``right``."""
    found: dict[str, set[str]] = {}
    for table, column in database.rows(
        "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a "
        "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
        "AND has_column_privilege(%s, c.oid, a.attnum, %s)",
        role_name(database, who),
        right,
    ):
        found.setdefault(table, set()).add(column)
    return found


ACCOUNT = {"id", "name", "role", "disabled", "locked"}


@pytest.mark.parametrize(
    ("who", "tables", "account"),
    [
        ("console", {"schema_objects"}, set()),
        ("viewer", SEEN, ACCOUNT),
        ("operator", SEEN, ACCOUNT),
        (
            "admin",
            SEEN | {"sign_ins", "audit"},
            ACCOUNT
            | {"created_at", "last_sign_in_at", "version", "must_change_password", "unlocked_at"},
        ),
        ("agent", SEEN, set()),
    ],
)
def test_each_role_sees_these_tables_and_nobody_sees_a_password(
    database: RealDatabase, who: str, tables: set[str], account: set[str]
) -> None:
    seen = columns(database, who, "SELECT")
    assert seen.pop("users", set()) == account
    assert set(seen) == tables


@pytest.mark.parametrize(
    ("who", "insert", "update", "delete"),
    [
        ("console", {}, {}, set()),
        ("viewer", {}, {}, set()),
        (
            "operator",
            {"machines": MACHINE},
            {"machines": MACHINE, "images": {"name", "type", "notes"}},
            set(),
        ),
        (
            "admin",
            {"machines": MACHINE},
            {
                "machines": MACHINE,
                "images": {"name", "type", "notes"},
                "settings": {"value"},
            },
            set(),
        ),
    ],
)
def test_each_role_writes_these_columns_and_no_other(
    database: RealDatabase,
    who: str,
    insert: dict[str, set[str]],
    update: dict[str, set[str]],
    delete: set[str],
) -> None:
    assert columns(database, who, "INSERT") == insert
    assert columns(database, who, "UPDATE") == update
    for right, tables in (("DELETE", delete), ("TRUNCATE", set()), ("TRIGGER", set())):
        found = database.rows(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind = 'r' AND has_table_privilege(%s, oid, %s)",
            role_name(database, who),
            right,
        )
        assert {name for (name,) in found} == tables, right


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO machines (name, mac) VALUES ('x', '525400000099')",
        "UPDATE users SET role = 'ADMIN'",
        "UPDATE machines SET online = true",
        "INSERT INTO images (host_id, name, status) VALUES (1, 'x', 'READY')",
        "INSERT INTO jobs (host_id, kind, created_by_name) VALUES (1, 'image.remove', 'x')",
        "DELETE FROM images",
        "UPDATE image_versions SET sha256 = 'x'",
        "UPDATE luns SET image_version_id = 1",
        "DELETE FROM targets",
        "UPDATE boot_sessions SET status = 'STOPPED'",
        "UPDATE hosts SET agent_role = session_user",
        "UPDATE settings SET value = 1",
        "SELECT password_hash FROM users",
        "SELECT FROM sign_ins",
        "CREATE TABLE mine (id integer)",
        "CREATE TEMP TABLE users (id integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SELECT user_create('x', 'ADMIN', 'x')",
        "SELECT new_job('image.remove', 1, 'x', 1, NULL, '{}', 'QUEUED')",
        "SELECT enqueue(1)",
        "SELECT own_upload(1)",
        "SELECT want_target(m, 1, true) FROM machines m",
        "SELECT disarm('x')",
        "SELECT login('admin', 'x', 'x', 'x')",
        "SELECT host_report('x', 'x', 'x', 'x', 'x')",
        "SELECT procrastinate.procrastinate_cancel_job_v1(1, true, true)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY machines TO PROGRAM 'true'",
        "ALTER TABLE machines DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ],
)
def test_a_viewer_and_but_for_machines_an_operator_are_refused(
    database: RealDatabase, statement: str
) -> None:
    add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    for role in (Role.VIEWER, Role.OPERATOR):
        if role is Role.OPERATOR and statement.startswith("INSERT INTO machines"):
            continue
        with (
            psycopg.connect(database.dsn(database.log_in(role.lower()))) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


@pytest.mark.parametrize("group", ["operator", "admin", "owner", "broker", "agents"])
def test_a_viewer_cannot_become_another_role(database: RealDatabase, group: str) -> None:
    other = database.log_in("admin").role_name
    with psycopg.connect(database.dsn(database.log_in("viewer")), autocommit=True) as connection:
        for role in (database.group(group), other, CONSOLE_ROLE, agent_role("testhost")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    sql.SQL("GRANT {} TO {}").format(
                        sql.Identifier(role), sql.Identifier(database.group("viewer"))
                    )
                )


def test_stepping_down_to_the_group_role_keeps_the_name_in_the_trail(
    database: RealDatabase,
) -> None:
    with psycopg.connect(database.dsn(database.log_in("operator"))) as connection:
        connection.execute(
            sql.SQL("SET ROLE {}").format(sql.Identifier(database.group("operator")))
        )
        connection.execute("INSERT INTO machines (name, mac) VALUES ('pc-01', '525400000001')")
    assert database.value("SELECT user_name FROM audit WHERE noun = 'machine'") == "operator"


def test_the_console_role_sees_nothing_before_sign_in(database: RealDatabase) -> None:
    with psycopg.connect(
        database.server.dsn(CONSOLE_ROLE, database.name), autocommit=True
    ) as connection:
        for statement in (
            "SELECT FROM machines",
            "SELECT version_num FROM alembic_version",
            "SELECT crypt('a', gen_salt('bf', 31))",
            "SELECT who_am_i()",
            "CREATE TEMP TABLE mine (id integer)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("role", list(Role))
def test_a_search_path_of_one_s_own_does_not_move_the_functions(
    database: RealDatabase, role: Role
) -> None:
    with psycopg.connect(database.dsn(database.log_in(role.lower()))) as connection:
        connection.execute("SET search_path = pg_temp, pg_catalog")
        row = connection.execute("SELECT name FROM public.who_am_i()").fetchone()
    assert row == (role.lower(),)


def test_a_table_that_shadows_ours_is_not_looked_at(database: RealDatabase) -> None:
    """Even where an installation's owner lets people make temporary tables."""
    database.rows(
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO PUBLIC").format(sql.Identifier(database.name))
    )
    viewer = database.log_in("viewer")
    with psycopg.connect(database.dsn(viewer)) as connection:
        connection.execute(
            "CREATE TEMP TABLE sign_ins AS SELECT 1::bigint AS user_id, "
            "session_user::text AS role_name, NULL::timestamptz AS ended_at, "
            "'infinity'::timestamptz AS expires_at"
        )
        connection.execute(
            "CREATE TEMP TABLE users AS SELECT 1::bigint AS id, 'admin' AS name, "
            "'ADMIN'::user_role AS role"
        )
        row = connection.execute("SELECT name, role::text FROM who_am_i()").fetchone()
    assert row == ("viewer", "VIEWER")


def test_every_definer_function_pins_its_search_path_with_temporary_tables_last(
    database: RealDatabase,
) -> None:
    for name, settings in database.rows(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND proowner <> %s::regrole AND proname <> 'installation_id' "
        "AND prosqlbody IS NULL",  # bound when it was made
        database.value("SELECT session_user"),
    ):
        assert settings is not None, name
        assert settings[0].startswith("search_path="), name
        assert settings[0].endswith(", pg_temp"), name


def test_an_operator_works_and_an_admin_works_as_well(database: RealDatabase) -> None:
    for role in (Role.OPERATOR, Role.ADMIN):
        worker = database.sign_in(role)
        image = add_image(database, f"image of {role}", worker)
        [machine] = add_machines(worker, f"pc of {role}")
        assert start_sessions(worker, image, machine).session_ids


def test_only_an_admin_adds_accounts(database: RealDatabase) -> None:
    call = f"SELECT user_create('x', 'VIEWER', '{HASH}')"
    assert refused(database, "admin", call) is None
    for who in ("operator", "viewer", "console", "agent"):
        assert isinstance(refused(database, who, call), psycopg.errors.InsufficientPrivilege), who


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT name FROM users",
        "SELECT FROM sign_ins",
        "SELECT FROM audit",
        "INSERT INTO machines (name, mac) VALUES ('x', '525400000099')",
        "UPDATE machines SET name = 'x'",
        "DELETE FROM machines",
        "UPDATE images SET name = 'x'",
        "INSERT INTO images (host_id, name, status) VALUES (1, 'x', 'READY')",
        "UPDATE image_versions SET sha256 = 'x'",
        "INSERT INTO jobs (host_id, kind, created_by_name) VALUES (1, 'image.remove', 'x')",
        "UPDATE jobs SET created_by_name = 'x'",
        "UPDATE jobs SET params = '{}'",
        "DELETE FROM jobs",
        "INSERT INTO targets (host_id, machine_id, iqn, initiator_iqn) VALUES (1, 1, 'x', 'y')",
        "UPDATE targets SET initiator_iqn = 'x'",
        "UPDATE luns SET read_only = true",
        "UPDATE boot_sessions SET machine_id = 1",
        "INSERT INTO hosts (name, agent_role) VALUES ('x', 'x')",
        "UPDATE hosts SET name = 'x'",
        "UPDATE settings SET value = 1",
        "SELECT login('admin', 'x', 'x', 'x')",
        "SELECT session_start('{1}', 1, 'TESTING')",
        "SELECT user_create('x', 'ADMIN', 'x')",
        "SELECT new_job('image.remove', 1, 'x', 1, NULL, '{}', 'QUEUED')",
        "CREATE TEMP TABLE mine (id integer)",
        "CREATE TABLE mine (id integer)",
        "TRUNCATE procrastinate.procrastinate_jobs",
        "DROP TABLE procrastinate.procrastinate_jobs",
    ],
)
def test_an_agent_reports_and_can_do_nothing_else(database: RealDatabase, statement: str) -> None:
    error = refused(database, "agent", statement)
    assert isinstance(error, psycopg.errors.InsufficientPrivilege)


def test_an_upload_is_its_starter_s_alone(database: RealDatabase) -> None:
    upload = begin_upload(database.sign_in(Role.OPERATOR))
    with psycopg.connect(database.dsn(database.log_in("admin")), autocommit=True) as connection:
        for call in (
            "SELECT upload_done(%s, 1::bigint, 'x')",
            "SELECT upload_progress(%s, 0.5, 1, 2, 3, 4)",
            "SELECT upload_failed(%s, 'x', true)",
        ):
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(call, [upload.job_id])
            assert caught.value.sqlstate == "GG002"


def test_nobody_else_may_connect_to_the_database(database: RealDatabase) -> None:
    allowed = database.rows(
        "SELECT r.rolname::text FROM pg_roles r WHERE NOT r.rolsuper AND r.rolcanlogin "
        "AND has_database_privilege(r.oid, current_database(), 'CONNECT')"
    )
    assert {name for (name,) in allowed} == {CONSOLE_ROLE, agent_role("testhost")}
