# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sessions: a machine is given an image, and what was seen of it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import SessionStatus, SessionType
from .base import Base, Bytes, Created, Id, Line, Moment, Text0, Version, enum_type


class BootSession(Base):
    """One session; address, bytes and times are observed at the target."""

    __tablename__ = "boot_sessions"

    id: Mapped[Id]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    image_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("image_versions.id", ondelete="SET NULL")
    )
    image_name: Mapped[Line]
    """Name of the image when the session was started; outlives the image."""
    type: Mapped[SessionType] = mapped_column(enum_type(SessionType, "session_type"))
    status: Mapped[SessionStatus] = mapped_column(enum_type(SessionStatus, "session_status"))
    target_iqn: Mapped[Line]
    initiator_iqn: Mapped[Line]
    portal: Mapped[Text0]
    lun: Mapped[int]
    client_address: Mapped[str | None] = mapped_column(INET)
    connected: Mapped[bool] = mapped_column(server_default=text("false"))
    bytes_read: Mapped[Bytes] = mapped_column(server_default="0")
    bytes_written: Mapped[Bytes] = mapped_column(server_default="0")
    stop_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    error: Mapped[Text0]
    started_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[Created]
    ready_at: Mapped[Moment | None]
    active_at: Mapped[Moment | None]
    last_seen_at: Mapped[Moment | None]
    expires_at: Mapped[Moment | None]
    """When a PENDING session times out; counted from ``ready_at``."""
    ended_at: Mapped[Moment | None]
    version: Mapped[Version]

    __table_args__ = (
        Index(
            "uq_boot_sessions_open",
            "machine_id",
            unique=True,
            postgresql_where=text("status IN ('PENDING', 'ACTIVE')"),
        ),
        Index("ix_boot_sessions_machine_id", "machine_id", "id"),
        Index("ix_boot_sessions_image_version_id", "image_version_id"),
    )
