# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed sign-ins: counted whatever the client rolls back, throttled, locked out, told of."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from real_database import PASSWORD, RealDatabase, Template
from steps import pass_seconds, set_setting, wait_for_log

from ggnet_console.db.cluster import CONSOLE_ROLE
from ggnet_console.enums import Role
from ggnet_console.errors import SignInError
from ggnet_console.services import audit

WRONG = "The name or the password is wrong."
LOCKED_OUT = r"with this name have failed; try again in .* or ask an admin to unlock the user\.$"
THROTTLED = r"from this computer have failed; try again in \d+ seconds\.$"


def fail(database: RealDatabase, name: str = "viewer", times: int = 1) -> None:
    """Guess wrong, and be told just that."""
    for _ in range(times):
        with pytest.raises(SignInError) as caught:
            database.log_in(name, "wrong password")
        assert caught.value.summary == WRONG


def change(database: RealDatabase, **values: int) -> None:
    """Change settings, as an admin may."""
    for name, value in values.items():
        database.rows("UPDATE settings SET value = %s WHERE name = %s", value, name)


def test_after_so_many_failures_in_a_row_even_the_right_password_is_refused(
    database: RealDatabase,
) -> None:
    fail(database, times=5)
    with pytest.raises(SignInError, match=LOCKED_OUT) as caught:
        database.log_in("viewer")
    assert "15 minutes" in caught.value.summary
    database.log_in("operator")


def test_guesses_that_are_rolled_back_count_as_well(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        for _ in range(5):
            [answer] = connection.execute("SELECT login('viewer', 'x', '', '')").fetchone()
            assert answer == {"ok": False, "reason": WRONG}
            connection.rollback()
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("viewer")


def test_a_guess_inside_a_savepoint_counts_as_well(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        for _ in range(5):
            connection.execute("SAVEPOINT s")
            connection.execute("SELECT login('viewer', 'x', '', '')")
            connection.execute("ROLLBACK TO SAVEPOINT s")
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("viewer")


def test_a_name_that_does_not_exist_is_locked_out_in_the_same_way(database: RealDatabase) -> None:
    fail(database, "nobody", 5)
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("NOBODY", "whatever")


def test_only_failures_in_a_row_count(database: RealDatabase) -> None:
    for _ in range(3):
        fail(database, times=4)
        database.log_in("viewer")


def test_a_lock_out_ends_with_its_time(database: RealDatabase) -> None:
    fail(database, times=5)
    pass_seconds(database, 890)
    with pytest.raises(SignInError, match=r"try again in \d+ seconds, or ask"):
        database.log_in("viewer")
    pass_seconds(database, 11)
    database.log_in("viewer")


def test_the_time_of_a_lock_out_runs_from_the_last_failure(database: RealDatabase) -> None:
    fail(database, times=4)
    pass_seconds(database, 890)
    fail(database)
    pass_seconds(database, 100)
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("viewer")


def test_failures_long_ago_are_forgotten(database: RealDatabase) -> None:
    fail(database, times=4)
    pass_seconds(database, 901)
    fail(database, times=4)


def test_a_lock_out_without_an_end_waits_for_an_admin(database: RealDatabase) -> None:
    change(database, lock_out_s=0)
    fail(database, times=5)
    pass_seconds(database, 10**8)
    with pytest.raises(SignInError, match=r"have failed; ask an admin to unlock the user\.$"):
        database.log_in("viewer")
    database.rows("UPDATE users SET unlocked_at = clock_timestamp() WHERE name = 'viewer'")
    database.log_in("viewer")


def test_an_admin_sets_how_many_failures_are_too_many(database: RealDatabase) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, "failed_sign_ins_max", 1)
    fail(database)
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("viewer")


def test_guesses_at_many_names_from_one_computer_are_throttled(database: RealDatabase) -> None:
    change(database, sign_ins_per_minute=6)
    for number in range(6):
        fail(database, f"name {number}")
    with pytest.raises(SignInError, match=THROTTLED):
        database.log_in("viewer")
    pass_seconds(database, 61)
    database.log_in("viewer")


def test_right_sign_ins_are_never_throttled(database: RealDatabase) -> None:
    change(database, sign_ins_per_minute=3)
    for _ in range(2):
        fail(database, "nobody")
        for _ in range(4):
            database.log_in("operator")
    fail(database, "nobody")
    with pytest.raises(SignInError, match=THROTTLED):
        database.log_in("operator")


def test_right_sign_ins_at_the_same_moment_do_not_lock_each_other_out(
    database: RealDatabase,
) -> None:
    change(database, failed_sign_ins_max=1, sign_ins_per_minute=2)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(database.log_in, ["viewer", "operator"] * 4))
    assert len({one.role_name for one in done}) == 8


def test_guesses_at_the_same_moment_are_not_more_than_allowed(database: RealDatabase) -> None:
    def guess(_: int) -> str:
        with pytest.raises(SignInError) as caught:
            database.log_in("viewer", "wrong password")
        return caught.value.summary

    database.rows("UPDATE settings SET value = 1000 WHERE name = 'sign_ins_per_minute'")
    for _ in range(3):
        with ThreadPoolExecutor(12) as pool:
            said = list(pool.map(guess, range(12)))
        assert said.count(WRONG) == 5
        assert sum(bool(re.search(LOCKED_OUT, one)) for one in said) == 7
        database.rows("UPDATE users SET unlocked_at = clock_timestamp()")


def test_guesses_that_end_at_any_moment_keep_no_lock(database: RealDatabase) -> None:
    evil = psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name), autocommit=True)
    with evil:
        for number in range(300):
            evil.execute(f"SET statement_timeout = {1 + number % 3}")
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                evil.execute("SELECT login('viewer', 'x', '', '')")
        assert database.rows("SELECT FROM pg_locks WHERE locktype = 'advisory'") == []
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as open_transaction:
        open_transaction.execute("SELECT login('operator', 'x', '', '')")
        assert database.rows("SELECT FROM pg_locks WHERE locktype = 'advisory'") == []


def test_a_guess_that_is_cancelled_while_it_is_counted_keeps_nobody_waiting(
    database: RealDatabase,
) -> None:
    with (
        psycopg.connect(database.owner.dsn) as busy,
        psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name), autocommit=True) as evil,
    ):
        busy.execute("LOCK TABLE attempts.secret")  # so that it stops after it has taken its turn
        evil.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            evil.execute("SELECT login('viewer', 'x', '', '')")
        busy.rollback()
        database.log_in("viewer")


def test_failures_are_in_the_trail_after_the_next_sign_in(database: RealDatabase) -> None:
    fail(database, "viewer")
    fail(database, "<b>nobody</b>")
    database.sign_in(Role.ADMIN)
    found = database.rows(
        "SELECT object_name, changes -> 'reason' ->> 1, severity::text, program FROM audit "
        "WHERE noun = 'sign-in' AND verb = 'fail' ORDER BY id"
    )
    assert found == [
        ("viewer", WRONG, "WARNING", "tests"),
        ("<b>nobody</b>", WRONG, "WARNING", "tests"),
    ]


def test_the_trail_says_how_many_failures_were_rolled_back(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        for _ in range(3):
            connection.execute("SELECT login('viewer', 'x', '', '')")
        connection.rollback()
    fail(database, "operator")
    for _ in range(2):
        database.log_in("admin")
    assert database.rows(
        "SELECT changes, severity::text FROM audit WHERE changes ? 'not_recorded'"
    ) == [({"not_recorded": [None, 3]}, "CRITICAL")]
    assert database.value("SELECT count(*) FROM audit WHERE verb = 'fail'") == 2


def test_a_failure_that_is_not_committed_yet_is_told_when_it_is(database: RealDatabase) -> None:
    told = "SELECT object_name FROM audit WHERE noun = 'sign-in' AND verb = 'fail'"
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as slow:
        slow.execute("SELECT login('viewer', 'x', '', '')")
        fail(database, "operator")
        database.log_in("admin")
        assert database.rows(told) == [("operator",)]
        slow.commit()
    for _ in range(2):
        database.log_in("admin")
    assert database.rows(f"{told} ORDER BY id") == [("operator",), ("viewer",)]
    assert database.value("SELECT count(*) FROM audit WHERE severity = 'CRITICAL'") == 0


def test_every_guess_is_in_the_server_s_log(database: RealDatabase) -> None:
    name = "guess\n' -- " + database.name
    fail(database, name)
    wait_for_log(database, database.value("SELECT quote_literal(%s)", name).splitlines()[-1])


def test_a_refused_deed_is_in_the_server_s_log_with_who_asked_for_it(
    database: RealDatabase,
) -> None:
    signed_in = database.log_in("operator")
    with (
        pytest.raises(psycopg.Error, match="no longer exists"),
        psycopg.connect(database.dsn(signed_in)) as connection,
    ):
        connection.execute("SELECT job_cancel(4711)")
    line = f"ggnet: refused {signed_in.role_name} from local: This job no longer exists."
    wait_for_log(database, line)


@pytest.mark.parametrize(
    "call",
    [
        "SELECT login(NULL, NULL, NULL, NULL)",
        "SELECT login('', '', '', '')",
        "SELECT login(repeat('x', 10000000), repeat('y', 10000000), repeat('z', 10000000), '')",
        "SELECT login('viewer', repeat('y', 10000000), '', '')",
        "SELECT login(E'\\u202e\\U0001F600', E'\\'; DROP TABLE users; --', '', '')",
    ],
)
def test_whatever_is_handed_in_the_answer_is_no(database: RealDatabase, call: str) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        assert connection.execute(call).fetchone() == ({"ok": False, "reason": WRONG},)


def test_where_nothing_can_be_counted_nothing_is_checked(database: RealDatabase) -> None:
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        connection.execute("SET default_transaction_read_only = on")
        connection.commit()
        answer = connection.execute("SELECT login('viewer', %s, '', '')", [PASSWORD]).fetchone()
    assert answer == (
        {"ok": False, "reason": "The database could not make the sign-in; its log says why."},
    )


def test_a_password_longer_than_bcrypt_reads_is_wrong(database: RealDatabase) -> None:
    import bcrypt

    hashed = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4, prefix=b"2a")).decode()
    database.rows("UPDATE users SET password_hash = %s WHERE name = 'viewer'", hashed)
    database.log_in("viewer", "a" * 72)
    with pytest.raises(SignInError, match=WRONG):
        database.log_in("viewer", "a" * 73)


def test_nobody_reaches_the_counters(database: RealDatabase) -> None:
    dsns = [database.dsn(database.log_in(role.lower())) for role in Role]
    for dsn in (*dsns, database.server.dsn(CONSOLE_ROLE, database.name), database.agent.dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in (
                "SELECT setval('attempts.name_1', 0)",
                "SELECT attempt_key('name:admin@local')",
                "SELECT nextval('attempts.failures')",
                "DELETE FROM attempts.failed",
                "UPDATE attempts.accounted SET number = 0",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


@pytest.mark.parametrize("name", ["viewer", "nobody"])
def test_whoever_is_locked_out_is_refused_before_any_password_is_checked(
    database: RealDatabase, name: str
) -> None:
    fail(database, name, 5)
    pass_seconds(database, 3)  # else it would wait for those being checked
    called = database.functions_called(name)
    assert (called["login"], called["crypt"]) == (1, 0)


def test_attempts_that_are_refused_unseen_leave_a_number_and_nothing_else(
    database: RealDatabase,
) -> None:
    fail(database, times=5)
    pass_seconds(database, 3)
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        connection.execute("SELECT login('viewer', 'x', '', '') FROM generate_series(1, 1000)")
    assert database.value("SELECT count(*) FROM attempts.failed") == 5
    pass_seconds(database, 61)
    for _ in range(2):
        database.log_in("admin")
    assert database.rows(
        "SELECT changes, severity::text FROM audit WHERE changes ? 'refused_unseen'"
    ) == [({"refused_unseen": [None, 1000]}, "WARNING")]
    assert database.value("SELECT count(*) FROM audit WHERE verb = 'fail'") == 6


def test_a_sign_in_moves_so_many_failures_and_the_next_one_goes_on(database: RealDatabase) -> None:
    database.rows(
        "INSERT INTO attempts.failed (number, name, program, workstation, reason) "
        "SELECT nextval('attempts.failures'), 'viewer', '', '', 'x' FROM generate_series(1, 1100)"
    )
    moved = "SELECT count(*) FROM audit WHERE verb = 'fail'"
    for there in (500, 1000, 1100, 1100):
        database.log_in("admin")
        assert database.value(moved) == there
    assert database.value("SELECT count(*) FROM audit WHERE severity = 'CRITICAL'") == 0


@pytest.mark.parametrize("state", ["locked", "disabled"])
def test_a_right_password_that_is_refused_is_counted_and_told_like_a_wrong_one(
    database: RealDatabase, state: str
) -> None:
    database.rows(f"UPDATE users SET {state} = true WHERE name = 'viewer'")
    for _ in range(5):
        with pytest.raises(SignInError, match=f"This user is {state}"):
            database.log_in("viewer")
    with pytest.raises(SignInError, match=LOCKED_OUT):
        database.log_in("viewer")
    database.log_in("admin")
    reasons = database.rows(
        "SELECT changes -> 'reason' ->> 1 FROM audit WHERE verb = 'fail' AND object_name = 'viewer'"
    )
    assert len(reasons) == 5
    assert all(f"This user is {state}" in reason for (reason,) in reasons)


def test_a_right_password_is_in_the_server_s_log_even_when_it_is_rolled_back(
    database: RealDatabase,
) -> None:
    name = f"viewer of {database.name}"
    database.rows("UPDATE users SET name = %s WHERE name = 'viewer'", name)
    with psycopg.connect(database.server.dsn(CONSOLE_ROLE, database.name)) as connection:
        connection.execute("SELECT login(%s, %s, '', '')", [name, PASSWORD])
        connection.rollback()
    wait_for_log(database, f"sign-in as '{name}'")


def place_of(database: RealDatabase, name: str) -> str:
    """The counter of a name, over a socket."""
    return database.value(
        "SELECT counter::text FROM attempt_place('name', %s, 900)", f"{name}@local"
    )


def test_guessing_at_other_names_locks_nobody_out(database: RealDatabase) -> None:
    """Of 256 counters 30 are full; that all four of one name are among them is one in 5,000."""
    # Where each name is counted is the same in every run: not one in fifty fails by chance.
    database.rows("UPDATE attempts.secret SET key = 'a fixed key'")
    change(database, sign_ins_per_minute=1000)
    for number in range(30):
        fail(database, f"name {number}", 5)
    for name in ("viewer", "operator", "admin"):
        database.log_in(name)


def test_where_a_name_is_counted_cannot_be_foreseen(
    database: RealDatabase, template: Template
) -> None:
    with template.server.template() as other, other.clone() as elsewhere:
        names = [f"n{number}" for number in range(8)]
        here, there = ([place_of(db, name) for name in names] for db in (database, elsewhere))
    assert here != there
    for dsn in (database.dsn(database.log_in("admin")), database.agent.dsn):
        with (
            psycopg.connect(dsn) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT key FROM attempts.secret")


def test_who_shares_a_counter_cannot_forgive_the_other_s_failures(database: RealDatabase) -> None:
    # Somebody else has failed three times in each of the places that this name may take.
    places = database.rows(
        "SELECT DISTINCT format('attempts.name_%%s', mod("
        "get_byte(k, 2 * i) * 256 + get_byte(k, 2 * i + 1), 256)) "
        "FROM attempt_key(%s) AS k, generate_series(0, 3) AS i",
        "name:operator@local",
    )
    for (place,) in places:
        database.rows(
            "SELECT attempt_write(%s, epoch_ms(clock_timestamp()), 1 + mod(mark, 1023), 3) "
            "FROM attempt_place('name', 'operator@local', 900)",
            place,
        )
    for _ in range(3):
        database.log_in("operator")
    for (place,) in places:
        assert database.rows("SELECT failures FROM attempt_read(%s)", place) == [(3,)]


@pytest.mark.parametrize("name", ["viewer", "nobody"])
def test_known_and_unknown_names_cost_one_check_of_a_password(
    database: RealDatabase, name: str
) -> None:
    called = database.functions_called(name)
    assert (called["login"], called["crypt"], called["stand_in_hash"]) == (1, 1, 1)


def test_failures_that_enter_the_trail_together_are_a_whole_link(database: RealDatabase) -> None:
    fail(database, "nobody", 4)
    with database.sign_in(Role.ADMIN).begin() as session:
        assert audit.verify_audit(session) == []
    links = database.rows(
        "SELECT count(*), count(DISTINCT link) FROM audit WHERE noun = 'sign-in' AND verb = 'fail'"
    )
    assert links == [(4, 1)]
