# SPDX-License-Identifier: GPL-3.0-or-later
"""What is open in a form somewhere; only definer functions read and write it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Bytes, Created, Id, Line


class OpenObject(Base):
    """A sign-in has an object open; rows of a sign-in that has ended or is not connected don't count."""

    __tablename__ = "open_objects"

    id: Mapped[Id]
    role_name: Mapped[str] = mapped_column(ForeignKey("sign_ins.role_name", ondelete="CASCADE"))
    noun: Mapped[Line]
    object_id: Mapped[Bytes]
    since: Mapped[Created]

    __table_args__ = (UniqueConstraint("role_name", "noun", "object_id"),)
