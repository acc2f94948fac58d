# SPDX-License-Identifier: GPL-3.0-or-later
"""The one question before sessions are stopped."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QWidget

from ...services import boot_sessions
from ..kit import format as fmt
from ..kit.messages import confirm
from ..kit.translate import tr
from ..page_context import PageContext


def stop_sessions(page: QWidget, context: PageContext, machines: Mapping[int, str]) -> None:
    """Ask, then stop the sessions with these ids; the values name their machines."""
    names = list(machines.values())
    confirm(
        page,
        tr("Stop the session(s) of {names}?", "", len(names)).format(names=fmt.names(names)),
        tr("The disk goes away at once; what has not been saved on it is lost."),
        tr("Stop %n session(s)", "", len(names)),
        names=names,
        then=lambda: context.do(page, boot_sessions.stop_boot_sessions, list(machines)),
    )
