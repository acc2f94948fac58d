# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people ask for the same work on one image: one of them gets it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_database import RealDatabase
from steps import add_image

from ggnet_console.db.engine import Database
from ggnet_console.enums import ImageFormat, JobStatus, Role
from ggnet_console.errors import ConsoleError
from ggnet_console.services import agent_jobs, images

pytestmark = pytest.mark.furnished


@pytest.fixture
def anna(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def ben(database: RealDatabase) -> Database:
    return database.sign_in(Role.ADMIN)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (images.verify_image, "is being verified already, started by "),
        (
            lambda s, i: images.convert_image(s, i, ImageFormat.QCOW2),
            "is being exported already, started by ",
        ),
        (images.remove_image, "is being removed"),
    ],
)
def test_of_two_who_ask_for_the_same_job_at_once_exactly_one_wins(
    database: RealDatabase, anna: Database, ben: Database, ask: Callable[..., int], sentence: str
) -> None:
    image = add_image(database, "win11", anna)

    def try_it(who: Database) -> int | str:
        try:
            with who.begin() as session:
                return ask(session, image)
        except ConsoleError as error:
            return error.summary

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(try_it, [anna, ben]))
    [job] = [answer for answer in answers if isinstance(answer, int)]
    [refusal] = [answer for answer in answers if isinstance(answer, str)]
    assert refusal.startswith(f"The image “win11” {sentence}")
    assert database.value("SELECT count(*) FROM jobs WHERE kind <> 'image.import'") == 1
    assert database.value("SELECT id FROM jobs WHERE kind <> 'image.import'") == job


def test_the_second_who_asks_waits_for_the_first_and_is_told_who_it_is(database, anna, ben) -> None:
    image = add_image(database, "win11", anna)

    def verify() -> int:
        with ben.begin() as session:
            return images.verify_image(session, image)

    with ThreadPoolExecutor(1) as pool, anna.begin() as session:
        images.verify_image(session, image)
        second = pool.submit(verify)
        database.wait_for_lock()
        session.commit()
        with pytest.raises(ConsoleError, match="verified already, started by operator; wait"):
            second.result(30)


def test_the_second_job_is_refused_even_where_the_first_cannot_be_seen(database, anna) -> None:
    """As in a transaction that began before it, at REPEATABLE READ."""
    image = add_image(database, "win11", anna)
    with anna.begin() as session:
        job = images.verify_image(session, image)
    with (
        pytest.raises(ConsoleError, match="has a job of this kind already"),
        database.owner.begin() as session,
    ):
        run = session.connection().exec_driver_sql
        run("ALTER TABLE jobs DISABLE TRIGGER one_image_job")
        run(
            "INSERT INTO jobs (host_id, kind, image_id, created_by_name) "
            f"SELECT host_id, kind, image_id, 'x' FROM jobs WHERE id = {job}"
        )


def test_a_job_that_has_ended_is_in_nobody_s_way_nor_is_one_of_another_kind(database, anna) -> None:
    image = add_image(database, "win11", anna)
    with anna.begin() as session:
        first = images.verify_image(session, image)
        images.convert_image(session, image, ImageFormat.RAW)
    with database.agent.begin() as session:
        agent_jobs.end_job(session, first, JobStatus.FAILED, error="broken")
    with anna.begin() as session:
        assert images.verify_image(session, image) != first
