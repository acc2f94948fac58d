# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: what people see of long work; the queue itself is procrastinate's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import JobKind, JobStatus
from .base import Base, Bytes, Created, Id, Line, Moment, Text0, enum_type


class Job(Base):
    """One piece of long work with its progress, result and error."""

    __tablename__ = "jobs"

    id: Mapped[Id]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    kind: Mapped[JobKind] = mapped_column(enum_type(JobKind, "job_kind"))
    status: Mapped[JobStatus] = mapped_column(
        enum_type(JobStatus, "job_status"), server_default="QUEUED"
    )
    object_name: Mapped[Text0]
    """What it works on, as people call it."""
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id", ondelete="SET NULL"))
    machine_id: Mapped[int | None] = mapped_column(ForeignKey("machines.id", ondelete="SET NULL"))
    params: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    result: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    phase: Mapped[Text0]
    percent: Mapped[float] = mapped_column(server_default="0")
    bytes_done: Mapped[Bytes | None]
    bytes_total: Mapped[Bytes | None]
    bytes_per_s: Mapped[Bytes | None]
    seconds_left: Mapped[int | None]
    error: Mapped[Text0]
    error_details: Mapped[Text0]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    attempts: Mapped[int] = mapped_column(server_default="0")
    queue_job_id: Mapped[Bytes | None]
    """procrastinate's number; NULL while the uploader's own process does the work."""
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_by_name: Mapped[Line]
    created_at: Mapped[Created]
    started_at: Mapped[Moment | None]
    heartbeat_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]

    __table_args__ = (
        CheckConstraint("octet_length(params::text) <= 1000000", "params"),
        Index("ix_jobs_open", "host_id", postgresql_where=text("status IN ('QUEUED', 'RUNNING')")),
        Index("ix_jobs_image_id", "image_id"),
        Index(
            "uq_jobs_open_image",
            "image_id",
            "kind",
            unique=True,
            postgresql_where=text(
                "status IN ('QUEUED', 'RUNNING') AND "
                "kind IN ('image.import', 'image.verify', 'image.convert', 'image.remove')"
            ),
        ),
        Index("ix_jobs_machine_id", "machine_id"),
    )
