# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage hosts: where images lie and targets are served, each with one agent."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ..enums import BackendChoice
from .base import Base, Created, Id, Line, Moment, Text0, enum_type


class Host(Base):
    """A storage host as its agent last reported it."""

    __tablename__ = "hosts"

    id: Mapped[Id]
    name: Mapped[Line]
    agent_role: Mapped[Line]
    portal: Mapped[Text0]
    backend: Mapped[Text0]
    problem: Mapped[Text0]
    created_at: Mapped[Created]
    heartbeat_at: Mapped[Moment | None]
    backend_choice: Mapped[BackendChoice] = mapped_column(
        enum_type(BackendChoice, "backend_choice"), server_default="AUTO"
    )
    backend_reason: Mapped[Text0]
    saved_problem: Mapped[Text0]
    undoable: Mapped[int] = mapped_column(server_default="0")
    """How many targets the last apply changed."""
    compared_at: Mapped[Moment | None]

    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("agent_role"))
