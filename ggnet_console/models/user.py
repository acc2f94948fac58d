# SPDX-License-Identifier: GPL-3.0-or-later
"""People who may sign in, and their sign-ins (each a short-lived PostgreSQL role)."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import INET, UUID
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import Role
from .base import TIDY_NAME, Base, Created, Id, Line, Moment, Text0, Version, enum_type


class User(Base):
    """A user; ``password_hash`` is bcrypt with the prefix ``$2a$``, which pgcrypto reads."""

    __tablename__ = "users"

    id: Mapped[Id]
    name: Mapped[Line]
    role: Mapped[Role] = mapped_column(enum_type(Role, "user_role"))
    password_hash: Mapped[Line]
    disabled: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Created]
    last_sign_in_at: Mapped[Moment | None]
    version: Mapped[Version]
    must_change_password: Mapped[bool] = mapped_column(server_default=text("false"))
    locked: Mapped[bool] = mapped_column(server_default=text("false"))
    unlocked_at: Mapped[Moment | None]

    __table_args__ = (
        CheckConstraint(
            "char_length(name) >= 1 AND char_length(name) <= 64 AND name !~ '[[:cntrl:]]'", "name"
        ),
        CheckConstraint(TIDY_NAME, "tidy"),
        Index("uq_users_name", func.lower(text("name")), unique=True),
    )


class SignIn(Base):
    """One sign-in: the PostgreSQL role made for it, where it came from, and until when it lasts."""

    __tablename__ = "sign_ins"

    id: Mapped[uuid.UUID] = mapped_column(UUID, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role_name: Mapped[Line]
    program: Mapped[Text0]
    workstation: Mapped[Text0]
    client_address: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[Created]
    expires_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    regrouped_in: Mapped[int | None] = mapped_column(BigInteger)
    """The transaction that took rights away, until the connections from before it have ended."""

    __table_args__ = (
        UniqueConstraint("role_name"),
        Index("ix_sign_ins_user_id_created_at", "user_id", "created_at"),
        Index(
            "ix_sign_ins_regrouped_in",
            "regrouped_in",
            postgresql_where=text("regrouped_in IS NOT NULL"),
        ),
    )
