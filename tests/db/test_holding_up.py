# SPDX-License-Identifier: GPL-3.0-or-later
"""One person's open transaction does not keep everybody else waiting for ever."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
from patience import PATIENCE_S, wait_for
from real_database import PASSWORD, RealDatabase
from steps import add_machines

from ggnet_console.db.cluster import CONSOLE_ROLE
from ggnet_console.db.errors import in_sentences
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, SignInError
from ggnet_console.services import users

pytestmark = pytest.mark.furnished

HELD_UP = "Others had waited for it for more than 5 seconds."


def connect(database: RealDatabase, who: str) -> psycopg.Connection:
    return psycopg.connect(database.dsn(database.log_in(who)))


def hold_the_chain(database: RealDatabase) -> psycopg.Connection:
    """As a viewer: take the place in the trail that every commit needs, and stay."""
    evil = connect(database, "viewer")
    evil.execute("SET CONSTRAINTS ALL IMMEDIATE")
    evil.execute("SET idle_in_transaction_session_timeout = 0")
    evil.execute("SELECT targets_compare(%s)", [database.host_id])
    return evil


def tend_until(database: RealDatabase, done: Future) -> None:
    """As the agent's guard does."""

    def tend() -> None:
        with database.agent.begin() as session:
            users.tend_sign_ins(session)
        time.sleep(0.2)

    wait_for(done.done, "nobody waits for ever", between=tend)


def cut_off(database: RealDatabase) -> list[tuple]:
    return database.rows(
        "SELECT object_name, changes -> 'reason' ->> 1, severity::text, user_name FROM audit "
        "WHERE noun = 'sign-in' AND verb = 'cut'"
    )


def test_a_viewer_who_holds_the_trail_is_cut_off(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    evil = hold_the_chain(database)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(add_machines, operator, "pc-01")
        tend_until(database, waiting)
        assert waiting.result()
    with pytest.raises(psycopg.OperationalError):
        evil.execute("SELECT 1")
    assert cut_off(database) == [("viewer", HELD_UP, "WARNING", "ggnet_agent_testhost")]
    assert database.rows("SELECT * FROM audit_verify()") == []


def test_without_an_agent_the_next_sign_in_cuts_them_off(database: RealDatabase) -> None:
    evil = hold_the_chain(database)
    with pytest.raises(SignInError):
        database.log_in("admin", "wrong password")  # which the next sign-in has to write down
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(database.log_in, "admin")
        database.wait_for_lock()
        time.sleep(5.2)  # as long as nobody is cut off for
        database.log_in("operator")
        assert waiting.result(timeout=PATIENCE_S).name == "admin"
    assert [name for name, *_ in cut_off(database)] == ["viewer"]
    evil.close()


def test_who_waits_in_turn_is_not_to_blame(database: RealDatabase) -> None:
    add_machines(database.sign_in(Role.OPERATOR), "pc-01", "pc-02")
    touch = "UPDATE machines SET notes = %s WHERE name = %s"
    evil, between, last = (connect(database, who) for who in ("admin", "operator", "operator"))
    evil.execute(touch, ["evil", "pc-01"])
    between.execute(touch, ["between", "pc-02"])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(
            lambda: (between.execute(touch, ["between", "pc-01"]), between.commit())
        )
        second = pool.submit(lambda: (last.execute(touch, ["last", "pc-02"]), last.commit()))
        tend_until(database, second)
        first.result()
        second.result()
    assert [name for name, *_ in cut_off(database)] == ["admin"]
    assert database.rows("SELECT notes FROM machines ORDER BY name") == [("between",), ("last",)]
    for connection in (evil, between, last):
        connection.close()


def test_who_waits_now_and_then_is_to_blame_all_the_same(database: RealDatabase) -> None:
    """One of two connections of a person waits for the other, again and again, never for long."""
    add_machines(database.sign_in(Role.OPERATOR), "pc-01", "pc-02")
    lock = "SELECT FROM machines WHERE name = %s FOR UPDATE"
    first, second, honest = (connect(database, who) for who in ("operator", "operator", "admin"))
    first.execute("SET lock_timeout = '2s'")
    first.execute(lock, ["pc-01"])
    second.execute(lock, ["pc-02"])

    def wait_again_and_again() -> None:
        with pytest.raises(psycopg.OperationalError):
            while True:
                first.execute("SAVEPOINT a")
                with contextlib.suppress(psycopg.errors.LockNotAvailable):
                    first.execute(lock, ["pc-02"])
                first.execute("ROLLBACK TO a")

    with ThreadPoolExecutor(2) as pool:
        evading = pool.submit(wait_again_and_again)
        waiting = pool.submit(honest.execute, lock, ["pc-01"])
        tend_until(database, waiting)
        waiting.result()
        evading.result()
    assert {name for name, *_ in cut_off(database)} == {"operator"}
    for connection in (first, second, honest):
        connection.close()


def test_whoever_signs_in_and_stays_in_that_transaction_is_cut_off(database: RealDatabase) -> None:
    """An admin who wants to lock that user would wait for it."""
    admin = database.sign_in(Role.ADMIN)
    evil = psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name))
    evil.execute("SELECT login('viewer', %s, '', '')", [PASSWORD])

    def lock() -> None:
        with admin.begin() as session:
            users.set_locked(session, users.get_user(session, "viewer").id, locked=True)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lock)
        tend_until(database, waiting)
        waiting.result()
    assert [name for name, *_ in cut_off(database)] == [CONSOLE_ROLE]
    evil.close()


@pytest.mark.parametrize("who", list(Role))
def test_nobody_locks_a_table_against_those_who_look(database: RealDatabase, who: Role) -> None:
    tables = database.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace"
    )
    with psycopg.connect(database.dsn(database.log_in(who.lower())), autocommit=True) as mine:
        for (table,) in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege), mine.transaction():
                mine.execute(f'LOCK TABLE "{table}" IN ROW EXCLUSIVE MODE')


def test_a_forgotten_transaction_and_a_long_wait_end_by_themselves(database: RealDatabase) -> None:
    signed_in = database.log_in("operator")
    [machine] = add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    with psycopg.connect(database.dsn(signed_in)) as mine:
        for setting, value in (
            ("idle_in_transaction_session_timeout", "1min"),
            ("lock_timeout", "30s"),
        ):
            assert mine.execute(f"SHOW {setting}").fetchone() == (value,)
        mine.execute("SET lock_timeout = '50ms'")
        with psycopg.connect(database.owner.dsn) as other:
            other.execute("SELECT FROM machines FOR UPDATE")
            with pytest.raises(ConsoleError, match="try again in a moment"), in_sentences():
                mine.execute("UPDATE machines SET notes = 'x' WHERE id = %s", [machine])
