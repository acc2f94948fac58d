# SPDX-License-Identifier: GPL-3.0-or-later
"""How often one user may do what costs everybody: sign-ins, jobs, machines; and how long texts are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from real_database import RealDatabase
from sqlalchemy import text
from steps import add_image, add_machines, begin_upload, mac, set_setting, start_sessions

from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, FieldError, SignInError
from ggnet_console.services import boot_sessions, images, machines
from ggnet_console.services.machines import MachineSpec


def limit(database: RealDatabase, name: str, value: int) -> None:
    """Set a limit, as an admin does."""
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, name, value)


def a_minute_passes(database: RealDatabase) -> None:
    """Let everything that users asked for be a minute ago."""
    database.rows("UPDATE attempts.rates SET since = since - interval '61 s'")


def test_an_account_signs_in_so_often_a_minute_and_is_told_when_again(
    database: RealDatabase,
) -> None:
    limit(database, "user_sign_ins_per_minute", 3)
    for _ in range(3):
        database.log_in("viewer")
    with pytest.raises(
        SignInError, match=r"signed in too often within a minute; try again in \d+ seconds\.$"
    ):
        database.log_in("viewer")
    database.log_in("operator")
    a_minute_passes(database)
    database.log_in("viewer")


def test_an_account_starts_so_many_jobs_a_minute_and_is_told_when_again(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    image = add_image(database, operator=operator)
    a_minute_passes(database)
    limit(database, "user_jobs_per_minute", 2)

    def verify() -> None:
        with operator.begin() as session:
            images.verify_image(session, image)
        # One at a time of a kind, which is not what this is about.
        database.rows("UPDATE jobs SET status = 'SUCCEEDED' WHERE kind = 'image.verify'")

    for _ in range(2):
        verify()
    with pytest.raises(
        ConsoleError, match=r"too many jobs within a minute; try again in \d+ seconds\.$"
    ):
        verify()
    assert database.value("SELECT count(*) FROM jobs WHERE kind = 'image.verify'") == 2
    begin_upload(database.sign_in(Role.ADMIN), "another")
    a_minute_passes(database)
    verify()


def test_transactions_side_by_side_do_not_get_more_jobs(database: RealDatabase) -> None:
    limit(database, "user_jobs_per_minute", 3)
    signed_in = database.log_in("viewer")
    host = database.host_id

    def ask(_: int) -> int:
        """Three jobs in a transaction; how many it got."""
        with psycopg.connect(database.dsn(signed_in)) as connection:
            try:
                for _ in range(3):
                    connection.execute("SELECT targets_compare(%s)", [host])
            except psycopg.Error as error:
                assert "too many jobs" in str(error)
                return 0
            return 3

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(6))) == 3
    assert database.value("SELECT count(*) FROM jobs") == 3


def test_an_older_snapshot_does_not_get_more_jobs(database: RealDatabase) -> None:
    limit(database, "user_jobs_per_minute", 3)
    signed_in = database.log_in("viewer")
    call = "SELECT targets_compare(%s)"
    with (
        psycopg.connect(database.dsn(signed_in)) as old,
        psycopg.connect(database.dsn(signed_in), autocommit=True) as new,
    ):
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT FROM machines")
        for _ in range(3):
            new.execute(call, [database.host_id])
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute(call, [database.host_id])


def test_an_account_starts_and_stops_so_many_machines_a_minute_and_is_told_when_again(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    image = add_image(database, operator=operator)
    pcs = add_machines(operator, *(f"pc-0{number}" for number in range(1, 5)))
    limit(database, "user_power_actions_per_minute", 3)
    with pytest.raises(ConsoleError, match=r"No more than 3 machines .* choose fewer"):
        start_sessions(operator, image, *pcs)
    started = start_sessions(operator, image, *pcs[:2])
    too_many = r"started or stopped too many machines within a minute; try again in \d+ seconds\.$"
    with pytest.raises(ConsoleError, match=too_many), operator.begin() as session:
        boot_sessions.stop_boot_sessions(session, started.session_ids)
    start_sessions(operator, image, pcs[2])
    with pytest.raises(ConsoleError, match=too_many):
        start_sessions(operator, image, pcs[3])
    start_sessions(database.sign_in(Role.ADMIN), image, pcs[3])
    a_minute_passes(database)
    with operator.begin() as session:
        boot_sessions.stop_boot_sessions(session, started.session_ids)


@pytest.mark.parametrize("field", ["location", "room", "asset_tag", "notes"])
def test_a_text_that_would_fill_the_trail_is_refused(database: RealDatabase, field: str) -> None:
    operator = database.sign_in(Role.OPERATOR)
    with (
        pytest.raises(FieldError, match="characters at most") as caught,
        operator.begin() as session,
    ):
        machines.create_machine(session, MachineSpec("pc-01", mac(), **{field: "x" * 4001}))
    assert caught.value.field == field
    image = add_image(database, operator=operator)
    with (
        pytest.raises(FieldError, match="characters at most"),
        operator.begin() as session,
    ):
        session.execute(
            text("UPDATE images SET notes = repeat('x', 4001) WHERE id = :id"), {"id": image}
        )


def test_a_job_that_is_told_a_novel_is_refused(database: RealDatabase) -> None:
    operator = database.sign_in(Role.OPERATOR)
    image = add_image(database, operator=operator)
    with pytest.raises(ConsoleError, match="too much at once"), operator.begin() as session:
        session.execute(
            text("SELECT image_job(:id, 'convert', jsonb_build_object('x', repeat('x', 1000000)))"),
            {"id": image},
        )
