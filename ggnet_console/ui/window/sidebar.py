# SPDX-License-Identifier: GPL-3.0-or-later
"""The navigation at the left: pages with icons and live counts, by mouse, arrows or Ctrl+1…9."""

from __future__ import annotations

from collections.abc import Sequence, Set

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from ..kit import icons
from ..kit.cell_delegate import SIGN, sign_pixmap
from ..kit.table_model import AnyIndex
from ..kit.theme import tabular, tokens_of
from ..kit.tokens import RADIUS, SIDEBAR_WIDTH, XS, L, M, S, State
from ..kit.translate import tr
from ..kit.widgets import label, with_shortcut

NAME = "GGnet Console"  # no text
_ICON = Qt.ItemDataRole.UserRole
_COUNT = Qt.ItemDataRole.UserRole + 1
_STATE = Qt.ItemDataRole.UserRole + 2
_TIP = Qt.ItemDataRole.UserRole + 3
_LINE = Qt.ItemDataRole.UserRole + 4
_ITEM_HEIGHT = 34


class _ItemDelegate(QStyledItemDelegate):
    """Draws icon, name and count of one page."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        tokens = tokens_of(option.palette)
        above = L if index.data(_LINE) else 0
        box = option.rect.adjusted(S, 1 + above, -S, -1)
        if above:
            line = QRect(box.left() + S, option.rect.top() + above // 2, box.width() - 2 * S, 1)
            painter.fillRect(line, QColor(tokens.outline))
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.selection if selected else tokens.hairline))
            painter.drawRoundedRect(box, RADIUS, RADIUS)
        colour = tokens.text if selected else tokens.secondary
        top = box.top() + (box.height() - icons.SMALL) // 2
        ratio = painter.device().devicePixelRatioF()
        drawn = icons.pixmap(str(index.data(_ICON)), colour, icons.SMALL, ratio)
        painter.drawPixmap(box.left() + S, top, drawn)
        font = QFont(option.font)
        font.setWeight(QFont.Weight.DemiBold if selected else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        area = box.adjusted(S + icons.SMALL + S + 2, 0, -S, 0)
        count, state = str(index.data(_COUNT) or ""), index.data(_STATE)
        figures = tabular(option.font)
        taken = QFontMetrics(figures).horizontalAdvance(count) if count else 0
        taken += SIGN + XS if count and state else 0
        room = area.width() - (taken + XS if taken else 0)
        title = painter.fontMetrics().elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, room
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, title)
        if count:
            painter.setFont(figures)
            painter.setPen(QColor(tokens.state(state) if state else tokens.secondary))
            flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
            painter.drawText(QRect(area), int(flags), count)
            if state:
                sign = sign_pixmap(state, tokens.sign(state), ratio)
                left, top = area.right() - taken, box.top() + (box.height() - SIGN) // 2
                painter.drawPixmap(left, top, sign)
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(SIDEBAR_WIDTH, _ITEM_HEIGHT + (L if index.data(_LINE) else 0))


class Sidebar(QWidget):
    """Emits ``chosen`` with the key of a page."""

    chosen = Signal(str)

    def __init__(
        self,
        pages: Sequence[tuple[str, str, str]],
        second: str = "",
        mark: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """``pages``: key, title and icon of each, in order; above ``second`` is a line.

        ``mark``: a word below the program's name.
        """
        super().__init__(parent)
        self._keys = [key for key, _, _ in pages]
        self.setProperty("role", "sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(SIDEBAR_WIDTH)
        self._mark = QLabel()
        brand = QHBoxLayout()
        brand.setContentsMargins(L, M, M, M)
        brand.setSpacing(S)
        brand.addWidget(self._mark)
        brand.addWidget(label(NAME, "section"), 1)
        self._list = QListWidget()
        self._list.setFrameShape(QFrame.Shape.NoFrame)
        self._list.setItemDelegate(_ItemDelegate(self._list))
        self._list.setMouseTracking(True)
        self._list.viewport().setAutoFillBackground(False)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setAccessibleName(tr("Pages"))
        for number, (key, title, icon) in enumerate(pages, 1):
            item = QListWidgetItem(title)
            item.setData(_ICON, icon)
            keys = f"Ctrl+{number}" if number < 10 else ""  # no text
            item.setData(_TIP, with_shortcut(title, keys))
            item.setToolTip(item.data(_TIP))
            item.setData(_LINE, key == second)
            self._list.addItem(item)
        self._list.currentRowChanged.connect(lambda row: self.chosen.emit(self._keys[row]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(XS)
        column.addLayout(brand)
        if mark:
            badge = label(mark, "mark")
            badge.setAlignment(Qt.AlignmentFlag.AlignCenter)
            inset = QHBoxLayout()
            inset.setContentsMargins(S, 0, S, S)
            inset.addWidget(badge)
            column.addLayout(inset)
        column.addWidget(self._list, 1)
        self._draw()

    def set_current(self, key: str) -> None:
        """Show which page is open."""
        self._list.setCurrentRow(self._keys.index(key))

    def show_only(self, keys: Set[str]) -> None:
        """Hide the pages that are not among these."""
        for number, key in enumerate(self._keys):
            self._list.setRowHidden(number, key not in keys)

    def set_count(self, key: str, count: int, state: State | None = None, about: str = "") -> None:
        """The number beside a page, with a sign and its colour by ``state``; none for 0.

        ``about`` says in the tooltip what is counted.
        """
        item = self._list.item(self._keys.index(key))
        item.setData(_COUNT, count)
        item.setData(_STATE, state)
        item.setToolTip(f"{item.data(_TIP)}\n{about}" if count and about else item.data(_TIP))

    def count(self, key: str) -> int:
        """The number shown beside a page."""
        return int(self._list.item(self._keys.index(key)).data(_COUNT) or 0)

    def _draw(self) -> None:
        tokens = tokens_of(self.palette())
        self._mark.setPixmap(
            icons.pixmap("server", tokens.accent, icons.LARGE, self.devicePixelRatioF())
        )

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()
