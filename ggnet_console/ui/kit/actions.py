# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared actions: one list gives a page its buttons, overflow menu, context menu and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Generic

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from ...enums import Role
from . import icons
from .table_model import R
from .theme import tokens_of
from .translate import tr
from .widgets import Button, Kind, with_shortcut

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


class Access(QObject):
    """What the signed-in person may do now; told by role and by the state of the connection.

    This only explains: the database itself holds the rights.
    """

    changed = Signal()

    def __init__(
        self,
        role: Role,
        word: Callable[[Role], str],
        parent: QObject | None = None,
        *,
        user_id: int = 0,
    ) -> None:
        """``word``: what people call a role. ``user_id``: whose role it is."""
        super().__init__(parent)
        self._word = word
        self.user_id = user_id
        self._role = role
        self._changed = False
        self._waiting: str | None = None

    @property
    def role(self) -> Role:
        """The role of now."""
        return self._role

    def set_role(self, role: Role) -> None:
        """Another role was given meanwhile."""
        if role is not self._role:
            self._role, self._changed = role, True
            self.changed.emit()

    def has(self, needs: Role) -> bool:
        """Whether the role reaches this one."""
        return _RANK[self._role] >= _RANK[needs]

    def set_waiting(self, reason: str | None) -> None:
        """Why nothing can be written for the time being, or None."""
        if reason != self._waiting:
            self._waiting = reason
            self.changed.emit()

    def refusal(self, needs: Role) -> str | None:
        """Why an action that needs this role is not possible now, or None."""
        if not self.has(needs):
            told = (
                tr("Needs the role {role}; yours was changed to {now}")
                if self._changed
                else tr("Needs the role {role}")
            )
            return told.format(role=self._word(needs), now=self._word(self._role))
        if needs is not Role.VIEWER and self._waiting:
            return self._waiting
        return None


@dataclass(frozen=True)
class Action(Generic[R]):
    """Something to do with the selected rows (or with none, when ``on_rows`` is False)."""

    text: str
    """A verb that names what it does."""
    icon: str
    handler: Callable[[list[R]], None]
    _: KW_ONLY
    shortcut: str = ""
    enabled: Callable[[Sequence[R]], str | None] = lambda _rows: None
    """Why this is not possible for these rows, or None."""
    needs: Role = Role.OPERATOR
    on_rows: bool = True
    single: bool = False
    """Only for exactly one row."""
    button: Kind | None = None
    """Shown in the header as such a button, else in its overflow menu."""
    several: Callable[[int], str] | None = None
    """Its words for several rows, by their number: “Delete 3 machines”; else those of ``text``."""
    applies: Callable[[R], bool] | None = None
    """Which of the rows it is done to, where it is possible; the others are left alone."""
    fixes: Callable[[Sequence[R]], bool] | None = None
    """While true of the rows, it is offered beside their state in the details."""


class BoundAction(QAction, Generic[R]):
    """An Action on a page, kept in step with selection, role and connection."""

    def __init__(
        self, action: Action[R], access: Access, rows: Callable[[], list[R]], page: QWidget
    ) -> None:
        super().__init__(action.text, page)
        self.declared = action
        self._access = access
        self._rows = rows
        self._buttons: list[QPushButton] = []
        if action.shortcut:
            self.setShortcut(QKeySequence(action.shortcut))
            self.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        page.addAction(self)
        self.triggered.connect(self._on_triggered)
        self.refresh()

    def refusal(self) -> str | None:
        """Why this is not possible now, or None."""
        refusal = self._access.refusal(self.declared.needs)
        if refusal is not None:
            return refusal
        rows = self._rows()
        if self.declared.on_rows and not rows:
            return tr("Select a row first")
        if self.declared.single and len(rows) > 1:
            return tr("Select a single row")
        return self.declared.enabled(rows if self.declared.on_rows else [])

    def refresh(self) -> None:
        """Bring words, state and tooltip up to date."""
        refusal = self.refusal()
        text = self._words()
        self.setText(text)
        self.setEnabled(refusal is None)
        self.setToolTip(refusal or with_shortcut(text, self.declared.shortcut))
        for button in self._buttons:
            button.setText(text)
            button.setEnabled(refusal is None)
            button.setToolTip(self.toolTip())

    def _words(self) -> str:
        """What a button says that does it to the rows selected now."""
        declared = self.declared
        number = len(self._chosen()) if declared.on_rows else 0
        if declared.several is None or declared.single or number < 2:
            return declared.text
        return declared.several(number)

    def _chosen(self) -> list[R]:
        """The rows it is done to."""
        if not self.declared.on_rows:
            return []
        rows, applies = self._rows(), self.declared.applies
        return rows if applies is None else list(filter(applies, rows))

    def make_button(self, kind: Kind) -> Button:
        """This action as a button, of a page's header or of its details."""
        button = Button(self.declared.text, self.declared.icon, kind)
        button.clicked.connect(self.trigger)
        self._buttons.append(button)
        self.refresh()
        return button

    def add_to(self, menu: QMenu) -> None:
        """Put this action into a menu, with its icon in the palette's colours of now."""
        self.setIcon(
            icons.icon(self.declared.icon, menu.palette(), tokens_of(menu.palette()).secondary)
        )
        menu.addAction(self)

    def _on_triggered(self) -> None:
        if self.refusal() is None:
            self.declared.handler(self._chosen())
