# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as people see them: cancelled, tried again, listed."""

from __future__ import annotations

import pytest
from real_database import HOST, RealDatabase
from steps import SHA256, add_image, add_machines, begin_upload, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import ImageFormat, ImageStatus, JobKind, JobStatus, Role
from ggnet_console.errors import ConsoleError, NotFoundError
from ggnet_console.services import agent_jobs, boot_sessions, images, jobs, target_plans

pytestmark = pytest.mark.furnished


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def image(database: RealDatabase, operator: Database) -> int:
    return add_image(database, "win11", operator)


def job(database: Database, job_id: int) -> jobs.JobRow:
    with database.begin() as session:
        return jobs.get_job(session, job_id)


def queue_status(database: RealDatabase, job_id: int) -> str:
    return database.value(
        "SELECT status::text FROM procrastinate.procrastinate_jobs WHERE args ->> 'job_id' = %s",
        str(job_id),
    )


def run(database: RealDatabase, job_id: int) -> None:
    """Let the host's worker fetch the job, as the engine does."""
    with database.agent.begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE procrastinate.procrastinate_jobs SET status = 'doing' "
            "WHERE args ->> 'job_id' = %s",
            (str(job_id),),
        )
        assert agent_jobs.take_up(session, job_id) is not None


def end(database: RealDatabase, job_id: int, status: JobStatus) -> None:
    with database.agent.begin() as session:
        agent_jobs.end_job(session, job_id, status, error="It went wrong.")


def test_a_waiting_job_is_cancelled_at_once(
    database: RealDatabase, operator: Database, image: int
) -> None:
    with operator.begin() as session:
        job_id = images.verify_image(session, image)
    with operator.begin() as session:
        assert jobs.cancel_job(session, job_id) is JobStatus.CANCELLED
    row = job(operator, job_id)
    assert (row.status, row.error, row.open) == (
        JobStatus.CANCELLED,
        "Cancelled by operator.",
        False,
    )
    assert row.finished_at is not None
    assert queue_status(database, job_id) == "cancelled"
    with operator.begin() as session:
        assert images.get_image(session, "win11").status is ImageStatus.READY


def test_cancelling_a_waiting_import_makes_its_image_an_error(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator, "new")
    with operator.begin() as session:
        images.finish_upload(session, upload.job_id, 1, SHA256)
    with database.sign_in(Role.ADMIN).begin() as session:
        assert jobs.cancel_job(session, upload.job_id) is JobStatus.CANCELLED
        image = images.get_image(session, "new")
    assert (image.status, image.error) == (
        ImageStatus.ERROR,
        "The import was cancelled by admin.",
    )


def test_a_running_job_is_asked_to_stop(
    database: RealDatabase, operator: Database, image: int
) -> None:
    with operator.begin() as session:
        job_id = images.verify_image(session, image)
    run(database, job_id)
    with operator.begin() as session:
        assert jobs.cancel_job(session, job_id) is JobStatus.RUNNING
    row = job(operator, job_id)
    assert (row.status, row.cancel_requested) == (JobStatus.RUNNING, True)
    assert database.value(
        "SELECT abort_requested FROM procrastinate.procrastinate_jobs WHERE args ->> 'job_id' = %s",
        str(job_id),
    )


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_what_has_ended_is_not_cancelled(
    database: RealDatabase, operator: Database, image: int, status: JobStatus
) -> None:
    with operator.begin() as session:
        job_id = images.verify_image(session, image)
    end(database, job_id, status)
    with pytest.raises(ConsoleError, match="already ended"), operator.begin() as session:
        jobs.cancel_job(session, job_id)


def test_a_change_of_targets_is_not_cancelled(operator: Database, image: int) -> None:
    started = start_sessions(operator, image, *add_machines(operator, "pc-01"))
    with pytest.raises(ConsoleError, match="stop the session instead"), operator.begin() as session:
        jobs.cancel_job(session, started.job_id)


def test_a_failed_job_is_tried_again_as_a_new_one(
    database: RealDatabase, operator: Database, image: int
) -> None:
    with operator.begin() as session:
        job_id = images.convert_image(session, image, ImageFormat.VMDK)
    end(database, job_id, JobStatus.FAILED)
    with database.sign_in(Role.ADMIN).begin() as session:
        again = jobs.retry_job(session, job_id)
    row = job(operator, again)
    assert (row.id, row.kind, row.status) == (again, JobKind.IMAGE_CONVERT, JobStatus.QUEUED)
    assert (row.created_by_name, row.object_name) == ("admin", "win11")
    assert database.value("SELECT params FROM jobs WHERE id = %s", again) == {"format": "VMDK"}
    assert again != job_id
    assert job(operator, job_id).status is JobStatus.FAILED
    assert queue_status(database, again) == "todo"


def test_what_cannot_be_tried_again_says_what_to_do(
    database: RealDatabase, operator: Database, image: int
) -> None:
    upload = begin_upload(operator, "new")
    started = start_sessions(operator, image, *add_machines(operator, "pc-01"))
    with operator.begin() as session:
        verify = images.verify_image(session, image)
        stop = boot_sessions.stop_boot_sessions(session, started.session_ids)
        apply = target_plans.apply_targets(session, database.host_id, cut=["pc-01"])
    assert stop is not None
    for job_id in (upload.job_id, started.job_id, stop, apply):
        end(database, job_id, JobStatus.FAILED)
    for job_id, sentence in (
        (verify, "Only a job that failed or was cancelled"),
        (upload.job_id, "import the file again"),
        (started.job_id, "Start the session again"),
        # By now the machine may have another session, or others may be logged in.
        (stop, "ask for it anew"),
        (apply, "ask for it anew"),
    ):
        with pytest.raises(ConsoleError, match=sentence), operator.begin() as session:
            jobs.retry_job(session, job_id)
    end(database, verify, JobStatus.FAILED)
    database.rows("DELETE FROM luns")
    database.rows("DELETE FROM images WHERE id = %s", image)
    with pytest.raises(NotFoundError, match="image no longer"), operator.begin() as session:
        jobs.retry_job(session, verify)


def test_a_job_that_is_not_there_is_not_found(operator: Database) -> None:
    for ask in (jobs.get_job, jobs.cancel_job, jobs.retry_job):
        with pytest.raises(NotFoundError), operator.begin() as session:
            ask(session, 4711)


def test_jobs_are_listed_newest_first_in_pages(
    database: RealDatabase, operator: Database, image: int
) -> None:
    others = [add_image(database, name, operator) for name in ("win12", "win13")]
    with operator.begin() as session:
        made = [images.verify_image(session, each) for each in (image, *others)]
    end(database, made[0], JobStatus.SUCCEEDED)

    def listed(**query) -> list[int]:
        with operator.begin() as session:
            return [row.id for row in jobs.list_jobs(session, **query)]

    assert listed()[:3] == made[::-1]
    assert listed(limit=2) == [made[2], made[1]]
    assert listed(before_id=made[1])[0] == made[0]
    assert listed(open_only=True) == [made[2], made[1]]
    assert listed(ids=[made[0], 4711]) == [made[0]]
    assert job(operator, made[0]).host == HOST
