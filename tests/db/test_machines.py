# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines: added, changed, found and removed by operators."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from real_database import RealDatabase
from steps import add_image, add_machines, begin_upload, set_status, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import BootMode, MachineStatus, Role, SessionStatus
from ggnet_console.errors import ConsoleError, FieldError, NotFoundError, RefusedError
from ggnet_console.services import boot_sessions, machines, targets
from ggnet_console.services.machines import MachineRow, MachineSpec

pytestmark = pytest.mark.furnished

SPEC = MachineSpec(
    "pc-01",
    "52-54-00-AB-CD-EF",
    " 10.0.2.11 ",
    BootMode.UEFI_SECURE,
    MachineStatus.MAINTENANCE,
    "Building 2",
    "Lab 1",
    "IT-0815",
    "Fan is loud",
)


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


def create(operator: Database, spec: MachineSpec) -> MachineRow:
    with operator.begin() as session:
        machine_id = machines.create_machine(session, spec)
        [row] = machines.list_machines(session, [machine_id])
        return row


def test_a_machine_is_stored_as_it_was_asked_for(operator: Database) -> None:
    row = create(operator, SPEC)
    assert (row.name, row.mac, row.ip) == ("pc-01", "52:54:00:ab:cd:ef", "10.0.2.11")
    assert (row.boot_mode, row.status) == (BootMode.UEFI_SECURE, MachineStatus.MAINTENANCE)
    assert (row.location, row.room, row.asset_tag) == ("Building 2", "Lab 1", "IT-0815")
    assert row.notes == "Fan is loud"
    assert (row.online, row.last_seen_at, row.session_id, row.image) == (False, None, None, None)
    assert row.version == 1
    assert row.created_at.utcoffset() is not None


def test_an_ipv6_address_is_kept_in_its_usual_form(operator: Database) -> None:
    assert create(operator, MachineSpec("pc-01", "525400000001", "FD00:0::0011")).ip == "fd00::11"


def test_machines_without_an_address_do_not_collide(operator: Database) -> None:
    assert create(operator, MachineSpec("pc-01", "525400000001", "")).ip is None
    assert create(operator, MachineSpec("pc-02", "525400000002", "")).ip is None


@pytest.mark.parametrize(
    ("spec", "field", "sentence"),
    [
        (MachineSpec("PC-01", "525400000002"), "name", "already belongs to the machine pc-01"),
        (MachineSpec("pc-02", "5254.00ab.cdef"), "mac", "already belongs to the machine pc-01"),
        (
            MachineSpec("pc-02", "525400000002", "10.0.2.11"),
            "ip",
            "The IP address 10.0.2.11 already belongs to the machine pc-01",
        ),
    ],
)
def test_a_duplicate_is_said_at_its_field_and_names_the_other_machine(
    operator: Database, spec: MachineSpec, field: str, sentence: str
) -> None:
    create(operator, SPEC)
    with pytest.raises(FieldError, match=sentence) as caught, operator.begin() as session:
        machines.create_machine(session, spec)
    assert caught.value.field == field
    other = create(operator, MachineSpec("other", "525400000009"))
    with pytest.raises(FieldError, match=sentence), operator.begin() as session:
        machines.update_machine(session, other, spec)


def test_a_duplicate_made_at_the_same_moment_is_a_sentence_too(
    database: RealDatabase, operator: Database
) -> None:
    with psycopg.connect(database.dsn(database.log_in("operator"))) as other:
        other.execute("INSERT INTO machines (name, mac) VALUES ('PC-01', '525400000009')")
        with ThreadPoolExecutor(1) as pool:
            # It does not see the other's machine yet, and waits at the unique index.
            second = pool.submit(create, operator, MachineSpec("pc-01", "525400000001"))
            database.wait_for_lock()
            other.commit()
            with pytest.raises(FieldError, match="already has this name") as caught:
                second.result(30)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (MachineSpec("", "525400000001"), "name"),
        (MachineSpec("a" * 65, "525400000001"), "name"),
        (MachineSpec("a\tb", "525400000001"), "name"),
        (MachineSpec("pc-01", "52540000000"), "mac"),
        (MachineSpec("pc-01", "01:00:5e:00:00:01"), "mac"),
        (MachineSpec("pc-01", "525400000001", "10.0.2.256"), "ip"),
        (MachineSpec("pc-01", "525400000001", notes="a\0b"), "notes"),
        (MachineSpec("pc-01", "525400000001", room="\0"), "room"),
    ],
)
def test_a_wrong_value_is_said_at_its_field(
    operator: Database, spec: MachineSpec, field: str
) -> None:
    with pytest.raises(FieldError) as caught, operator.begin() as session:
        machines.create_machine(session, spec)
    assert caught.value.field == field


def test_the_database_itself_refuses_a_name_with_a_line_feed(database: RealDatabase) -> None:
    with (
        pytest.raises(FieldError, match="1 to 64 characters"),
        database.sign_in(Role.OPERATOR).begin() as session,
    ):
        session.connection().exec_driver_sql(
            "INSERT INTO machines (name, mac) VALUES (E'a\\nb', '525400000001')"
        )


def test_texts_of_any_letters_come_back_as_they_were(operator: Database) -> None:
    notes = "Žluťoučký 'kůň' \\n \"; DROP TABLE machines; -- %s {} 机器 😀"
    assert create(operator, MachineSpec("机器 😀", "525400000001", notes=notes)).notes == notes


def test_saving_changes_the_machine_and_counts_its_version(operator: Database) -> None:
    row = create(operator, SPEC)
    with operator.begin() as session:
        machines.update_machine(session, row, MachineSpec("pc-1", row.mac))
        [saved] = machines.list_machines(session, [row.id])
    assert (saved.name, saved.ip, saved.notes, saved.version) == ("pc-1", None, "", 2)


def test_saving_what_is_there_already_changes_nothing(operator: Database) -> None:
    row = create(operator, SPEC)
    with operator.begin() as session:
        assert machines.update_machine(session, row, SPEC) == ()
        assert machines.get_machine(session, "pc-01").version == 1


def test_machines_are_found_whatever_the_case_and_listed_by_name(operator: Database) -> None:
    add_machines(operator, "b", "A", "c")
    with operator.begin() as session:
        assert machines.get_machine(session, "B").name == "b"
        assert [row.name for row in machines.list_machines(session)] == ["A", "b", "c"]
        assert [row.name for row in machines.get_machines(session, ["c", "a"])] == ["c", "A"]
        assert machines.list_machines(session, []) == []
    with pytest.raises(NotFoundError, match="no machine “x”"), operator.begin() as session:
        machines.get_machines(session, ["a", "x", "y"])


def test_a_machine_shows_its_newest_session_and_its_image(
    database: RealDatabase, operator: Database
) -> None:
    [machine, prepared] = add_machines(operator, "pc-01", "pc-02")
    image = add_image(database, "win11", operator)
    started = start_sessions(operator, image, machine)
    with operator.begin() as session:
        targets.create_target(session, prepared, image)
        first, second = machines.list_machines(session)
    assert (first.session_id, first.session_status) == (
        started.session_ids[0],
        SessionStatus.PENDING,
    )
    assert (first.image, second.image, second.session_id) == ("win11", "win11", None)


def test_a_machine_with_a_target_is_not_removed_and_neither_are_the_others(
    database: RealDatabase, operator: Database
) -> None:
    ids = add_machines(operator, "pc-01", "pc-02")
    start_sessions(operator, add_image(database, operator=operator), ids[0])
    with pytest.raises(ConsoleError, match="has a target"), operator.begin() as session:
        machines.delete_machines(session, ids)
    with operator.begin() as session:
        assert len(machines.list_machines(session)) == 2


def test_a_machine_takes_its_ended_sessions_along(
    database: RealDatabase, operator: Database
) -> None:
    [machine] = add_machines(operator, "pc-01")
    start_sessions(operator, add_image(database, operator=operator), machine)
    database.rows("UPDATE boot_sessions SET status = 'STOPPED', ended_at = clock_timestamp()")
    database.rows("DELETE FROM targets")
    with operator.begin() as session:
        assert machines.delete_machines(session, [machine]) == 1
        assert boot_sessions.list_boot_sessions(session) == []


def test_a_mac_that_names_a_target_stays_until_the_target_is_gone(
    database: RealDatabase, operator: Database
) -> None:
    [machine] = add_machines(operator, "pc-01")
    with operator.begin() as session:
        targets.create_target(session, machine, add_image(database, operator=operator))
    with (
        pytest.raises(ConsoleError, match="pc-01 has a target named after its MAC"),
        operator.begin() as session,
    ):
        machines.update_machine(
            session, machines.get_machine(session, "pc-01"), MachineSpec("pc-01", "525400aaaaaa")
        )
    with operator.begin() as session:
        row = machines.get_machine(session, "pc-01")
        machines.update_machine(session, row, MachineSpec("pc-02", row.mac))
    database.rows("DELETE FROM targets")
    with operator.begin() as session:
        machines.update_machine(
            session, machines.get_machine(session, "pc-02"), MachineSpec("pc-02", "525400aaaaaa")
        )


def test_a_viewer_sees_and_changes_nothing(database: RealDatabase, operator: Database) -> None:
    [machine] = add_machines(operator, "pc-01")
    viewer = database.sign_in(Role.VIEWER)
    with viewer.begin() as session:
        assert [row.name for row in machines.list_machines(session)] == ["pc-01"]
    with pytest.raises(RefusedError, match="Your role does not allow this"):
        create(viewer, MachineSpec("pc-02", "525400aaaaaa"))
    with pytest.raises(RefusedError), viewer.begin() as session:
        set_status(session, [machine], MachineStatus.RETIRED)
    with pytest.raises(RefusedError), viewer.begin() as session:
        machines.delete_machines(session, [machine])
    with pytest.raises(RefusedError):
        begin_upload(viewer)
