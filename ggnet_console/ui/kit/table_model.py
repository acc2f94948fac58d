# SPDX-License-Identifier: GPL-3.0-or-later
"""The one Qt item model: rows of values shown by declared columns, with its own order list.

Sort and filter work on a list of ids (no QSortFilterProxyModel: 30 times slower over Python).
Every change, whole or partial, becomes at most one removal, one re-ordering and one insertion,
so that views keep selection and scroll position.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Iterable, Sequence, Set
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, Protocol, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from .tokens import State

ROW_ROLE = int(Qt.ItemDataRole.UserRole)
"""The row's own value."""
MARK_ROLE = ROW_ROLE + 1
"""Whether the cell has just changed."""
MARK_S = 1.2
_PRECISE = 64
"""Up to this many changed rows, changes are announced cell by cell; above, as one range."""

AnyIndex = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class Row(Protocol):
    """What a table can show: a frozen value that compares by content and has an id."""

    @property
    def id(self) -> Hashable: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Column(Generic[R]):
    """One declared column; everything is a function of the row."""

    key: str
    """Stable name, for the remembered layout."""
    title: str
    text: Callable[[R], str]
    _: KW_ONLY
    sort: Callable[[R], Any] | None = None
    """Sort value, None last; default: the text in natural order (PC-2 before PC-10)."""
    width: int = 120
    align: Literal["left", "right"] = "left"
    elide: Literal["end", "middle"] = "end"
    """Where a text that is too long is cut; names that differ at their end in the middle."""
    tabular: bool = False
    """Figures of equal width (addresses, sizes, times)."""
    secondary: bool = False
    """Drawn at 70 % strength."""
    tooltip: Callable[[R], str] | None = None
    state: Callable[[R], State | None] | None = None
    """Sign drawn before the text."""
    progress: Callable[[R], float | None] | None = None
    """Share done, 0 to 1, drawn as a bar before the text; None: no bar."""
    stretch: bool = False
    """Takes the room the other columns leave."""
    grows: bool = False
    """Gets what its texts need of that room first: a name is what people look for."""
    hidden: bool = False
    """Not shown until chosen."""
    live: bool = False
    """Changes with the clock alone, and is therefore never marked as changed."""


class RowTableModel(QAbstractTableModel, Generic[R]):
    """Rows by id, shown in an order of our own."""

    content_changed = Signal()
    """Rows came, went or changed (counts and empty states depend on it)."""
    rearranging = Signal()
    rearranged = Signal()
    """Around every change of which rows are shown where, but for those the user asked for."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        counted: Sequence[Callable[[R], bool]] = (),
        parent: QObject | None = None,
    ) -> None:
        """``counted``: conditions whose numbers of rows are kept in ``counts``."""
        super().__init__(parent)
        self.columns = tuple(columns)
        self._counted = tuple(counted)
        self.counts = [0] * len(self._counted)
        self._rows: dict[Hashable, R] = {}
        self._order: list[Hashable] = []
        self._positions: dict[Hashable, int] | None = None
        self._texts: dict[Hashable, str] = {}
        self._before: dict[Hashable, tuple[R, float]] = {}
        self._sort_column = 0
        self._descending = False
        self._needle = ""
        self._matches: Callable[[R], bool] | None = None
        self._held = False
        self._unmark = QTimer(self)
        self._unmark.setSingleShot(True)
        self._unmark.timeout.connect(self._on_unmark)

    # What is there

    @property
    def rows(self) -> list[R]:
        """All rows, filtered out or not, in no particular order."""
        return list(self._rows.values())

    @property
    def total(self) -> int:
        """How many rows there are, filtered out or not."""
        return len(self._rows)

    def row(self, position: int) -> R:
        """The row shown at a position."""
        return self._rows[self._order[position]]

    def by_id(self, row_id: Hashable) -> R | None:
        """The row with this id, shown or not."""
        return self._rows.get(row_id)

    def position(self, row_id: Hashable) -> int | None:
        """Where a row is shown; None when it is not."""
        if self._positions is None:
            self._positions = {each: n for n, each in enumerate(self._order)}
        return self._positions.get(row_id)

    # Changes from outside

    def set_rows(self, rows: Iterable[R]) -> None:
        """The whole truth: what is not among ``rows`` goes, the rest comes or changes."""
        fresh = list(rows)
        self._merge(fresh, self._rows.keys() - {row.id for row in fresh})

    def update_rows(self, rows: Iterable[R]) -> None:
        """Some rows came or changed; all others stay."""
        self._merge(list(rows), set())

    def remove_ids(self, ids: Iterable[Hashable]) -> None:
        """Some rows are gone."""
        self._merge([], set(ids) & self._rows.keys())

    def set_filter(self, search: str = "", matches: Callable[[R], bool] | None = None) -> None:
        """Show only rows that ``matches`` accepts and that contain every word of ``search``."""
        self._needle = " ".join(search.casefold().split())
        self._matches = matches
        self._show(self._arranged())
        self.content_changed.emit()

    def hold(self, held: bool) -> None:
        """While held, live changes move no row: the pointer is over them, or a menu is open."""
        if held == self._held:
            return
        self._held = held
        if not held:
            self._rearrange()

    def tick(self) -> None:
        """The clock moved on: columns that show relative times are drawn anew."""
        if not self._order:
            return
        for number, column in enumerate(self.columns):
            if column.live:
                self.dataChanged.emit(
                    self.index(0, number), self.index(len(self._order) - 1, number)
                )

    # Qt's side

    def rowCount(self, parent: AnyIndex = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: AnyIndex = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = self.row(index.row()), self.columns[index.column()]
        value: Any = None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                value = column.text(row)
            case Qt.ItemDataRole.ToolTipRole:
                value = column.tooltip(row) if column.tooltip else None
            case Qt.ItemDataRole.TextAlignmentRole:
                value = _ALIGNMENTS[column.align]
            case _ if role == ROW_ROLE:
                value = row
            case _ if role == MARK_ROLE:
                value = self.marked(row, column)
        return value

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(self.columns):
            column = self.columns[section]
            if role == Qt.ItemDataRole.DisplayRole:
                return column.title
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return _ALIGNMENTS[column.align]
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        if not 0 <= column < len(self.columns):
            return
        self._sort_column = column
        self._descending = order == Qt.SortOrder.DescendingOrder
        self._show(self._arranged())

    def marked(self, row: R, column: Column[R]) -> bool:
        """Whether this cell changed within the last moment."""
        before = self._before.get(row.id)
        return before is not None and not column.live and column.text(before[0]) != column.text(row)

    # Merging

    def _merge(self, upserts: Sequence[R], gone: Set[Hashable]) -> None:
        changed: list[tuple[R, R]] = []
        fresh = False
        for row in upserts:
            old = self._rows.get(row.id)
            if old is None:
                fresh = True
            elif old != row:
                changed.append((old, row))
            else:
                continue
            self._count(old, -1)
            self._count(row, 1)
            self._rows[row.id] = row
            self._texts.pop(row.id, None)
        for each in gone:
            self._count(self._rows[each], -1)
        if not (fresh or changed or gone):
            return
        if changed:
            self._announce(changed)
        self._rearrange(gone, moved=fresh or any(self._moves(*pair) for pair in changed))
        self.content_changed.emit()

    def _count(self, row: R | None, step: int) -> None:
        if row is not None:
            for number, matches in enumerate(self._counted):
                self.counts[number] += step * matches(row)

    def _moves(self, old: R, new: R) -> bool:
        """Whether a changed row must be shown elsewhere, come into view or leave it."""
        key = self._sort_value
        return key(old) != key(new) or self._shown(new) != (self.position(new.id) is not None)

    def _rearrange(self, gone: Set[Hashable] = frozenset(), *, moved: bool = True) -> None:
        if not (gone or moved):
            return
        self.rearranging.emit()
        if gone:
            self._show([each for each in self._order if each not in gone])
            for each in gone:
                del self._rows[each]
                self._texts.pop(each, None)
                self._before.pop(each, None)
        if moved and self._held:
            arrivals = [each for each in self._arranged() if self.position(each) is None]
            self._show(self._order + arrivals)
        elif moved:
            self._show(self._arranged())
        self.rearranged.emit()

    def _announce(self, changed: Sequence[tuple[R, R]]) -> None:
        """Tell views which cells differ, and mark those for a moment."""
        deadline = time.monotonic() + MARK_S
        for old, new in changed:
            first = self._before.get(new.id)
            self._before[new.id] = (first[0] if first else old, deadline)
        if not self._unmark.isActive():
            self._unmark.start(int(MARK_S * 1000))
        places = [
            (position, old, new)
            for old, new in changed
            if (position := self.position(new.id)) is not None
        ]
        last = len(self.columns) - 1
        if len(places) > _PRECISE:
            top, bottom = min(p for p, _, _ in places), max(p for p, _, _ in places)
            self.dataChanged.emit(self.index(top, 0), self.index(bottom, last))
            return
        for position, old, new in places:
            for first_column, last_column in self._differing(old, new):
                self.dataChanged.emit(
                    self.index(position, first_column), self.index(position, last_column)
                )

    def _differing(self, old: R, new: R) -> Iterable[tuple[int, int]]:
        """Runs of neighbouring columns that look different."""
        start: int | None = None
        for number, column in enumerate((*self.columns, None)):
            differs = column is not None and _look(column, old) != _look(column, new)
            if differs and start is None:
                start = number
            elif not differs and start is not None:
                yield start, number - 1
                start = None

    def _on_unmark(self) -> None:
        now = time.monotonic() + 0.01
        over = [each for each, (_, deadline) in self._before.items() if deadline <= now]
        for each in over:
            del self._before[each]
        shown = [position for each in over if (position := self.position(each)) is not None]
        if shown:
            last = len(self.columns) - 1
            self.dataChanged.emit(self.index(min(shown), 0), self.index(max(shown), last))
        if self._before:
            rest = min(deadline for _, deadline in self._before.values()) - now
            self._unmark.start(max(20, int(rest * 1000) + 20))

    # Order

    @property
    def _sort_value(self) -> Callable[[R], Any]:
        column = self.columns[self._sort_column]
        text = column.text
        return column.sort or (lambda row: natural(text(row)))

    def _shown(self, row: R) -> bool:
        if self._matches is not None and not self._matches(row):
            return False
        if not self._needle:
            return True
        text = self._texts.get(row.id)
        if text is None:
            text = "\n".join(column.text(row) for column in self.columns).casefold()
            self._texts[row.id] = text
        return all(part in text for part in self._needle.split(" "))

    def _arranged(self) -> list[Hashable]:
        """The ids to show, in order; rows without a sort value come last either way."""
        rows: Iterable[R] = self._rows.values()
        if self._matches is not None or self._needle:
            rows = filter(self._shown, rows)
        shown = list(rows)
        values = list(map(self._sort_value, shown))
        places: Iterable[int] = range(len(shown))
        without: list[int] = []
        if None in values:
            without = [n for n in places if values[n] is None]
            places = [n for n in places if values[n] is not None]
        order = sorted(places, key=values.__getitem__, reverse=self._descending)
        return [shown[n].id for n in (*order, *without)]

    def _show(self, wanted: list[Hashable]) -> None:
        """Get from the order shown to the one wanted by what Qt's views can follow."""
        if wanted == self._order:
            return
        keep = set(wanted)
        if len(keep) == len(self._order) and keep.issuperset(self._order):
            self._permute(wanted)
            return
        stay = [each for each in self._order if each in keep]
        if len(stay) < len(self._order):
            leave = [n for n, each in enumerate(self._order) if each not in keep]
            if leave[-1] - leave[0] >= len(leave):
                self._permute(stay + [self._order[n] for n in leave])
                leave = list(range(len(stay), len(self._order)))
            self.beginRemoveRows(_ROOT, leave[0], leave[-1])
            self._set_order(stay)
            self.endRemoveRows()
        have = set(stay)
        kept = [each for each in wanted if each in have]
        if kept != stay:
            self._permute(kept)
        come = [n for n, each in enumerate(wanted) if each not in have]
        if not come:
            return
        if come[-1] - come[0] < len(come):
            self.beginInsertRows(_ROOT, come[0], come[-1])
            self._set_order(wanted)
            self.endInsertRows()
            return
        self.beginInsertRows(_ROOT, len(kept), len(wanted) - 1)
        self._set_order(kept + [wanted[n] for n in come])
        self.endInsertRows()
        self._permute(wanted)

    def _permute(self, order: list[Hashable]) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        ids = [self._order[index.row()] for index in before]
        self._set_order(order)
        after = [
            self.index(self.position(each) or 0, index.column())
            for each, index in zip(ids, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _set_order(self, order: list[Hashable]) -> None:
        self._order = order
        self._positions = None


def _look(column: Column[Any], row: Any) -> tuple[object, ...]:
    """Everything of a cell that can be seen."""
    return (
        column.text(row),
        column.state(row) if column.state else None,
        column.progress(row) if column.progress else None,
    )


@lru_cache(maxsize=1 << 16)
def natural(text: str) -> str:
    """A sort key that puts PC-2 before PC-10."""
    return _DIGITS.sub(lambda match: match[0].zfill(12), text.casefold())


_DIGITS = re.compile(r"\d+")
_ALIGNMENTS = {
    "left": Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
    "right": Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
}
