# SPDX-License-Identifier: GPL-3.0-or-later
"""The Sessions tab of a machine's details: the last sessions it had."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...services import boot_sessions
from ...services.boot_sessions import BootSessionRow
from ...services.machines import MachineRow
from ..kit import format as fmt
from ..kit.tokens import XL, XS
from ..kit.translate import tr
from ..kit.widgets import StateLine, label
from ..read_tab import ReadTab
from .page import state_of

_MOST = 20


class MachineSessions(ReadTab[MachineRow, BootSessionRow]):
    """The last sessions of one machine, as a tab of its details."""

    title = tr("Sessions")

    def _read(self, row: MachineRow) -> tuple[Callable[..., list[BootSessionRow]]]:
        return (partial(boot_sessions.list_boot_sessions, machine_id=row.id, limit=_MOST),)

    def _nothing(self, row: MachineRow) -> str:
        del row
        return tr("This machine has had no session yet.")

    def _show(self, found: list[BootSessionRow]) -> None:
        for each in found:
            line = StateLine()
            line.show_state(*state_of(each))
            read, written = fmt.size(each.bytes_read), fmt.size(each.bytes_written)
            moved = tr("{read} read, {written} written").format(read=read, written=written)
            about = label(f"{each.image} · {moved}", "secondary", wrap=True)
            about.setContentsMargins(XL - XS, 0, 0, XS)
            about.setToolTip(tr("Started {when}").format(when=fmt.exact(each.created_at)))
            self._column.addWidget(line)
            self._column.addWidget(about)
