# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, counts, speeds and times look and sort the same on every page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import Qt

from ggnet_console.ui.kit.columns import (
    count_column,
    number_column,
    size_column,
    speed_column,
    time_column,
)
from ggnet_console.ui.kit.table_model import Column, RowTableModel

DOWN, UP = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
Role = Qt.ItemDataRole


@dataclass(frozen=True, slots=True)
class Disk:
    id: int
    size: int | None = None
    users: int = 0
    at: datetime | None = None


def model_of(column: Column[Disk], *disks: Disk) -> RowTableModel[Disk]:
    model = RowTableModel[Disk]([column])
    model.set_rows(disks)
    model.sort(0, UP)
    return model


def shown(model: RowTableModel[Disk], role: int = Role.DisplayRole) -> list[object]:
    return [model.index(row, 0).data(role) for row in range(model.rowCount())]


def test_sizes_sort_by_bytes_and_tell_them_exactly(qapp):
    column = size_column("size", "Size", lambda r: r.size)
    model = model_of(column, Disk(1), Disk(2, 2 * 2**30), Disk(3, 900 * 2**20), Disk(4, 10))
    assert shown(model) == ["10 B", "900 MiB", "2.0 GiB", "–"]
    assert shown(model, Role.ToolTipRole) == [
        "10 bytes",
        "943,718,400 bytes",
        "2,147,483,648 bytes",
        "",
    ]
    model.sort(0, DOWN)
    assert shown(model) == ["2.0 GiB", "900 MiB", "10 B", "–"]


def test_counts_sort_as_numbers_and_none_is_a_dash(qapp):
    column = count_column("users", "Users", lambda r: r.users)
    model = model_of(column, Disk(1, users=1200), Disk(2, users=3), Disk(3))
    assert shown(model) == ["–", "3", "1\u202f200"]


def test_speeds_are_told_per_second_and_change_all_the_time(qapp):
    column = speed_column("speed", "Speed", lambda r: r.size)
    assert shown(model_of(column, Disk(1), Disk(2, 2**21), Disk(3, 5))) == [
        "5 B/s",
        "2.0 MiB/s",
        "–",
    ]
    assert column.live


def test_times_are_told_by_age_the_newest_first_and_exactly_by_tooltip(qapp):
    now = datetime.now(UTC)
    disks = [Disk(n, at=now - timedelta(hours=n)) for n in (3, 1, 2)]
    model = model_of(time_column("at", "Made", lambda r: r.at), Disk(9), *disks)
    assert shown(model) == ["1 h ago", "2 h ago", "3 h ago", "–"]
    assert f"{disks[1].at.astimezone():%Y-%m-%d %H:%M:%S}" in shown(model, Role.ToolTipRole)[0]
    model.sort(0, DOWN)
    assert shown(model) == ["3 h ago", "2 h ago", "1 h ago", "–"]
    assert model.columns[0].live
    assert model.columns[0].secondary


def test_a_time_may_be_told_in_other_words_and_still_sorts_by_itself(qapp):
    now = datetime.now(UTC)
    column = time_column(
        "at", "Seen", lambda r: r.at, text=lambda r: "now" if r.users else "before"
    )
    disks = [Disk(1, at=now - timedelta(days=1)), Disk(2, users=1, at=now)]
    assert shown(model_of(column, *disks)) == ["now", "before"]


@pytest.mark.parametrize(
    "column",
    [
        number_column("n", "N", lambda r: r.size, lambda r: str(r.size)),
        size_column("n", "N", lambda r: r.size),
        count_column("n", "N", lambda r: r.users),
        speed_column("n", "N", lambda r: r.size),
    ],
    ids=["number", "size", "count", "speed"],
)
def test_numbers_stand_below_each_other(qapp, column):
    assert column.align == "right"
    assert column.tabular
