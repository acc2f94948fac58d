# SPDX-License-Identifier: GPL-3.0-or-later
"""The table view: fixed widths, column chooser, remembered layout, and calm under live changes."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any, Generic

from PySide6.QtCore import (
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    QSettings,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QAction, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView, QWidget

from .cell_delegate import CellDelegate
from .header import Header
from .table_model import AnyIndex, R, RowTableModel
from .tokens import ROW_HEIGHT, S

HOLD_MS = 2_000
"""Rows stay where they are this long after the pointer last moved over them."""
_MEASURED = 200
"""So many rows say how wide a column's texts are."""
_MOST_WIDE = 320


class TableView(QTableView, Generic[R]):
    """Shows a RowTableModel; ``key`` names its remembered layout in ``settings``."""

    opened = Signal()
    """Enter or a double click on the selection."""
    menu_wanted = Signal(QPoint)
    """A context menu at this global position, by mouse or key."""

    def __init__(
        self,
        model: RowTableModel[R],
        settings: QSettings,
        key: str,
        sort: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """``sort``: key of the column to sort by until somebody chooses another."""
        super().__init__(parent)
        self._sort = sort
        self._rows = model
        self._settings = settings
        self._key = f"tables/{key}"  # no text
        self._anchor: tuple[Hashable, int] | None = None
        self._delegate = CellDelegate(model, self)
        self._restoring = True
        self._given_way: set[int] = set()
        """Columns that are not shown for want of room alone."""
        self._chosen: dict[int, int] = {}
        """Widths that somebody gave to columns."""
        self._given: dict[int, int] = {}
        """Widths that they got from the room there is."""
        self._selected: list[R] | None = None
        for signal in (
            model.dataChanged,
            model.layoutChanged,
            model.rowsInserted,
            model.rowsRemoved,
            model.content_changed,
        ):
            signal.connect(self._forget_selected)
        self.setHorizontalHeader(Header(self))
        self.setModel(model)
        self.selectionModel().selectionChanged.connect(self._forget_selected)
        self.setItemDelegate(self._delegate)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        vertical = self.verticalHeader()
        vertical.hide()
        vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        vertical.setMinimumSectionSize(ROW_HEIGHT)
        vertical.setDefaultSectionSize(max(ROW_HEIGHT, self.fontMetrics().height() + 8))
        self._set_up_header()
        self._release = QTimer(self)
        self._release.setSingleShot(True)
        self._release.setInterval(HOLD_MS)
        self._release.timeout.connect(lambda: model.hold(False))
        self._remeasure = QTimer(self)
        self._remeasure.setSingleShot(True)
        self._remeasure.timeout.connect(self._stretch)
        # Not with every changed text: a column that moves under the eye is worse than a cut name.
        model.rowsInserted.connect(self._on_inserted)
        model.rearranging.connect(self._on_rearranging)
        model.rearranged.connect(self._on_rearranged)

    # Selection

    def selected(self) -> list[R]:
        """The selected rows in the order shown."""
        if self._selected is None:
            positions = sorted(index.row() for index in self.selectionModel().selectedRows())
            self._selected = [self._rows.row(position) for position in positions]
        return self._selected

    def _forget_selected(self) -> None:
        self._selected = None

    def select_ids(self, ids: list[Hashable]) -> None:
        """Select these rows, as far as they are shown, and bring the first into view."""
        selection = self.selectionModel()
        selection.clearSelection()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        positions = sorted(p for each in ids if (p := self._rows.position(each)) is not None)
        for position in positions:
            selection.select(self._rows.index(position, 0), flags)
        if positions:
            first = self._rows.index(positions[0], 0)
            selection.setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.scrollTo(first)

    def currentChanged(self, current: AnyIndex, previous: AnyIndex) -> None:
        """The frame of the keyboard's row goes round all of it."""
        super().currentChanged(current, previous)
        for index in (current, previous):
            if index.isValid():
                self._update_row(index.row())

    def _update_row(self, position: int) -> None:
        top, height = self.rowViewportPosition(position), self.rowHeight(position)
        self.viewport().update(0, top, self.viewport().width(), height)

    # Layout

    def _set_up_header(self) -> None:
        header = self.horizontalHeader()
        header.setSectionsMovable(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._on_header_menu)
        for number, column in enumerate(self._rows.columns):
            header.resizeSection(number, column.width)
            header.setSectionHidden(number, column.hidden)
        layout = self._stored()
        by_key = {column.key: number for number, column in enumerate(self._rows.columns)}
        for place, key in enumerate(layout.get("order", [])):
            if key in by_key:
                header.moveSection(header.visualIndex(by_key[key]), place)
        for key, width in layout.get("widths", {}).items():
            if key in by_key:
                header.resizeSection(by_key[key], int(width))
                self._chosen[by_key[key]] = int(width)
        for key, hidden in layout.get("hidden", {}).items():
            if key in by_key:
                header.setSectionHidden(by_key[key], bool(hidden))
        sort = by_key.get(layout.get("sort", self._sort), 0)
        descending = Qt.SortOrder.DescendingOrder if layout.get("descending") else None
        header.setSortIndicator(sort, descending or Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        self._restoring = False
        header.sectionResized.connect(self._on_resized)
        header.sectionMoved.connect(self._save)
        header.sortIndicatorChanged.connect(self._save)

    def _stored(self) -> dict[str, Any]:
        text = self._settings.value(self._key, "")
        try:
            layout = json.loads(str(text)) if text else {}
        except ValueError:  # written by hand or by another version: the defaults are fine
            layout = {}
        return layout if isinstance(layout, dict) else {}

    def _save(self) -> None:
        if self._restoring:
            return
        header, columns = self.horizontalHeader(), self._rows.columns
        shown = [columns[header.logicalIndex(place)].key for place in range(len(columns))]
        layout = {
            "order": shown,
            "widths": {columns[number].key: width for number, width in self._chosen.items()},
            "hidden": {c.key: self._is_hidden(n) for n, c in enumerate(columns)},
            "sort": columns[header.sortIndicatorSection()].key,
            "descending": header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder,
        }
        self._settings.setValue(self._key, json.dumps(layout))

    def _on_resized(self, number: int, _before: int, width: int) -> None:
        """Somebody drags an edge; Qt itself hides and shows hidden columns when rows are sorted."""
        column = self._rows.columns[number]
        if self._restoring or width in (0, self._given.get(number, column.width)):
            return
        if not column.stretch:
            self._chosen[number] = width
        self._remeasure.start(0)
        self._save()

    def _stretch(self) -> None:
        """Share the spare room: what people look for first, as far as its texts need it, then the
        stretching column, which never gets less than declared.

        Where there is too little room for the columns as declared, the last ones give way: beside
        the details, which say all of it, a table that scrolls sideways is harder to read.
        """
        header, columns = self.horizontalHeader(), self._rows.columns
        restoring, self._restoring = self._restoring, True
        for number in self._given_way:
            header.setSectionHidden(number, False)
        self._given_way = set()
        places = [header.logicalIndex(place) for place in range(len(columns))]
        shown = [number for number in places if not header.isSectionHidden(number)]
        widths = {n: self._chosen.get(n, columns[n].width) for n in shown}
        room = self.viewport().width()
        if self._is_as_declared():
            for number in reversed(shown[1:]):
                if sum(widths.values()) > room and not columns[number].stretch:
                    header.setSectionHidden(number, True)
                    self._given_way.add(number)
                    del widths[number]
        spare = max(0, room - sum(widths.values()))
        for number, width in widths.items():
            if columns[number].grows and number not in self._chosen:
                more = min(spare, max(0, self._needed(number) - width))
                widths[number] = width + more
                spare -= more
        stretching = next((number for number in widths if columns[number].stretch), None)
        if stretching is not None:
            widths[stretching] += spare
        for number, width in widths.items():
            if header.sectionSize(number) != width:
                header.resizeSection(number, width)
        self._given = widths
        self._restoring = restoring

    def _needed(self, number: int) -> int:
        """The width at which the texts of a column's first rows are shown whole, within reason."""
        column, metrics = self._rows.columns[number], self.fontMetrics()
        rows = range(min(self._rows.rowCount(), _MEASURED))
        texts = {column.text(self._rows.row(position)) for position in rows}
        widest = max(map(metrics.horizontalAdvance, texts), default=0)
        return min(widest + 2 * S + 2, _MOST_WIDE)

    def _on_inserted(self) -> None:
        if not self._remeasure.isActive():
            self._remeasure.start(0)

    def _is_as_declared(self) -> bool:
        """Whether nobody has chosen other columns or widths."""
        header = self.horizontalHeader()
        return all(
            header.isSectionHidden(number) == column.hidden
            and (column.hidden or column.stretch or number not in self._chosen)
            for number, column in enumerate(self._rows.columns)
        )

    def _is_hidden(self, number: int) -> bool:
        """Whether a column is not wanted; one that only gives way is."""
        return self.horizontalHeader().isSectionHidden(number) and number not in self._given_way

    def header_menu(self) -> QMenu:
        """The column chooser."""
        menu = QMenu(self)
        header = self.horizontalHeader()
        visible = sum(not self._is_hidden(n) for n in range(header.count()))
        for number, column in enumerate(self._rows.columns):
            action = QAction(column.title, menu)
            action.setCheckable(True)
            action.setChecked(not self._is_hidden(number))
            action.setEnabled(visible > 1 or self._is_hidden(number))
            action.toggled.connect(lambda on, n=number: self._show_column(n, on))
            menu.addAction(action)
        return menu

    def _show_column(self, number: int, shown: bool) -> None:
        header = self.horizontalHeader()
        restoring, self._restoring = self._restoring, True
        header.setSectionHidden(number, not shown)
        self._given_way.discard(number)
        self._restoring = restoring
        if shown and header.sectionSize(number) < header.minimumSectionSize():
            header.resizeSection(number, self._rows.columns[number].width)
        self._stretch()
        self._save()

    def _on_header_menu(self, place: QPoint) -> None:
        menu = self.header_menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.horizontalHeader().mapToGlobal(place))

    # Calm under live changes

    def hold(self, held: bool) -> None:
        """Keep rows in place while a menu is open."""
        self._release.stop()
        self._rows.hold(held)

    def _on_rearranging(self) -> None:
        """Remember which row is looked at, and where it stands."""
        self._anchor = None
        if self.verticalScrollBar().value() == 0:
            return
        position = self._delegate.hovered if self._delegate.hovered >= 0 else self.rowAt(0)
        if 0 <= position < self._rows.rowCount():
            self._anchor = self._rows.row(position).id, self.rowViewportPosition(position)

    def _on_rearranged(self) -> None:
        self._delegate.hovered = -1
        if self._anchor is None:
            return
        row_id, top = self._anchor
        position = self._rows.position(row_id)
        if position is not None:
            bar = self.verticalScrollBar()
            height = self.verticalHeader().defaultSectionSize()
            bar.setMaximum(max(bar.maximum(), position * height - top))
            bar.setValue(position * height - top)

    # Events

    def _hover(self, position: int) -> None:
        if position == self._delegate.hovered:
            return
        for each in (self._delegate.hovered, position):
            if each >= 0:
                self._update_row(each)
        self._delegate.hovered = position

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self.rowAt(event.position().toPoint().y()))
        self._rows.hold(True)
        self._release.start()
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)
        if self._release.isActive():
            self.hold(False)
        super().leaveEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        super().mouseDoubleClickEvent(event)
        if self.indexAt(event.position().toPoint()).isValid():
            self.opened.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.RightButton:
            if index.isValid() and not self.selectionModel().isRowSelected(
                index.row(), QModelIndex()
            ):
                self.selectRow(index.row())
            if index.isValid():
                self.menu_wanted.emit(event.globalPosition().toPoint())
            return
        super().mousePressEvent(event)
        if not index.isValid():
            self.clearSelection()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selected():
            self.opened.emit()
        elif event.key() == Qt.Key.Key_Menu:
            rect = self.visualRect(self.currentIndex())
            self.menu_wanted.emit(self.viewport().mapToGlobal(rect.bottomLeft()))
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (
            QEvent.Type.PaletteChange,
            QEvent.Type.FontChange,
            QEvent.Type.StyleChange,
            QEvent.Type.DevicePixelRatioChange,
        ):
            self._restyle()

    def _restyle(self) -> None:
        delegate = self.itemDelegate()
        if isinstance(delegate, CellDelegate):  # Qt styles a view before it is made whole
            delegate.restyle(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._stretch()
