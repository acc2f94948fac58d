# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of the first released schema, with rows in every table, becomes one like a fresh one.

Each release adds ``released/REVISION.sql`` with rows for what its revision has made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import unicodedata
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import SchemaManager
from real_database import RealDatabase, Server

from ggnet_console.db import bootstrap, definitions, fingerprint, schema
from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.paths import MIGRATIONS
from ggnet_console.values import tidy

RELEASED = Path(__file__).parent / "released"
TABLES = (
    "SELECT format('%I.%I', nspname, relname) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' "
    "AND nspname IN ('public', 'attempts', 'procrastinate') ORDER BY 1"
)
MADE_ANEW = {"public.schema_objects", "public.alembic_version"}


def contents(database: RealDatabase) -> dict[str, list[dict[str, str]]]:
    """Every row of every table: each column's value as JSON."""
    return {
        table: [
            {name: json.dumps(value) for name, value in row.items()}
            for (row,) in database.rows(f"SELECT to_jsonb(t) FROM {table} AS t")
        ]
        for (table,) in database.rows(TABLES)
    }


def lost(old: dict[str, list[dict]], new: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The old rows that are not there any more; columns may have been added to them."""
    gone = {
        table: [row for row in rows if not any(row.items() <= each.items() for each in new[table])]
        for table, rows in old.items()
    }
    return {table: rows for table, rows in gone.items() if rows}


@pytest.mark.parametrize("release", sorted(file.stem for file in RELEASED.glob("*.sql")))
def test_a_database_of_a_release_with_rows_in_every_table_becomes_like_a_fresh_one(
    server: Server, database: RealDatabase, release: str
) -> None:
    with server.bare() as old:
        with psycopg.connect(server.dsn(SUPERUSER, old.name), autocommit=True) as connection:
            bootstrap.prepare_database(connection, old.installation)
        for step in sorted(RELEASED.glob("*.sql")):
            if step.stem <= release:
                with old.owner.engine.connect() as connection:
                    schema.upgrade(connection, step.stem)
                old.rows(step.read_text("utf-8"))
        before = contents(old)
        assert [table for table, rows in before.items() if not rows] == []
        # What an older release had defined, and this one has not.
        old.rows("CREATE FUNCTION machine_iqn(mac text) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        old.rows(f"ALTER FUNCTION machine_iqn(text) OWNER TO {old.group('owner')}")
        with old.owner.engine.connect() as connection:
            assert schema.upgrade(connection).left == []
            assert schema.current(connection) == schema.HEAD
        assert old.rows("TABLE schema_objects ORDER BY 1, 2") == database.rows(
            "TABLE schema_objects ORDER BY 1, 2"
        )
        kept = {name: rows for name, rows in before.items() if name not in MADE_ANEW}
        assert lost(kept, contents(old)) == {}


def test_names_that_looked_alike_are_told_apart(server: Server) -> None:
    """What was written in two ways were two machines; now each is tidy, and one has a number.

    In a database that was in use, with its triggers: the audit trail stays whole.
    """
    longer = "\u0958" * 64  # each becomes two characters
    names = {
        "Z\u030cabac": "Žabac (2)",
        "Žabac": "Žabac",
        "A\u030a-1": "Å-1 (3)",
        "Å-1": "Å-1",
        "Å-1 (2)": "Å-1 (2)",
        "z\u030cabacx": "žabacx",
        "U\u0308bung": "Übung",
        " Room\u00a01\u2003": "Room 1",
        longer: unicodedata.normalize("NFC", longer)[:64],
        "\u00a0": "unnamed",
    }
    with server.bare() as old:
        with psycopg.connect(server.dsn(SUPERUSER, old.name), autocommit=True) as connection:
            bootstrap.prepare_database(connection, old.installation)
        with old.owner.engine.connect() as connection:
            schema.upgrade(connection, "0003")
            driver = connection.connection.driver_connection
            assert driver is not None
            definitions.make(driver, old.installation)
            fingerprint.store(driver, [])
            driver.commit()
        host = old.value(
            "INSERT INTO hosts (name, agent_role, portal, heartbeat_at) "
            "VALUES ('h', 'a', '', now()) RETURNING id"
        )
        for number, name in enumerate(names):
            old.rows(
                "INSERT INTO machines (name, mac) VALUES (%s, %s)",
                name,
                f"02:00:00:00:00:{number:02x}",
            )
            old.rows(
                "INSERT INTO images (name, host_id, type, status) VALUES (%s, %s, 'SYSTEM', 'READY')",
                name,
                host,
            )
            old.rows("INSERT INTO users (name, role, password_hash) VALUES (%s, 'ADMIN', '')", name)
        with old.owner.engine.connect() as connection:
            schema.upgrade(connection)
        for table in ("machines", "images", "users"):
            made = [name for (name,) in old.rows(f"SELECT name FROM {table} ORDER BY id")]
            assert made == list(names.values()), table
            assert made == [tidy(name) for name in made]
        assert old.rows("SELECT * FROM audit_verify(NULL, NULL)") == []


def changed_since_release(migrations: Path) -> list[str]:
    """Files of ``migrations`` that ``released.sha256``, made by sha256sum, has otherwise."""
    lines = [line.split("  ") for line in (migrations / "released.sha256").read_text().splitlines()]
    return [
        name
        for digest, name in lines
        if not (migrations / name).is_file()
        or hashlib.sha256((migrations / name).read_bytes()).hexdigest() != digest
    ]


def test_a_released_revision_never_changes() -> None:
    assert changed_since_release(MIGRATIONS) == [], "write a new revision instead"


def test_a_released_revision_that_was_changed_or_is_gone_is_found(tmp_path: Path) -> None:
    shutil.copytree(MIGRATIONS, tmp_path, dirs_exist_ok=True)
    files = ["versions/0001_tables.py", "versions/0001_tables.sql"]
    digests = subprocess.run(
        ["sha256sum", *files], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    (tmp_path / "released.sha256").write_text(digests.stdout)
    assert changed_since_release(tmp_path) == []
    (tmp_path / files[0]).unlink()
    with (tmp_path / files[1]).open("a") as file:
        file.write("-- once more\n")
    assert changed_since_release(tmp_path) == files


def test_the_queue_has_the_schema_that_the_first_revision_makes() -> None:
    """Revision 0001 takes it from procrastinate: a newer one needs a revision with its changes."""
    found = hashlib.sha256(SchemaManager.get_schema().encode()).hexdigest()
    assert found == "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"
