# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog for two who changed the same: as it was, yours and theirs, decided field by field."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from ...errors import ConsoleError, FieldChange, RemovedError, StaleError
from . import format as fmt
from .asking_dialog import AskingDialog, Done, Failed, Notify, Waiting
from .form import Field
from .messages import ErrorBox
from .tokens import XL, L, M, S, State
from .translate import tr, translated
from .widgets import Button, StateLine, clear, hairline, label

_CHARACTERS = 24
_LINES = 5
MINE, THEIRS = 0, 1

Save = Callable[[Any, Mapping[str, Any], Done, Failed], None]
"""``save(read, chosen, done, failed)``: save these fields over the row as it was read."""


def shown(field: Field, value: Any) -> str:
    """A field's value as people read it."""
    return dict(field.choices).get(value) or str(value or "") or fmt.NONE


def change_text(change: FieldChange, field: Field) -> str:
    """Who set what, and when: “ben set Room to “Lab 2” 3 min ago”."""
    told = (
        tr("{who} set {field} to “{value}” {ago}")
        if change.at
        else tr("{who} set {field} to “{value}”")
    )
    value = shown(field, change.theirs)
    return told.format(
        who=translated(change.who), field=field.label, value=value, ago=fmt.ago(change.at)
    )


def people(changes: Sequence[FieldChange]) -> str:
    """Who made these changes."""
    return fmt.names(list(dict.fromkeys(translated(change.who) for change in changes)))


class ConflictDialog(AskingDialog):
    """Asks for each field that both changed whose value stays; what is saved may conflict again."""

    settled = Signal(object)
    """It is saved; what the saving answered."""
    refused = Signal(object)
    """A RemovedError: there is nothing to decide any more."""

    def __init__(
        self,
        parent: QWidget,
        notify: Notify,
        fields: Sequence[Field],
        error: StaleError,
        save: Save,
        name: Callable[[Any], str] = lambda row: row.name,
        *,
        typed: str = "",
    ) -> None:
        """``name``: what people call the row they changed; ``typed``: what stands in the form."""
        super().__init__(parent, notify, Waiting.saving())
        self._typed = typed
        self._name = name
        self._fields = {field.key: field for field in fields}
        self._save = save
        self._error = error
        self._groups: dict[str, QButtonGroup] = {}
        self._wanted: dict[str, StateLine] = {}
        self._left = label("", "secondary")
        self._heading = label("", "title")
        self._intro = label("", "secondary", wrap=True)
        self._trouble = ErrorBox()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(L)
        self._grid.setVerticalSpacing(S)
        self._table = QWidget()
        self._table.setLayout(self._grid)
        mine, theirs = (
            Button(tr("Keep all of mine"), kind="link"),
            Button(tr("Take all of theirs"), kind="link"),
        )
        mine.clicked.connect(lambda: self.choose_all(MINE))
        theirs.clicked.connect(lambda: self.choose_all(THEIRS))
        back = Button(tr("Back to the form"))
        back.clicked.connect(self.reject)
        self.go = Button(tr("Save"), kind="primary")
        self.go.setDefault(True)
        self.go.clicked.connect(self._on_go)
        foot = QHBoxLayout()
        foot.setSpacing(S)
        foot.addWidget(mine)
        foot.addSpacing(M)
        foot.addWidget(theirs)
        foot.addStretch()
        foot.addWidget(self._left)
        foot.addWidget(back)
        foot.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(XL, L, XL, L)
        column.setSpacing(L)
        column.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
        for widget in (self._heading, self._intro, self._trouble, self._table):
            column.addWidget(widget)
        column.addLayout(foot)
        self.show_conflict(error)

    def show_conflict(self, error: StaleError) -> None:
        """Ask about these changes: those of the first save, or of one that came in between."""
        again = error is not self._error
        self._error = error
        told = tr("{name} was changed again") if again else tr("{name} was changed meanwhile")
        title = told.format(name=self._name(error.now))
        self.setWindowTitle(title)
        self._heading.setText(title)
        self._intro.setText(
            tr(
                "{people} saved it while you edited. Choose what stays; your other changes are kept."
            ).format(people=people(error.changes))
        )
        self._trouble.clear()
        self._groups.clear()
        self._wanted.clear()
        clear(self._grid)
        for column, text in enumerate(("", tr("As it was"), tr("Yours"), tr("Theirs"))):
            self._grid.addWidget(label(text, "secondary"), 0, column)
        self._grid.addWidget(hairline(), 1, 0, 1, 4)
        # In the form's order; where both wanted the same there is nothing to decide.
        order = list(self._fields)
        differ = sorted(
            (change for change in error.changes if change.mine != change.theirs),
            key=lambda change: order.index(change.field),
        )
        for row, change in enumerate(differ, 2):
            self._add_row(row, change)
        self._table.setEnabled(True)
        self._refresh()
        first = next((g for g in self._groups.values() if g.checkedId() < 0), None)
        (first.button(MINE) if first else self.go).setFocus()

    def _add_row(self, row: int, change: FieldChange) -> None:
        field = self._fields[change.field]
        name = QVBoxLayout()
        name.setSpacing(0)
        name.addWidget(label(field.label, "label"))
        said = translated(change.who)
        who = label(f"{said}, {fmt.ago(change.at)}" if change.at else said, "secondary")
        who.setToolTip(fmt.exact(change.at))
        name.addWidget(who)
        top = Qt.AlignmentFlag.AlignTop
        self._grid.addLayout(name, row, 0, top)
        self._grid.addWidget(label(_wrapped(shown(field, change.before)), "secondary"), row, 1, top)
        group = QButtonGroup(self._table)
        for side, value in ((MINE, change.mine), (THEIRS, change.theirs)):
            text = shown(field, value)
            button = QRadioButton(_wrapped(text))
            told = tr("{field}, yours: {value}") if side == MINE else tr("{field}, theirs: {value}")
            button.setAccessibleName(told.format(field=field.label, value=text))
            button.setToolTip(text if len(text) > _CHARACTERS else "")
            button.setMinimumWidth(button.fontMetrics().averageCharWidth() * _CHARACTERS)
            group.addButton(button, side)
            self._grid.addWidget(button, row, 2 + side, top)
        if not change.contested:
            group.button(THEIRS).setChecked(True)
        group.idToggled.connect(self._refresh)
        self._groups[change.field] = group
        wanted = StateLine()
        wanted.show_state(State.ATTENTION, tr("Choose one"))
        name.addWidget(wanted)
        self._wanted[change.field] = wanted

    def choose(self, field: str, side: int) -> None:
        """Choose a field's value: ``MINE`` or ``THEIRS``."""
        self._groups[field].button(side).setChecked(True)

    def choose_all(self, side: int) -> None:
        """Choose one side for every field, unless it is being saved."""
        if self.asking:
            return
        for field in self._groups:
            self.choose(field, side)

    def _undecided(self) -> list[str]:
        return [
            self._fields[key].label for key, group in self._groups.items() if group.checkedId() < 0
        ]

    def _refresh(self) -> None:
        undecided = self._undecided()
        self.go.setEnabled(not undecided and not self.asking)
        tip = left = ""
        if undecided:
            tip = tr("Choose what stays: {fields}").format(fields=", ".join(undecided))
            left = tr("%n field(s) to decide", "", len(undecided))
        self.go.setToolTip(tip)
        self._left.setText(left)
        for key, wanted in self._wanted.items():
            wanted.setVisible(self._groups[key].checkedId() < 0)

    def _on_go(self) -> None:
        changes = {change.field: change for change in self._error.changes}
        chosen = {
            key: changes[key].mine if group.checkedId() == MINE else changes[key].theirs
            for key, group in self._groups.items()
        }
        self._table.setEnabled(False)
        self.go.setEnabled(False)
        now = self._error.now
        self.ask(
            lambda done, failed: self._save(now, chosen, done, failed),
            self._on_done,
            self._on_failed,
        )

    def typed(self) -> str:
        return self._typed

    def subject(self) -> str:
        return tr("Edit {name}").format(name=self._name(self._error.now))

    def _on_done(self, value: object) -> None:
        self.accept()
        self.settled.emit(value)

    def _on_failed(self, error: ConsoleError) -> None:
        if isinstance(error, RemovedError):
            self.reject()
            self.refused.emit(error)
            return
        if isinstance(error, StaleError):
            self.show_conflict(error)
            return
        self._table.setEnabled(True)
        self._refresh()
        self._trouble.show_error(error)


def _wrapped(text: str) -> str:
    lines = [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, _CHARACTERS) or [""]
    ]
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"])
