# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people at one object: who has it open, and what becomes of the second one's save."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, func, literal, select, text
from sqlalchemy.orm import Session

from ..errors import FieldChange, RemovedError, StaleError, listed, sentence
from ..models import Image, Machine, Setting
from .rows import rows

Noun = Literal["machine", "image", "setting"]

_TABLES: dict[Noun, type[Machine | Image | Setting]] = {
    "machine": Machine,
    "image": Image,
    "setting": Setting,
}
_NOBODY = (sentence("somebody"), None)


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An object that another sign-in has open; ``yours``: in another window of the same person."""

    id: int
    noun: Noun
    object_id: int
    user_name: str
    yours: bool
    since: datetime


def list_open(session: Session, ids: Iterable[int] | None = None) -> list[OpenRow]:
    """What is open in other windows that are still connected, longest first; or those of ``ids``."""
    opened = session.execute(
        text(
            "SELECT id, noun, object_id, user_name, yours, since FROM objects_open_elsewhere() "
            "WHERE CAST(:ids AS bigint[]) IS NULL OR id = ANY (:ids)"
        ).bindparams(ids=None if ids is None else list(ids))
    )
    return rows(opened, OpenRow)


def open_object(session: Session, noun: Noun, object_id: int) -> None:
    """Tell the others that this sign-in has an object open from now on."""
    session.execute(select(func.object_open(noun, literal(object_id, BigInteger))))


def close_object(session: Session, noun: Noun, object_id: int) -> None:
    """Tell the others that it no longer has."""
    session.execute(select(func.object_close(noun, literal(object_id, BigInteger))))


@dataclass(frozen=True)
class Merge:
    """What is left to write of a save, and what others changed meanwhile that stays."""

    own: dict[str, Any]
    kept: tuple[FieldChange, ...]


def merge(
    session: Session,
    noun: Noun,
    read: Any,
    wanted: Mapping[str, Any],
    list_: Callable[[Session, Iterable[int]], list[Any]],
) -> Merge:
    """Compare ``wanted`` with the row as it was ``read`` and as it is now, field by field.

    ``list_`` is the noun's list function. The row stays locked until the end of the unit of work.
    StaleError when a field was changed here and elsewhere to different values, RemovedError when
    the row is gone.
    """
    table = _TABLES[noun]
    version = session.execute(
        select(table.version).where(table.id == read.id).with_for_update()
    ).scalar()
    kept: tuple[FieldChange, ...] = ()
    if version != read.version:
        now = next(iter(list_(session, [read.id])), None)
        kept = changes_since(session, noun, read, now, wanted)
        if any(change.contested for change in kept):
            raise StaleError(_sentence(read.name, kept), now, kept)
    theirs = {change.field for change in kept}
    own = {
        field: value
        for field, value in wanted.items()
        if value != getattr(read, field) and field not in theirs
    }
    return Merge(own, kept)


def changes_since(
    session: Session, noun: Noun, read: Any, now: Any | None, wanted: Mapping[str, Any]
) -> tuple[FieldChange, ...]:
    """What others changed in the fields of ``wanted`` between two readings of a row.

    RemovedError when there is no row ``now``. Who and when come from the audit trail.
    """
    actions = list(
        session.execute(
            text(
                "SELECT field, verb, user_name, at FROM last_changes(:noun, CAST(:id AS bigint))"
            ).bindparams(noun=noun, id=read.id)
        )
    )
    if now is None:
        who, at = next(((d.user_name, d.at) for d in actions if d.verb == "delete"), _NOBODY)
        if at is None:
            removed = sentence("{name} was removed by {who}.", name=read.name, who=who)
        else:
            removed = sentence(
                "{name} was removed by {who} at {time}.", name=read.name, who=who, time=_time(at)
            )
        raise RemovedError(removed, read.name, who, at)
    last = {action.field: (action.user_name, action.at) for action in actions}
    return tuple(
        FieldChange(
            field, getattr(read, field), getattr(now, field), mine, *last.get(field, _NOBODY)
        )
        for field, mine in wanted.items()
        if getattr(now, field) != getattr(read, field)
    )


def _sentence(name: str, changes: tuple[FieldChange, ...]) -> str:
    """Who changed what to what, for those who have no window to look at."""
    return sentence(
        "{name} was changed meanwhile and nothing was saved: {actions}. Look at the new values "
        "and try again.",
        name=name,
        actions=listed(map(_action, changes), "; "),
    )


def _action(change: FieldChange) -> str:
    values = {
        "who": change.who,
        "field": change.field.replace("_", " "),
        "theirs": _text(change.theirs),
        "before": _text(change.before),
    }
    if change.at is None:
        return sentence("{who} set {field} to “{theirs}” (it was “{before}”)", **values)
    return sentence(
        "{who} set {field} to “{theirs}” at {time} (it was “{before}”)",
        time=_time(change.at),
        **values,
    )


def _time(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
