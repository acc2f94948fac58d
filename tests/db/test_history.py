# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of one object: for everybody who sees the object, and no more than that."""

from __future__ import annotations

import pytest
from real_database import RealDatabase
from steps import add_image, add_machines, set_status, start_sessions

from ggnet_console.enums import MachineStatus, Role
from ggnet_console.services import audit, users

pytestmark = pytest.mark.furnished


def verbs(database: RealDatabase, role: Role, noun: str, object_id: int) -> list[str]:
    """What ``role`` is told of an object, newest first."""
    with database.sign_in(role).begin() as session:
        return [row.verb for row in audit.object_history(session, noun, str(object_id))]


@pytest.mark.parametrize("role", list(Role))
def test_everybody_reads_the_history_of_what_everybody_sees(
    database: RealDatabase, role: Role
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    first, second = add_machines(operator, "pc-01", "pc-02")
    image = add_image(database, operator=operator)
    started = start_sessions(operator, image, first)
    with operator.begin() as session:
        set_status(session, [second], MachineStatus.RETIRED)
    assert verbs(database, role, "machine", second) == ["update", "insert"]
    assert verbs(database, role, "machine", first) == ["insert"]
    assert verbs(database, role, "session", started.session_ids[0]) == ["insert"]
    assert verbs(database, role, "image", image)[-1] == "insert"
    assert verbs(database, role, "job", started.job_id)[-1] == "insert"
    target = database.value("SELECT id FROM targets")
    assert verbs(database, role, "target", target) == ["insert"]
    version = database.value("SELECT id FROM image_versions")
    assert verbs(database, role, "image version", version) == ["insert"]
    assert verbs(database, role, "host", database.host_id) == ["insert"]


def test_an_entry_says_who_what_and_when_but_not_from_where(database: RealDatabase) -> None:
    [machine] = add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    database.rows("SET session_replication_role = replica; UPDATE audit SET client_address = '::1'")
    with database.sign_in(Role.VIEWER).begin() as session:
        [row] = audit.object_history(session, "machine", str(machine))
    with database.sign_in(Role.ADMIN).begin() as session:
        [whole] = audit.list_audit(session, audit.AuditFilter(noun="machine"))
    assert (row.client_address, whole.client_address) == (None, "::1")
    assert (row.id, row.at, row.severity, row.user_id, row.user_name, row.object_name) == (
        whole.id,
        whole.at,
        whole.severity,
        whole.user_id,
        "operator",
        "pc-01",
    )
    assert row.changes == whole.changes


def test_whatever_secret_may_ever_stand_in_the_trail_is_left_out(database: RealDatabase) -> None:
    [machine] = add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    database.rows(
        "SET session_replication_role = replica; UPDATE audit SET changes = "
        """'{"chap_secret": ["old one", "new one"], "room": ["", "Lab 2"]}' """
        f"WHERE noun = 'machine' AND object_id = '{machine}'"
    )
    with database.sign_in(Role.VIEWER).begin() as session:
        [row] = audit.object_history(session, "machine", str(machine))
    assert row.changes == {"chap_secret": ["(hidden)", "(hidden)"], "room": ["", "Lab 2"]}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize("noun", ["user", "sign-in", "audit", ""])
def test_it_is_no_way_into_the_rest_of_the_trail(
    database: RealDatabase, role: Role, noun: str
) -> None:
    user = database.value("SELECT id FROM users WHERE name = 'viewer'")
    assert verbs(database, role, noun, user) == []


def test_admins_also_read_the_history_of_an_account(database: RealDatabase) -> None:
    user = database.value("SELECT id FROM users WHERE name = 'viewer'")
    database.rows(
        "UPDATE users SET password_hash = %s, must_change_password = true WHERE id = %s",
        users.hash_password("another one", 4),
        user,
    )
    assert verbs(database, Role.ADMIN, "user", user) == ["update", "insert"]
    with database.sign_in(Role.ADMIN).begin() as session:
        changes = audit.object_history(session, "user", str(user))[0].changes
    assert changes == {
        "password_hash": ["(hidden)", "(hidden)"],
        "must_change_password": [False, True],
    }


def test_only_the_newest_entries_are_answered(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    [machine] = add_machines(operator, "pc-01")
    for number in range(5):
        database.rows("UPDATE machines SET notes = %s", str(number))
    with operator.begin() as session:
        rows = audit.object_history(session, "machine", str(machine), 3)
        assert [row.changes["notes"][1] for row in rows] == ["4", "3", "2"]
        assert audit.object_history(session, "machine", str(machine), -1) == []
