# SPDX-License-Identifier: GPL-3.0-or-later
"""What admins do with users and sign-ins, and everybody with their own password."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from real_database import HASH, PASSWORD, RealDatabase
from steps import add_machines

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.db.engine import Database
from ggnet_console.enums import Role
from ggnet_console.errors import (
    ConsoleError,
    FieldError,
    NotFoundError,
    RefusedError,
    SignInError,
)
from ggnet_console.services import machines, users

NEW = "another password"


def user_id(database: RealDatabase, name: str) -> int:
    """The user's id."""
    return database.value("SELECT id FROM users WHERE name = %s", name)


def connect(database: RealDatabase, name: str) -> psycopg.Connection:
    """An autocommit connection as ``name`` that has stepped into its group's role."""
    connection = psycopg.connect(database.dsn(database.log_in(name)), autocommit=True)
    connection.execute(f'SET ROLE "{database.group(name)}"')
    return connection


@pytest.fixture
def admin(database: RealDatabase) -> Database:
    """Signed in as the admin."""
    return database.sign_in(Role.ADMIN)


ENDING = {
    "locked": lambda session, user: users.set_locked(session, user, locked=True),
    "disabled": lambda session, user: users.set_disabled(session, user, disabled=True),
    "reset": lambda session, user: users.reset_password(session, user, PASSWORD),
    "revoked": users.revoke_sign_ins,
    "demoted": lambda session, user: users.set_role(session, user, Role.VIEWER),
}


@pytest.mark.parametrize("how", ENDING)
def test_rights_that_are_taken_away_are_gone_at_once(
    database: RealDatabase, admin: Database, how: str
) -> None:
    with connect(database, "operator") as taken:
        pid = taken.info.backend_pid
        with admin.begin() as session:
            ENDING[how](session, user_id(database, "operator"))
        database.wait_until_gone(pid)
        with pytest.raises(psycopg.OperationalError):
            taken.execute("INSERT INTO machines (name, mac) VALUES ('x', '525400000001')")


@pytest.mark.parametrize("how", ["locked", "disabled", "reset", "revoked"])
def test_a_sign_in_that_was_ended_connects_no_more(
    database: RealDatabase, admin: Database, how: str
) -> None:
    signed_in = database.log_in("operator")
    with admin.begin() as session:
        ENDING[how](session, user_id(database, "operator"))
    with pytest.raises(SignInError), database.open(database.dsn(signed_in)).begin() as session:
        machines.list_machines(session)


def test_a_demoted_person_goes_on_with_less(database: RealDatabase, admin: Database) -> None:
    operator = database.sign_in(Role.OPERATOR)
    add_machines(operator, "pc-01")
    with admin.begin() as session:
        users.set_role(session, user_id(database, "operator"), Role.VIEWER)
    with operator.begin() as session:
        assert [row.name for row in machines.list_machines(session)] == ["pc-01"]
        assert users.who_am_i(session).role is Role.VIEWER
    with pytest.raises(RefusedError):
        add_machines(operator, "pc-02")


def test_a_promoted_person_goes_on_with_more_on_the_same_connection(
    database: RealDatabase, admin: Database
) -> None:
    with psycopg.connect(database.dsn(database.log_in("viewer")), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT machines_delete('{}')")
        with admin.begin() as session:
            users.set_role(session, user_id(database, "viewer"), Role.OPERATOR)
        connection.execute("SELECT machines_delete('{}')")


def test_a_connection_made_while_its_sign_in_was_being_ended_is_ended_after(
    database: RealDatabase, admin: Database
) -> None:
    signed_in = database.log_in("operator")
    with admin.begin() as session:
        users.revoke_sign_ins(session, user_id(database, "operator"))
        late = psycopg.connect(database.dsn(signed_in), autocommit=True)
        late.execute(f'SET ROLE "{database.group("operator")}"')
    late.execute("SELECT FROM machines")  # what the second step is for
    with admin.begin() as session:
        users.end_stale_connections(session)
    database.wait_until_gone(late.info.backend_pid)
    late.close()


class Demoted:
    """An admin who connects once more while being made a VIEWER, before that is committed."""

    def __init__(self, database: RealDatabase) -> None:
        with database.owner.begin() as session:
            users.add_hashed_user(session, "anna", Role.ADMIN, HASH)
        self.database = database
        self.id = user_id(database, "anna")
        signed_in = database.log_in("anna")
        with database.sign_in(Role.ADMIN).begin() as session:
            users.set_role(session, self.id, Role.VIEWER)
            self.connection = psycopg.connect(database.dsn(signed_in), autocommit=True)
            self.connection.execute(f'SET ROLE "{database.group("admin")}"')

    def try_to_rise(self) -> None:
        self.connection.execute("SELECT user_set_role(%s, 'ADMIN')", [self.id])

    def tend(self) -> None:
        """As the agent's guard does."""
        with self.database.agent.begin() as session:
            users.tend_sign_ins(session)


@pytest.fixture
def demoted(database: RealDatabase) -> Iterator[Demoted]:
    demoted = Demoted(database)
    yield demoted
    demoted.connection.close()


def test_who_connected_while_being_demoted_does_nothing_with_the_rights_from_before(
    demoted: Demoted,
) -> None:
    with pytest.raises(psycopg.Error, match="Your role was changed") as caught:
        demoted.try_to_rise()
    assert caught.value.sqlstate == "GG001"
    for deed in (
        "INSERT INTO machines (name, mac) VALUES ('x', '525400000099')",
        "UPDATE settings SET value = value + 1 WHERE name = 'sign_in_hours'",
        "SELECT targets_compare(1)",
    ):
        with pytest.raises(psycopg.Error, match="Your role was changed"):
            demoted.connection.execute(deed)
    assert demoted.database.value("SELECT role FROM users WHERE name = 'anna'") == "VIEWER"


def test_a_connection_made_while_its_person_was_demoted_is_ended_after(demoted: Demoted) -> None:
    demoted.tend()
    demoted.database.wait_until_gone(demoted.connection.info.backend_pid)
    late = psycopg.connect(demoted.database.dsn(demoted.database.log_in("anna")), autocommit=True)
    demoted.tend()  # whose rights are those of now stays
    with late:
        late.execute("SELECT FROM machines")


def test_it_is_ended_also_while_it_holds_the_row_of_its_sign_in(demoted: Demoted) -> None:
    demoted.connection.execute("RESET ROLE; BEGIN; SELECT renew_sign_in()")
    demoted.tend()
    demoted.database.wait_until_gone(demoted.connection.info.backend_pid)
    demoted.tend()
    assert demoted.database.value("SELECT count(regrouped_in) FROM sign_ins") == 0


def test_looking_before_the_commit_is_not_taken_for_looking_after_it(
    database: RealDatabase, admin: Database
) -> None:
    signed_in = database.log_in("operator")
    with admin.begin() as session:
        users.set_role(session, user_id(database, "operator"), Role.VIEWER)
        users.end_stale_connections(session)
        late = psycopg.connect(database.dsn(signed_in), autocommit=True)
        late.execute(f'SET ROLE "{database.group("operator")}"')
    with admin.begin() as session:
        users.end_stale_connections(session)
    database.wait_until_gone(late.info.backend_pid)
    late.close()


def test_connecting_in_a_loop_while_being_demoted_leaves_no_connection_with_the_old_rights(
    database: RealDatabase, admin: Database
) -> None:
    signed_in = database.log_in("operator")
    group, over = database.group("operator"), threading.Event()

    def connect_again_and_again() -> list[psycopg.Connection]:
        kept = []
        while not over.is_set() and len(kept) < 200:
            with contextlib.suppress(psycopg.Error):
                kept.append(psycopg.connect(database.dsn(signed_in), autocommit=True))
                kept[-1].execute(f'SET ROLE "{group}"')
        return kept

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(connect_again_and_again) for _ in range(4)]
        time.sleep(0.2)
        with admin.begin() as session:
            users.set_role(session, user_id(database, "operator"), Role.VIEWER)
            time.sleep(0.2)
        with admin.begin() as session:
            users.end_stale_connections(session)
        over.set()
        connections = [connection for loop in loops for connection in loop.result()]
    assert connections
    for connection in connections:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT machines_delete('{}')")
        connection.close()


def test_who_changes_their_role_over_and_over_is_ended_all_the_same(
    database: RealDatabase, admin: Database
) -> None:
    signed_in = database.log_in("operator")

    def change_again_and_again() -> None:
        with psycopg.connect(database.dsn(signed_in)) as mine:
            while True:
                mine.execute("ALTER ROLE CURRENT_USER SET work_mem = '5MB'")
                time.sleep(0.05)
                mine.commit()

    with ThreadPoolExecutor(4) as pool:
        changing = [pool.submit(change_again_and_again) for _ in range(4)]
        time.sleep(0.5)
        with admin.begin() as session:
            users.revoke_sign_ins(session, user_id(database, "operator"))
        for each in changing:
            with pytest.raises(psycopg.Error):
                each.result()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database.dsn(signed_in)).close()


def test_the_next_sign_in_ends_the_connections_of_expired_ones(database: RealDatabase) -> None:
    with connect(database, "operator") as expired:
        database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() - interval '1 minute'")
        database.log_in("viewer")
        database.wait_until_gone(expired.info.backend_pid)


def test_a_locked_account_signs_in_again_after_unlocking(
    database: RealDatabase, admin: Database
) -> None:
    viewer = user_id(database, "viewer")
    with admin.begin() as session:
        users.set_locked(session, viewer, locked=True)
    with pytest.raises(SignInError, match="This user is locked; an admin can unlock it"):
        database.log_in("viewer")
    with admin.begin() as session:
        users.set_locked(session, viewer, locked=False)
    database.log_in("viewer")


def test_unlocking_forgives_failed_sign_ins(database: RealDatabase, admin: Database) -> None:
    for _ in range(5):
        with pytest.raises(SignInError):
            database.log_in("viewer", "wrong password")
    with admin.begin() as session:
        users.set_locked(session, user_id(database, "viewer"), locked=False)
    database.log_in("viewer")


def test_a_reset_password_can_do_nothing_but_be_changed(
    database: RealDatabase, admin: Database
) -> None:
    with admin.begin() as session:
        users.reset_password(session, user_id(database, "operator"), PASSWORD)
    signed_in = database.log_in("operator")
    assert signed_in.must_change_password
    newcomer = database.open(database.dsn(signed_in))
    for statement in ("SELECT FROM machines", "SELECT renew_sign_in()", "SELECT FROM users"):
        with pytest.raises(RefusedError), newcomer.begin() as session:
            session.connection().exec_driver_sql(statement)
    with newcomer.begin() as session:
        assert users.who_am_i(session).must_change_password
        users.change_password(session, PASSWORD, NEW)
    add_machines(newcomer, "pc-01")
    assert not database.log_in("operator", NEW).must_change_password
    with pytest.raises(SignInError):
        database.log_in("operator", PASSWORD)


def test_a_changed_password_ends_the_account_s_other_sign_ins(database: RealDatabase) -> None:
    here, there = database.sign_in(Role.VIEWER), database.sign_in(Role.VIEWER)
    other = database.sign_in(Role.OPERATOR)
    with here.begin() as session:
        users.change_password(session, PASSWORD, NEW)
    for going_on in (here, other):
        with going_on.begin() as session:
            users.who_am_i(session)
    with pytest.raises(SignInError), there.begin() as session:
        users.who_am_i(session)


def test_a_wrong_present_password_counts_as_a_failed_sign_in(database: RealDatabase) -> None:
    viewer = database.sign_in(Role.VIEWER)
    for _ in range(5):
        with (
            pytest.raises(FieldError, match="present password is wrong") as caught,
            viewer.begin() as session,
        ):
            users.change_password(session, "wrong password", NEW)
        assert caught.value.field == "present_password"
    with pytest.raises(FieldError, match="with this name have failed"), viewer.begin() as session:
        users.change_password(session, PASSWORD, NEW)
    database.sign_in(Role.ADMIN)
    assert database.value("SELECT count(*) FROM audit WHERE verb = 'fail'") == 6


def test_the_present_password_is_no_new_one(database: RealDatabase) -> None:
    viewer = database.sign_in(Role.VIEWER)
    with pytest.raises(FieldError, match="choose another"), viewer.begin() as session:
        users.change_password(session, PASSWORD, PASSWORD)


@pytest.mark.parametrize("how", ["locked", "disabled", "demoted"])
def test_the_last_admin_stays(database: RealDatabase, admin: Database, how: str) -> None:
    with (
        pytest.raises(ConsoleError, match="admin is the last admin who can sign in; make another"),
        admin.begin() as session,
    ):
        ENDING[how](session, user_id(database, "admin"))
    with admin.begin() as session:
        users.add_hashed_user(session, "second", Role.ADMIN, HASH)
        ENDING[how](session, user_id(database, "admin"))


@pytest.mark.parametrize("how", ["locked", "disabled", "demoted"])
def test_two_admins_who_remove_each_other_leave_one(
    database: RealDatabase, admin: Database, how: str
) -> None:
    with database.owner.begin() as session:
        users.add_hashed_user(session, "second", Role.ADMIN, HASH)
    second = database.open(database.dsn(database.log_in("second")))
    ids = {name: user_id(database, name) for name in ("admin", "second")}

    def remove(by: Database, whom: str) -> None:
        with by.begin() as session:
            ENDING[how](session, ids[whom])

    with psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as holder:
        holder.execute("SELECT FROM users WHERE name = 'admin' FOR UPDATE")
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(remove, admin, "second"), pool.submit(remove, second, "admin")]
            database.wait_for_lock()
            holder.rollback()
            ends = [future.exception() for future in waiting]
    assert sum(end is None for end in ends) == 1
    assert isinstance(next(end for end in ends if end), ConsoleError)
    left = "SELECT count(*) FROM users WHERE role = 'ADMIN' AND NOT disabled AND NOT locked"
    assert database.value(left) == 1


def test_sign_ins_are_seen_and_ended_one_by_one(database: RealDatabase, admin: Database) -> None:
    first, second = database.log_in("viewer"), database.log_in("viewer")
    viewer = user_id(database, "viewer")
    with admin.begin() as session:
        newest, oldest = users.list_sign_ins(session, viewer)
        assert (newest.name, newest.program, newest.ended_at) == ("viewer", "tests", None)
        users.revoke_sign_in(session, newest.id)
    with admin.begin() as session:
        assert [row.id for row in users.list_sign_ins(session, viewer)] == [oldest.id]
        assert len(users.list_sign_ins(session, viewer, open_only=False)) == 2
        [row] = [row for row in users.list_users(session) if row.name == "viewer"]
        assert (row.open_sign_ins, row.last_sign_in_at) == (1, newest.created_at) or (
            row.last_sign_in_at > newest.created_at
        )
    with database.open(database.dsn(first)).begin() as session:
        users.who_am_i(session)
    with pytest.raises(SignInError), database.open(database.dsn(second)).begin() as session:
        users.who_am_i(session)
    for gone in (newest.id, uuid.uuid4()):
        with pytest.raises(NotFoundError, match="already ended"), admin.begin() as session:
            users.revoke_sign_in(session, gone)


def test_what_admins_do_to_accounts_is_in_the_trail(
    database: RealDatabase, admin: Database
) -> None:
    viewer = user_id(database, "viewer")
    database.log_in("viewer")
    with admin.begin() as session:
        users.revoke_sign_ins(session, viewer)
        users.set_locked(session, viewer, locked=True)
        users.set_role(session, viewer, Role.OPERATOR)
    found = database.rows(
        "SELECT user_name, verb, noun, object_name, changes, severity::text FROM audit "
        "WHERE object_name = 'viewer' AND verb <> 'insert' ORDER BY id"
    )
    assert found == [
        ("admin", "revoke", "sign-in", "viewer", {"sign_ins": [1, 0]}, "WARNING"),
        ("admin", "update", "user", "viewer", {"locked": [False, True]}, "WARNING"),
        ("admin", "update", "user", "viewer", {"role": ["VIEWER", "OPERATOR"]}, "WARNING"),
    ]


def test_one_s_own_password_is_changed_and_not_reset(
    database: RealDatabase, admin: Database
) -> None:
    with pytest.raises(ConsoleError, match="Change your own password"), admin.begin() as session:
        users.reset_password(session, user_id(database, "admin"), PASSWORD)


@pytest.mark.parametrize("how", ENDING)
def test_an_account_that_is_gone_is_said_to_be(admin: Database, how: str) -> None:
    with pytest.raises(NotFoundError, match="no longer exists"), admin.begin() as session:
        ENDING[how](session, 0)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize("how", ENDING)
def test_only_admins_change_accounts(database: RealDatabase, role: Role, how: str) -> None:
    mine = database.sign_in(role)
    for name in ("admin", role.lower()):
        with pytest.raises(RefusedError), mine.begin() as session:
            ENDING[how](session, user_id(database, name))


@pytest.mark.parametrize("role", list(Role))
def test_nobody_ends_another_s_connections(database: RealDatabase, role: Role) -> None:
    victim = database.value("SELECT pg_backend_pid()")
    with psycopg.connect(database.dsn(database.log_in(role.lower())), autocommit=True) as mine:
        for call in (
            f"SELECT pg_terminate_backend({victim})",
            f"SELECT pg_cancel_backend({victim})",
            "SELECT end_connections(ARRAY['postgres'])",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                mine.execute(call)


def test_only_sign_ins_can_be_cut_off_by_the_function_that_does_it(database: RealDatabase) -> None:
    with database.agent.begin() as session:
        pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        name = session.connection().exec_driver_sql("SELECT session_user::text").scalar_one()
        database.rows("SELECT end_connections(ARRAY[%s::text])", name)
        assert session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar() == pid
