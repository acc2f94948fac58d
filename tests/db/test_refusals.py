# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions say a refusal in English, and of what it was made, so that a window can translate it."""

from __future__ import annotations

import json

import psycopg
import pytest
from real_database import RealDatabase

from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.engine import Database
from ggnet_console.db.errors import in_sentences
from ggnet_console.enums import Role
from ggnet_console.errors import (
    ConsoleError,
    FieldError,
    NotFoundError,
    Sentence,
    SignInError,
)
from ggnet_console.services import jobs, machines, target_plans, users
from ggnet_console.services.machines import MachineSpec

ODD = "a'b\"{0} %s 100% \\ “ö” \n"


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


def test_a_refusal_is_the_same_english_sentence_and_has_key_and_values(
    database: RealDatabase, operator: Database
) -> None:
    with pytest.raises(NotFoundError) as caught, operator.begin() as session:
        target_plans.apply_targets(session, database.host_id, cut=[ODD])
    said = caught.value.summary
    assert said == f"There is no machine “{ODD}”."
    assert isinstance(said, Sentence)
    assert (said.key, said.numbered) == ("There is no machine “{0}”.", (ODD,))
    assert caught.value.details == ""


def test_one_without_values_is_its_own_key(operator: Database) -> None:
    with pytest.raises(NotFoundError) as caught, operator.begin() as session:
        jobs.cancel_job(session, 4711)
    said = caught.value.summary
    assert isinstance(said, Sentence)
    assert (said, said.key, said.numbered) == (*["This job no longer exists."] * 2, ())


def test_who_calls_a_function_with_psql_reads_what_was_always_said(
    database: RealDatabase,
) -> None:
    signed_in = database.log_in("operator")
    call = "SELECT targets_undo(1, ARRAY['nobody'])"
    with (
        psycopg.connect(database.dsn(signed_in)) as connection,
        pytest.raises(psycopg.Error) as caught,
    ):
        connection.execute(call)
    told = caught.value.diag
    assert (told.sqlstate, told.message_primary) == ("GG002", "There is no machine “nobody”.")
    # The detail goes where the message goes, into the server's log too: it tells nothing more.
    assert json.loads(told.message_detail) == {
        "key": "There is no machine “%s”.",
        "values": ["nobody"],
    }
    with (
        psycopg.connect(database.dsn(signed_in)) as connection,
        pytest.raises(psycopg.Error) as caught,
    ):
        connection.execute("SELECT job_cancel(4711)")
    assert caught.value.diag.message_detail is None


def test_the_end_of_a_sign_in_is_a_sentence(database: RealDatabase, operator: Database) -> None:
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp()")
    with pytest.raises(SignInError) as caught, operator.begin() as session:
        users.renew_sign_in(session)
    assert caught.value.summary == "The sign-in has ended; sign in again."
    assert caught.value.summary.key == caught.value.summary


def test_a_sign_in_that_has_to_wait_says_how_long_in_key_and_values(
    database: RealDatabase,
) -> None:
    for lasts, unit in ((40, "seconds"), (600, "minutes")):
        database.rows(f"UPDATE settings SET value = {lasts} WHERE name = 'lock_out_s'")
        name = f"nobody-{unit}"
        for _ in range(6):
            with pytest.raises(SignInError) as caught:
                database.log_in(name)
        said = caught.value.summary
        assert isinstance(said, Sentence)
        assert said.key == (
            "Too many sign-ins with this name have failed; "
            f"try again in {{0}} {unit}, or ask an admin to unlock the user."
        )
        assert said == said.key.format(*said.numbered)
        assert int(*said.numbered) <= (lasts if unit == "seconds" else 10)


def test_a_wrong_present_password_is_a_sentence_at_its_field(database: RealDatabase) -> None:
    viewer = database.sign_in(Role.VIEWER)
    with pytest.raises(FieldError) as caught, viewer.begin() as session:
        users.change_password(session, "wrong password", "another password")
    assert caught.value.summary.key == "The present password is wrong."


def test_a_constraint_that_decides_is_a_sentence(operator: Database) -> None:
    spec = MachineSpec(name="pc-01", mac="52:54:00:00:00:01")
    with operator.begin() as session:
        machines.create_machine(session, spec)
    with pytest.raises(FieldError) as caught, operator.begin() as session:
        machines.create_machine(session, spec)
    said = caught.value.summary
    assert said == "The name pc-01 already belongs to the machine pc-01."
    assert said.key == "The name {value} already belongs to the machine {holder}."


@pytest.mark.parametrize(
    "detail",
    [
        "not JSON",
        "[[[[",
        '{"key": "%s is gone.", "values": [7]}',
        '{"key": "%s is gone.", "values": []}',
        '{"key": "%s is gone.", "values": ["pc-01", "pc-02"]}',
        '{"key": "%s was sold.", "values": ["pc-01"]}',
        '{"key": {"%s": 1}, "values": null}',
    ],
)
def test_a_server_whose_detail_is_none_of_ours_is_quoted_by_its_message(
    database: RealDatabase, detail: str
) -> None:
    raising = (
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'GG001', MESSAGE = 'pc-01 is gone.', "
        f"DETAIL = '{detail}'; END $$"
    )
    with (
        psycopg.connect(database.server.dsn(SUPERUSER, database.name)) as connection,
        pytest.raises(ConsoleError) as caught,
        in_sentences(),
    ):
        connection.execute(raising)
    assert caught.value.summary == "pc-01 is gone."
    assert not isinstance(caught.value.summary, Sentence)


def test_why_there_is_no_connection_is_a_sentence_too(database: RealDatabase) -> None:
    with pytest.raises(ConsoleError) as caught, in_sentences():
        psycopg.connect(database.server.dsn(CONSOLE_ROLE, "no_such_database"))
    said = caught.value.summary
    assert said.key.startswith("There is no database “{name}” on {server}")
    assert said.values["name"] == "no_such_database"
    assert said.values["server"].key in {"the server", "the server {where}"}
    assert said == said.key.format(**said.values)
