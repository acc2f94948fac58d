# SPDX-License-Identifier: GPL-3.0-or-later
"""What was defined in the database when its schema was made, to be compared with what is now."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


class SchemaObject(Base):
    """A table, column, function, grant … by kind and name; ``ggnet_console.db.fingerprint`` writes it."""

    __tablename__ = "schema_objects"

    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    definition: Mapped[str]
