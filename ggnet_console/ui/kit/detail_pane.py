# SPDX-License-Identifier: GPL-3.0-or-later
"""The detail pane beside a table: the selected row's name, state and tabs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from . import format as fmt
from .table_model import R
from .theme import tabular
from .tokens import URGENCY, XS, L, M, S, State
from .translate import tr
from .widgets import IconButton, StateLine, Value, clear, copyable, hairline, label


@dataclass(frozen=True)
class Fact:
    """One line of the overview; ``section`` begins a group."""

    label: str
    value: str
    tooltip: str = ""
    section: str = ""
    copy: str = ""
    """What a button beside the value says it copies; "" without one."""


class Facts(QWidget):
    """Labels and values in two columns; values can be selected and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shape: list[tuple[str, str]] = []
        self._values: list[Value] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(M)
        self._grid.setVerticalSpacing(S - 2)
        self._grid.setColumnStretch(1, 1)

    def show_facts(self, facts: Sequence[Fact]) -> None:
        """Show these; when only values differ, the labels (and a selection in them) stay."""
        shape = [(fact.section, fact.label) for fact in facts]
        if shape != self._shape:
            self._build(facts)
            self._shape = shape
        for value, fact in zip(self._values, facts, strict=True):
            value.set_value(fact.value)
            value.setToolTip(fact.tooltip)

    def shown(self) -> list[tuple[str, str]]:
        """Labels and values, top to bottom."""
        return [
            (name, value.value) for (_, name), value in zip(self._shape, self._values, strict=True)
        ]

    def _copy_button(self, value: Value, tip: str) -> IconButton:
        button = IconButton("copy", tip)
        button.clicked.connect(lambda: QGuiApplication.clipboard().setText(value.value))
        return button

    def _build(self, facts: Sequence[Fact]) -> None:
        clear(self._grid)
        self._values = []
        for fact in facts:
            line = self._grid.rowCount()
            if fact.section:
                heading = label(fact.section, "section")
                heading.setContentsMargins(0, S if self._values else 0, 0, XS)
                self._grid.addWidget(heading, line, 0, 1, 3)
                line += 1
            name = label(fact.label, "secondary")
            value = Value()
            value.setFont(tabular(value.font()))
            self._grid.addWidget(name, line, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(value, line, 1, Qt.AlignmentFlag.AlignTop)
            if fact.copy:
                button = self._copy_button(value, fact.copy)
                self._grid.addWidget(button, line, 2, Qt.AlignmentFlag.AlignTop)
            self._values.append(value)


class Tally(QWidget):
    """How many rows are in which state, the worst first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: list[tuple[tuple[State, str], int]] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(S)

    def show_states(self, states: Sequence[tuple[State | None, str]]) -> None:
        """Count these; what follows a “ · ” differs from row to row."""
        tally = Counter((sign, text.split(" · ")[0]) for sign, text in states if sign is not None)
        lines = sorted(tally.items(), key=lambda one: (URGENCY[one[0][0]], -one[1]))
        if lines == self._shown:
            return
        self._shown = lines
        clear(self._column)
        for (sign, text), number in lines:
            line = StateLine()
            line.show_state(sign, f"{fmt.number(number)} × {text}")
            self._column.addWidget(line)


class Tab(QWidget, Generic[R]):
    """One more tab of the pane; the page tells it which row is shown."""

    title = ""

    def show_row(self, row: R) -> None:
        """Show this row; called again with its new value whenever it changes."""
        raise NotImplementedError


class DetailPane(QWidget, Generic[R]):
    """Shows one row, or how many are selected."""

    closed = Signal()

    def __init__(
        self,
        *,
        name: Callable[[R], str],
        state: Callable[[R], tuple[State | None, str]],
        facts: Callable[[R], Sequence[Fact]],
        tabs: Sequence[Tab[R]] = (),
        width: int = 336,
        parent: QWidget | None = None,
    ) -> None:
        """``width``: until somebody drags its edge. ``state``: None where there is no state."""
        super().__init__(parent)
        self.preferred_width = width
        self._name, self._state, self._facts = name, state, facts
        self._tabs = list(tabs)
        self._row: R | None = None
        self.setProperty("role", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumWidth(260)
        self._heading = copyable("", "title")
        self._line = StateLine()
        close = IconButton("x", tr("Close details"), "Esc")  # no text: a key
        close.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.setContentsMargins(L, M, S, 0)
        head.addWidget(self._heading, 1, Qt.AlignmentFlag.AlignTop)
        head.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        state_row = QHBoxLayout()
        state_row.setContentsMargins(L, XS, L, S)
        state_row.addWidget(self._line)
        self._deeds = QVBoxLayout()
        self._deeds.setContentsMargins(L, 0, L, S)
        self._deeds.setSpacing(S)
        self._bar = QTabBar()
        self._bar.setDrawBase(False)
        self._bar.setExpanding(False)
        self._bar.addTab(tr("Overview"))
        self._stack = QStackedWidget()
        self._overview = Facts()
        self._tally = Tally()
        self._stack.addWidget(_scrolled(self._overview, self._tally))
        for tab in self._tabs:
            self._bar.addTab(tab.title)
            self._stack.addWidget(_scrolled(tab))
        self._bar.currentChanged.connect(self._on_tab)
        bar_row = QHBoxLayout()
        bar_row.setContentsMargins(XS, 0, 0, 0)
        bar_row.addWidget(self._bar)
        bar_row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(state_row)
        column.addLayout(self._deeds)
        column.addLayout(bar_row)
        column.addWidget(hairline())
        column.addWidget(self._stack, 1)
        # Shown before it has a parent, it would be a window of its own for a moment.
        self._bar.setVisible(bool(self._tabs))

    def add_deeds(self, buttons: Sequence[QWidget]) -> None:
        """What helps the rows shown, below their state; the page says which are seen when."""
        for button in buttons:
            button.hide()
            self._deeds.addWidget(button)

    def show_rows(self, rows: Sequence[R], heading: str) -> None:
        """Show the one selected row in full, of several their number and their states."""
        single = len(rows) == 1
        self._bar.setVisible(single and bool(self._tabs))
        self._tally.show_states([] if single else list(map(self._state, rows)))
        if single:
            self._row = rows[0]
            self._heading.setText(self._name(rows[0]))
            self._line.show_state(*self._state(rows[0]))
            self._overview.show_facts(self._facts(rows[0]))
            self._on_tab(self._bar.currentIndex())
            return
        self._row = None
        self._heading.setText(heading)
        names = [self._name(row) for row in rows]
        self._bar.setCurrentIndex(0)
        self._line.show_state(None, fmt.names(names) if names else "")
        self._overview.show_facts([])

    def _on_tab(self, number: int) -> None:
        self._stack.setCurrentIndex(number)
        if number > 0 and self._row is not None:
            self._tabs[number - 1].show_row(self._row)


def _scrolled(*widgets: QWidget) -> QScrollArea:
    """Widgets that scroll when the pane is too low."""
    inner = QWidget()
    inner.setProperty("role", "surface")
    column = QVBoxLayout(inner)
    column.setContentsMargins(L, M, L, L)
    column.setSpacing(0)
    for widget in widgets:
        column.addWidget(widget)
    column.addStretch()
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area
