# SPDX-License-Identifier: GPL-3.0-or-later
"""The heading of a table: the arrow of the sorted column stands right behind its title."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHeaderView, QWidget

from . import icons
from .theme import tokens_of
from .tokens import XS, S

ARROW = 14


class Header(QHeaderView):
    """Sorts by a click; its arrow points up where values ascend."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSectionsClickable(True)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        painter.save()
        super().paintSection(painter, rect, section)
        painter.restore()
        if not self.isSortIndicatorShown() or section != self.sortIndicatorSection():
            return
        role = Qt.ItemDataRole
        title = str(self.model().headerData(section, self.orientation(), role.DisplayRole))
        side = self.model().headerData(section, self.orientation(), role.TextAlignmentRole)
        width = self.fontMetrics().horizontalAdvance(title)
        if side & Qt.AlignmentFlag.AlignRight:
            left = rect.right() - S - width - XS - ARROW
        else:
            left = rect.left() + S + width + XS
        if left < rect.left() or left + ARROW > rect.right():
            return
        ascends = self.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
        icon, colour = ("chevron-up" if ascends else "chevron-down"), tokens_of(self.palette()).text
        arrow = icons.pixmap(icon, colour, ARROW, self.devicePixelRatioF())
        painter.drawPixmap(left, rect.top() + (rect.height() - ARROW) // 2, arrow)
