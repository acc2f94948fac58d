# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a user is signed in, as a tab of the details."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout

from ...services import users
from ...services.users import SignInRow, UserRow
from ..kit import format as fmt
from ..kit.tokens import XL, XS, S, State
from ..kit.translate import tr
from ..kit.widgets import Button, StateLine, label
from ..read_tab import ReadTab


class SignIns(ReadTab[UserRow, SignInRow]):
    """Where a user is signed in, each with a button that ends it."""

    title = tr("Sign-ins")

    def _read(self, row: UserRow) -> tuple[Callable[..., list[SignInRow]], int]:
        return users.list_sign_ins, row.id

    def _nothing(self, row: UserRow) -> str:
        return tr("{user} is not signed in.").format(user=row.name)

    def _show(self, found: list[SignInRow]) -> None:
        for each in found:
            line = StateLine()
            line.show_state(State.RUNNING, place(each.workstation, each.client_address))
            button = Button(tr("Revoke"), kind="danger")
            button.setToolTip(tr("End this sign-in and its connections at once"))
            button.clicked.connect(lambda _on=False, chosen=each: self._on_revoke(chosen))
            head = QHBoxLayout()
            head.addWidget(line, 1, Qt.AlignmentFlag.AlignVCenter)
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
            self._column.addLayout(head)
            left = fmt.duration(fmt.until(each.expires_at))
            ends = tr("ends in {duration}").format(duration=left)
            told = " · ".join((each.program, fmt.ago(each.created_at), ends))
            about = label(told, "secondary", wrap=True)
            start, end = fmt.exact(each.created_at), fmt.exact(each.expires_at)
            about.setToolTip(tr("From {start} until {end}").format(start=start, end=end))
            about.setContentsMargins(XL - XS, 0, 0, S)
            self._column.addWidget(about)

    def _on_revoke(self, row: SignInRow) -> None:
        def sweep(_value: object) -> None:
            self._forget()
            self._context.do(self, users.end_stale_connections)

        self._context.do(self, users.revoke_sign_in, row.id, done=sweep)


def place(workstation: str, client_address: str | None) -> str:
    """The workstation and address somebody works at."""
    return " · ".join(filter(None, (workstation, client_address or tr("this server"))))
