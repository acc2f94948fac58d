# SPDX-License-Identifier: GPL-3.0-or-later
"""The Sessions tab of a machine's details: the last sessions it had."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QVBoxLayout

from ...services import boot_sessions
from ...services.boot_sessions import BootSessionRow
from ...services.machines import MachineRow
from ..kit import format as fmt
from ..kit.detail_pane import Tab
from ..kit.tokens import XL, XS, S
from ..kit.translate import tr, translated
from ..kit.widgets import StateLine, clear, label
from ..page_context import PageContext
from .page import state_of


class MachineSessions(Tab[MachineRow]):
    """The last sessions of one machine, as a tab of its details."""

    title = tr("Sessions")
    _MOST = 20

    def __init__(self, context: PageContext) -> None:
        super().__init__()
        self._context = context
        self._shown: MachineRow | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(S)

    def show_row(self, row: MachineRow) -> None:
        if row == self._shown:
            return
        self._shown = row
        self._context.runner.run(
            partial(boot_sessions.list_boot_sessions, machine_id=row.id, limit=self._MOST),
            done=lambda rows: self._show(row, rows),
            failed=lambda error: self._say(translated(error.summary)),
            parent=self,
        )

    def _say(self, text: str) -> None:
        clear(self._column)
        self._column.addWidget(label(text, "secondary", wrap=True))

    def _show(self, row: MachineRow, rows: list[BootSessionRow]) -> None:
        if self._shown is None or self._shown.id != row.id:
            return
        if not rows:
            self._say(tr("This machine has had no session yet."))
            return
        clear(self._column)
        for each in rows:
            line = StateLine()
            line.show_state(*state_of(each))
            read, written = fmt.size(each.bytes_read), fmt.size(each.bytes_written)
            moved = tr("{read} read, {written} written").format(read=read, written=written)
            about = label(f"{each.image} · {moved}", "secondary", wrap=True)
            about.setContentsMargins(XL - XS, 0, 0, XS)
            about.setToolTip(tr("Started {when}").format(when=fmt.exact(each.created_at)))
            self._column.addWidget(line)
            self._column.addWidget(about)
