# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail, written by triggers alone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, literal_column, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import Severity
from .base import Base, Bytes, Created, Id, Line, Moment, Text0, enum_type

SEARCHED = "((object_name || ' ') || changes::text)"
"""What a search by substring looks at; the index is on just this expression."""


class AuditEntry(Base):
    """Who changed what, when (database clock) and from where; ``changes`` maps field → [old, new]."""

    __tablename__ = "audit"

    id: Mapped[Id]
    at: Mapped[Created]
    severity: Mapped[Severity] = mapped_column(
        enum_type(Severity, "audit_severity"), server_default="INFO"
    )
    user_id: Mapped[Bytes | None]
    user_name: Mapped[Line]
    client_address: Mapped[str | None] = mapped_column(INET)
    program: Mapped[Text0]
    verb: Mapped[Line]
    noun: Mapped[Line]
    object_id: Mapped[Text0]
    object_name: Mapped[Text0]
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    job_id: Mapped[Bytes | None]
    link: Mapped[int] = mapped_column(BigInteger, server_default=text("audit_link()"))

    __table_args__ = (
        Index("ix_audit_noun_object_id", "noun", "object_id"),
        Index("ix_audit_link", "link"),
        Index("ix_audit_user_name", "user_name", "id"),
        Index("ix_audit_severity", "severity", "id"),
        Index("ix_audit_at", "at", postgresql_using="brin"),
        Index(
            "ix_audit_search",
            literal_column(SEARCHED).label("searched"),
            postgresql_using="gin",
            postgresql_ops={"searched": "gin_trgm_ops"},
        ),
    )


class AuditLink(Base):
    """The entries of one transaction as a link of the chain; ``number`` is its place."""

    __tablename__ = "audit_links"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    tx: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    number: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    entries: Mapped[int | None]
    digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[Moment | None]


class AuditChain(Base):
    """The newest link, in the one row that is locked while a link gets its place."""

    __tablename__ = "audit_chain"

    id: Mapped[bool] = mapped_column(primary_key=True)
    number: Mapped[Bytes]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
