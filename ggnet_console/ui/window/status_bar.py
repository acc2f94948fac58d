# SPDX-License-Identifier: GPL-3.0-or-later
"""The line at the bottom: connection, person, and the running work with its progress."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QProgressBar, QWidget

from ..kit import format as fmt
from ..kit.progress import Progress
from ..kit.tokens import XS, M, S, State
from ..kit.translate import tr
from ..kit.widgets import Button, MenuButton, Sign, label


class StatusBar(QWidget):
    """Slim, always there; the work in it leads to the Jobs page."""

    work_clicked = Signal()

    def __init__(self, server: str, menu: QMenu, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._server = server
        self._sign = Sign(State.RUNNING)
        self._connection = label(server)
        self._person = MenuButton("user", menu)
        self._person.setToolTip(tr("Look, password, sign out"))
        self._work = Button("", kind="link")
        self._work.setToolTip(tr("Open Jobs"))
        self._work.clicked.connect(self.work_clicked)
        self._bar = QProgressBar()
        self._bar.setFixedWidth(120)
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._left = label("", "secondary")
        row = QHBoxLayout(self)
        row.setContentsMargins(M, XS, M, XS)
        row.setSpacing(S)
        row.addWidget(self._sign)
        row.addWidget(self._connection)
        row.addSpacing(M)
        row.addWidget(self._person)
        row.addStretch()
        row.addWidget(self._work)
        row.addWidget(self._bar)
        row.addWidget(self._left)
        self.set_work([])

    def set_person(self, text: str) -> None:
        """Who is signed in, and as what."""
        self._person.setText(text)

    def set_connected(self, connected: bool) -> None:
        """Whether the database answers."""
        self._sign.set_state(State.RUNNING if connected else State.ATTENTION)
        lost = tr("{server}: no connection").format(server=self._server)
        self._connection.setText(self._server if connected else lost)

    def set_work(self, work: Sequence[Progress]) -> None:
        """Show the first of the running work and how much more there is."""
        for widget in (self._work, self._bar, self._left):
            widget.setVisible(bool(work))
        if not work:
            return
        text, more = work[0].text, len(work) - 1
        self._work.setText(tr("{job}  and %n more", "", more).format(job=text) if more else text)
        share = work[0].share
        self._bar.setRange(0, 1000 if share is not None else 0)
        self._bar.setValue(int((share or 0) * 1000))
        self._left.setText("  ".join(filter(None, (fmt.percent(share), work[0].left))))
