# SPDX-License-Identifier: GPL-3.0-or-later
"""What admins are told of sign-ins that fail: whose, how often, and until when they are refused."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest
from patience import PATIENCE_S
from real_database import RealDatabase
from steps import pass_seconds, set_setting

from ggnet_console.db.cluster import CONSOLE_ROLE
from ggnet_console.db.engine import Database
from ggnet_console.enums import Role
from ggnet_console.errors import RefusedError, SignInError
from ggnet_console.services import users
from ggnet_console.services.users import FailedSignIns


@pytest.fixture
def admin(database: RealDatabase) -> Database:
    return database.sign_in(Role.ADMIN)


def fail(database: RealDatabase, name: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SignInError):
            database.log_in(name, "wrong password")


def failed(admin: Database, name: str = "viewer") -> tuple[FailedSignIns, ...]:
    with admin.begin() as session:
        return next(row.failed for row in users.list_users(session) if row.name == name)


def unlock(admin: Database, name: str = "viewer") -> None:
    with admin.begin() as session:
        users.set_locked(session, users.get_user(session, name).id, locked=False)


def test_failures_are_counted_for_the_account_and_nobody_else(
    database: RealDatabase, admin: Database
) -> None:
    fail(database, "VIEWER", 2)
    fail(database, "nobody", 3)
    [found] = failed(admin)
    assert (found.number, found.refused, found.client_address) == (2, False, None)
    assert found.last_at is not None
    assert "@" in found.workstation
    assert failed(admin, "operator") == ()


def test_it_makes_no_difference_that_they_have_entered_the_trail(
    database: RealDatabase, admin: Database
) -> None:
    fail(database, "viewer", 2)
    before = failed(admin)
    database.log_in("operator")
    assert database.value("SELECT count(*) FROM attempts.failed") == 0
    assert failed(admin) == before


def test_a_lock_out_is_told_with_its_end_until_it_is_unlocked(
    database: RealDatabase, admin: Database
) -> None:
    fail(database, "viewer", 5)
    [found] = failed(admin)
    assert found.refused
    assert found.until is not None
    assert found.last_at is not None
    assert abs(found.until - found.last_at - timedelta(minutes=15)) < timedelta(seconds=5)
    with pytest.raises(SignInError, match="Too many"):
        database.log_in("viewer")
    unlock(admin)
    assert failed(admin) == ()
    database.log_in("viewer")


def test_a_lock_out_without_an_end_has_none(database: RealDatabase, admin: Database) -> None:
    with admin.begin() as session:
        set_setting(session, "lock_out_s", 0)
    fail(database, "viewer", 5)
    [found] = failed(admin)
    assert (found.refused, found.until) == (True, None)


def test_a_lock_out_by_guesses_that_were_rolled_back_is_told(
    database: RealDatabase, admin: Database
) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        for _ in range(5):
            connection.execute("SELECT login('viewer', 'x', '', '')")
            connection.rollback()
    [found] = failed(admin)
    assert (found.number, found.refused, found.last_at) == (0, True, None)


def test_a_lock_out_that_is_over_is_not_told(database: RealDatabase, admin: Database) -> None:
    fail(database, "viewer", 5)
    pass_seconds(database, 901)
    assert [each.refused for each in failed(admin)] == [False]


def test_a_right_sign_in_from_the_same_place_ends_the_tale(
    database: RealDatabase, admin: Database
) -> None:
    fail(database, "viewer", 4)
    database.log_in("viewer")
    assert failed(admin) == ()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nobody_but_admins_is_told(database: RealDatabase, role: Role) -> None:
    with pytest.raises(RefusedError), database.sign_in(role).begin() as session:
        session.connection().exec_driver_sql("SELECT * FROM failed_sign_ins()")


def test_windows_are_told_to_look_again_and_nothing_else(
    database: RealDatabase, admin: Database
) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name), autocommit=True) as ear:
        ear.execute("LISTEN ggnet")
        fail(database, "viewer", 1)
        [hint] = ear.notifies(timeout=PATIENCE_S, stop_after=1)
    assert json.loads(hint.payload) == {"table": "failed_sign_ins", "id": 1, "version": None}
