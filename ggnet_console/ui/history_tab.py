# SPDX-License-Identifier: GPL-3.0-or-later
"""The History tab of every object's details: its entries of the audit trail."""

from __future__ import annotations

from collections.abc import Callable

from ..services import audit
from ..services.audit import AuditRow
from .audit_words import action_of, changes_of, sign_of, who_of
from .kit import format as fmt
from .kit.table_model import R
from .kit.tokens import XL, XS, S
from .kit.translate import tr
from .kit.widgets import StateLine, Value, label
from .page_context import PageContext
from .read_tab import ReadTab


class History(ReadTab[R, AuditRow]):
    """The audit entries of one object, newest first."""

    title = tr("History")

    def __init__(
        self, context: PageContext, noun: str, changed: Callable[[R], object] = lambda row: row
    ) -> None:
        """``changed``: of a row, what differs whenever there may be new entries."""
        super().__init__(context, XS)
        self._noun, self._changed = noun, changed

    def _read(self, row: R) -> tuple[Callable[..., list[AuditRow]], str, str]:
        return audit.object_history, self._noun, str(row.id)

    def _differs(self, row: R, shown: R) -> bool:
        return self._changed(row) != self._changed(shown)

    def _nothing(self, row: R) -> str:
        del row
        return tr("Nothing has been done to it since the audit trail began.")

    def _show(self, found: list[AuditRow]) -> None:
        for each in found:
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
