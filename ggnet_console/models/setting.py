# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of an installation that admins adjust."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Bytes, Id, Line, Version


class Setting(Base):
    """A whole number with its unit in its name, and the range it must stay in."""

    __tablename__ = "settings"

    id: Mapped[Id]
    name: Mapped[Line]
    value: Mapped[int] = mapped_column(BigInteger)
    minimum: Mapped[Bytes]
    maximum: Mapped[Bytes]
    description: Mapped[Line]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint("value BETWEEN minimum AND maximum", "value"),
        UniqueConstraint("name"),
    )
