# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage hosts: what is wrong with one in words, what serves its targets, and changing that."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from ..enums import BackendChoice, Role
from ..services import hosts
from ..services.hosts import HostRow
from .enum_words import word
from .history_tab import History
from .kit import format as fmt
from .kit.asking_dialog import Done, Failed
from .kit.form import Field
from .kit.form_dialog import FormDialog
from .kit.tokens import XS, L, M, S, State
from .kit.translate import tr, translated
from .kit.widgets import Button, Sign, clear, copyable, label
from .page_context import PageContext

_BACKENDS = {"lio": "LIO", "tgt": "tgt"}
_CHOICES = (
    (BackendChoice.AUTO, tr("Automatic: LIO where it can run, else tgt")),
    (BackendChoice.LIO, tr("LIO (in the kernel)")),
    (BackendChoice.TGT, tr("tgt, in a process of its own")),
)


def backend_name(row: HostRow) -> str:
    """What serves the host's targets."""
    return _BACKENDS.get(row.backend, row.backend) or fmt.NONE


def backend_of(row: HostRow) -> str:
    """What serves the host's targets, and why."""
    name = backend_name(row)
    return f"{name} – {translated(row.backend_reason)}" if row.backend_reason else name


def trouble_of(row: HostRow) -> str:
    """Why machines cannot be started from this host, and what to do; empty when all is well."""
    if not row.alive:
        if row.heartbeat_at is None:
            return tr(
                "The storage host {name} has never answered; its agent must run before machines "
                "can start."
            ).format(name=row.name)
        return tr(
            "The storage host {name} does not answer (last heard {time}); its agent must run "
            "before machines can start."
        ).format(name=row.name, time=fmt.ago(row.heartbeat_at))
    return f"{row.name}: {translated(row.problem)}" if row.problem else ""


def unread_of(row: HostRow) -> str:
    """Why the targets would not come back with a restart of the host; empty when they would."""
    if not row.saved_problem:
        return ""
    text = tr("The saved configuration of {name} cannot be read: {problem}").format(
        name=row.name, problem=translated(row.saved_problem)
    )
    return fmt.with_stop(text)


class HostLines(QFrame):
    """Each storage host with what serves its targets, over the settings."""

    def __init__(self, page: QWidget, context: PageContext) -> None:
        super().__init__()
        self._page, self._context = page, context
        self._shown: list[tuple[object, ...]] = []
        self.buttons: dict[str, Button] = {}
        self.histories: dict[str, Button] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(M)
        self._grid.setVerticalSpacing(XS)
        self._grid.setColumnStretch(3, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(L, 0, L, M)
        column.setSpacing(S)
        column.addWidget(label(tr("Storage hosts"), "section"))
        column.addLayout(self._grid)
        context.feeds.hosts.updated.connect(self._draw)
        context.access.changed.connect(self._draw)
        self._draw()

    def _draw(self) -> None:
        refusal = self._context.access.refusal(Role.ADMIN)
        rows = sorted(self._context.feeds.hosts.rows.values(), key=lambda row: row.name)
        shown: list[tuple[object, ...]] = [
            (row.name, row.portal, backend_of(row), row.backend_choice, trouble_of(row), refusal)
            for row in rows
        ]
        if shown == self._shown:
            return
        self._shown = shown
        clear(self._grid)
        self.buttons, self.histories = {}, {}
        for line, row in enumerate(rows):
            self._grid.addWidget(
                Sign(State.ATTENTION if trouble_of(row) else State.RUNNING), line, 0
            )
            self._grid.addWidget(label(row.name), line, 1)
            self._grid.addWidget(label(row.portal, "secondary"), line, 2)
            self._grid.addWidget(copyable(backend_of(row)), line, 3)
            choice = tr("Chosen: {backend}").format(backend=word(row.backend_choice))
            self._grid.addWidget(label(choice, "secondary"), line, 4)
            button = Button(tr("Change…"))
            button.setEnabled(refusal is None)
            button.setToolTip(refusal or "")
            button.clicked.connect(
                lambda _on, host=row: choose_backend(self._page, self._context, host)
            )
            self._grid.addWidget(button, line, 5)
            self.buttons[row.name] = button
            past = Button(tr("History…"))
            past.clicked.connect(
                lambda _on, host=row: show_history(self._page, self._context, host)
            )
            self._grid.addWidget(past, line, 6)
            self.histories[row.name] = past


def show_history(parent: QWidget, context: PageContext, row: HostRow) -> QDialog:
    """What was done to a host: there is no page of hosts with details that could show it."""
    dialog = QDialog(parent.window())
    title = tr("History of {name}").format(name=row.name)
    dialog.setWindowTitle(title)
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    history = History[HostRow](context, "host")
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setWidget(history)
    close = Button(tr("Close"))
    close.clicked.connect(dialog.accept)
    column = QVBoxLayout(dialog)
    column.setContentsMargins(L, L, L, L)
    column.setSpacing(M)
    column.addWidget(label(title, "title"))
    column.addWidget(area, 1)
    column.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
    dialog.resize(460, 400)
    history.show_row(row)
    dialog.open()
    return dialog


def choose_backend(parent: QWidget, context: PageContext, row: HostRow) -> FormDialog:
    """Ask which iSCSI target a host is to run."""

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        context.runner.run(
            hosts.choose_backend,
            row.id,
            BackendChoice(values["backend"]),
            done=done,
            failed=failed,
            parent=parent.window(),
        )

    dialog = FormDialog(
        parent,
        title=tr("What serves the targets of {name}").format(name=row.name),
        verb=tr("Change over"),
        intro=tr(
            "Now: {backend}. The agent changes over within seconds. The agent's own configuration "
            "goes before what is chosen here."
        ).format(backend=backend_of(row)),
        fields=[
            Field("backend", tr("Served by"), "choice", value=row.backend_choice, choices=_CHOICES)
        ],
        submit=submit,
        notify=context.notify,
    )
    served = [each for each in context.feeds.sessions.rows.values() if each.open]
    number = sum(each.host == row.name for each in served)
    if number:
        dialog.refuse(tr("%n session(s) open: stop (it|them) first.", "", number))
    dialog.open()
    return dialog
