# SPDX-License-Identifier: GPL-3.0-or-later
"""iSCSI targets as they are wanted, one per machine or adopted, and what agents found of them."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import Drift, TargetStatus
from .base import Base, Bytes, Created, Id, Line, Text0, Version, enum_type

_Rows = Annotated[list[Any], mapped_column(JSONB, server_default=text("'[]'"))]


class Target(Base):
    """The target of one machine, open to its initiator only while a session is open.

    One that was adopted has no machine, and lets its ``initiators`` in always.
    """

    __tablename__ = "targets"

    id: Mapped[Id]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"), index=True)
    machine_id: Mapped[int | None] = mapped_column(ForeignKey("machines.id"))
    iqn: Mapped[Line]
    initiator_iqn: Mapped[Line | None]
    status: Mapped[TargetStatus] = mapped_column(
        enum_type(TargetStatus, "target_status"), server_default="WANTED"
    )
    kept: Mapped[bool] = mapped_column(server_default=text("false"))
    """Made by hand: stays (closed) when its session ends."""
    error: Mapped[Text0]
    created_at: Mapped[Created]
    version: Mapped[Version]
    initiators: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    chap_user: Mapped[Text0]
    """Name for CHAP, "" without; its secret is in ``target_secrets``."""

    __table_args__ = (
        UniqueConstraint("machine_id"),
        UniqueConstraint("iqn"),
        CheckConstraint(
            "(machine_id IS NULL) = (initiator_iqn IS NULL) "
            "AND (machine_id IS NULL) = (initiators IS NOT NULL)",
            "machine",
        ),
    )


class TargetSecret(Base):
    """The CHAP secret of a target; nobody may read this table, definer functions tell it."""

    __tablename__ = "target_secrets"

    target_id: Mapped[int] = mapped_column(
        ForeignKey("targets.id", ondelete="CASCADE"), primary_key=True
    )
    secret: Mapped[Line]


class Lun(Base):
    """A logical unit of a target: the sealed image version it shows, or a file that was adopted."""

    __tablename__ = "luns"

    id: Mapped[Id]
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id", ondelete="CASCADE"))
    lun: Mapped[int]
    image_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("image_versions.id"), index=True
    )
    read_only: Mapped[bool] = mapped_column(server_default=text("true"))
    serial: Mapped[Line]
    path: Mapped[Line | None]
    size_bytes: Mapped[Bytes | None]
    write_back: Mapped[bool] = mapped_column(server_default=text("false"))
    store: Mapped[Text0]
    """LIO's backstore, where it was not made by us."""

    __table_args__ = (
        UniqueConstraint("target_id", "lun"),
        # What others made may share a serial; ours never do.
        Index(
            "uq_luns_serial",
            "serial",
            unique=True,
            postgresql_where=text("image_version_id IS NOT NULL"),
        ),
        # An image version is shared by machines: until overlays come nobody may write to one.
        CheckConstraint("read_only OR image_version_id IS NULL", "read_only"),
        CheckConstraint(
            "(image_version_id IS NULL) = (path IS NOT NULL) "
            "AND (path IS NULL) = (size_bytes IS NULL)",
            "source",
        ),
    )


class TargetReport(Base):
    """What an agent last found of a target; lists are those of ``services.target_reports``."""

    __tablename__ = "target_reports"

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=False, start=-1, increment=-1), primary_key=True
    )
    """That of its target; negative when nobody wants it."""
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    target_id: Mapped[int | None] = mapped_column(
        ForeignKey("targets.id", ondelete="CASCADE"), index=True
    )
    iqn: Mapped[Line]
    drift: Mapped[Drift] = mapped_column(enum_type(Drift, "drift"))
    is_foreign: Mapped[bool]
    differences: Mapped[_Rows]
    sessions: Mapped[int] = mapped_column(server_default="0")
    connections: Mapped[_Rows]
    cut_off: Mapped[_Rows]
    rates: Mapped[_Rows]
    portals: Mapped[_Rows]
    initiators: Mapped[_Rows]
    luns: Mapped[_Rows]
    chap_user: Mapped[Text0]
    unsupported: Mapped[Text0]
    tree: Mapped[Text0]
    created_at: Mapped[Created]
    seen_at: Mapped[Created]

    __table_args__ = (
        UniqueConstraint("host_id", "iqn"),
        CheckConstraint("coalesce(id = target_id, id < 0)", "id"),
    )
