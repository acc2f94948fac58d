# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations: their head, the mapped classes, made anew, and what the console says."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from real_database import RealDatabase, Server
from sqlalchemy import CheckConstraint, Connection, text

from ggnet_console.config import Config as ConsoleConfig
from ggnet_console.db import bootstrap, definitions, schema
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.installation import Installation
from ggnet_console.db.schema import Upgraded
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, SchemaError
from ggnet_console.models import Base
from ggnet_console.paths import MIGRATIONS


def dump(database: RealDatabase) -> str:
    """The whole schema with rights, as pg_dump writes it."""
    program = max(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda p: int(p.parts[4]))
    done = subprocess.run(
        [program, "--schema-only", f"--dbname={database.server.dsn(SUPERUSER, database.name)}"],
        check=True,
        capture_output=True,
        text=True,
    )
    # Newer ones write a random key around the dump.
    return "\n".join(line for line in done.stdout.splitlines() if "restrict " not in line[:12])


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_object": lambda _object, name, kind, *_: (
                kind != "table" or name != "alembic_version"
            ),
        },
    )
    return list(compare_metadata(context, Base.metadata))


def test_the_newest_revision_is_the_one_the_program_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("prepend_sys_path", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_the_migrations_make_exactly_the_mapped_classes(database: RealDatabase) -> None:
    with database.owner.engine.connect() as connection:
        assert differences(connection) == []


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER TABLE machines ADD COLUMN extra integer",
        "ALTER TABLE machines ALTER COLUMN room SET DEFAULT 'somewhere'",
        "ALTER TABLE jobs ALTER COLUMN result TYPE json",
        "ALTER TABLE machines ALTER COLUMN room DROP NOT NULL",
        "DROP INDEX uq_machines_name",
        "ALTER TABLE machines DROP CONSTRAINT uq_machines_mac",
        "ALTER TABLE targets DROP CONSTRAINT fk_targets_machine_id",
    ],
)
def test_a_drift_from_the_mapped_classes_would_be_seen(database: RealDatabase, drift: str) -> None:
    database.rows(drift)
    with database.owner.engine.connect() as connection:
        assert differences(connection)


def test_every_check_constraint_of_the_mapped_classes_exists(database: RealDatabase) -> None:
    declared = {
        (table.name, str(constraint.name))
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    found = database.rows(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    )
    assert set(found) == declared


def test_upgrading_what_is_up_to_date_changes_nothing(database: RealDatabase) -> None:
    before = dump(database)
    with database.owner.engine.connect() as connection:
        assert schema.upgrade(connection) == Upgraded(
            moved=False, mended=[], left=[], still_open=[]
        )
    assert dump(database) == before


def test_what_is_made_anew_is_what_was_made_first(database: RealDatabase) -> None:
    before = dump(database)
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection:
        definitions.make(connection, database.installation)
    assert dump(database) == before


@pytest.mark.parametrize(
    "in_the_way",
    [
        "CREATE VIEW in_the_way AS SELECT machine_iqn('x', NULL)",
        "CREATE TABLE in_the_way (id bigint DEFAULT epoch_ms(now()))",
    ],
)
def test_what_others_made_of_our_functions_stops_an_upgrade_and_nothing_is_changed(
    database: RealDatabase, in_the_way: str
) -> None:
    database.rows(in_the_way)
    database.rows("DROP TRIGGER keep_mac ON machines")
    before = dump(database)
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(ConsoleError, match="others have made") as caught,
    ):
        schema.upgrade(connection)
    assert "in_the_way" in caught.value.details
    assert dump(database) == before


def test_an_upgrade_does_not_wait_for_ever_for_those_who_use_a_table(
    database: RealDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_LOCK_TIMEOUT_S", 0.5)
    database.rows("DROP TRIGGER keep_mac ON machines")
    before = dump(database)
    with (
        database.owner.begin() as session,
        database.owner.engine.connect() as connection,
    ):
        session.execute(text("SELECT FROM machines FOR UPDATE"))
        with pytest.raises(ConsoleError, match="while others use its tables"):
            schema.upgrade(connection)
    assert dump(database) == before


def test_an_upgrade_and_whoever_works_meanwhile_wait_for_each_other_and_end_well(
    database: RealDatabase,
) -> None:
    """One holds a table that the other wants, and wants one that the other holds."""
    database.rows("DROP TRIGGER keep_mac ON machines")
    outcome: list[object] = []

    def upgrade() -> None:
        with database.owner.engine.connect() as connection:
            outcome.append(schema.upgrade(connection))

    upgrading = threading.Thread(target=upgrade)
    with database.sign_in(Role.ADMIN).begin() as session:
        session.execute(text("SELECT name FROM users"))
        upgrading.start()
        database.wait_for_lock()
        session.execute(text("SELECT name FROM hosts"))
        session.execute(text("UPDATE machines SET notes = ''"))
    upgrading.join()
    [done] = outcome
    assert isinstance(done, Upgraded)
    assert done.left == []


def test_two_upgrades_take_turns(database: RealDatabase) -> None:
    database.rows("DROP TRIGGER keep_mac ON machines")
    outcomes: list[Upgraded] = []

    def upgrade() -> None:
        with database.owner.engine.connect() as connection:
            outcomes.append(schema.upgrade(connection))

    threads = [threading.Thread(target=upgrade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each.mended) for each in outcomes) == [0, 0, 1]


def test_a_fault_in_what_a_release_defines_is_not_called_a_change_by_hand(
    database: RealDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS / "functions", newer / "functions")
    (newer / "functions" / "zz.sql").write_text("SELECT nope FROM machines;")
    monkeypatch.setattr(definitions, "MIGRATIONS", newer)
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(psycopg.errors.UndefinedColumn),
    ):
        schema.upgrade(connection)


def test_an_older_program_neither_works_with_a_database_nor_puts_it_back(
    database: RealDatabase,
) -> None:
    database.rows("UPDATE schema_objects SET definition = '99.1.2' WHERE name = 'version'")
    sentence = r"upgraded by GGnet Console 99\.1\.2, this is .*; install the newer one"
    with pytest.raises(SchemaError, match=sentence):
        installation(database).require_schema()
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(SchemaError, match=sentence),
    ):
        schema.upgrade(connection)


def test_the_console_reads_the_revision_before_anybody_signs_in(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        row = connection.execute("SELECT public.schema_revision()").fetchone()
    assert row == (schema.HEAD,)
    installation(database).require_schema()


def installation(database: RealDatabase) -> Installation:
    """The database as a console finds it on a shared server."""
    dsn = database.server.dsn(CONSOLE_ROLE, database.name)
    return Installation(ConsoleConfig(home=Path("/nowhere"), database_url=dsn))


def test_an_older_schema_is_refused_and_says_how_to_mend_it(database: RealDatabase) -> None:
    database.rows("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaError, match=r"is 0000, this program needs .*ggnet db upgrade"):
        installation(database).require_schema()


def test_a_newer_schema_is_refused_and_asks_for_a_newer_program(database: RealDatabase) -> None:
    database.rows("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"is 9999, newer than .*newer GGnet Console"):
        installation(database).require_schema()


def test_functions_of_another_version_are_refused_and_upgraded(
    database: RealDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two versions of this program need the same tables, and not the same functions."""
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS / "functions", newer / "functions")
    changed = newer / "functions" / "machines.sql"
    changed.write_text(changed.read_text().replace("' machines'", "' PCs'"))
    monkeypatch.setattr(definitions, "MIGRATIONS", newer)
    with pytest.raises(SchemaError, match=r"not those this program needs; .*ggnet db upgrade"):
        installation(database).require_schema()
    with database.owner.engine.connect() as connection:
        done = schema.upgrade(connection)
    assert [(each.kind, each.name) for each in done.mended] == [("source", "machines.sql")]
    assert database.value("SELECT some_machines(ARRAY['a', 'b'])") == "2 PCs"
    installation(database).require_schema()


def test_a_database_without_a_schema_is_refused(server: Server) -> None:
    with server.bare() as database:
        with pytest.raises(SchemaError, match="no GGnet schema yet; run “ggnet db upgrade”"):
            installation(database).require_schema()
        with psycopg.connect(server.dsn(SUPERUSER, database.name), autocommit=True) as connection:
            bootstrap.prepare_database(connection, database.installation)
        with database.owner.engine.connect() as connection:
            schema.upgrade(connection, schema.HEAD)  # the tables alone
        with pytest.raises(SchemaError, match="no GGnet schema yet; run “ggnet db upgrade”"):
            installation(database).require_schema()
