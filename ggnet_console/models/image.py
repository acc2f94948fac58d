# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images and their sealed versions."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import ImageFormat, ImageStatus, ImageType
from .base import TIDY_NAME, Base, Bytes, Created, Id, Line, Moment, Text0, Version, enum_type


class Image(Base):
    """A disk image; ``source_*`` describe the file as it was handed over."""

    __tablename__ = "images"

    id: Mapped[Id]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"), index=True)
    name: Mapped[Line]
    type: Mapped[ImageType] = mapped_column(
        enum_type(ImageType, "image_type"), server_default="SYSTEM"
    )
    status: Mapped[ImageStatus] = mapped_column(enum_type(ImageStatus, "image_status"))
    notes: Mapped[Text0]
    upload_id: Mapped[uuid.UUID | None] = mapped_column(UUID, unique=True)
    source_name: Mapped[Text0]
    source_format: Mapped[ImageFormat | None] = mapped_column(
        enum_type(ImageFormat, "image_format")
    )
    source_size_bytes: Mapped[Bytes | None]
    source_sha256: Mapped[str | None]
    error: Mapped[Text0]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[Created]
    version: Mapped[Version]

    __table_args__ = (
        Index("uq_images_name", func.lower(text("name")), unique=True),
        CheckConstraint(
            "char_length(name) >= 1 AND char_length(name) <= 64 AND name !~ '[[:cntrl:]]'", "name"
        ),
        CheckConstraint(TIDY_NAME, "tidy"),
        CheckConstraint("char_length(notes) <= 4000", "notes"),
        CheckConstraint("char_length(source_sha256) <= 64", "source_sha256"),
    )


class ImageVersion(Base):
    """One sealed raw file of an image, read-only for ever; named ``<image id>-<number>.raw``."""

    __tablename__ = "image_versions"

    id: Mapped[Id]
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    number: Mapped[int]
    sha256: Mapped[str]
    virtual_size_bytes: Mapped[Bytes]
    actual_size_bytes: Mapped[Bytes]
    contents: Mapped[Text0]
    """What was found on the disk when it was sealed, in one line."""
    warning: Mapped[Text0]
    """Why machines will perhaps not boot from it."""
    remarks: Mapped[Text0]
    """What else there is to know of how it came about."""
    created_at: Mapped[Created]
    verified_at: Mapped[Moment | None]

    __table_args__ = (UniqueConstraint("image_id", "number"),)
