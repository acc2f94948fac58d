# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix as a tab of a user's details, its role's column in full strength."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout

from ...enums import Role
from ...services.rights import list_rights
from ...services.users import UserRow
from ..enum_words import word
from ..kit import format as fmt
from ..kit.detail_pane import Tab
from ..kit.tokens import XS, M, S
from ..kit.translate import tr, translated
from ..kit.widgets import breakable, clear, label


class RoleRights(Tab[UserRow]):
    """What each role may do, as it is granted in the database."""

    title = tr("Rights")

    def __init__(self) -> None:
        super().__init__()
        self._shown: Role | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(S)
        self._grid.setVerticalSpacing(XS)
        self._grid.setColumnStretch(0, 1)

    def show_row(self, row: UserRow) -> None:
        if row.role is self._shown:
            return
        self._shown = row.role
        clear(self._grid)
        for column, role in enumerate(Role, 1):
            strength = "label" if role is row.role else "secondary"
            self._grid.addWidget(
                label(breakable(word(role)), strength, wrap=True),
                *(0, column, Qt.AlignmentFlag.AlignHCenter),
            )
        line, noun = 1, ""
        for right in list_rights():
            if right.noun != noun:
                noun = right.noun
                heading = label(translated(noun), "section")
                heading.setContentsMargins(0, M if line > 1 else 0, 0, 0)
                self._grid.addWidget(heading, line, 0, 1, len(Role) + 1)
                line += 1
            allowed = row.role in right.roles
            action = label(translated(right.action), "" if allowed else "secondary", wrap=True)
            self._grid.addWidget(action, line, 0)
            for column, role in enumerate(Role, 1):
                may = role in right.roles
                mark = label(
                    "✓" if may else fmt.NONE, "" if may and role is row.role else "secondary"
                )
                told = tr("{role}: yes") if may else tr("{role}: no")
                mark.setAccessibleName(told.format(role=word(role)))
                self._grid.addWidget(mark, line, column, Qt.AlignmentFlag.AlignHCenter)
            line += 1
