# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images: their import as operators ask for it, and their work on the storage host."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Select, bindparam, func, literal, select, text, update
from sqlalchemy.orm import Session

from ..enums import ImageFormat, ImageStatus, ImageType, JobKind
from ..errors import FieldChange, NotFoundError, sentence
from ..models import Host, Image, ImageVersion, Job, Lun
from ..values import parse_name, parse_text
from . import concurrent_edits
from .jobs import OPEN
from .names import is_named
from .rows import first_row, one_row, rows

_KINDS = [kind for kind in JobKind if kind.startswith("image.")]


@dataclass(frozen=True)
class ImageSpec:
    """What an operator says about an image."""

    name: str
    type: ImageType = ImageType.SYSTEM
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image with its newest sealed version; ``percent`` is that of the job working on it."""

    id: int
    name: str
    status: ImageStatus
    type: ImageType
    notes: str
    host: str
    source_name: str
    source_format: ImageFormat | None
    source_size_bytes: int | None
    source_sha256: str | None
    sha256: str | None
    virtual_size_bytes: int | None
    actual_size_bytes: int | None
    version_number: int | None
    verified_at: datetime | None
    contents: str
    """What was found on the disk, in one line; empty when nothing is known of it."""
    warning: str
    """Why machines will perhaps not boot from it; empty when nothing speaks against it."""
    remarks: str
    """What else there is to know of how it came about."""
    used_by: int
    """How many targets serve it."""
    error: str
    created_at: datetime
    version: int
    job_id: int | None
    job_phase: str | None
    percent: float | None
    seconds_left: int | None


@dataclass(frozen=True)
class Upload:
    """A begun import: the image, its job, and the id of the file below ``incoming``."""

    image_id: int
    job_id: int
    upload_id: uuid.UUID


@functools.cache
def _select() -> Select[*tuple[Any, ...]]:
    newest = (
        select(ImageVersion)
        .where(ImageVersion.image_id == Image.id)
        .order_by(ImageVersion.number.desc())
        .limit(1)
        .lateral("newest")
    )
    job = (
        select(Job.id, Job.phase, Job.percent, Job.seconds_left)
        .where(Job.image_id == Image.id, Job.status.in_(OPEN), Job.kind.in_(_KINDS))
        .order_by(Job.id)
        .limit(1)
        .lateral("job")
    )
    used_by = (
        select(func.count())
        .select_from(Lun)
        .join(ImageVersion, ImageVersion.id == Lun.image_version_id)
        .where(ImageVersion.image_id == Image.id)
        .scalar_subquery()
    )
    return (
        select(
            Image.id,
            Image.name,
            Image.status,
            Image.type,
            Image.notes,
            Host.name.label("host"),
            Image.source_name,
            Image.source_format,
            Image.source_size_bytes,
            Image.source_sha256,
            newest.c.sha256,
            newest.c.virtual_size_bytes,
            newest.c.actual_size_bytes,
            newest.c.number.label("version_number"),
            newest.c.verified_at,
            func.coalesce(newest.c.contents, "").label("contents"),
            func.coalesce(newest.c.warning, "").label("warning"),
            func.coalesce(newest.c.remarks, "").label("remarks"),
            used_by.label("used_by"),
            Image.error,
            Image.created_at,
            Image.version,
            job.c.id.label("job_id"),
            job.c.phase.label("job_phase"),
            job.c.percent,
            job.c.seconds_left,
        )
        .join(Host, Host.id == Image.host_id)
        .outerjoin(newest, Image.id == Image.id)
        .outerjoin(job, Image.id == Image.id)
        .order_by(func.lower(Image.name))
    )


def list_images(session: Session, ids: Iterable[int] | None = None) -> list[ImageRow]:
    """All images by name, or those of ``ids`` that still exist."""
    query = _select()
    if ids is not None:
        query = query.where(Image.id.in_(list(ids)))
    return rows(session.execute(query), ImageRow)


def get_image(session: Session, name: str) -> ImageRow:
    """The image called ``name`` (case does not count); NotFoundError when there is none."""
    query = _select().where(is_named(Image.name, name))
    row = first_row(session.execute(query), ImageRow)
    if row is None:
        raise NotFoundError(sentence("There is no image “{name}”.", name=name))
    return row


def checked_name(name: str) -> str:
    """``name`` as it is stored; FieldError unless it has 1 to 64 printable characters."""
    return parse_name(name, sentence("An image's name has 1 to 64 printable characters."))


def update_image(session: Session, read: ImageRow, spec: ImageSpec) -> tuple[FieldChange, ...]:
    """Save name, type and notes of an image where they differ from how it was ``read``.

    Returns what somebody else changed meanwhile in other fields, which stays. StaleError when they
    changed the same fields; RemovedError when the image is gone; FieldError for a bad name.
    """
    values = asdict(spec)
    if spec.name != read.name:
        values["name"] = checked_name(spec.name)
    if spec.notes != read.notes:
        values["notes"] = parse_text("notes", spec.notes)
    merge = concurrent_edits.merge(session, "image", read, values, list_images)
    if merge.own:
        session.execute(update(Image).where(Image.id == read.id).values(**merge.own))
    return merge.kept


def start_upload(session: Session, spec: ImageSpec, host: str, file_name: str, size: int) -> Upload:
    """Begin an import whose file the caller's own process copies to ``incoming/<upload_id>``."""
    begun = session.execute(
        text(
            "SELECT image_id, job_id, upload_id FROM image_start(:name, "
            "CAST(:type AS image_type), :host, :file, :size)"
        )
        .bindparams(
            name=checked_name(spec.name),
            type=spec.type,
            host=host,
            file=file_name,
        )
        .bindparams(bindparam("size", size, BigInteger))
    )
    return one_row(begun, Upload)


def start_entry_import(
    session: Session, spec: ImageSpec, host: str, entry: str, sha256: str | None, md5: str | None
) -> Upload:
    """Begin an import of ``entry``, a bare name in the import folder of ``host``."""
    begun = session.execute(
        text(
            "SELECT image_id, job_id, upload_id FROM image_import_entry(:name, "
            "CAST(:type AS image_type), :host, :entry, :sha256, :md5)"
        ).bindparams(
            name=checked_name(spec.name),
            type=spec.type,
            host=host,
            entry=entry,
            sha256=sha256,
            md5=md5,
        )
    )
    return one_row(begun, Upload)


def note_upload(
    session: Session,
    job_id: int,
    fraction: float,
    done: int,
    total: int,
    bytes_per_s: int | None,
    seconds_left: int | None,
) -> bool:
    """Record how far the upload is; returns whether the operator asked to stop it."""
    stop: bool = session.execute(
        select(
            func.upload_progress(
                job_id,
                fraction,
                *(literal(n, BigInteger) for n in (done, total, bytes_per_s)),
                seconds_left,
            )
        )
    ).scalar_one()
    return stop


def finish_upload(session: Session, job_id: int, size: int, sha256: str) -> None:
    """The file lies complete in ``incoming``: hand it to the storage host's agent."""
    session.execute(select(func.upload_done(job_id, literal(size, BigInteger), sha256)))


def fail_upload(session: Session, job_id: int, message: str, *, cancelled: bool) -> None:
    """The upload ended without a file: the image becomes ERROR with ``message``."""
    session.execute(select(func.upload_failed(job_id, message, cancelled)))


def verify_image(session: Session, image_id: int) -> int:
    """Queue a check of the stored file against its SHA-256; returns the job's id."""
    return _job(session, image_id, "verify", {})


def convert_image(session: Session, image_id: int, image_format: ImageFormat) -> int:
    """Queue an export into the host's ``exports`` folder; returns the job's id."""
    return _job(session, image_id, "convert", {"format": image_format.value})


def remove_image(session: Session, image_id: int) -> int:
    """Queue the removal of the image and its files; returns the job's id."""
    return _job(session, image_id, "remove", {})


def _job(session: Session, image_id: int, verb: str, params: dict[str, Any]) -> int:
    job_id: int = session.execute(
        text("SELECT image_job(:image, :verb, :params)").bindparams(
            image=image_id, verb=verb, params=Jsonb(params)
        )
    ).scalar_one()
    return job_id
