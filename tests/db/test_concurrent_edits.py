# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people at one object: their saves, and what each sees of the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from patience import PATIENCE_S
from real_database import HASH, RealDatabase
from steps import add_image, add_machines

from ggnet_console.db.engine import Database
from ggnet_console.enums import BootMode, ImageType, MachineStatus, Role
from ggnet_console.errors import FieldError, RefusedError, RemovedError, StaleError
from ggnet_console.services import concurrent_edits, images, machines, settings
from ggnet_console.services.images import ImageSpec
from ggnet_console.services.machines import MachineChanges, MachineRow, MachineSpec


@pytest.fixture
def people(database: RealDatabase) -> None:
    for name in ("anna", "ben"):
        database.rows("SELECT user_create(%s, 'OPERATOR', %s)", name, HASH)


@pytest.fixture
def anna(database: RealDatabase, people: None) -> Database:
    return database.open(database.dsn(database.log_in("anna")))


@pytest.fixture
def ben(database: RealDatabase, people: None) -> Database:
    return database.open(database.dsn(database.log_in("ben")))


def read(who: Database, name: str = "pc-01") -> MachineRow:
    with who.begin() as session:
        return machines.get_machine(session, name)


def spec(row: MachineRow, **changes: Any) -> MachineSpec:
    """What a form holds that was opened with ``row`` and in which this was typed."""
    kept = {field.name: getattr(row, field.name) for field in fields(MachineSpec)}
    return MachineSpec(**kept | changes)


def save(who: Database, row: MachineRow, **changes: Any) -> tuple[Any, ...]:
    with who.begin() as session:
        return machines.update_machine(session, row, spec(row, **changes))


def just_now(at: datetime | None) -> bool:
    return at is not None and abs(datetime.now(UTC) - at) < timedelta(minutes=1)


# Edit against edit


def test_two_who_change_different_fields_both_get_what_they_want(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    assert save(ben, row, room="Lab 2", notes="loud") == ()
    kept = save(anna, row, location="Main", status=MachineStatus.MAINTENANCE)
    assert {(each.field, each.theirs, each.who) for each in kept} == {
        ("room", "Lab 2", "ben"),
        ("notes", "loud", "ben"),
    }
    now = read(anna)
    assert (now.room, now.notes, now.location) == ("Lab 2", "loud", "Main")
    assert now.status is MachineStatus.MAINTENANCE


def test_two_who_change_one_field_differently_have_to_come_to_terms(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2", notes="loud")
    with pytest.raises(StaleError) as caught:
        save(anna, row, room="Lab 3", location="Main")
    room, notes = sorted(caught.value.changes, key=lambda each: each.field, reverse=True)
    assert (room.field, room.before, room.theirs, room.mine) == ("room", "", "Lab 2", "Lab 3")
    assert (room.who, room.contested) == ("ben", True)
    assert just_now(room.at)
    assert (notes.field, notes.theirs, notes.mine, notes.contested) == ("notes", "loud", "", False)
    now = read(anna)
    assert caught.value.now == now
    assert (now.room, now.location, now.version) == ("Lab 2", "", row.version + 1)
    assert caught.value.summary.startswith(
        "pc-01 was changed meanwhile and nothing was saved: ben set room to “Lab 2” at "
    )


def test_saving_from_what_is_there_now_succeeds_or_is_stale_again(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2")
    with pytest.raises(StaleError) as first:
        save(anna, row, room="Lab 3")
    save(ben, read(ben), room="Lab 4")
    with pytest.raises(StaleError) as second:
        save(anna, first.value.now, room="Lab 3")
    [change] = second.value.changes
    assert (change.before, change.theirs, change.mine) == ("Lab 2", "Lab 4", "Lab 3")
    save(anna, second.value.now, room="Lab 3")
    assert read(anna).room == "Lab 3"


def test_two_who_want_the_same_have_nothing_to_decide(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2", ip="10.0.2.1")
    save(anna, row, room="Lab 2", ip=" 10.0.2.1 ")
    assert read(anna).version == row.version + 1


def test_what_was_changed_and_changed_back_is_no_change(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2")
    save(ben, read(ben), room="")
    assert save(anna, row, room="Lab 3") == ()
    assert read(anna).room == "Lab 3"


def test_each_field_names_who_changed_it_last(database, anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2", boot_mode=BootMode.BIOS)
    save(anna, read(anna), room="Lab 3")
    operator = database.sign_in(Role.OPERATOR)
    with pytest.raises(StaleError) as caught:
        save(operator, row, room="Lab 4")
    assert {each.field: each.who for each in caught.value.changes} == {
        "room": "anna",
        "boot_mode": "ben",
    }


def test_a_save_that_waits_for_another_sees_what_that_one_wrote(database, anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    with ThreadPoolExecutor(1) as pool, ben.begin() as session:
        machines.update_machine(session, row, spec(row, room="Lab 2"))
        second = pool.submit(save, anna, row, room="Lab 3")
        database.wait_for_lock()
        session.commit()
        with pytest.raises(StaleError, match="ben set room to “Lab 2”"):
            second.result(30)
    assert read(anna).room == "Lab 2"


def test_who_changed_it_is_somebody_when_the_trail_no_longer_says(database, anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2")
    database.rows("DELETE FROM audit")
    with pytest.raises(StaleError, match="somebody set room to “Lab 2” \\(it was “”\\)"):
        save(anna, row, room="Lab 3")


def test_an_image_is_edited_by_two_like_a_machine(database, anna, ben) -> None:
    add_image(database, "win11", anna)
    with anna.begin() as session:
        row = images.get_image(session, "win11")
    with ben.begin() as session:
        images.update_image(session, row, ImageSpec("win12", notes="new"))
    with pytest.raises(StaleError, match="ben set name to “win12”"), anna.begin() as session:
        images.update_image(session, row, ImageSpec("win13"))
    with anna.begin() as session:
        [kept, _] = images.update_image(session, row, ImageSpec("win11", ImageType.DATA))
        now = images.get_image(session, "win12")
    assert (kept.field, kept.theirs, kept.who) == ("name", "win12", "ben")
    assert (now.type, now.notes) == (ImageType.DATA, "new")


def test_an_image_that_only_worked_meanwhile_is_saved_without_a_question(database, anna) -> None:
    image = add_image(database, "win11", anna)
    with anna.begin() as session:
        row = images.get_image(session, "win11")
    database.rows("UPDATE images SET source_name = 'other.vhdx' WHERE id = %s", image)
    with anna.begin() as session:
        assert images.get_image(session, "win11").version > row.version
        assert images.update_image(session, row, ImageSpec("win12")) == ()


def test_a_setting_is_not_overwritten_either(database: RealDatabase) -> None:
    one, other = database.sign_in(Role.ADMIN), database.sign_in(Role.ADMIN)
    with one.begin() as session:
        row = next(r for r in settings.list_settings(session) if r.name == "session_timeout_s")
    with other.begin() as session:
        settings.update_setting(session, row, settings.SettingSpec(60))
    with pytest.raises(StaleError) as caught, one.begin() as session:
        settings.update_setting(session, row, settings.SettingSpec(90))
    [change] = caught.value.changes
    assert (change.field, change.before, change.theirs, change.mine) == ("value", 600, 60, 90)
    with one.begin() as session:
        settings.update_setting(session, caught.value.now, settings.SettingSpec(90))
        assert settings.get_setting(session, "session_timeout_s") == 90


# Edit against delete


def test_saving_what_somebody_removed_says_who_and_when(anna, ben) -> None:
    [machine] = add_machines(anna, "pc-01")
    row = read(anna)
    with ben.begin() as session:
        machines.delete_machines(session, [machine])
    with pytest.raises(RemovedError, match="pc-01 was removed by ben at ") as caught:
        save(anna, row, room="Lab 3")
    assert (caught.value.name, caught.value.who) == ("pc-01", "ben")
    assert just_now(caught.value.at)
    with anna.begin() as session:
        machines.create_machine(session, spec(row, room="Lab 3"))
    assert read(anna).room == "Lab 3"


def test_an_image_that_was_removed_names_whoever_did_it(database, anna) -> None:
    add_image(database, "win11", anna)
    with anna.begin() as session:
        row = images.get_image(session, "win11")
    with pytest.raises(RemovedError, match="win11 was removed by somebody\\."), anna.begin() as s:
        images.update_image(s, replace(row, id=row.id + 1000), ImageSpec("x"))


# Many at once


def test_a_change_of_many_does_the_rest_and_reports_what_changed_meanwhile(anna, ben) -> None:
    ids = add_machines(anna, "pc-01", "pc-02", "pc-03", "pc-04")
    with anna.begin() as session:
        rows = machines.list_machines(session, ids)
    save(ben, rows[1], room="Lab 9")
    with ben.begin() as session:
        machines.delete_machines(session, [ids[2]])
    wanted = MachineChanges(status=MachineStatus.MAINTENANCE, room="Lab 2")
    with anna.begin() as session:
        changed, gone = machines.change_machines(session, rows, wanted)
        now = machines.list_machines(session)
    assert (changed.name, changed.now, changed.removed) == ("pc-02", now[1], None)
    assert [(c.field, c.theirs, c.who) for c in changed.changes] == [("room", "Lab 9", "ben")]
    assert (gone.name, gone.now) == ("pc-03", None)
    assert "pc-03 was removed by ben" in str(gone.removed)
    assert [(row.name, row.room) for row in now] == [
        ("pc-01", "Lab 2"),
        ("pc-02", "Lab 9"),
        ("pc-04", "Lab 2"),
    ]
    assert [row.status for row in now] == [
        MachineStatus.MAINTENANCE,
        MachineStatus.ACTIVE,
        MachineStatus.MAINTENANCE,
    ]
    with anna.begin() as session:
        assert machines.change_machines(session, [changed.now], wanted) == []
    assert read(anna, "pc-02").room == "Lab 2"


def test_a_change_of_many_sets_only_what_was_asked(anna) -> None:
    ids = add_machines(anna, "pc-01", "pc-02")
    with anna.begin() as session:
        rows = machines.list_machines(session, ids)
        machines.change_machines(session, rows, MachineChanges(room="Lab 2", location="Main"))
        rows = machines.list_machines(session, ids)
        machines.change_machines(
            session, rows, MachineChanges(room="", boot_mode=BootMode.UEFI_SECURE)
        )
        now = machines.list_machines(session, ids)
    assert {(r.room, r.location, r.boot_mode, r.status) for r in now} == {
        ("", "Main", BootMode.UEFI_SECURE, MachineStatus.ACTIVE)
    }


def test_a_machine_that_is_as_it_was_after_all_is_changed_with_the_others(anna, ben) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    save(ben, row, room="Lab 2")
    save(ben, read(ben), room="")
    with anna.begin() as session:
        assert machines.change_machines(session, [row], MachineChanges(room="Lab 3")) == []
    assert read(anna).room == "Lab 3"


def test_two_who_change_the_same_room_in_opposite_order_do_not_deadlock(anna, ben) -> None:
    ids = add_machines(anna, *(f"pc-{n:02d}" for n in range(30)))
    with anna.begin() as session:
        rows = machines.list_machines(session, ids)

    def change(who: Database, rows: list[MachineRow], room: str) -> int:
        with who.begin() as session:
            return len(machines.change_machines(session, rows, MachineChanges(room=room)))

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            left = [
                pool.submit(change, anna, rows, "Lab 1"),
                pool.submit(change, ben, rows[::-1], "Lab 2"),
            ]
            assert sorted(each.result(30) for each in left) == [0, 30]
            with anna.begin() as session:
                rows = machines.list_machines(session, ids)
            assert len({row.room for row in rows}) == 1
            with anna.begin() as session:
                machines.change_machines(session, rows, MachineChanges(room=""))
                rows = machines.list_machines(session, ids)


def test_a_wrong_text_for_many_is_said_at_its_field_and_a_viewer_is_refused(database, anna) -> None:
    add_machines(anna, "pc-01")
    row = read(anna)
    with pytest.raises(FieldError) as caught, anna.begin() as session:
        machines.change_machines(session, [row], MachineChanges(room="a\0b"))
    assert caught.value.field == "room"
    with pytest.raises(RefusedError), database.sign_in(Role.VIEWER).begin() as session:
        machines.change_machines(session, [row], MachineChanges(room="x"))


# Who has it open


def opened(who: Database) -> list[tuple[str, int, str, bool]]:
    with who.begin() as session:
        rows = concurrent_edits.list_open(session)
    assert all(just_now(row.since) for row in rows)
    return [(row.noun, row.object_id, row.user_name, row.yours) for row in rows]


def open_it(who: Database, noun: concurrent_edits.Noun, object_id: int) -> None:
    with who.begin() as session:
        concurrent_edits.open_object(session, noun, object_id)


def test_others_see_who_has_an_object_open_until_it_is_closed(database, anna, ben) -> None:
    one, two = add_machines(anna, "pc-01", "pc-02")
    image = add_image(database, "win11", anna)
    open_it(anna, "machine", one)
    open_it(anna, "image", image)
    assert opened(ben) == [("machine", one, "anna", False), ("image", image, "anna", False)]
    assert opened(database.sign_in(Role.VIEWER)) == opened(ben)
    assert opened(anna) == []
    open_it(ben, "machine", two)
    with anna.begin() as session:
        concurrent_edits.close_object(session, "machine", one)
        concurrent_edits.close_object(session, "machine", two)
        [row] = concurrent_edits.list_open(session)
        assert (row.object_id, concurrent_edits.list_open(session, [row.id + 1])) == (two, [])


def test_another_window_of_the_same_person_is_theirs(database, anna) -> None:
    [machine] = add_machines(anna, "pc-01")
    open_it(database.open(database.dsn(database.log_in("anna"))), "machine", machine)
    assert opened(anna) == [("machine", machine, "anna", True)]


def test_opening_again_counts_from_then_and_only_once(database, anna, ben) -> None:
    [machine] = add_machines(anna, "pc-01")
    open_it(anna, "machine", machine)
    database.rows("UPDATE open_objects SET since = since - interval '1 hour'")
    open_it(anna, "machine", machine)
    assert opened(ben) == [("machine", machine, "anna", False)]


def test_a_window_that_is_no_longer_connected_does_not_count(database, anna, ben) -> None:
    [machine] = add_machines(anna, "pc-01")
    open_it(anna, "machine", machine)
    role = database.value("SELECT role_name FROM open_objects")
    anna.close()
    database.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", role
    )
    assert opened(ben) == []
    # It is back after a moment without network, and its form is still open.
    with anna.begin() as session:
        concurrent_edits.list_open(session)
        assert opened(ben) == [("machine", machine, "anna", False)]


def test_a_sign_in_that_ended_or_expired_does_not_count_and_is_cleared_away(
    database, anna, ben
) -> None:
    one, two = add_machines(anna, "pc-01", "pc-02")
    open_it(anna, "machine", one)
    for column in ("expires_at", "ended_at"):
        database.rows(
            f"UPDATE sign_ins SET {column} = now() - interval '1 s' FROM users "
            "WHERE users.id = user_id AND users.name = 'anna'"
        )
        assert opened(ben) == []
    open_it(ben, "machine", two)
    assert database.value("SELECT object_id FROM open_objects") == two


def test_what_does_not_exist_cannot_be_open(database, anna, ben) -> None:
    [machine] = add_machines(anna, "pc-01")
    open_it(anna, "machine", machine + 1000)
    open_it(anna, "user", 1)  # type: ignore[arg-type]
    assert opened(ben) == []
    open_it(database.owner, "machine", machine)
    assert opened(ben) == []


def test_opening_and_closing_wakes_the_other_windows(database, anna, ben) -> None:
    [machine] = add_machines(anna, "pc-01")
    with psycopg.connect(database.dsn(database.log_in("ben")), autocommit=True) as listener:
        listener.execute("LISTEN ggnet")
        open_it(anna, "machine", machine)
        with anna.begin() as session:
            concurrent_edits.close_object(session, "machine", machine)
        hints = [hint.payload for hint in listener.notifies(timeout=PATIENCE_S, stop_after=2)]
    assert all('"table" : "open_objects"' in hint for hint in hints)
    assert len(hints) == 2


def test_the_last_changes_of_an_object_are_no_way_into_the_trail(database, anna) -> None:
    user = database.value("SELECT id FROM users WHERE name = 'ben'")
    database.rows("UPDATE users SET disabled = true WHERE name = 'ben'")
    [machine] = add_machines(anna, "pc-01")
    save(anna, read(anna), room="Lab 2")
    with psycopg.connect(database.dsn(database.log_in("anna"))) as connection:
        ask = "SELECT field, user_name FROM last_changes(%s, %s)"
        assert connection.execute(ask, ["user", user]).fetchall() == []
        assert connection.execute(ask, ["machine", machine]).fetchall() == [("room", "anna")]
    with pytest.raises(RefusedError), database.sign_in(Role.VIEWER).begin() as session:
        concurrent_edits.changes_since(session, "machine", read(anna), None, {})
