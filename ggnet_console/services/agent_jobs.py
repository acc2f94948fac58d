# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's side of jobs and images: taking work up, its progress, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from ..enums import ImageFormat, ImageStatus, JobKind, JobStatus
from ..models import Image, ImageVersion, Job
from .jobs import OPEN
from .rows import first_row, rows

MAX_ATTEMPTS = 3
SILENT_UPLOAD_S = 60
"""An uploader that has not reported for this long is gone; living ones report every 0.25 s."""


@dataclass(frozen=True)
class Task:
    """A job as the agent takes it up."""

    job_id: int
    kind: JobKind
    object_name: str
    image_id: int | None
    machine_id: int | None
    params: dict[str, Any]
    attempt: int
    cancel_requested: bool
    """Whether the operator asked to stop before, or while another attempt was interrupted."""
    user: str
    """Whose job it is."""


@dataclass(frozen=True)
class Known:
    """What may lie in a storage host's folders."""

    versions: set[tuple[int, int]]
    """Image id and version number of files that are sealed, or about to be."""
    uploads: set[str]
    jobs: set[int]
    """Numbers of the jobs that wait or run."""


@dataclass(frozen=True)
class StoredVersion:
    """A sealed file of an image as it was recorded."""

    id: int
    image_id: int
    number: int
    sha256: str
    virtual_size_bytes: int


def take_up(session: Session, job_id: int) -> Task | None:
    """Mark the job as running and return what is to be done; None when it has ended already."""
    taken = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status.in_(OPEN))
        .values(
            status=JobStatus.RUNNING,
            started_at=func.coalesce(Job.started_at, func.clock_timestamp()),
            heartbeat_at=func.clock_timestamp(),
            attempts=Job.attempts + 1,
        )
        .returning(
            Job.id.label("job_id"),
            Job.kind,
            Job.object_name,
            Job.image_id,
            Job.machine_id,
            Job.params,
            Job.attempts.label("attempt"),
            Job.cancel_requested,
            Job.created_by_name.label("user"),
        )
    )
    return first_row(taken, Task)


def for_job(session: Session, job_id: int) -> None:
    """Let the audit trail connect what this transaction changes with the job."""
    session.execute(select(func.set_config("ggnet.job_id", str(job_id), True)))


def note_progress(
    session: Session,
    job_id: int,
    phase: str,
    percent: float,
    done: int | None,
    total: int | None,
    bytes_per_s: int | None,
    seconds_left: int | None,
) -> None:
    """Write how far a running job is; ``percent`` of the whole, the rest of its phase."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.RUNNING)
        .values(
            phase=phase,
            percent=percent,
            bytes_done=done,
            bytes_total=total,
            bytes_per_s=bytes_per_s,
            seconds_left=seconds_left,
            heartbeat_at=func.clock_timestamp(),
        )
    )


def end_job(
    session: Session,
    job_id: int,
    status: JobStatus,
    *,
    error: str = "",
    details: str = "",
    result: dict[str, Any] | None = None,
) -> None:
    """Record how a job ended."""
    values: dict[str, Any] = {
        "status": status,
        "error": _storable(error),
        "error_details": _storable(details[:8000]),
        "finished_at": func.clock_timestamp(),
        "bytes_per_s": None,
        "seconds_left": None,
    }
    if status is JobStatus.SUCCEEDED:
        values |= {"percent": 100.0, "bytes_done": Job.bytes_total, "result": result or {}}
    session.execute(update(Job).where(Job.id == job_id, Job.status.in_(OPEN)).values(**values))


def _storable(text: str) -> str:
    """What PostgreSQL takes: no NUL, and nothing that spells no letter."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def put_back(session: Session, job_id: int, *, crashed: bool = False) -> None:
    """The work was interrupted and will be taken up again; only a crash counts as an attempt."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.QUEUED,
            phase="",
            percent=0,
            attempts=Job.attempts if crashed else Job.attempts - 1,
        )
    )


def interrupted_jobs(session: Session, host: str) -> set[int]:
    """Jobs of ``host`` that the queue takes for being done, or for failed while they are open.

    Those that the one agent of the host is not at, or not any more, were interrupted.
    """
    # The engine does not retry but fails what somebody asked to abort: such a job comes back,
    # too, and ends as cancelled when it is taken up.
    found = text(
        "SELECT j.id FROM procrastinate.procrastinate_jobs q JOIN jobs j ON j.queue_job_id = q.id "
        "WHERE q.queue_name = :queue AND (q.status = 'doing' "
        "OR q.status = 'failed' AND j.status IN ('QUEUED', 'RUNNING'))"
    )
    return set(session.execute(found.bindparams(queue=host)).scalars())


def requeue_interrupted(
    session: Session, host: str, *, crashed: bool, job_ids: Iterable[int] | None = None
) -> list[int]:
    """Queue again what ``host`` was doing when it was interrupted; returns the jobs' numbers.

    ``crashed`` counts that as an attempt. Without ``job_ids`` all ``interrupted_jobs``, for an agent
    that runs no job yet.
    """
    wanted = interrupted_jobs(session, host) if job_ids is None else set(job_ids)
    rows_of_queue = text(
        "SELECT j.id AS job_id, q.id, q.priority, q.lock "
        "FROM procrastinate.procrastinate_jobs q JOIN jobs j ON j.queue_job_id = q.id "
        "WHERE q.queue_name = :queue AND j.id = ANY(:jobs) ORDER BY q.id"
    )
    found = session.execute(rows_of_queue.bindparams(queue=host, jobs=sorted(wanted))).all()
    for row in found:
        session.execute(
            text(
                "UPDATE procrastinate.procrastinate_jobs SET abort_requested = false WHERE id = :id"
            ).bindparams(id=row.id)
        )
        session.execute(
            text(
                "SELECT procrastinate_retry_job_v2(:id, clock_timestamp(), :priority, :queue, :lock)"
            ).bindparams(id=row.id, priority=row.priority, queue=host, lock=row.lock)
        )
        put_back(session, row.job_id, crashed=crashed)
    return [row.job_id for row in found]


def open_jobs(session: Session, host_id: int) -> set[int]:
    """Numbers of the jobs of this host that wait or run."""
    query = select(Job.id).where(Job.host_id == host_id, Job.status.in_(OPEN))
    return set(session.execute(query).scalars())


def end_silent_uploads(session: Session, host_id: int) -> None:
    """End imports whose uploader died while copying; their files are left over."""
    silent = func.clock_timestamp() - text(f"interval '{SILENT_UPLOAD_S} seconds'")
    jobs = session.execute(
        select(Job.id, Job.image_id)
        .where(
            Job.host_id == host_id,
            Job.kind == JobKind.IMAGE_IMPORT,
            Job.status == JobStatus.RUNNING,
            Job.queue_job_id.is_(None),
            Job.heartbeat_at < silent,
        )
        .with_for_update(skip_locked=True)
    ).all()
    message = "The import stopped while the file was copied; import it again."
    for job_id, image_id in jobs:
        for_job(session, job_id)
        end_job(session, job_id, JobStatus.FAILED, error=message)
        if image_id is not None:
            fail_import(session, image_id, message)


# Images ------------------------------------------------------------------------------------------


def begin_processing(
    session: Session, image_id: int, size: int | None = None, sha256: str | None = None
) -> None:
    """The file lies in ``incoming``; its size and SHA-256 when the agent itself fetched it."""
    values: dict[str, Any] = {"status": ImageStatus.PROCESSING}
    if sha256 is not None:
        values |= {"source_size_bytes": size, "source_sha256": sha256}
    session.execute(update(Image).where(Image.id == image_id).values(**values))


def finish_import(
    session: Session,
    image_id: int,
    source_format: ImageFormat,
    sha256: str,
    virtual_size: int,
    actual_size: int,
    contents: str = "",
    warning: str = "",
    remarks: str = "",
) -> None:
    """The sealed file is in place: the image's first version, READY."""
    session.execute(
        insert(ImageVersion).values(
            image_id=image_id,
            number=1,
            sha256=sha256,
            virtual_size_bytes=virtual_size,
            actual_size_bytes=actual_size,
            contents=_storable(contents),
            warning=_storable(warning),
            remarks=_storable(remarks),
        )
    )
    session.execute(
        update(Image)
        .where(Image.id == image_id)
        .values(status=ImageStatus.READY, source_format=source_format, upload_id=None, error="")
    )


def fail_import(session: Session, image_id: int, message: str) -> None:
    """The import ended without an image."""
    session.execute(
        update(Image)
        .where(
            Image.id == image_id,
            Image.status.in_([ImageStatus.UPLOADING, ImageStatus.PROCESSING]),
        )
        .values(status=ImageStatus.ERROR, error=_storable(message), upload_id=None)
    )


def image_status(session: Session, image_id: int) -> ImageStatus | None:
    """The image's status, None when it is gone."""
    return session.execute(select(Image.status).where(Image.id == image_id)).scalar()


def stored_versions(session: Session, image_id: int) -> list[StoredVersion]:
    """The sealed files of an image, newest first."""
    query = (
        select(
            ImageVersion.id,
            ImageVersion.image_id,
            ImageVersion.number,
            ImageVersion.sha256,
            ImageVersion.virtual_size_bytes,
        )
        .where(ImageVersion.image_id == image_id)
        .order_by(ImageVersion.number.desc())
    )
    return rows(session.execute(query), StoredVersion)


def note_verified(session: Session, version_id: int) -> None:
    """The stored file still has its SHA-256."""
    session.execute(
        update(ImageVersion)
        .where(ImageVersion.id == version_id)
        .values(verified_at=func.clock_timestamp())
    )


def note_damaged(session: Session, image_id: int, message: str) -> None:
    """The stored file is not what was sealed: nobody may be given it any more."""
    session.execute(
        update(Image)
        .where(Image.id == image_id)
        .values(status=ImageStatus.ERROR, error=_storable(message))
    )


def forget_image(session: Session, image_id: int) -> None:
    """Remove the image's rows; its files come after the commit."""
    session.execute(delete(Image).where(Image.id == image_id))


def known_files(session: Session, host_id: int) -> Known:
    """Which files of this host belong to somebody."""
    sealed = (
        select(ImageVersion.image_id, ImageVersion.number)
        .join(Image, Image.id == ImageVersion.image_id)
        .where(Image.host_id == host_id)
    )
    importing = select(Image.id, Image.upload_id).where(
        Image.host_id == host_id,
        Image.status.in_([ImageStatus.UPLOADING, ImageStatus.PROCESSING]),
    )
    versions = {(row.image_id, row.number) for row in session.execute(sealed)}
    imports = session.execute(importing).all()
    return Known(
        # A file gets its name a moment before its row.
        versions | {(row.id, 1) for row in imports},
        {str(row.upload_id) for row in imports},
        open_jobs(session, host_id),
    )
