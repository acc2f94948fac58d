# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of one kind, shown the same way on every page: numbers, sizes, speeds, times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from . import format as fmt
from .table_model import Column, R


def number_column(
    key: str,
    title: str,
    value: Callable[[R], float | None],
    text: Callable[[R], str],
    *,
    tooltip: Callable[[R], str] | None = None,
    width: int = 88,
    hidden: bool = False,
    live: bool = False,
) -> Column[R]:
    """A number, right aligned in figures of equal width, sorted by ``value``, None last.

    ``text`` says it with its unit.
    """
    return Column(
        key,
        title,
        text,
        sort=value,
        tooltip=tooltip,
        width=width,
        align="right",
        tabular=True,
        hidden=hidden,
        live=live,
    )


def count_column(
    key: str,
    title: str,
    value: Callable[[R], int],
    *,
    tooltip: Callable[[R], str] | None = None,
    width: int = 72,
) -> Column[R]:
    """How many of something there are; a dash for none."""

    def text(row: R) -> str:
        count = value(row)
        return fmt.number(count) if count else fmt.NONE

    return number_column(key, title, value, text, tooltip=tooltip, width=width)


def size_column(
    key: str, title: str, value: Callable[[R], int | None], *, width: int = 96
) -> Column[R]:
    """A size in bytes, told in IEC units, and exactly by its tooltip."""
    return number_column(
        key,
        title,
        value,
        lambda row: fmt.size(value(row)),
        tooltip=lambda row: fmt.exact_size(value(row)),
        width=width,
    )


def speed_column(
    key: str,
    title: str,
    value: Callable[[R], float | None],
    *,
    tooltip: Callable[[R], str] | None = None,
) -> Column[R]:
    """A transfer rate in bytes per second, which changes all the time."""
    return number_column(
        key, title, value, lambda row: fmt.speed(value(row)), tooltip=tooltip, live=True
    )


def time_column(
    key: str,
    title: str,
    value: Callable[[R], datetime | None],
    *,
    text: Callable[[R], str] | None = None,
    width: int = 96,
    hidden: bool = False,
) -> Column[R]:
    """How long ago an aware time was, and exactly by its tooltip; the newest first, None last.

    ``text``: what is said instead of “3 min ago”.
    """

    def age(row: R) -> float | None:
        when = value(row)
        return None if when is None else -when.timestamp()

    return Column(
        key,
        title,
        text or (lambda row: fmt.ago(value(row))),
        sort=age,
        tooltip=lambda row: fmt.exact(value(row)),
        width=width,
        secondary=True,
        hidden=hidden,
        live=True,
    )
