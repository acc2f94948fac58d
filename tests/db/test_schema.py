# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations: their head, the mapped classes, down and up again, and what the console says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from real_database import RealDatabase
from sqlalchemy import CheckConstraint, Connection

from ggnet_console.config import Config as ConsoleConfig
from ggnet_console.db import schema
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.installation import Installation
from ggnet_console.errors import SchemaError
from ggnet_console.models import Base
from ggnet_console.paths import MIGRATIONS

REVISIONS = sorted(file.name[:4] for file in (MIGRATIONS / "versions").glob("*.py"))


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


@pytest.mark.parametrize("revision", ["base", *REVISIONS[:-1]])
def test_a_revision_goes_down_and_up_again_to_the_same_schema(
    database: RealDatabase, revision: str
) -> None:
    before = dump(database)
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection, revision)
        assert schema.current(connection) == (None if revision == "base" else revision)
        schema.upgrade(connection)
        assert schema.current(connection) == schema.HEAD
    assert dump(database) == before


@pytest.mark.slow("every revision, down and up")
def test_each_step_down_and_up_leaves_the_schema_of_that_step(database: RealDatabase) -> None:
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection, "base")
        seen = {}
        for step in REVISIONS:
            schema.upgrade(connection, step)
            seen[step] = dump(database)
        for step in reversed(REVISIONS[:-1]):
            schema.upgrade(connection, step)
            assert dump(database) == seen[step]


def test_going_down_leaves_no_object_of_ours_behind(database: RealDatabase) -> None:
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection, "base")
    left = database.rows(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION SELECT proname::text FROM pg_proc p WHERE pronamespace = 'public'::regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') "
        "UNION SELECT nspname::text FROM pg_namespace WHERE nspname = 'procrastinate' "
        "UNION SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace "
        "AND typtype = 'e'"
    )
    assert {name for (name,) in left} == {
        "alembic_version",
        "alembic_version_pkc",
        "installation_id",
    }


def test_upgrading_what_is_up_to_date_changes_nothing(database: RealDatabase) -> None:
    before = dump(database)
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection)
    assert dump(database) == before


def test_a_failed_migration_leaves_the_schema_as_it_was(database: RealDatabase) -> None:
    database.rows("CREATE VIEW in_the_way AS SELECT machine_iqn('x', NULL)")
    before = dump(database)
    with (
        database.owner.engine.connect() as connection,
        pytest.raises(psycopg.errors.DependentObjectsStillExist),
    ):
        schema.upgrade(connection, "base")
    assert dump(database) == before


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
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection, "0003")
    with pytest.raises(SchemaError, match=r"is 0003, this program needs .*ggnet db upgrade"):
        installation(database).require_schema()
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection)
    installation(database).require_schema()


def test_a_newer_schema_is_refused_and_asks_for_a_newer_program(database: RealDatabase) -> None:
    database.rows("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"is 9999, newer than .*newer GGnet Console"):
        installation(database).require_schema()


@pytest.mark.parametrize("revision", ["base", "0001", "0002"])
def test_a_database_without_a_readable_revision_is_refused(
    database: RealDatabase, revision: str
) -> None:
    with database.owner.engine.connect() as connection:
        schema.upgrade(connection, revision)
    with pytest.raises(SchemaError, match="no GGnet schema yet; run “ggnet db upgrade”"):
        installation(database).require_schema()
