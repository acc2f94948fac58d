# SPDX-License-Identifier: GPL-3.0-or-later
"""Triggers of every table: row versions and the hints that keep open windows true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from patience import PATIENCE_S
from real_database import RealDatabase
from steps import add_image, add_machines, make_targets, set_status, start_sessions

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.enums import MachineStatus, Role
from ggnet_console.models import Base
from ggnet_console.services import agent_targets, machines
from ggnet_console.services.agent_targets import Activity

pytestmark = pytest.mark.furnished

VERBS = {"insert", "update", "delete"}
SEEN_AS = {
    "image_versions": {"images"},
    "luns": {"targets"},
    "targets": {"targets", "machines"},
    "boot_sessions": {"boot_sessions", "machines"},
    "jobs": {"jobs", "images"},
    "target_reports": {"targets"},
}
"""Tables whose rows are shown with others; the rest are shown as themselves."""
UNHEARD = {"audit", "audit_links", "audit_chain", "schema_objects", "target_secrets"}
"""Nothing but triggers, definer functions or upgrades writes them, and no window shows them live."""
UNAUDITED = {
    "audit",
    "audit_links",
    "audit_chain",
    "open_objects",
    "schema_objects",
    "sign_ins",
    "target_reports",
    "target_secrets",
}
"""Written by agents' reports, sign-ins and upgrades, which are themselves the record; or secret."""
OBSERVED = {
    "boot_sessions": {"client_address", "connected", "bytes_read", "bytes_written", "last_seen_at"},
    "machines": {"online", "last_seen_at"},
    "users": {"last_sign_in_at"},
}
"""Columns of versioned tables whose change is nobody's edit."""


def triggers(database: RealDatabase) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, name in database.rows(
        "SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c "
        "ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled = 'O' "
        "AND c.relnamespace = 'public'::regnamespace"
    ):
        found.setdefault(table, set()).add(name)
    return found


def test_every_table_tells_the_windows_that_show_it(database: RealDatabase) -> None:
    found = triggers(database)
    for table in Base.metadata.tables.keys() - UNHEARD:
        expected = {f"notify_{shown}_{v}" for shown in SEEN_AS.get(table, {table}) for v in VERBS}
        assert {name for name in found[table] if name.startswith("notify")} == expected, table


def test_every_table_enters_the_audit_trail(database: RealDatabase) -> None:
    found = triggers(database)
    for table in Base.metadata.tables.keys() - UNAUDITED:
        assert {f"audit_{verb}" for verb in VERBS} <= found[table], table
    for table in UNAUDITED:
        assert not any(name.startswith("audit") for name in found.get(table, ())), table


def test_every_table_with_a_version_counts_it(database: RealDatabase) -> None:
    found = triggers(database)
    for table in Base.metadata.tables.values():
        assert ("version" in found.get(table.name, ())) == ("version" in table.columns), table.name


def test_every_column_that_people_edit_counts_for_the_version(database: RealDatabase) -> None:
    counted = database.rows(
        "SELECT tgrelid::regclass::text, ARRAY(SELECT attname::text FROM pg_attribute "
        "WHERE attrelid = tgrelid AND attnum = ANY (tgattr)) FROM pg_trigger WHERE tgname = 'version'"
    )
    for table, columns in counted:
        everything = set(Base.metadata.tables[table].columns.keys())
        assert set(columns) == everything - {"id", "version"} - OBSERVED.get(table, set()), table


class Heard:
    """A connection that listens."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def hints(self) -> list[dict]:
        """What was sent since the last call."""
        # Its own hint closes the list: the server delivers in the order of commits.
        self._connection.execute("NOTIFY ggnet, 'end'")
        heard = []
        for hint in self._connection.notifies(timeout=PATIENCE_S):
            if hint.payload == "end":
                return heard
            heard.append(json.loads(hint.payload))
        pytest.fail("the last hint never came")


@contextmanager
def listening(database: RealDatabase) -> Iterator[Heard]:
    dsn = database.server.dsn(SUPERUSER, database.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("LISTEN ggnet")
        yield Heard(connection)


def test_adding_changing_and_removing_a_row_are_hints_with_id_and_version(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    with listening(database) as heard:
        [machine] = add_machines(operator, "pc-01")
        assert heard.hints() == [{"table": "machines", "id": machine, "version": 1}]
        with operator.begin() as session:
            set_status(session, [machine], MachineStatus.RETIRED)
        assert heard.hints() == [{"table": "machines", "id": machine, "version": 2}]
        with operator.begin() as session:
            machines.delete_machines(session, [machine])
        assert heard.hints() == [{"table": "machines", "id": machine, "version": 2}]


def test_a_change_made_with_psql_is_heard_as_well(database: RealDatabase) -> None:
    [machine] = add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    with listening(database) as heard:
        database.rows("UPDATE machines SET notes = 'by hand'")
        assert heard.hints() == [{"table": "machines", "id": machine, "version": 2}]


def test_nothing_is_heard_of_what_was_rolled_back(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    with listening(database) as heard:
        with pytest.raises(ZeroDivisionError), operator.begin() as session:
            machines.create_machine(session, machines.MachineSpec("pc-01", "525400000001"))
            raise ZeroDivisionError
        assert heard.hints() == []


@pytest.mark.parametrize(("rows", "hints"), [(50, 50), (51, 1)])
def test_a_large_change_is_one_hint_for_the_table(
    database: RealDatabase, rows: int, hints: int
) -> None:
    with listening(database) as heard:
        database.rows(
            "INSERT INTO machines (name, mac) SELECT 'pc-' || n, "
            "('5254000000' || lpad(to_hex(n), 2, '0'))::macaddr FROM generate_series(1, %s) n",
            rows,
        )
        found = heard.hints()
        assert len(found) == hints
        assert all(hint["table"] == "machines" for hint in found)
        assert ("id" in found[0]) == (hints > 1)


def test_a_row_is_a_hint_for_each_window_row_that_shows_it(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    [machine] = add_machines(operator, "pc-01")
    image = add_image(database, operator=operator)
    with listening(database) as heard:
        started = start_sessions(operator, image, machine)
        seen = {(hint["table"], hint["id"]) for hint in heard.hints()}
    target = database.value("SELECT id FROM targets")
    assert seen == {
        ("targets", target),
        ("machines", machine),
        ("boot_sessions", started.session_ids[0]),
        ("jobs", started.job_id),
        ("images", image),
    }


def test_a_saved_change_counts_the_version_and_an_observation_does_not(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    [machine] = add_machines(operator, "pc-01")
    image = add_image(database, operator=operator)
    started = start_sessions(operator, image, machine)
    make_targets(database)
    with database.agent.begin() as session:
        seen = Activity(started.session_ids[0], machine, "10.0.2.11", True, 512, 0)
        agent_targets.note_activity(session, [seen])
    versions = "SELECT m.version, s.version FROM machines m, boot_sessions s"
    assert database.value("SELECT online FROM machines")
    [(machine_version, session_version)] = database.rows(versions)
    assert machine_version == 1
    database.rows("UPDATE boot_sessions SET bytes_read = 1024, client_address = '10.0.2.12'")
    assert database.rows(versions) == [(1, session_version)]
    database.rows("UPDATE boot_sessions SET stop_requested = true")
    database.rows("UPDATE machines SET notes = 'new'")
    assert database.rows(versions) == [(2, session_version + 1)]


def test_nobody_chooses_a_version(database: RealDatabase) -> None:
    add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    database.rows("UPDATE machines SET notes = 'x', version = 40")
    assert database.value("SELECT version FROM machines") == 2
