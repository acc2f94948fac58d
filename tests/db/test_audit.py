# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: who did what to what, before and after, and for which job."""

from __future__ import annotations

import psycopg
import pytest
from real_database import HASH, HOST, RealDatabase
from steps import (
    SHA256,
    add_image,
    add_machines,
    begin_upload,
    make_targets,
    set_setting,
    set_status,
    start_sessions,
)

from ggnet_console.db.cluster import SUPERUSER, agent_role
from ggnet_console.enums import MachineStatus, Role
from ggnet_console.errors import RefusedError
from ggnet_console.services import agent_jobs, agent_targets, images, machines, users
from ggnet_console.services.agent_targets import Activity


def entries(database: RealDatabase, noun: str) -> list[tuple]:
    """(who, verb, object's name, changes, severity) of a noun, oldest first."""
    return database.rows(
        "SELECT user_name, verb, object_name, changes, severity::text FROM audit "
        "WHERE noun = %s ORDER BY id",
        noun,
    )


def test_adding_changing_and_removing_a_machine_say_who_what_before_and_after(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    [machine] = add_machines(operator, "pc-01")
    with operator.begin() as session:
        set_status(session, [machine], MachineStatus.RETIRED)
        machines.delete_machines(session, [machine])
    added, changed, removed = entries(database, "machine")
    assert added[:3] == ("operator", "insert", "pc-01")
    assert added[3]["name"] == [None, "pc-01"]
    assert added[4] == "INFO"
    assert changed == ("operator", "update", "pc-01", {"status": ["ACTIVE", "RETIRED"]}, "INFO")
    assert removed[:3] == ("operator", "delete", "pc-01")
    assert removed[3]["status"] == ["RETIRED", None]
    assert removed[4] == "WARNING"
    [who] = database.rows(
        "SELECT DISTINCT user_id, object_id, program FROM audit WHERE noun = 'machine'"
    )
    user = database.value("SELECT id FROM users WHERE name = 'operator'")
    assert who == (user, str(machine), "tests")


def test_a_sealed_version_is_in_the_trail_with_its_hash_and_job(database: RealDatabase) -> None:
    """Every later verification trusts that hash."""
    image = add_image(database)
    [(who, verb, _name, changes, _severity)] = entries(database, "image version")
    assert (who, verb) == (agent_role(HOST), "insert")
    assert changes["sha256"] == [None, SHA256]
    assert changes["image_id"] == [None, image]
    job = database.value("SELECT job_id FROM audit WHERE noun = 'image version'")
    assert job == database.value("SELECT id FROM jobs")
    database.rows("UPDATE image_versions SET sha256 = 'another'")
    assert entries(database, "image version")[-1][3] == {"sha256": [SHA256, "another"]}


def test_the_time_is_the_database_s(database: RealDatabase) -> None:
    before = database.value("SELECT clock_timestamp()")
    add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    at = database.value("SELECT at FROM audit WHERE noun = 'machine'")
    assert before < at < database.value("SELECT clock_timestamp()")


def test_saving_without_a_change_leaves_no_entry(database: RealDatabase) -> None:
    add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    database.rows("UPDATE machines SET notes = notes")
    assert [entry[1] for entry in entries(database, "machine")] == ["insert"]


def test_one_statement_over_many_rows_leaves_an_entry_for_each(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    ids = add_machines(operator, "pc-01", "pc-02", "pc-03")
    with operator.begin() as session:
        set_status(session, ids, MachineStatus.MAINTENANCE)
    changed = [entry for entry in entries(database, "machine") if entry[1] == "update"]
    assert sorted(entry[2] for entry in changed) == ["pc-01", "pc-02", "pc-03"]


def test_what_was_rolled_back_leaves_no_entry(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    with pytest.raises(ZeroDivisionError), operator.begin() as session:
        machines.create_machine(session, machines.MachineSpec("pc-01", "525400000001"))
        raise ZeroDivisionError
    assert entries(database, "machine") == []


def test_a_new_account_and_a_new_password_show_no_hash(database: RealDatabase) -> None:
    admin = database.sign_in(Role.ADMIN)
    with admin.begin() as session:
        user = users.add_hashed_user(session, "ada", Role.VIEWER, HASH)
    database.rows("UPDATE users SET password_hash = 'another' WHERE id = %s", user)
    added, changed = [entry for entry in entries(database, "user") if entry[2] == "ada"]
    assert added[0] == "admin"
    assert "password_hash" not in added[3]
    assert changed[3] == {"password_hash": ["(hidden)", "(hidden)"]}
    assert {added[4], changed[4]} == {"WARNING"}
    database.rows("DELETE FROM users WHERE id = %s", user)
    trail = str(database.rows("SELECT changes FROM audit"))
    assert "$2a$" not in trail
    assert "another" not in trail


def test_signing_in_is_no_change_of_the_account(database: RealDatabase) -> None:
    count = len(entries(database, "user"))
    database.log_in("viewer")
    assert database.value("SELECT last_sign_in_at IS NOT NULL FROM users WHERE name = 'viewer'")
    assert len(entries(database, "user")) == count


def test_a_changed_setting_is_a_warning(database: RealDatabase) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, "session_timeout_s", 60)
    [entry] = [entry for entry in entries(database, "setting") if entry[1] == "update"]
    assert entry == ("admin", "update", "session_timeout_s", {"value": [600, 60]}, "WARNING")


def test_what_a_definer_function_does_is_the_caller_s_deed(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    begin_upload(operator)
    assert {entry[0] for entry in entries(database, "image") + entries(database, "job")} == {
        "operator"
    }


def test_progress_and_traffic_leave_no_entries(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    [machine] = add_machines(operator, "pc-01")
    started = start_sessions(operator, add_image(database, operator=operator), machine)
    make_targets(database)
    seen = Activity(started.session_ids[0], machine, "10.0.2.11", True, 1, 0)
    with database.agent.begin() as session:
        agent_targets.note_activity(session, [seen])
        agent_jobs.take_up(session, started.job_id)
    count = database.value("SELECT count(*) FROM audit")
    with database.agent.begin() as session:
        agent_jobs.note_progress(session, started.job_id, "Making", 50.0, 1, 2, 3, 4)
        agent_targets.note_activity(session, [seen])
    assert database.value("SELECT percent FROM jobs WHERE id = %s", started.job_id) == 50
    assert database.value("SELECT count(*) FROM audit") == count


def test_what_the_agent_does_for_a_job_carries_the_job(database: RealDatabase) -> None:
    image = add_image(database)
    job = database.value("SELECT id FROM jobs WHERE image_id = %s", image)
    found = database.rows(
        "SELECT user_name, user_id, job_id FROM audit WHERE changes ->> 'status' LIKE '%READY%'"
    )
    assert found == [(agent_role("testhost"), None, job)]
    with database.agent.begin() as session:
        agent_jobs.note_damaged(session, image, "The file is damaged.")
    last = database.rows("SELECT verb, job_id FROM audit ORDER BY id DESC LIMIT 1")
    assert last == [("update", None)]


def test_nobody_but_an_agent_can_claim_a_job(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    with operator.begin() as session:
        agent_jobs.for_job(session, 4711)
        machines.create_machine(session, machines.MachineSpec("pc-01", "525400000001"))
    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as owner:
        owner.execute("SET ggnet.job_id = '4711'")
        owner.execute("UPDATE machines SET notes = 'x'")
    claimed = database.rows(
        "SELECT user_name, job_id FROM audit WHERE noun = 'machine' ORDER BY id"
    )
    assert claimed == [("operator", None), (database.rows("SELECT user")[0][0], None)]


def test_the_trail_is_read_by_admins_and_changed_by_nobody(database: RealDatabase) -> None:
    for role in (Role.VIEWER, Role.OPERATOR):
        with pytest.raises(RefusedError), database.sign_in(role).begin() as session:
            session.connection().exec_driver_sql("SELECT FROM audit")
    admin = database.sign_in(Role.ADMIN)
    with admin.begin() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM audit").scalar()
    for statement in (
        "INSERT INTO audit (user_name, verb, noun, changes) VALUES ('x', 'x', 'x', '{}')",
        "UPDATE audit SET user_name = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ):
        for who in (admin, database.agent):
            with pytest.raises(RefusedError), who.begin() as session:
                session.connection().exec_driver_sql(statement)


def test_renaming_an_image_is_told_with_both_names(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    add_image(database, operator=operator)
    with operator.begin() as session:
        row = images.get_image(session, "win11")
        images.update_image(session, row, images.ImageSpec("win12"))
    last = entries(database, "image")[-1]
    assert last == ("operator", "update", "win12", {"name": ["win11", "win12"]}, "INFO")
