# SPDX-License-Identifier: GPL-3.0-or-later
"""The History tab of every object's details: its entries of the audit trail."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QVBoxLayout

from ..errors import ConsoleError
from ..services import audit
from ..services.audit import AuditRow
from .audit_words import action_of, changes_of, sign_of, who_of
from .kit import format as fmt
from .kit.detail_pane import Tab
from .kit.table_model import R
from .kit.tokens import XL, XS, S
from .kit.translate import tr, translated
from .kit.widgets import StateLine, Value, clear, label
from .page_context import PageContext


class History(Tab[R]):
    """The audit entries of one object, newest first."""

    title = tr("History")

    def __init__(
        self,
        context: PageContext,
        noun: str,
        object_id: Callable[[R], object] = lambda row: row.id,
        changed: Callable[[R], object] = lambda row: row,
    ) -> None:
        """``changed``: of a row, what differs whenever there may be new entries."""
        super().__init__()
        self._context, self._noun, self._object_id = context, noun, object_id
        self._changed = changed
        self._shown: R | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(XS)
        context.access.changed.connect(self._forget)

    def _forget(self) -> None:
        self._shown = None

    def show_row(self, row: R) -> None:
        if self._shown is not None and self._changed(row) == self._changed(self._shown):
            return
        self._shown = row
        self._context.runner.run(
            audit.object_history,
            self._noun,
            str(self._object_id(row)),
            done=lambda rows: self._show(row, rows),
            failed=self._on_failed,
            parent=self,
        )

    def _on_failed(self, error: ConsoleError) -> None:
        """The next turn of the page's clock tries again."""
        self._forget()
        self._say(translated(error.summary))

    def _say(self, text: str) -> None:
        clear(self._column)
        self._column.addWidget(label(text, "secondary", wrap=True))

    def _show(self, row: R, rows: list[AuditRow] | None) -> None:
        if self._shown is None or self._shown.id != row.id:
            return
        if not rows:
            self._say(tr("Nothing has been done to it since the audit trail began."))
            return
        clear(self._column)
        for each in rows:
            line = StateLine()
            told = tr("{action} by {who}").format(action=action_of(each), who=who_of(each))
            line.show_state(sign_of(each), told)
            when = label(fmt.ago(each.at), "secondary")
            when.setToolTip(fmt.exact(each.at))
            when.setContentsMargins(XL - XS, 0, 0, 0)
            self._column.addWidget(line)
            self._column.addWidget(when)
            for field, text in changes_of(each):
                change = Value()
                change.set_value(f"{field}: {text}")
                change.setContentsMargins(XL - XS, 0, 0, 0)
                self._column.addWidget(change)
            self._column.addSpacing(S)
