# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: imports as operators ask for them, and what may be done with an image when."""

from __future__ import annotations

import psycopg
import pytest
from real_database import HOST, RealDatabase
from steps import BIG, SHA256, add_image, add_machines, begin_upload, make_targets, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import ImageFormat, ImageStatus, ImageType, JobKind, JobStatus, Role
from ggnet_console.errors import ConsoleError, FieldError, NotFoundError
from ggnet_console.services import images, jobs, targets
from ggnet_console.services.images import ImageRow, ImageSpec
from ggnet_console.services.jobs import JobRow


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


def look(database: Database, image_id: int, job_id: int) -> tuple[ImageRow, JobRow]:
    with database.begin() as session:
        [image] = images.list_images(session, [image_id])
        return image, jobs.get_job(session, job_id)


def queued(database: RealDatabase, job_id: int) -> list[tuple]:
    """(status, queue, lock) of the job in the queue."""
    return database.rows(
        "SELECT status::text, queue_name, lock FROM procrastinate.procrastinate_jobs "
        "WHERE args ->> 'job_id' = %s",
        str(job_id),
    )


def test_an_upload_begins_as_an_image_and_a_running_job_not_in_the_queue(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator, "win11")
    image, job = look(operator, upload.image_id, upload.job_id)
    assert (image.name, image.status, image.type) == (
        "win11",
        ImageStatus.UPLOADING,
        ImageType.SYSTEM,
    )
    assert (image.source_name, image.source_size_bytes, image.host) == ("win11.vhdx", BIG, HOST)
    assert (job.kind, job.status, job.object_name) == (
        JobKind.IMAGE_IMPORT,
        JobStatus.RUNNING,
        "win11",
    )
    assert job.started_at is not None
    assert (job.image_id, job.created_by_name) == (upload.image_id, "operator")
    assert queued(database, upload.job_id) == []


def test_nobody_takes_over_the_upload_of_another_image(
    database: RealDatabase, operator: Database
) -> None:
    """Who could name its id would be given the half-copied file of somebody else."""
    mine, other = begin_upload(operator, "mine"), begin_upload(operator, "other")
    assert mine.upload_id != other.upload_id
    with (
        pytest.raises(psycopg.errors.UndefinedFunction),
        psycopg.connect(database.dsn(database.log_in("operator"))) as connection,
    ):
        connection.execute(
            "SELECT image_start('third', 'SYSTEM', %s, %s::uuid, 'x', 1)", [HOST, mine.upload_id]
        )
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.rows(
            "UPDATE images SET upload_id = %s WHERE id = %s", mine.upload_id, other.image_id
        )


def test_the_progress_of_an_upload_is_seen_at_its_image(operator: Database) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        assert not images.note_upload(session, upload.job_id, 0.5, BIG // 2, BIG, 2**33, 12)
    image, job = look(operator, upload.image_id, upload.job_id)
    assert (image.job_id, image.percent, image.job_phase) == (upload.job_id, 50.0, "Copying")
    assert image.seconds_left == 12
    assert (job.bytes_done, job.bytes_total, job.bytes_per_s) == (BIG // 2, BIG, 2**33)


@pytest.mark.parametrize(("fraction", "percent"), [(-1.0, 0.0), (1.5, 100.0)])
def test_progress_stays_between_0_and_100_percent(
    operator: Database, fraction: float, percent: float
) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        images.note_upload(session, upload.job_id, fraction, 0, 0, None, None)
    assert look(operator, upload.image_id, upload.job_id)[1].percent == percent


def test_a_finished_upload_waits_in_the_queue_of_its_host(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        images.finish_upload(session, upload.job_id, BIG + 1, SHA256)
    image, job = look(operator, upload.image_id, upload.job_id)
    assert (image.status, image.source_size_bytes, image.source_sha256) == (
        ImageStatus.PROCESSING,
        BIG + 1,
        SHA256,
    )
    assert job.status is JobStatus.QUEUED
    assert queued(database, upload.job_id) == [("todo", HOST, f"image:{upload.image_id}")]


def test_an_upload_is_finished_once(operator: Database) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        images.finish_upload(session, upload.job_id, 1, SHA256)
    for late in (
        lambda s: images.finish_upload(s, upload.job_id, 1, SHA256),
        lambda s: images.note_upload(s, upload.job_id, 0.1, 1, 2, None, None),
        lambda s: images.fail_upload(s, upload.job_id, "late", cancelled=False),
    ):
        with pytest.raises(NotFoundError, match="no longer running"), operator.begin() as session:
            late(session)


@pytest.mark.parametrize(
    ("cancelled", "status"), [(False, JobStatus.FAILED), (True, JobStatus.CANCELLED)]
)
def test_a_failed_upload_leaves_the_sentence_at_image_and_job(
    operator: Database, cancelled: bool, status: JobStatus
) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        images.fail_upload(session, upload.job_id, "The disk is full.", cancelled=cancelled)
    image, job = look(operator, upload.image_id, upload.job_id)
    assert (image.status, image.error) == (ImageStatus.ERROR, "The disk is full.")
    assert (job.status, job.error) == (status, "The disk is full.")
    assert job.finished_at is not None


def test_another_person_s_upload_is_none_of_one_s_business(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator)
    admin = database.sign_in(Role.ADMIN)
    for act in (
        lambda s: images.note_upload(s, upload.job_id, 0.1, 1, 2, None, None),
        lambda s: images.finish_upload(s, upload.job_id, 1, SHA256),
        lambda s: images.fail_upload(s, upload.job_id, "x", cancelled=False),
    ):
        with pytest.raises(NotFoundError), admin.begin() as session:
            act(session)
    assert look(operator, upload.image_id, upload.job_id)[0].status is ImageStatus.UPLOADING


def test_an_upload_goes_on_under_another_sign_in_of_the_same_person(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator)
    with database.sign_in(Role.OPERATOR).begin() as session:
        images.finish_upload(session, upload.job_id, 1, SHA256)


def test_an_operator_who_cancels_an_upload_is_heard_by_the_uploader(
    database: RealDatabase, operator: Database
) -> None:
    upload = begin_upload(operator)
    with database.sign_in(Role.ADMIN).begin() as session:
        assert jobs.cancel_job(session, upload.job_id) is JobStatus.RUNNING
    with operator.begin() as session:
        assert images.note_upload(session, upload.job_id, 0.1, 1, 2, None, None)


def test_a_name_is_taken_until_its_import_has_failed(operator: Database) -> None:
    first = begin_upload(operator, "win11")
    with pytest.raises(FieldError, match="already has this name") as caught:
        begin_upload(operator, "WIN11")
    assert caught.value.field == "name"
    with operator.begin() as session:
        images.fail_upload(session, first.job_id, "broken", cancelled=False)
    second = begin_upload(operator, "WIN11")
    assert second.image_id != first.image_id
    with operator.begin() as session:
        assert [row.name for row in images.list_images(session)] == ["WIN11"]
        assert jobs.get_job(session, first.job_id).image_id is None


def test_a_damaged_image_keeps_its_name(database: RealDatabase, operator: Database) -> None:
    image = add_image(database, "win11", operator)
    database.rows("UPDATE images SET status = 'ERROR' WHERE id = %s", image)
    with pytest.raises(FieldError, match="already has this name"):
        begin_upload(operator, "win11")


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "a\nb", "a\0"])
def test_a_name_nobody_could_read_is_refused(operator: Database, name: str) -> None:
    with pytest.raises(FieldError) as caught:
        begin_upload(operator, name)
    assert caught.value.field == "name"


def test_a_host_without_an_agent_is_named(operator: Database) -> None:
    with (
        pytest.raises(NotFoundError, match="no storage host “elsewhere”"),
        operator.begin() as session,
    ):
        images.start_upload(session, ImageSpec("x"), "elsewhere", "x", 1)


def test_an_entry_of_the_import_folder_waits_in_the_queue(
    database: RealDatabase, operator: Database
) -> None:
    with operator.begin() as session:
        upload = images.start_entry_import(
            session, ImageSpec("win11"), HOST, "-win 'x'.vhdx", SHA256, None
        )
    image, job = look(operator, upload.image_id, upload.job_id)
    assert (image.status, job.status) == (ImageStatus.UPLOADING, JobStatus.QUEUED)
    assert len(queued(database, upload.job_id)) == 1
    params = database.value("SELECT params FROM jobs WHERE id = %s", upload.job_id)
    assert params == {
        "upload_id": str(upload.upload_id),
        "entry": "-win 'x'.vhdx",
        "sha256": SHA256,
        "md5": None,
    }


@pytest.mark.parametrize(
    "entry", ["", ".", "..", "../etc/shadow", "/etc/shadow", "a/b", "a\nb", "a/", "\x7f"]
)
def test_a_path_is_no_entry_of_the_import_folder(operator: Database, entry: str) -> None:
    with pytest.raises(ConsoleError, match="bare file name"), operator.begin() as session:
        images.start_entry_import(session, ImageSpec("x"), HOST, entry, None, None)


def test_a_ready_image_shows_its_sealed_version(database: RealDatabase, operator: Database) -> None:
    add_image(database, "win11", operator)
    with operator.begin() as session:
        row = images.get_image(session, "WIN11")
    assert (row.status, row.source_format, row.error) == (
        ImageStatus.READY,
        ImageFormat.VHDX,
        "",
    )
    assert (row.sha256, row.source_sha256) == (SHA256, SHA256)
    assert (row.virtual_size_bytes, row.actual_size_bytes, row.version_number) == (BIG, 2**31, 1)
    assert (row.used_by, row.job_id, row.percent) == (0, None, None)


def test_an_image_that_is_not_there_is_not_found(operator: Database) -> None:
    with pytest.raises(NotFoundError, match="no image “x”"), operator.begin() as session:
        images.get_image(session, "x")


def test_an_image_is_saved_under_a_name_nobody_else_has(
    database: RealDatabase, operator: Database
) -> None:
    add_image(database, "win11", operator)
    with operator.begin() as session:
        read = images.get_image(session, "win11")
        images.update_image(session, read, ImageSpec(" win12 ", ImageType.TEMPLATE, "new"))
        row = images.get_image(session, "win12")
    assert (row.type, row.notes, row.version) == (ImageType.TEMPLATE, "new", read.version + 1)
    add_image(database, "other", operator)
    with pytest.raises(FieldError, match="already has this name"), operator.begin() as session:
        images.update_image(session, row, ImageSpec("OTHER"))


@pytest.mark.parametrize(
    ("ask", "kind", "params"),
    [
        (images.verify_image, JobKind.IMAGE_VERIFY, {}),
        (
            lambda s, i: images.convert_image(s, i, ImageFormat.QCOW2),
            JobKind.IMAGE_CONVERT,
            {"format": "QCOW2"},
        ),
        (images.remove_image, JobKind.IMAGE_REMOVE, {}),
    ],
)
def test_work_on_a_ready_image_is_queued(
    database: RealDatabase, operator: Database, ask, kind: JobKind, params: dict
) -> None:
    image = add_image(database, "win11", operator)
    with operator.begin() as session:
        job_id = ask(session, image)
        job = jobs.get_job(session, job_id)
    assert (job.kind, job.status, job.object_name) == (kind, JobStatus.QUEUED, "win11")
    assert database.value("SELECT params FROM jobs WHERE id = %s", job_id) == params
    assert queued(database, job_id) == [("todo", HOST, f"image:{image}")]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (images.verify_image, "not ready, so there is nothing to verify"),
        (
            lambda s, i: images.convert_image(s, i, ImageFormat.VHDX),
            "not ready, so there is nothing to convert",
        ),
        (images.remove_image, "is being imported; cancel the job first"),
    ],
)
def test_work_on_an_image_that_is_being_imported_is_refused(
    database: RealDatabase, operator: Database, ask, sentence: str
) -> None:
    upload = begin_upload(operator)
    with pytest.raises(ConsoleError, match=sentence), operator.begin() as session:
        ask(session, upload.image_id)
    with pytest.raises(NotFoundError, match="no longer exists"), operator.begin() as session:
        ask(session, upload.image_id + 1000)


def test_a_failed_import_can_be_removed(operator: Database) -> None:
    upload = begin_upload(operator)
    with operator.begin() as session:
        images.fail_upload(session, upload.job_id, "broken", cancelled=False)
        assert images.remove_image(session, upload.image_id)


def test_an_image_that_is_served_is_not_removed(database: RealDatabase, operator: Database) -> None:
    image = add_image(database, "win11", operator)
    [machine] = add_machines(operator, "pc-01")
    start_sessions(operator, image, machine)
    make_targets(database)
    with operator.begin() as session:
        assert images.get_image(session, "win11").used_by == 1
    with (
        pytest.raises(ConsoleError, match="“win11” is served to pc-01"),
        operator.begin() as session,
    ):
        images.remove_image(session, image)


def test_an_image_that_is_being_removed_is_given_to_nobody(
    database: RealDatabase, operator: Database
) -> None:
    image = add_image(database, "win11", operator)
    [machine] = add_machines(operator, "pc-01")
    with operator.begin() as session:
        images.remove_image(session, image)
    with pytest.raises(ConsoleError, match="“win11” is being removed"):
        start_sessions(operator, image, machine)
    with pytest.raises(ConsoleError, match="being removed"), operator.begin() as session:
        targets.create_target(session, machine, image)
    with pytest.raises(ConsoleError, match="being removed"), operator.begin() as session:
        images.remove_image(session, image)
    with pytest.raises(ConsoleError, match="being removed"), operator.begin() as session:
        images.verify_image(session, image)
