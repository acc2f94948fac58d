# SPDX-License-Identifier: GPL-3.0-or-later
"""PCs without disks."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import INET, MACADDR
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import BootMode, MachineStatus
from .base import TIDY_NAME, Base, Created, Id, Line, Moment, Text0, Version, enum_type


class Machine(Base):
    """A PC; ``online`` and ``last_seen_at`` are observations of the agent, never typed in."""

    __tablename__ = "machines"

    id: Mapped[Id]
    name: Mapped[Line]
    mac: Mapped[str] = mapped_column(MACADDR)
    ip: Mapped[str | None] = mapped_column(INET)
    boot_mode: Mapped[BootMode] = mapped_column(
        enum_type(BootMode, "boot_mode"), server_default="UEFI"
    )
    status: Mapped[MachineStatus] = mapped_column(
        enum_type(MachineStatus, "machine_status"), server_default="ACTIVE"
    )
    location: Mapped[Text0]
    room: Mapped[Text0]
    asset_tag: Mapped[Text0]
    notes: Mapped[Text0]
    online: Mapped[bool] = mapped_column(server_default=text("false"))
    last_seen_at: Mapped[Moment | None]
    created_at: Mapped[Created]
    version: Mapped[Version]

    __table_args__ = (
        Index("uq_machines_name", func.lower(text("name")), unique=True),
        UniqueConstraint("mac"),
        UniqueConstraint("ip"),
        CheckConstraint(
            "char_length(name) >= 1 AND char_length(name) <= 64 AND name !~ '[[:cntrl:]]'", "name"
        ),
        CheckConstraint(TIDY_NAME, "tidy"),
        # What is written here stays in the audit trail, where nobody can remove it.
        CheckConstraint("char_length(location) <= 200", "location"),
        CheckConstraint("char_length(room) <= 200", "room"),
        CheckConstraint("char_length(asset_tag) <= 200", "asset_tag"),
        CheckConstraint("char_length(notes) <= 4000", "notes"),
    )
