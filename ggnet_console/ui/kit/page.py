# SPDX-License-Identifier: GPL-3.0-or-later
"""The generic page of a noun: header, filter chips, table, detail pane, menus and empty states."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Generic

from PySide6.QtCore import QPoint, QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QMenu,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from . import format as fmt
from .actions import Access, Action, BoundAction
from .detail_pane import DetailPane
from .table_model import Column, R, RowTableModel
from .table_view import TableView
from .tokens import XL, XS, L, M, S, State
from .translate import tr
from .widgets import Button, IconButton, SearchField, hairline, label

AHEAD = 200
"""So many rows before the end the next ones are wanted: they are there before they are seen."""
MOST = 10_000
"""A filter looks through no more rows than this."""
TICK_MS = 10_000
"""Relative times are drawn anew this often."""
_SENTENCE_WIDTH = 440


@dataclass(frozen=True)
class Chip(Generic[R]):
    """A filter people ask for; the first of a page is always All."""

    text: str
    matches: Callable[[R], bool]
    _: KW_ONLY
    failed: Callable[[R], bool] | None = None
    """Of a chip of problems: which of them are failures, so that its sign says the worst."""


@dataclass(frozen=True)
class Empty:
    """What an empty page says: what it is for, and which action starts it."""

    title: str
    sentence: str
    action: str = ""
    """Text of the page's action to offer as a button."""


class Page(QWidget, Generic[R]):
    """A noun's page; everything particular is declared."""

    reread = Signal()
    """F5: read everything again."""
    older_wanted = Signal()
    """The end of what is shown comes into view."""

    def __init__(
        self,
        *,
        key: str,
        title: str,
        several: Callable[[int], str],
        none: str,
        columns: Sequence[Column[R]],
        actions: Sequence[Action[R]],
        empty: Empty,
        access: Access,
        settings: QSettings,
        chips: Sequence[Chip[R]] = (),
        model: RowTableModel[R] | None = None,
        detail: DetailPane[R] | None = None,
        opens: str = "",
        sort: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """``model``: one that filters by itself, in place of the usual one. ``sort``: key of the
        column to sort by until somebody chooses another, the first one by default.
        """
        super().__init__(parent)
        self._key, self._title, self._opens = key, title, opens
        self._several, self._none = several, none
        self._settings = settings
        self._loaded = False
        self._more = False
        self._expected: Hashable | None = None
        self._chips = [Chip[R](tr("All"), lambda _row: True), *chips]
        self._grave = [number for number, chip in enumerate(self._chips) if chip.failed]
        failures = [chip.failed for chip in chips if chip.failed]
        counted = [chip.matches for chip in chips] + failures
        self.model = model or RowTableModel(columns, counted)
        self.model.setParent(self)
        self.view: TableView[R] = TableView(self.model, settings, key, sort)
        self.detail = detail
        self._detail_dismissed = False
        self.actions_ = [
            BoundAction(action, access, self.view.selected, self) for action in actions
        ]
        self._shown: list[R] | None = None
        self._build(empty)
        self._connect(access)

    # Content

    def set_rows(self, rows: Iterable[R]) -> None:
        """Show exactly these rows."""
        self._loaded = True
        self.model.set_rows(rows)
        self._on_content()

    def set_more(self, more: bool) -> None:
        """Whether there are older rows that have not been read."""
        if more != self._more:
            self._more = more
            self._on_content()

    def action(self, text: str) -> BoundAction[R]:
        """The page's action with this declared text."""
        return next(each for each in self.actions_ if each.declared.text == text)

    def show_chip(self, text: str) -> None:
        """Filter by the chip with this text."""
        number = next(n for n, chip in enumerate(self._chips) if chip.text == text)
        self._group.button(number).click()

    def select(self, ids: list[Hashable]) -> None:
        """Show and select these rows, whatever was filtered before."""
        if any(self.model.position(each) is None for each in ids):
            self.search.clear()
            self._group.button(0).click()
        self.view.select_ids(ids)
        self.view.setFocus()

    def select_when_there(self, row_id: Hashable) -> None:
        """Select a row as soon as it has been read; it was just made here."""
        self._expected = row_id
        self._on_content()

    # Building

    def _build(self, empty: Empty) -> None:
        self._heading = label(self._title, "title")
        self._number = label("", "secondary")
        self._number.setContentsMargins(0, 0, 0, XS - 1)
        self.search = SearchField()
        self._tools: list[QWidget] = [self.search]
        header = QHBoxLayout()
        header.setContentsMargins(L, M, L, S)
        header.setSpacing(S)
        header.addWidget(self._heading)
        header.addWidget(self._number, 0, Qt.AlignmentFlag.AlignBottom)
        header.addStretch()
        header.addWidget(self.search)
        for action in self.actions_:
            if action.declared.button:
                button = action.make_button(action.declared.button)
                self._tools.append(button)
                header.addWidget(button)
        self._overflow = IconButton("ellipsis", tr("More actions"))
        self._overflow_menu = QMenu(self._overflow)
        self._overflow_menu.setToolTipsVisible(True)
        self._overflow_menu.aboutToShow.connect(self._on_overflow)
        self._overflow.setMenu(self._overflow_menu)
        header.addWidget(self._overflow)

        self._group = QButtonGroup(self)
        chip_row = QHBoxLayout()
        chip_row.setContentsMargins(M - XS, 0, L, S)
        chip_row.setSpacing(XS)
        for number, chip in enumerate(self._chips):
            button = Button(chip.text, kind="chip")
            button.setCheckable(True)
            button.setChecked(number == 0)
            button.toggled.connect(lambda on: self._on_filter() if on else None)
            self._group.addButton(button, number)
            chip_row.addWidget(button)
        chip_row.addStretch()
        self.filters = chip_row
        self.over = QVBoxLayout()
        """What a page says above its table."""
        self.over.setSpacing(1)

        self._body = QStackedWidget()
        self._body.addWidget(self._first_use(empty))
        self._body.addWidget(self._table_area())

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(header)
        column.addLayout(chip_row)
        column.addLayout(self.over)
        column.addWidget(hairline())
        column.addWidget(self._body, 1)

    def _table_area(self) -> QWidget:
        self._nothing_text = label("", "section", wrap=True)
        self._nothing_text.setFixedWidth(_SENTENCE_WIDTH)
        self._nothing_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        clear = Button(tr("Clear"))
        clear.clicked.connect(self._on_clear)
        nothing = _centred(self._nothing_text, clear)
        self._left = QStackedWidget()
        self._left.addWidget(self.view)
        self._left.addWidget(nothing)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setHandleWidth(1)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self._left)
        self._splitter.setStretchFactor(0, 1)
        self._fixing: list[tuple[BoundAction[R], Button]] = []
        if self.detail is not None:
            self._fixing = [
                (action, action.make_button("primary"))
                for action in self.actions_
                if action.declared.fixes
            ]
            self.detail.add_deeds([button for _, button in self._fixing])
            self._splitter.addWidget(self.detail)
            self._splitter.setStretchFactor(1, 0)
            self.detail.hide()
        return self._splitter

    def _first_use(self, empty: Empty) -> QWidget:
        heading = label(empty.title, "title")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        sentence = label(empty.sentence, "secondary", wrap=True)
        sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        sentence.setFixedWidth(_SENTENCE_WIDTH)
        widgets: list[QWidget] = [heading, sentence]
        self._has_starter = bool(empty.action)
        if empty.action:
            bound = self.action(empty.action)
            self._starter = Button(empty.action, bound.declared.icon, "primary")
            self._starter.clicked.connect(bound.trigger)
            bound.changed.connect(self._on_starter_changed)
            widgets.append(self._starter)
            self._starting = bound
            self._on_starter_changed()
        return _centred(*widgets)

    def _on_starter_changed(self) -> None:
        self._starter.setEnabled(self._starting.isEnabled())
        self._starter.setToolTip(self._starting.toolTip())

    def _connect(self, access: Access) -> None:
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self.view.opened.connect(self._on_opened)
        self.view.menu_wanted.connect(self._on_menu)
        self.view.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.search.textChanged.connect(self._on_filter)
        self.search.returnPressed.connect(self._on_search_done)
        self.model.content_changed.connect(self._on_content)
        access.changed.connect(self.refresh_actions)
        if self.detail is not None:
            self.detail.closed.connect(self._dismiss_detail)
            self._splitter.splitterMoved.connect(self._on_splitter)
        for keys, handler in (
            (QKeySequence(QKeySequence.StandardKey.Find), self._on_find),
            (QKeySequence(Qt.Key.Key_F5), self.reread.emit),
            (QKeySequence(Qt.Key.Key_Escape), self._on_escape),
        ):
            shortcut = QShortcut(keys, self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(handler)
        self._clock = QTimer(self)
        self._clock.setInterval(TICK_MS)
        self._clock.timeout.connect(self._on_tick)
        self._clock.start()
        self._on_content()

    # Reactions

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.view.setFocus()

    def _on_tick(self) -> None:
        if self.isVisible():
            self.model.tick()
            self._show_detail()

    def _on_content(self) -> None:
        total = self.model.total
        self._number.setText(self._count_text())
        counts = self.model.counts
        for number, matching in enumerate(counts[: len(self._chips) - 1], 1):
            self._group.button(number).setText(f"{self._chips[number].text}  {matching}")
        for number, failures in zip(self._grave, counts[len(self._chips) - 1 :], strict=True):
            worst = State.FAILED if failures else State.ATTENTION
            button = self._group.button(number)
            if isinstance(button, Button):
                button.set_sign(worst if counts[number - 1] else None)
        first_use = self._loaded and not (total or self._narrowed())
        self._body.setCurrentIndex(0 if first_use else 1)
        for each in self._group.buttons():
            each.setVisible(not first_use and len(self._chips) > 1)
        for tool in self._tools:
            # With nothing to search or select, the one button on the page is what there is to do.
            tool.setVisible(not (first_use and self._has_starter))
        shown = self.model.rowCount() > 0 or not (total or self._narrowed())
        self._left.setCurrentIndex(0 if shown else 1)
        if not shown:
            self._nothing_text.setText(self._nothing())
        if self._expected is not None and self.model.by_id(self._expected) is not None:
            expected, self._expected = self._expected, None
            self.select([expected])
        if self.view.selected() != self._shown:
            self._on_selection()
        if self._more and self.model.total < MOST:
            self._fill()

    def _fill(self) -> None:
        """A filter that leaves less than the view can show looks among older rows, too."""
        height = self.view.verticalHeader().defaultSectionSize()
        if self.model.rowCount() * height < self.view.viewport().height():
            self.older_wanted.emit()

    def _on_scrolled(self) -> None:
        bottom = self.view.rowAt(self.view.viewport().height() - 1)
        if bottom < 0 or self.model.rowCount() - bottom < AHEAD:
            self.older_wanted.emit()

    def _narrowed(self) -> bool:
        """Whether the model holds only some of the rows there are."""
        return False

    def _count_text(self) -> str:
        if not self.model.total:
            return ""
        total = fmt.number(self.model.total) + ("+" if self._more else "")
        opened = self._open()
        if opened is None:
            return total
        return tr("{total}, %n open", "", opened).format(total=total)

    def _open(self) -> int | None:
        """How many rows are open, which the navigation counts; None where nothing ends."""
        return None

    def _nothing(self) -> str:
        searched, number = self.search.text().strip(), self._group.checkedId()
        none, chip = self._none, self._chips[number].text
        if searched and number:
            told = tr("{none} contains “{search}” among “{chip}”")
            return told.format(none=none, search=searched, chip=chip)
        if searched:
            return tr("{none} contains “{search}”").format(none=none, search=searched)
        return tr("{none} among “{chip}”").format(none=none, chip=chip) if number else none

    def _on_filter(self) -> None:
        number = self._group.checkedId()
        self.model.set_filter(self.search.text(), self._chips[number].matches if number else None)

    def _on_clear(self) -> None:
        self.search.clear()
        self._group.button(0).click()
        self.view.setFocus()

    def _on_find(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _on_search_done(self) -> None:
        self.view.setFocus()
        if self.model.rowCount() and not self.view.selected():
            self.view.selectRow(0)

    def _on_escape(self) -> None:
        """Back out of what was done last: the search, the pane, the selection, the filter."""
        if self.search.hasFocus() and self.search.text():
            self.search.clear()
        elif self.search.hasFocus():
            self.view.setFocus()
        elif self.detail is not None and self.detail.isVisible():
            self._dismiss_detail()
        elif self.view.selected():
            self.view.clearSelection()
        else:
            self._on_clear()

    def _on_selection(self) -> None:
        self._shown = self.view.selected()
        self.refresh_actions()
        self._show_detail()

    def refresh_actions(self) -> None:
        """Look again at what is possible."""
        for action in self.actions_:
            action.refresh()

    def _on_opened(self) -> None:
        """Enter: open the pane again if it was closed, else do what opening means here."""
        if self.detail is not None and not self.detail.isVisible():
            self._detail_dismissed = False
            self._show_detail()
        elif self._opens:
            self.action(self._opens).trigger()

    def menu(self) -> QMenu:
        """The context menu: the same actions in the same order and words."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for action in self.actions_:
            action.add_to(menu)
        return menu

    def _on_menu(self, place: QPoint) -> None:
        menu = self.menu()
        self.view.hold(True)
        menu.aboutToHide.connect(lambda: self.view.hold(False))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)

    def _on_overflow(self) -> None:
        self._overflow_menu.clear()
        for action in self.actions_:
            if not action.declared.button:
                action.add_to(self._overflow_menu)
        self._overflow_menu.addSeparator()
        columns = self.view.header_menu()
        columns.setTitle(tr("Columns"))
        self._overflow_menu.addMenu(columns)
        self._overflow_menu.aboutToHide.connect(columns.deleteLater)

    # Detail pane

    def _show_detail(self) -> None:
        if self.detail is None:
            return
        rows = self.view.selected()
        if not rows:
            self._detail_dismissed = False
        wanted = bool(rows) and not self._detail_dismissed
        if wanted:
            self.detail.show_rows(rows, self._several(len(rows)))
            for action, button in self._fixing:
                fixes = action.declared.fixes
                button.setVisible(fixes is not None and fixes(rows))
        if wanted and self.detail.isHidden():
            width = int(
                str(self._settings.value(f"detail/{self._key}", self.detail.preferred_width))
            )
            self.detail.show()
            self._splitter.setSizes([max(1, self._splitter.width() - width), width])
        elif not wanted:
            self.detail.hide()

    def _dismiss_detail(self) -> None:
        self._detail_dismissed = True
        self._show_detail()
        self.view.setFocus()

    def _on_splitter(self) -> None:
        self._settings.setValue(f"detail/{self._key}", self._splitter.sizes()[1])


def _centred(*widgets: QWidget) -> QWidget:
    """Widgets below each other in the middle of a surface."""
    area = QWidget()
    area.setProperty("role", "surface")
    area.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    column = QVBoxLayout(area)
    column.setSpacing(M)
    column.addStretch(2)
    for widget in widgets:
        # A layout alignment would ignore the height that wrapped text needs.
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(widget)
        row.addStretch()
        column.addLayout(row)
    column.addStretch(3)
    column.setContentsMargins(XL, XL, XL, XL)
    return area
