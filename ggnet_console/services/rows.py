# SPDX-License-Identifier: GPL-3.0-or-later
"""What queries find as frozen values: each field from the column of its name, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Result, Row

V = TypeVar("V")


def rows(result: Result[Any], kind: type[V], **made: Callable[[Row[Any]], object]) -> list[V]:
    """All rows of ``result`` as values of the dataclass ``kind``.

    ``made``: fields that no column holds as they are wanted, by what makes them of a row.
    TypeError when a field has no column, even one with a default, or a column has no field.
    """
    names = _names(kind, made)
    _require(result, kind, names, made)
    build: Callable[..., V] = kind
    if made:
        return [
            build(**{**row._mapping, **{name: make(row) for name, make in made.items()}})
            for row in result
        ]
    # Put in order once for all rows: keywords would make reading 10,000 of them a third slower.
    return [build(*row) for row in result.columns(*names)]


def first_row(result: Result[Any], kind: type[V], **made: Callable[[Row[Any]], object]) -> V | None:
    """The first row of ``result``, None when there is none; otherwise as ``rows``."""
    return next(iter(rows(result, kind, **made)), None)


def one_row(result: Result[Any], kind: type[V]) -> V:
    """The only row of ``result``, as of a function that always answers; otherwise as ``rows``."""
    [row] = rows(result, kind)
    return row


def rows_by(result: Result[Any], key: str, kind: type[V]) -> dict[Any, tuple[V, ...]]:
    """The rows in groups, by the column ``key``, which is no field of theirs; as ``rows``."""
    names = _names(kind, ())
    _require(result, kind, names, (key,))
    groups: dict[Any, list[V]] = {}
    values: list[Any]
    for group, *values in result.columns(key, *names):
        groups.setdefault(group, []).append(kind(*values))
    return {group: tuple(members) for group, members in groups.items()}


def _names(kind: type[Any], without: Container[str]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in without]


def _require(
    result: Result[Any], kind: type[Any], names: list[str], besides: Container[str]
) -> None:
    """TypeError unless the columns, those ``besides`` left out, are just these."""
    columns = [name for name in result.keys() if name not in besides]  # noqa: SIM118 - no mapping
    if sorted(columns) != sorted(names):
        raise TypeError(
            f"{kind.__name__} has the fields {', '.join(names)}; the query has the columns "
            f"{', '.join(columns)}."
        )
