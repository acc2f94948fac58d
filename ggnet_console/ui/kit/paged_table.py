# SPDX-License-Identifier: GPL-3.0-or-later
"""A table model for more rows than anybody reads: pages that come while scrolling, newest first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from PySide6.QtCore import QModelIndex, QObject, Qt, Signal

from .table_model import AnyIndex, Column, R, RowTableModel

_ROOT = QModelIndex()


class PagedTableModel(RowTableModel[R]):
    """Rows by descending id; whoever hears ``more_wanted`` answers with ``append``."""

    more_wanted = Signal()

    def __init__(self, columns: Sequence[Column[R]], parent: QObject | None = None) -> None:
        super().__init__(columns, parent=parent)
        self._more = self._waiting = False

    def begin(self, rows: Sequence[R], *, more: bool) -> None:
        """Show the first page; ``more``: there are others."""
        self._more, self._waiting = more, False
        self.set_rows(rows)

    def append(self, rows: Sequence[R], *, more: bool) -> None:
        """Add the next page below, without looking at all that is there already."""
        self._more, self._waiting = more, False
        fresh = [row for row in rows if row.id not in self._rows]
        if not fresh:
            return
        first = len(self._order)
        self.beginInsertRows(_ROOT, first, first + len(fresh) - 1)
        self._rows |= {row.id: row for row in fresh}
        self._set_order([*self._order, *(row.id for row in fresh)])
        self.endInsertRows()
        self.content_changed.emit()

    def resume(self) -> None:
        """The page that was wanted could not be read; scrolling asks again."""
        self._waiting = False

    def canFetchMore(self, parent: AnyIndex = _ROOT) -> bool:
        return not parent.isValid() and self._more and not self._waiting

    def fetchMore(self, parent: AnyIndex = _ROOT) -> None:
        if self.canFetchMore(parent):
            self._waiting = True
            self.more_wanted.emit()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """The order is the database's: what is not loaded cannot be sorted here."""

    def _arranged(self) -> list[Hashable]:
        return sorted(self._rows, reverse=True)  # type: ignore[type-var]  # ids are numbers here
