# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the installation, held in the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..errors import FieldChange, FieldError, NotFoundError, sentence
from ..models import Setting
from . import concurrent_edits
from .rows import rows


@dataclass(frozen=True)
class SettingSpec:
    """What a form asks for."""

    value: int


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting with the range its value must stay in; the unit is in the name."""

    id: int
    name: str
    value: int
    minimum: int
    maximum: int
    description: str
    version: int


def list_settings(session: Session, ids: Iterable[int] | None = None) -> list[SettingRow]:
    """All settings by name, or those of ``ids``."""
    columns = (
        Setting.id,
        Setting.name,
        Setting.value,
        Setting.minimum,
        Setting.maximum,
        Setting.description,
        Setting.version,
    )
    query = select(*columns).order_by(Setting.name)
    if ids is not None:
        query = query.where(Setting.id.in_(list(ids)))
    return rows(session.execute(query), SettingRow)


def read_setting(session: Session, name: str) -> SettingRow:
    """The setting ``name``, as ``update_setting`` wants it; NotFoundError when there is none."""
    row = next((row for row in list_settings(session) if row.name == name), None)
    if row is None:
        raise NotFoundError(sentence("There is no setting “{name}”.", name=name))
    return row


def get_setting(session: Session, name: str) -> int:
    """The value of the setting ``name``; NotFoundError when there is no such setting."""
    return read_setting(session, name).value


def update_setting(
    session: Session, read: SettingRow, spec: SettingSpec
) -> tuple[FieldChange, ...]:
    """Change a setting that was ``read``; StaleError when somebody else changed it since."""
    if not read.minimum <= spec.value <= read.maximum:
        raise FieldError(
            "value",
            sentence(
                "{name} must lie between {minimum} and {maximum}, not {value}.",
                name=read.name,
                minimum=read.minimum,
                maximum=read.maximum,
                value=spec.value,
            ),
        )
    merge = concurrent_edits.merge(session, "setting", read, asdict(spec), list_settings)
    if merge.own:
        session.execute(update(Setting).where(Setting.id == read.id).values(**merge.own))
    return merge.kept
