# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever connects does not use up what everybody needs: locks, disk, notifications, connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from patience import wait_for
from psycopg import sql
from psycopg.conninfo import make_conninfo
from real_database import HASH, RealDatabase, Template
from test_rights_matrix import dsn

from ggnet_console.db import bootstrap, everybody, schema
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.rights import CONNECTING, Holder
from ggnet_console.enums import Role
from ggnet_console.services import users

pytestmark = pytest.mark.furnished

FILLING = (
    "SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 200000) AS g",
    "SELECT count(pg_try_advisory_lock_shared(1, g)) FROM generate_series(1, 200000) AS g",
    "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))",
    "SELECT pg_export_snapshot()",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_create(0)",
    "SELECT pg_cancel_backend(0)",
    "SELECT pg_terminate_backend(0)",
    "DO $$ BEGIN RAISE LOG '%', repeat('x', 1000000); END $$",
    "SELECT pg_create_logical_replication_slot('x', 'test_decoding')",
)


@pytest.mark.parametrize("who", CONNECTING)
def test_nobody_holds_or_fills_what_others_need(database: RealDatabase, who: Holder) -> None:
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        for attack in FILLING:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attack)
        assert connection.execute("SELECT count(*) FROM pg_locks").fetchone()[0] < 20


@pytest.mark.parametrize("who", CONNECTING)
def test_each_role_calls_of_postgresql_s_own_what_the_page_says(
    database: RealDatabase, who: Holder
) -> None:
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        callable_now = connection.execute(
            "SELECT DISTINCT proname::text FROM pg_proc WHERE provolatile = 'v' "
            "AND pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(oid, 'EXECUTE')"
        )
        assert {name for (name,) in callable_now} <= everybody.MAY_CALL
        for name in ("clock_timestamp()", "gen_random_uuid()", "pg_notification_queue_usage()"):
            connection.execute(sql.SQL("SELECT {}").format(sql.SQL(name)))


@pytest.mark.parametrize("who", CONNECTING)
def test_sorting_fills_little_of_the_disk(database: RealDatabase, who: Holder) -> None:
    with psycopg.connect(dsn(database, who), autocommit=True) as connection:
        assert connection.execute("SHOW temp_file_limit").fetchone() == ("128MB",)
        for change in (
            "SET temp_file_limit = -1",
            f'ALTER ROLE "{connection.info.user}" SET temp_file_limit = -1',
            f'ALTER ROLE "{connection.info.user}" RESET temp_file_limit',
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(connection.info.user))
            )
    with psycopg.connect(dsn(database, who), autocommit=True) as again:
        assert again.execute("SHOW temp_file_limit").fetchone() == ("128MB",)


def test_a_sort_beyond_that_is_refused(database: RealDatabase) -> None:
    with (
        psycopg.connect(database.dsn(database.log_in("viewer"))) as connection,
        pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="temp_file_limit"),
    ):
        connection.execute(
            "SELECT count(*) FROM (SELECT repeat(g::text, 30) AS t "
            "FROM generate_series(1, 1500000) AS g ORDER BY t) AS sorted"
        )


def test_one_statement_does_not_take_all_memory(database: RealDatabase) -> None:
    with psycopg.connect(database.dsn(database.log_in("viewer")), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.OutOfMemory):
            connection.execute(
                "SELECT length(repeat('x', 900000000)), length(repeat('y', 900000000))"
            )
        assert connection.execute("SELECT 1").fetchone() == (1,)


def tend(database: RealDatabase, hidden: Collection[int] = ()) -> set[int]:
    """As the agent's guard does."""
    with database.agent.begin() as session:
        hidden = users.end_holders(session, hidden)
    with database.agent.begin() as session:
        users.tend_sign_ins(session)
    return set(hidden)


def cut_off(database: RealDatabase) -> list[tuple]:
    return database.rows(
        "SELECT DISTINCT object_name, changes -> 'reason' ->> 1 FROM audit "
        "WHERE noun = 'sign-in' AND verb = 'cut' ORDER BY 1"
    )


def usage(database: RealDatabase) -> float:
    return database.value("SELECT pg_notification_queue_usage()")


@pytest.mark.slow("nobody is cut off for a queue that grows for less than 15 seconds")
def test_a_listener_who_takes_nothing_in_is_cut_off_once_the_queue_grows(
    database: RealDatabase,
) -> None:
    with (
        contextlib.closing(psycopg.connect(database.dsn(database.log_in("viewer")))) as evil,
        psycopg.connect(database.dsn(database.log_in("operator")), autocommit=True) as honest,
    ):
        evil.autocommit = True
        honest.execute("LISTEN ggnet")
        evil.execute("LISTEN flood")
        evil.execute("BEGIN; SET idle_in_transaction_session_timeout = 0; SELECT 1")
        tend(database)
        assert evil.execute("SELECT 1").fetchone() == (1,)  # nobody is cut off for being slow alone
        with psycopg.connect(database.dsn(database.log_in("viewer")), autocommit=True) as flood:
            flood.execute(
                "SELECT count(pg_notify('flood', repeat('x', 7900) || g)) "
                "FROM generate_series(1, 26000) AS g"
            )
        assert usage(database) > 0.02
        tend(database)
        assert evil.execute("SELECT 1").fetchone() == (1,)  # nor for being slow for a moment
        time.sleep(15.1)  # as long as nobody is cut off for
        tend(database)
        database.wait_until_gone(evil.info.backend_pid)
        honest.execute("NOTIFY flood")  # whoever notifies clears what nobody waits for
        wait_for(lambda: usage(database) < 0.02, "the queue is cleared")
        honest.execute("SELECT 1")
    reason = "It kept the server from clearing its queue of notifications."
    assert cut_off(database) == [("viewer", reason)]


@contextlib.contextmanager
def connections(*dsns: str) -> Iterator[list[psycopg.Connection]]:
    """As many as the server lets in, of each in turn."""
    with contextlib.ExitStack() as stack:
        kept: list[psycopg.Connection] = []
        for each in dsns:
            with contextlib.suppress(psycopg.OperationalError):
                kept.append(stack.enter_context(psycopg.connect(each, autocommit=True)))
        yield kept


def alive(kept: list[psycopg.Connection]) -> list[bool]:
    """Of each connection, whether the server has it still."""

    def is_alive(connection: psycopg.Connection) -> bool:
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    return [is_alive(connection) for connection in kept]


def test_one_person_has_so_many_connections_and_keeps_the_oldest(database: RealDatabase) -> None:
    dsns = [database.dsn(database.log_in("viewer")) for _ in range(3)]
    with (
        psycopg.connect(database.dsn(database.log_in("operator")), autocommit=True) as other,
        connections(*(each for each in dsns for _ in range(12))) as kept,
    ):
        assert len(kept) == 36
        tend(database)
        assert alive([other]) == [True]
        wait_for(lambda: sum(alive(kept)) == 32, "four connections are ended")
        assert alive(kept) == [True] * 32 + [False] * 4
    assert cut_off(database) == [("viewer", "One person had more than 32 connections.")]


def test_a_server_without_room_makes_room_for_agents_and_admins(database: RealDatabase) -> None:
    with database.owner.begin() as session:
        for number in range(4):
            users.add_hashed_user(session, f"many{number}", Role.VIEWER, HASH)
    tend(database)  # the agent's connection is there
    admin = database.dsn(database.log_in("admin"))
    dsns = [database.dsn(database.log_in(f"many{number % 4}")) for number in range(8)]
    with (
        psycopg.connect(admin, autocommit=True) as already,
        connections(*dsns * 16) as kept,
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(admin).close()
        tend(database)
        wait_for(lambda: sum(alive(kept)) < len(kept), "somebody is cut off")
        assert alive([already]) == [True]
        with psycopg.connect(admin) as mine:
            mine.execute("SELECT 1")
        counts = [sum(alive(kept[number::4])) for number in range(4)]
        assert max(counts) - min(counts) <= 3, "who has most is cut off first"
    assert {reason for _, reason in cut_off(database)} == {
        "The server had fewer than 10 connections left for others."
    }


def test_what_everybody_got_back_is_taken_by_the_next_upgrade(database: RealDatabase) -> None:
    with psycopg.connect(
        database.server.dsn(SUPERUSER, database.name), autocommit=True
    ) as superuser:
        superuser.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
        superuser.execute("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")
        opened = ["FUNCTION pg_advisory_lock(bigint)", "LANGUAGE plpgsql"]
        assert everybody.still_open(superuser) == opened
        with database.owner.engine.connect() as connection:
            assert schema.upgrade(connection).still_open == []
        assert everybody.still_open(superuser) == []


def test_an_owner_who_is_no_superuser_is_told_what_stays_open(database: RealDatabase) -> None:
    with psycopg.connect(
        database.server.dsn(SUPERUSER, database.name), autocommit=True
    ) as superuser:
        superuser.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
        superuser.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'plain'")
        for group in ("owner", "broker", "signaller"):
            role = bootstrap.group_role(group, database.installation)
            superuser.execute(sql.SQL("GRANT {} TO plain_owner").format(sql.Identifier(role)))
        try:
            with database.open(
                f"{database.server.dsn('plain_owner', database.name)} password=plain"
            ).engine.connect() as mine:
                assert schema.upgrade(mine).still_open == ["FUNCTION pg_advisory_lock(bigint)"]
        finally:
            database.close()
            superuser.execute("DROP ROLE plain_owner")


def test_whoever_hoards_locks_is_cut_off_and_nobody_else(database: RealDatabase) -> None:
    with (
        contextlib.closing(psycopg.connect(database.dsn(database.log_in("viewer")))) as evil,
        psycopg.connect(database.dsn(database.log_in("operator"))) as honest,
    ):
        honest.execute("SELECT FROM machines, images, jobs, boot_sessions, targets, luns, hosts")
        for number in range(520):
            evil.execute(f"SAVEPOINT s; ALTER ROLE CURRENT_USER SET work_mem = '{number + 64}kB'")
        tend(database)
        database.wait_until_gone(evil.info.backend_pid)
        honest.execute("SELECT 1")


def test_a_connection_that_hides_while_its_rights_are_taken_away_is_ended(
    database: RealDatabase,
) -> None:
    """Role and settings hold already while ``post_auth_delay`` keeps it from being seen."""
    delay = f"-c role={database.group('operator')} -c post_auth_delay=60"
    dsn = make_conninfo(database.dsn(database.log_in("operator")), options=delay)
    operator = database.value("SELECT id FROM users WHERE name = 'operator'")

    def connect_and_read() -> None:
        with psycopg.connect(dsn, autocommit=True) as late:
            late.execute("SELECT FROM machines")

    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(connect_and_read)
        wait_for(lambda: tend(database), "a connection hides")
        time.sleep(1)  # another one may have been connecting just then
        hidden = tend(database)
        with database.sign_in(Role.ADMIN).begin() as session:
            users.set_role(session, operator, Role.VIEWER)
        with database.agent.begin() as session:
            users.tend_sign_ins(session)
        assert database.value("SELECT count(regrouped_in) FROM sign_ins") > 0, "not settled yet"
        tend(database, hidden)
        with pytest.raises(psycopg.OperationalError):
            connecting.result()
    tend(database)
    assert database.value("SELECT count(regrouped_in) FROM sign_ins") == 0


def test_people_of_another_installation_on_the_server_are_not_ours_to_cut_off(
    database: RealDatabase, template: Template
) -> None:
    """All of theirs together are not one person of ours."""
    with template.clone() as theirs:
        dsns = [theirs.dsn(theirs.log_in(name)) for name in ("viewer", "operator", "admin")]
        with connections(*dsns * 12) as kept:
            tend(database)
            assert all(alive(kept))
    assert cut_off(database) == []


def test_the_console_s_connections_are_one_person_s_as_well(database: RealDatabase) -> None:
    dsns = [database.server.dsn(CONSOLE_ROLE, database.name)] * 20
    with connections(*dsns) as kept:
        tend(database)
        assert all(alive(kept))
