# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever somebody changes in a database by hand is told, by every kind of role that asks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from real_database import HOST, RealDatabase
from steps import add_machines

from ggnet_console.config import Config
from ggnet_console.db import bootstrap, fingerprint, schema
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, agent_role
from ggnet_console.db.fingerprint import Change, Difference
from ggnet_console.db.installation import Installation
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, SchemaError

MENDED = [
    (
        "CREATE OR REPLACE FUNCTION has_users() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "changed function has_users()",
    ),
    (
        "DROP FUNCTION machines_delete(bigint[])",
        "missing function machines_delete(machine_ids bigint[])",
    ),
    (
        "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION extra OWNER TO {owner}",
        "added function extra()",
    ),
    ("ALTER FUNCTION end_blockers() SECURITY INVOKER", "changed function end_blockers()"),
    (
        "ALTER FUNCTION refuse(text, text[]) OWNER TO {broker}",
        "changed function refuse(template text, VARIADIC vals text[])",
    ),
    (
        "ALTER FUNCTION login(text, text, text, text) RESET search_path",
        "changed function login(user_name text, password text, program text, workstation text)",
    ),
    ("DROP TRIGGER keep_mac ON machines", "missing trigger machines.keep_mac"),
    ("ALTER TABLE users DISABLE TRIGGER audit_update", "changed trigger users.audit_update"),
    (
        "CREATE TRIGGER extra BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION keep_mac()",
        "added trigger users.extra",
    ),
    ("DROP POLICY agents_write ON targets", "missing policy targets.agents_write"),
    (
        "ALTER POLICY agents_own ON procrastinate.procrastinate_jobs USING (true)",
        "changed policy procrastinate.procrastinate_jobs.agents_own",
    ),
    ("CREATE POLICY extra ON targets TO {agents} USING (true)", "added policy targets.extra"),
    ("GRANT SELECT ON audit TO {viewer}", "added grant SELECT ON audit TO ggnet_viewer_"),
    (
        "GRANT UPDATE (role) ON users TO {operator}",
        "added grant UPDATE ON users (role) TO ggnet_operator_",
    ),
    (
        "REVOKE SELECT ON machines FROM {viewer}",
        "missing grant SELECT ON machines TO ggnet_viewer_",
    ),
    (
        "REVOKE UPDATE ON SEQUENCE attempts.name_7 FROM {broker}",
        "changed grant UPDATE ON attempts.name_N TO ggnet_broker_",
    ),
    (
        "ALTER FUNCTION login(text, text, text, text) LEAKPROOF",
        "changed function login(user_name text, password text, program text, workstation text)",
    ),
    ("GRANT TEMP ON DATABASE {database} TO PUBLIC", "added grant TEMPORARY ON DATABASE TO PUBLIC"),
    (
        "REVOKE CONNECT ON DATABASE {database} FROM {viewer}",
        "missing grant CONNECT ON DATABASE TO ggnet_viewer_",
    ),
    (
        "GRANT SELECT ON audit TO ggnet_agent_testhost",
        "added grant SELECT ON audit TO ggnet_agent_testhost",
    ),
    (
        "GRANT SELECT ON machines TO {viewer} WITH GRANT OPTION",
        "changed grant SELECT ON machines TO ggnet_viewer_",
    ),
    ("ALTER TABLE audit ALTER COLUMN link DROP DEFAULT", "changed column audit.link"),
]
LEFT = [
    (
        "GRANT EXECUTE ON FUNCTION crypt(text, text) TO PUBLIC",
        "added foreign grant EXECUTE ON crypt TO PUBLIC",
    ),
    ("DROP INDEX uq_jobs_open_image", "missing index uq_jobs_open_image"),
    ("CREATE INDEX extra ON machines (notes)", "added index extra"),
    (
        "ALTER TABLE targets DROP CONSTRAINT ck_targets_machine",
        "missing constraint targets.ck_targets_machine",
    ),
    (
        "ALTER TABLE machines DROP CONSTRAINT uq_machines_mac",
        "missing constraint machines.uq_machines_mac",
    ),
    ("ALTER TABLE machines ADD COLUMN extra integer", "added column machines.extra"),
    ("ALTER TABLE machines ALTER COLUMN room DROP NOT NULL", "changed column machines.room"),
    ("ALTER TABLE hosts ALTER COLUMN portal TYPE varchar(10)", "changed column hosts.portal"),
    ("CREATE TABLE extra (); ALTER TABLE extra OWNER TO {owner}", "added table extra"),
    ("ALTER TABLE audit OWNER TO {broker}", "changed table audit"),
    (
        "ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY; ALTER TABLE settings ENABLE ROW LEVEL SECURITY",
        "changed table settings",
    ),
    ("ALTER TYPE drift ADD VALUE 'ODD'", "changed type drift"),
    ("DROP SEQUENCE attempts.name_9", "changed sequence attempts.name_N"),
    ("ALTER SEQUENCE attempts.name_9 INCREMENT 3", "changed sequence attempts.name_N"),
    ("ALTER TABLE machines FORCE ROW LEVEL SECURITY", "changed table machines"),
    (
        "CREATE SCHEMA others; CREATE TABLE others.leak () INHERITS (users)",
        "added child table users.others.leak",
    ),
    (
        "GRANT SELECT ON audit TO pg_monitor WITH GRANT OPTION; SET ROLE pg_monitor; "
        "GRANT SELECT ON audit TO {viewer}",
        "added handed-on grant SELECT ON audit TO ggnet_viewer_",
    ),
    (
        "CREATE RULE gone AS ON INSERT TO audit DO INSTEAD NOTHING",
        "added rule audit.gone",
    ),
    (
        "ALTER TABLE jobs DISABLE TRIGGER ALL",
        "changed constraint jobs.fk_jobs_host_id",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO PUBLIC",
        "added default grant SELECT ON DEFAULT r TO PUBLIC",
    ),
    (
        "ALTER FUNCTION procrastinate.procrastinate_unregister_worker_v1 SECURITY DEFINER",
        "changed procrastinate function "
        "procrastinate.procrastinate_unregister_worker_v1(worker_id bigint)",
    ),
    (
        "ALTER TABLE procrastinate.procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1",
        "changed queue trigger procrastinate.procrastinate_jobs.procrastinate_jobs_notify_queue_job_inserted_v1",
    ),
    (
        "ALTER DATABASE {database} SET session_replication_role = replica",
        "added database setting session_replication_role",
    ),
]


def change(database: RealDatabase, statement: str) -> None:
    """Run it as superuser; ``{viewer}`` is the group's role."""
    roles = {name: sql.Identifier(database.group(name)) for name in bootstrap.GROUPS}
    database.rows(sql.SQL(statement).format(database=sql.Identifier(database.name), **roles))


def lines(found: list[Difference]) -> list[str]:
    """Each difference without what the object was."""
    return [f"{each.change} {each.kind} {each.name}" for each in found]


def asked(dsn: str) -> list[Difference]:
    """What differs, as this role sees it."""
    with psycopg.connect(dsn) as connection:
        return fingerprint.differences(connection)


def test_nothing_differs_in_a_new_database_whoever_asks(database: RealDatabase) -> None:
    dsns = [
        database.server.dsn(role, database.name)
        for role in (SUPERUSER, CONSOLE_ROLE, agent_role(HOST))
    ]
    dsns += [database.dsn(database.log_in(role.lower())) for role in Role]
    assert [asked(dsn) for dsn in dsns] == [[]] * 6


@pytest.mark.parametrize(("statement", "told"), MENDED)
def test_a_changed_definition_is_told_and_mended_by_an_upgrade(
    database: RealDatabase, statement: str, told: str
) -> None:
    change(database, statement)
    found = asked(database.server.dsn(CONSOLE_ROLE, database.name))
    # Its grants come and go with a function.
    assert [line for line in lines(found) if "grant EXECUTE" not in line] == [told]
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert (done.moved, done.mended, done.left) == (False, found, [])
    assert asked(database.server.dsn(CONSOLE_ROLE, database.name)) == []


@pytest.mark.parametrize(("statement", "told"), LEFT)
def test_a_changed_table_is_told_and_left_as_it_is(
    database: RealDatabase, statement: str, told: str
) -> None:
    change(database, statement)
    found = asked(database.server.dsn(CONSOLE_ROLE, database.name))
    assert told in lines(found)
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert not done.moved
    assert told in lines(done.left)
    assert told in lines(asked(database.server.dsn(CONSOLE_ROLE, database.name)))


def test_a_lost_index_stays_told_until_it_is_made_again_from_what_is_told(
    database: RealDatabase,
) -> None:
    database.rows("DROP INDEX uq_jobs_open_image")
    database.rows("DROP TRIGGER keep_mac ON machines")
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert lines(done.mended) == ["missing trigger machines.keep_mac"]
    [lost] = done.left
    assert (lost.kind, lost.name, lost.change) == ("index", "uq_jobs_open_image", Change.MISSING)
    database.rows(lost.definition)
    with database.owner.engine.connect() as connection:
        assert schema.upgrade(connection).left == []


def test_no_revision_goes_over_a_lost_index_but_over_one_that_was_added(
    database: RealDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.rows("CREATE INDEX extra ON machines (notes)")
    database.rows("DROP INDEX uq_jobs_open_image")
    monkeypatch.setattr(schema, "HEAD", "9999")
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match="index uq_jobs_open_image is missing") as caught,
    ):
        schema.upgrade(connection)
    assert "CREATE UNIQUE INDEX uq_jobs_open_image" in caught.value.details
    database.rows(caught.value.details.partition(": ")[2])
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert (done.moved, lines(done.left)) == (True, ["added index extra"])


def test_what_administrators_made_for_roles_of_their_own_is_theirs(database: RealDatabase) -> None:
    before = asked(database.server.dsn(CONSOLE_ROLE, database.name))
    change(database, "GRANT SELECT ON machines TO pg_monitor")
    change(database, "GRANT EXECUTE ON FUNCTION some_machines(text[]) TO pg_monitor")
    assert asked(database.server.dsn(CONSOLE_ROLE, database.name)) == before
    change(database, "CREATE POLICY reports ON machines TO pg_monitor USING (true)")
    change(database, "CREATE SCHEMA reports")
    change(
        database,
        "CREATE FUNCTION reports.seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    )
    change(
        database,
        "CREATE TRIGGER reports AFTER INSERT ON machines EXECUTE FUNCTION reports.seen()",
    )
    change(database, "DROP TRIGGER keep_mac ON machines")
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert lines(done.left) == [
        "added foreign policy machines.reports",
        "added foreign trigger machines.reports",
    ]
    assert database.value(
        "SELECT has_function_privilege('pg_monitor', 'some_machines(text[])', 'EXECUTE')"
    )


def test_a_function_of_somebody_else_with_a_name_of_ours_is_named_and_nothing_is_done(
    database: RealDatabase,
) -> None:
    """Dropped and made by the server's administrator, it would run with that one's rights."""
    change(database, "DROP FUNCTION has_users()")
    change(
        database,
        "CREATE FUNCTION has_users(whatever int DEFAULT 1) RETURNS int LANGUAGE sql "
        "SECURITY DEFINER AS 'SELECT 1'",
    )
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match=r"has_users\(integer\) in it belongs to somebody else"),
    ):
        schema.upgrade(connection)


def test_the_sentence_names_the_first_three_and_counts_the_rest(database: RealDatabase) -> None:
    for name in ("location", "notes", "room"):
        database.rows(f"ALTER TABLE machines DROP CONSTRAINT ck_machines_{name}")
    database.rows("ALTER TABLE machines ADD COLUMN extra integer")
    database.rows("DROP INDEX ix_jobs_open")
    dsn = database.server.dsn(CONSOLE_ROLE, database.name)
    installation = Installation(Config(home=Path("/nowhere"), database_url=dsn))
    assert fingerprint.warning(installation.changed_by_hand()) == (
        "The database was changed by hand since its last upgrade: column machines.extra was added, "
        "constraint machines.ck_machines_location is missing, constraint "
        "machines.ck_machines_notes is missing and 2 more differences; "
        "“ggnet db status” shows what it was, for its administrator to make it so again."
    )


def test_a_group_that_was_given_more_is_told(database: RealDatabase) -> None:
    try:
        change(database, "GRANT pg_read_all_data TO {viewer}")
        [found] = asked(database.server.dsn(CONSOLE_ROLE, database.name))
        assert (found.kind, found.change, found.now) == ("role", "changed", "IN pg_read_all_data")
    finally:
        change(database, "REVOKE pg_read_all_data FROM {viewer}")


def test_what_was_handed_on_goes_with_the_right_to_do_so(database: RealDatabase) -> None:
    change(database, "GRANT SELECT ON machines TO {viewer} WITH GRANT OPTION")
    with psycopg.connect(database.dsn(database.log_in("viewer"))) as viewer:
        viewer.execute(f'SET ROLE "{database.group("viewer")}"')
        viewer.execute("GRANT SELECT ON machines TO PUBLIC")
    with database.owner.engine.connect() as connection:
        assert schema.upgrade(connection).left == []
    assert not database.value("SELECT has_table_privilege('pg_monitor', 'machines', 'SELECT')")


def test_what_others_have_in_schemas_of_their_own_is_neither_told_nor_touched(
    database: RealDatabase,
) -> None:
    for statement in (
        "CREATE EXTENSION hstore",
        "CREATE SCHEMA reports",
        "CREATE TABLE reports.mine (a text)",
        "ALTER TABLE reports.mine ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON reports.mine AS RESTRICTIVE USING (a = current_user)",
        "CREATE VIEW reports.seen AS SELECT name FROM machines",
        "CREATE PROCEDURE reports.nightly() LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE theirs (a text UNIQUE)",
    ):
        change(database, statement)
    assert asked(database.server.dsn(CONSOLE_ROLE, database.name)) == []
    change(database, "DROP TRIGGER keep_mac ON machines")
    with database.owner.engine.connect() as connection:
        assert schema.upgrade(connection).left == []
    assert database.value("SELECT count(*) FROM pg_policy WHERE polname = 'mine'") == 1


def test_a_restored_database_is_as_it_was(database: RealDatabase) -> None:
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))
    dump = subprocess.run(
        [programs / "pg_dump", f"--dbname={database.server.dsn(SUPERUSER, database.name)}"],
        check=True,
        capture_output=True,
    )
    copy = RealDatabase(database.server, f"{database.name}_copy", database.installation)
    server = database.server
    server.execute(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0", copy.name, database.group("owner")
    )
    try:
        with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            bootstrap.open_database(connection, copy.name, database.installation)
        subprocess.run(
            [programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", server.dsn(SUPERUSER, copy.name)],
            input=dump.stdout,
            check=True,
            capture_output=True,
        )
        assert lines(asked(server.dsn(CONSOLE_ROLE, copy.name))) == []
    finally:
        copy.close()
        server.execute("DROP DATABASE {} WITH (FORCE)", copy.name)


@pytest.mark.parametrize(
    "setting", ["quote_all_identifiers = on", "standard_conforming_strings = off"]
)
def test_what_a_role_has_set_for_itself_changes_nothing(
    database: RealDatabase, setting: str
) -> None:
    change(database, f"ALTER DATABASE {{database}} SET {setting}")
    for role in (SUPERUSER, CONSOLE_ROLE, agent_role(HOST)):
        assert asked(database.server.dsn(role, database.name)) == []
    change(database, "DROP TRIGGER keep_mac ON machines")
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as other:
        other.execute("SELECT")  # so that the next connection is a new one, with the setting
    with database.owner.engine.connect() as connection:
        assert schema.upgrade(connection).left == []
    assert database.log_in("viewer")


def test_a_lost_column_is_named_before_anything_is_made_anew(database: RealDatabase) -> None:
    database.rows("ALTER TABLE machines DROP COLUMN room CASCADE")
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match=r"column machines\.room is missing") as caught,
    ):
        schema.upgrade(connection)
    assert "missing column machines.room: text NOT NULL" in caught.value.details


def test_whoever_may_not_look_is_told_what_to_do(database: RealDatabase) -> None:
    change(database, "REVOKE SELECT ON schema_objects FROM ggnet_console")
    dsn = database.server.dsn(CONSOLE_ROLE, database.name)
    installation = Installation(Config(home=Path("/nowhere"), database_url=dsn))
    with pytest.raises(SchemaError, match="run “ggnet db upgrade”"):
        installation.require_schema()
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection)
    installation.require_schema()


def test_what_sign_ins_and_work_leave_behind_is_no_change(database: RealDatabase) -> None:
    admin = database.sign_in(Role.ADMIN)
    add_machines(admin, "pc-1")
    database.log_in("viewer")
    database.rows("ANALYZE; REINDEX TABLE machines")
    assert asked(database.server.dsn(CONSOLE_ROLE, database.name)) == []


def test_a_column_added_by_hand_is_told_alone_and_keeps_its_default(database: RealDatabase) -> None:
    database.rows("ALTER TABLE machines ADD COLUMN extra bigint DEFAULT epoch_ms(now())")
    database.rows("DROP TRIGGER keep_mac ON machines")
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match="others have made"),
    ):
        schema.upgrade(connection)
    database.rows("ALTER TABLE machines ALTER COLUMN extra SET DEFAULT 7")
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert lines(done.mended) == ["missing trigger machines.keep_mac"]
    assert lines(done.left) == ["added column machines.extra"]
    assert done.left[0].now == "bigint DEFAULT 7"


def test_a_database_of_another_owner_is_named(database: RealDatabase) -> None:
    change(database, "DROP TRIGGER keep_mac ON machines")
    change(database, "ALTER DATABASE {database} OWNER TO {broker}")
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match=r"ALTER DATABASE .* OWNER TO ggnet_owner_"),
    ):
        schema.upgrade(connection)
