# SPDX-License-Identifier: GPL-3.0-or-later
"""Tabs of a target's details: what differs, the tree as targetcli draws it, who is logged in."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from ...services.target_reports import FieldDrift, LunRate
from ...services.targets import TargetRow
from ..kit import format as fmt
from ..kit.detail_pane import Tab
from ..kit.tokens import XL, XS, M, S, State
from ..kit.translate import tr, translated
from ..kit.widgets import Button, StateLine, Value, clear, label
from .words import field_of, found_of, is_foreign, wanted_of

_FIELD_WIDTH = 88


def difference_grid(differences: tuple[FieldDrift, ...]) -> QWidget:
    """Field by field what is wanted and what is there."""
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(M)
    grid.setVerticalSpacing(XS)
    grid.setColumnMinimumWidth(0, _FIELD_WIDTH)
    grid.setColumnStretch(1, 1)
    grid.setColumnStretch(2, 1)
    for number, text in enumerate((tr("Field"), tr("Now"), tr("Wanted"))):
        grid.addWidget(label(text, "secondary"), 0, number)
    for line, one in enumerate(differences, 1):
        for number, text in enumerate((field_of(one), found_of(one), wanted_of(one))):
            value = Value()
            value.set_value(text)
            grid.addWidget(value, line, number, Qt.AlignmentFlag.AlignTop)
    return box


class _Column(Tab[TargetRow]):
    """A tab that is drawn anew when what it shows has changed."""

    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(S)
        self._drawn: object = None

    def show_row(self, row: TargetRow) -> None:
        shown = (row.id, self.part_of(row))
        if shown != self._drawn:
            self._drawn = shown
            clear(self.column)
            self.draw(row)

    def part_of(self, row: TargetRow) -> object:
        """What this tab shows of a row."""
        raise NotImplementedError

    def draw(self, row: TargetRow) -> None:
        """Fill the empty column."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """A sentence where there is nothing to list."""
        self.column.addWidget(label(text, "secondary", wrap=True))


class Differences(_Column):
    """What is not as wanted, field by field."""

    title = tr("Differences")

    def part_of(self, row: TargetRow) -> object:
        return row.differences, row.drift, row.cut_off, row.unsupported

    def draw(self, row: TargetRow) -> None:
        if row.drift is None:
            self.say(tr("The agent of its storage host has not compared it yet."))
        elif is_foreign(row):
            self.say(tr("It was made by hand. Nothing is wanted of it, and apply leaves it alone."))
            self.say(
                tr("It cannot be adopted: {reason}.").format(reason=translated(row.unsupported))
                if row.unsupported
                else tr("An admin can adopt it; it is then wanted just as it runs now.")
            )
        elif not row.differences:
            self.say(tr("It runs as wanted."))
        else:
            self.column.addWidget(difference_grid(row.differences))
            if row.cut_off:
                line = StateLine()
                names = fmt.names(list(row.cut_off))
                text = tr("Apply would take the disk from {names}.").format(names=names)
                line.show_state(State.ATTENTION, text)
                self.column.addWidget(line)


class Tree(_Column):
    """The target as ``targetcli ls`` draws it; can be copied."""

    title = tr("Tree")

    def part_of(self, row: TargetRow) -> object:
        return row.tree

    def draw(self, row: TargetRow) -> None:
        if not row.tree:
            self.say(tr("There is nothing to draw: the target does not run."))
            return
        text = QPlainTextEdit(row.tree)
        text.setReadOnly(True)
        text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(max(7.5, self.font().pointSizeF() - 1.5))
        text.setFont(font)
        lines = row.tree.count("\n") + 1
        text.setFixedHeight((lines + 1) * text.fontMetrics().lineSpacing() + 3 * S)
        copy = Button(tr("Copy"), "copy", "link")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(row.tree))
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(copy)
        self.column.addLayout(buttons)
        self.column.addWidget(text)


class Sessions(_Column):
    """Who is logged in, and the traffic of each LUN."""

    title = tr("Sessions")

    def show_row(self, row: TargetRow) -> None:
        super().show_row(row)
        # Traffic changes all the time; a selection in a name beside it stays.
        clear(self._traffic)
        if row.rates:
            self._traffic.addWidget(_rates(row.rates))

    def part_of(self, row: TargetRow) -> object:
        return row.logged_in

    def draw(self, row: TargetRow) -> None:
        if not row.logged_in:
            self.say(tr("Nobody is logged in."))
        for one in row.logged_in:
            line = StateLine()
            line.show_state(State.RUNNING, one.machine or tr("No machine of ours"))
            self.column.addWidget(line)
            for text in (one.initiator_iqn, tr("from {address}").format(address=one.address)):
                value = Value()
                value.set_value(text)
                value.setContentsMargins(XL - XS, 0, 0, 0)
                self.column.addWidget(value)
        self._traffic = QVBoxLayout()
        self._traffic.setContentsMargins(0, S, 0, 0)
        self.column.addLayout(self._traffic)


def _rates(rates: tuple[LunRate, ...]) -> QWidget:
    """Traffic by LUN."""
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(M)
    grid.setVerticalSpacing(XS)
    right = Qt.AlignmentFlag.AlignRight
    for number, text in enumerate(("LUN", tr("Read"), tr("Written"), tr("Commands"))):
        heading = label(text, "secondary")
        grid.addWidget(heading, 0, number, right if number else Qt.AlignmentFlag.AlignLeft)
    for line, rate in enumerate(rates, 1):
        commands = fmt.NONE if rate.commands_per_s is None else f"{rate.commands_per_s}/s"
        texts = (fmt.speed(rate.bytes_read_per_s), fmt.speed(rate.bytes_written_per_s), commands)
        grid.addWidget(label(str(rate.lun)), line, 0)
        for number, text in enumerate(texts, 1):
            grid.addWidget(label(text), line, number, right)
    return box
