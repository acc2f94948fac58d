# SPDX-License-Identifier: GPL-3.0-or-later
"""A tab of the details whose content is read when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtWidgets import QVBoxLayout

from ..errors import ConsoleError
from .kit.detail_pane import Tab
from .kit.table_model import R
from .kit.tokens import S
from .kit.translate import translated
from .kit.widgets import clear, label
from .page_context import PageContext

A = TypeVar("A")


class ReadTab(Tab[R], Generic[R, A]):
    """Reads once per row, and anew when that row has changed or reading failed.

    A subclass sets ``title``, reads in ``_read`` and builds widgets into ``_column`` in ``_show``.
    """

    def __init__(self, context: PageContext, spacing: int = S) -> None:
        super().__init__()
        self._context = context
        self._shown: R | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(spacing)
        context.access.changed.connect(self._forget)

    def _read(self, row: R) -> tuple[Callable[..., list[A] | None], *tuple[object, ...]]:
        """A service's function and what it is asked, in the background."""
        raise NotImplementedError

    def _nothing(self, row: R) -> str:
        """What is said when nothing was found."""
        raise NotImplementedError

    def _show(self, found: list[A]) -> None:
        """Build what was found into the empty ``_column``."""
        raise NotImplementedError

    def _differs(self, row: R, shown: R) -> bool:
        """Whether what was read for ``shown`` may have changed with ``row``."""
        return row != shown

    def show_row(self, row: R) -> None:
        if self._shown is not None and not self._differs(row, self._shown):
            return
        self._shown = row

        def done(found: list[A] | None) -> None:
            if self._shown is None or self._shown.id != row.id:
                return
            if found:
                clear(self._column)
                self._show(found)
            else:
                self._say(self._nothing(row))

        self._context.runner.run(*self._read(row), done=done, failed=self._on_failed, parent=self)

    def _forget(self) -> None:
        """Read again at the next turn of the page's clock."""
        self._shown = None

    def _on_failed(self, error: ConsoleError) -> None:
        self._forget()
        self._say(translated(error.summary))

    def _say(self, text: str) -> None:
        clear(self._column)
        self._column.addWidget(label(text, "secondary", wrap=True))
