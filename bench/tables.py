# SPDX-License-Identifier: GPL-3.0-or-later
"""10,000 machines on screen: sorting beside QSortFilterProxyModel, updates beside the fewest."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QSettings, QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QApplication, QTableView

from ggnet_console.enums import BootMode, MachineStatus
from ggnet_console.services.machines import MachineRow
from ggnet_console.ui.kit.table_model import RowTableModel
from ggnet_console.ui.kit.table_view import TableView
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.machines.page import COLUMNS

from .figures import Figure

ROWS = 10_000
CHANGED = 1_000
ROUNDS = 7


def machines(count: int) -> list[MachineRow]:
    """Made-up machines in random order."""
    random = Random(7)
    now = datetime.now(UTC)
    rows = [
        MachineRow(
            id=number,
            name=f"PC-{number:05}",
            mac=f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
            ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            boot_mode=BootMode.UEFI,
            status=MachineStatus.ACTIVE,
            location="Main building",
            room=f"Lab {number % 30}",
            asset_tag=f"A-{random.randrange(10**6):06}",
            notes="",
            online=False,
            last_seen_at=None,
            created_at=now,
            version=1,
            session_id=None,
            session_status=None,
            session_error=None,
            session_since=None,
            image=None,
        )
        for number in range(1, count + 1)
    ]
    random.shuffle(rows)
    return rows


class _Plain(QAbstractTableModel):
    """What one would write first: a list behind a table model, sorted by a proxy."""

    def __init__(self, rows: list[MachineRow]) -> None:
        super().__init__()
        self._rows = [(row.name, row.mac, row.ip, row.room, row.asset_tag) for row in rows]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 5

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> str | None:
        return (
            self._rows[index.row()][index.column()] if role == Qt.ItemDataRole.DisplayRole else None
        )


def run() -> list[Figure]:
    """Medians of sort and of update, each with its repaint."""
    app = QApplication.instance() or QApplication([])  # the bench's own, not the program's
    rows = machines(ROWS)
    settings = QSettings("/nonexistent/bench.ini", QSettings.Format.IniFormat)
    Theme(app, settings)
    model: RowTableModel[MachineRow] = RowTableModel(COLUMNS)
    ours: TableView[MachineRow] = TableView(model, settings, "bench")
    model.set_rows(rows)
    plain, proxy, theirs = _Plain(rows), QSortFilterProxyModel(), QTableView()
    proxy.setSourceModel(plain)
    theirs.setModel(proxy)
    mine = _sorts(app, ours, model.sort)
    proxied = _sorts(app, theirs, proxy.sort)
    updates = _updates(app, ours, model, rows)
    return [
        Figure(
            f"sort {ROWS:,} machines with repaint",
            statistics.median(mine),
            "ms",
            "16 ms",
            statistics.median(proxied),
            "QSortFilterProxyModel",
        ),
        Figure(
            f"update {CHANGED:,} of {ROWS:,} machines with repaint",
            statistics.median(updates[CHANGED]),
            "ms",
            "16 ms",
            statistics.median(updates[1]),
            "one machine",
        ),
    ]


def _updates(
    app: QApplication,
    view: QTableView,
    model: RowTableModel[MachineRow],
    rows: list[MachineRow],
) -> dict[int, list[float]]:
    """Milliseconds of changing so many machines all over the table, by turns, with the repaint.

    A machine on screen is always among them. The state they change is not what is sorted by, as
    when a room boots.
    """
    view.show()
    model.sort(0)
    app.processEvents()
    shown = model.row(0)
    others = [row for row in rows if row.id != shown.id]
    times: dict[int, list[float]] = {1: [], CHANGED: []}
    for turn in range(ROUNDS + 1):
        for count, took in times.items():
            step = len(others) // count
            fresh = [
                replace(row, last_seen_at=datetime.now(UTC), online=turn % 2 == 0)
                for row in (shown, *others[::step][: count - 1])
            ]
            began = time.perf_counter()
            model.update_rows(fresh)
            view.viewport().update()
            app.processEvents()
            took.append((time.perf_counter() - began) * 1000)
    view.close()
    return {count: took[1:] for count, took in times.items()}


def _sorts(
    app: QApplication, view: QTableView, sort: Callable[[int, Qt.SortOrder], None]
) -> list[float]:
    """Milliseconds of each sort with the repaint after it; the first, colder one left out."""
    view.resize(1100, 700)
    view.show()
    app.processEvents()
    times = []
    for turn in range(ROUNDS + 1):
        order = Qt.SortOrder.DescendingOrder if turn % 2 else Qt.SortOrder.AscendingOrder
        began = time.perf_counter()
        sort(0, order)
        view.viewport().update()
        app.processEvents()  # paints, once
        times.append((time.perf_counter() - began) * 1000)
    view.close()
    return times[1:]
