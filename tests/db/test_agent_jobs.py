# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's side of jobs: taken up, told of, ended, and brought back after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from patience import PATIENCE_S, wait_for
from procrastinate.manager import JobManager
from real_database import HOST, RealDatabase
from steps import BIG, SHA256, add_image, begin_upload

from ggnet_console.config import Config
from ggnet_console.db.engine import Database
from ggnet_console.enums import ImageFormat, ImageStatus, JobKind, JobStatus, Role
from ggnet_console.errors import UnreachableError
from ggnet_console.services import agent_jobs, images, jobs
from ggnet_console.services.agent_jobs import Task
from ggnet_console.workers.agent import job_runner
from ggnet_console.workers.agent.job import Job
from ggnet_console.workers.agent.reconciler import Reconciler
from ggnet_console.workers.agent.target_keeper import TargetKeeper

pytestmark = pytest.mark.furnished


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def image(database: RealDatabase, operator: Database) -> int:
    return add_image(database, "win11", operator)


@pytest.fixture
def job_id(operator: Database, image: int) -> int:
    with operator.begin() as session:
        return images.convert_image(session, image, ImageFormat.QCOW2)


def job(database: RealDatabase, job_id: int) -> jobs.JobRow:
    with database.owner.begin() as session:
        return jobs.get_job(session, job_id)


def take_up(database: RealDatabase, job_id: int) -> Task | None:
    with database.agent.begin() as session:
        return agent_jobs.take_up(session, job_id)


def fetch(database: RealDatabase, job_id: int) -> None:
    """As the queue's worker does before it hands the job over."""
    with database.agent.begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE args ->> 'job_id' = %s",
            (str(job_id),),
        )


def queue(database: RealDatabase, job_id: int) -> tuple[str, bool]:
    [row] = database.rows(
        "SELECT status::text, abort_requested FROM procrastinate.procrastinate_jobs "
        "WHERE args ->> 'job_id' = %s",
        str(job_id),
    )
    return row


def test_a_job_is_taken_up_with_all_that_is_to_be_done(
    database: RealDatabase, image: int, job_id: int
) -> None:
    task = take_up(database, job_id)
    assert task == Task(
        job_id=job_id,
        kind=JobKind.IMAGE_CONVERT,
        object_name="win11",
        image_id=image,
        machine_id=None,
        params={"format": "QCOW2"},
        attempt=1,
        cancel_requested=False,
        user="operator",
    )
    row = job(database, job_id)
    assert (row.status, row.attempts) == (JobStatus.RUNNING, 1)
    assert row.started_at is not None
    again = take_up(database, job_id)
    assert again is not None
    assert again.attempt == 2
    assert job(database, job_id).started_at == row.started_at


@pytest.mark.parametrize("by", ["the queue", "who looks for lost ones"])
def test_an_interruption_that_the_database_learns_of_late_is_no_attempt(
    by: str, database: RealDatabase, job_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun anew before the database could be told of its interruption."""
    lost = UnreachableError("It was restarted.")
    answers = {"work": [lost], "put_back": [lost]}
    put_back = agent_jobs.put_back

    def answer(name: str) -> None:
        if answers[name]:
            raise answers[name].pop()

    class Convert(Job):
        def work(self) -> dict[str, Any]:
            answer("work")
            return {}

    def put_back_if_it_answers(*args: Any, **options: Any) -> None:
        answer("put_back")
        put_back(*args, **options)

    monkeypatch.setitem(job_runner._KINDS, JobKind.IMAGE_CONVERT, Convert)
    monkeypatch.setattr(agent_jobs, "put_back", put_back_if_it_answers)
    if by == "who looks for lost ones":
        # The queue could not be told either: for it the job is being done.
        monkeypatch.setattr(JobManager, "retry_job", AsyncMock())
        monkeypatch.setattr(job_runner, "_LOOK_S", 0.1)
    runner = job_runner.JobRunner(
        database.agent.dsn,
        Config(home=tmp_path, host=HOST),
        database.host_id,
        database.agent,
        cast(TargetKeeper, None),  # only jobs of targets use them
        cast(Reconciler, None),
    )
    runner.start()
    try:
        wait_for(lambda: job(database, job_id).status is JobStatus.SUCCEEDED, "it succeeds")
    finally:
        runner.stop()
        assert runner.wait(int(PATIENCE_S * 1000))
    assert answers == {"work": [], "put_back": []}
    assert job(database, job_id).attempts == 1


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_has_ended_is_not_taken_up(
    database: RealDatabase, job_id: int, status: JobStatus
) -> None:
    with database.agent.begin() as session:
        agent_jobs.end_job(session, job_id, status)
    assert take_up(database, job_id) is None
    assert take_up(database, 4711) is None
    assert job(database, job_id).status is status


def test_progress_is_told_while_the_job_runs_and_not_after(
    database: RealDatabase, job_id: int
) -> None:
    def tell(percent: float) -> jobs.JobRow:
        with database.agent.begin() as session:
            agent_jobs.note_progress(
                session, job_id, "Converting", percent, BIG // 2, BIG, 2**33, 9
            )
        return job(database, job_id)

    assert tell(10).percent == 0, "it waits"
    take_up(database, job_id)
    row = tell(42.5)
    assert (row.phase, row.percent, row.bytes_done, row.bytes_total) == (
        "Converting",
        42.5,
        BIG // 2,
        BIG,
    )
    assert (row.bytes_per_s, row.seconds_left) == (2**33, 9)
    with database.agent.begin() as session:
        agent_jobs.end_job(session, job_id, JobStatus.FAILED)
    assert tell(99).percent == 42.5
    assert job(database, job_id).bytes_done == BIG // 2


def test_what_is_finished_has_done_all_of_it(database: RealDatabase, job_id: int) -> None:
    take_up(database, job_id)
    with database.agent.begin() as session:
        agent_jobs.note_progress(session, job_id, "Comparing", 42.5, 0, BIG, None, None)
        agent_jobs.end_job(session, job_id, JobStatus.SUCCEEDED)
    row = job(database, job_id)
    assert (row.percent, row.bytes_done, row.bytes_total) == (100, BIG, BIG)


def test_a_success_is_100_percent_with_its_result(database: RealDatabase, job_id: int) -> None:
    take_up(database, job_id)
    with database.agent.begin() as session:
        agent_jobs.end_job(session, job_id, JobStatus.SUCCEEDED, result={"file": "win11.qcow2"})
    row = job(database, job_id)
    assert (row.status, row.percent, row.result) == (
        JobStatus.SUCCEEDED,
        100.0,
        {"file": "win11.qcow2"},
    )
    assert (row.bytes_per_s, row.seconds_left) == (None, None)
    assert row.finished_at is not None


def test_a_failure_keeps_the_sentence_and_what_the_tool_said(
    database: RealDatabase, job_id: int
) -> None:
    take_up(database, job_id)
    with database.agent.begin() as session:
        agent_jobs.end_job(
            session,
            job_id,
            JobStatus.FAILED,
            error="It is damaged.",
            details="a\0b\udcff" + "x" * 9000,
        )
    row = job(database, job_id)
    assert (row.status, row.error) == (JobStatus.FAILED, "It is damaged.")
    assert row.error_details.startswith("ab?x")
    assert 7000 < len(row.error_details) <= 8000


def test_how_a_job_ended_is_written_once(database: RealDatabase, job_id: int) -> None:
    take_up(database, job_id)
    with database.agent.begin() as session:
        agent_jobs.end_job(session, job_id, JobStatus.SUCCEEDED)
        agent_jobs.end_job(session, job_id, JobStatus.FAILED, error="late")
        agent_jobs.put_back(session, job_id)
    row = job(database, job_id)
    assert (row.status, row.error) == (JobStatus.SUCCEEDED, "")


@pytest.mark.parametrize(("crashed", "attempts"), [(True, 1), (False, 0)])
def test_what_a_dead_agent_was_doing_waits_again_and_only_a_crash_counts(
    database: RealDatabase, job_id: int, crashed: bool, attempts: int
) -> None:
    fetch(database, job_id)
    take_up(database, job_id)
    with database.agent.begin() as session:
        assert agent_jobs.requeue_interrupted(session, HOST, crashed=crashed) == [job_id]
    row = job(database, job_id)
    assert (row.status, row.percent, row.attempts) == (JobStatus.QUEUED, 0, attempts)
    assert queue(database, job_id) == ("todo", False)
    with database.agent.begin() as session:
        assert agent_jobs.requeue_interrupted(session, HOST, crashed=crashed) == []


def test_an_interrupted_job_that_was_cancelled_comes_back_to_end_as_cancelled(
    database: RealDatabase, operator: Database, job_id: int
) -> None:
    fetch(database, job_id)
    take_up(database, job_id)
    with operator.begin() as session:
        jobs.cancel_job(session, job_id)
    with database.agent.begin() as session:
        assert agent_jobs.requeue_interrupted(session, HOST, crashed=True) == [job_id]
    assert queue(database, job_id) == ("todo", False)
    task = take_up(database, job_id)
    assert task is not None
    assert task.cancel_requested


def test_another_host_s_jobs_are_left_alone(database: RealDatabase, job_id: int) -> None:
    fetch(database, job_id)
    take_up(database, job_id)
    with database.agent.begin() as session:
        assert agent_jobs.requeue_interrupted(session, "elsewhere", crashed=True) == []
    assert queue(database, job_id) == ("doing", False)
    assert job(database, job_id).status is JobStatus.RUNNING


def test_an_upload_whose_importer_fell_silent_ends(
    database: RealDatabase, operator: Database
) -> None:
    living, silent = begin_upload(operator, "living"), begin_upload(operator, "silent")
    database.rows(
        "UPDATE jobs SET heartbeat_at = clock_timestamp() - make_interval(secs => %s) "
        "WHERE id = %s",
        agent_jobs.SILENT_UPLOAD_S + 1,
        silent.job_id,
    )
    with database.agent.begin() as session:
        agent_jobs.end_silent_uploads(session, database.host_id)
    with operator.begin() as session:
        row = images.get_image(session, "silent")
        assert images.get_image(session, "living").status is ImageStatus.UPLOADING
    sentence = "The import stopped while the file was copied; import it again."
    assert (row.status, row.error) == (ImageStatus.ERROR, sentence)
    ended = job(database, silent.job_id)
    assert (ended.status, ended.error) == (JobStatus.FAILED, sentence)
    assert job(database, living.job_id).status is JobStatus.RUNNING


def test_an_upload_handed_over_long_ago_is_no_silent_one(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator, "win12")
    with operator.begin() as session:
        images.finish_upload(session, upload.job_id, 1, SHA256)
    database.rows("UPDATE jobs SET heartbeat_at = '2020-01-01'")
    take_up(database, upload.job_id)
    database.rows("UPDATE jobs SET heartbeat_at = '2020-01-01'")
    with database.agent.begin() as session:
        agent_jobs.end_silent_uploads(session, database.host_id)
    assert job(database, upload.job_id).status is JobStatus.RUNNING


def test_a_finished_import_is_a_ready_image_with_one_sealed_version(
    database: RealDatabase, image: int
) -> None:
    with database.agent.begin() as session:
        [version] = agent_jobs.stored_versions(session, image)
        assert agent_jobs.image_status(session, image) is ImageStatus.READY
        assert agent_jobs.image_status(session, image + 1000) is None
        agent_jobs.note_verified(session, version.id)
    assert (version.image_id, version.number, version.sha256) == (image, 1, SHA256)
    assert version.virtual_size_bytes == BIG
    with database.owner.begin() as session:
        assert images.get_image(session, "win11").verified_at is not None
    assert database.value("SELECT upload_id FROM images") is None


def test_an_import_the_agent_fetched_itself_gets_its_size_and_hash(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator, "win12")
    with database.agent.begin() as session:
        agent_jobs.begin_processing(session, upload.image_id, BIG + 1, SHA256)
    with operator.begin() as session:
        row = images.get_image(session, "win12")
    assert (row.status, row.source_size_bytes, row.source_sha256) == (
        ImageStatus.PROCESSING,
        BIG + 1,
        SHA256,
    )


def test_only_an_import_that_runs_can_fail(database: RealDatabase, image: int) -> None:
    with database.agent.begin() as session:
        agent_jobs.fail_import(session, image, "late")
        assert agent_jobs.image_status(session, image) is ImageStatus.READY


def test_a_damaged_image_is_given_to_nobody(
    database: RealDatabase, operator: Database, image: int
) -> None:
    with database.agent.begin() as session:
        agent_jobs.note_damaged(session, image, "The stored file is damaged.")
    with operator.begin() as session:
        row = images.get_image(session, "win11")
    assert (row.status, row.error) == (ImageStatus.ERROR, "The stored file is damaged.")


def test_the_files_of_images_and_of_running_imports_are_known_and_no_others(
    database: RealDatabase, operator: Database, image: int
) -> None:
    running, failed = begin_upload(operator, "running"), begin_upload(operator, "failed")
    with operator.begin() as session:
        images.fail_upload(session, failed.job_id, "broken", cancelled=False)
    with database.agent.begin() as session:
        known = agent_jobs.known_files(session, database.host_id)
        elsewhere = agent_jobs.known_files(session, database.host_id + 1)
    assert known.versions == {(image, 1), (running.image_id, 1)}
    assert known.uploads == {str(running.upload_id)}
    assert known.jobs == {running.job_id}
    assert (elsewhere.versions, elsewhere.uploads, elsewhere.jobs) == (set(), set(), set())


def test_a_removed_image_is_forgotten_and_its_job_stays(
    database: RealDatabase, image: int, job_id: int
) -> None:
    with database.agent.begin() as session:
        agent_jobs.forget_image(session, image)
        assert agent_jobs.stored_versions(session, image) == []
    row = job(database, job_id)
    assert (row.object_name, row.image_id) == ("win11", None)
