# SPDX-License-Identifier: GPL-3.0-or-later
"""How a cell is drawn: state sign, progress bar and elided text, straight from the row."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFontMetrics,
    QHelpEvent,
    QPainter,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QWidget,
)

from .table_model import AnyIndex, RowTableModel
from .theme import tabular, tokens_of
from .tokens import S, State, names

SIGN = 10
"""Side of a state sign in pixels."""
BAR_WIDTH, BAR_HEIGHT = 64, 6
_ELIDED = {
    "end": Qt.TextElideMode.ElideRight,
    "middle": Qt.TextElideMode.ElideMiddle,
}
_FLAGS = {
    align: int(side | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine)
    for align, side in (
        ("left", Qt.AlignmentFlag.AlignLeft),
        ("right", Qt.AlignmentFlag.AlignRight),
    )
}


class CellDelegate(QStyledItemDelegate):
    """Draws every cell of every table; ``hovered`` is the position under the pointer, or -1."""

    def __init__(self, model: RowTableModel[Any], parent: QAbstractItemView) -> None:
        super().__init__(parent)
        self._model, self._view = model, parent
        self.hovered = -1
        self.restyle(parent)

    def restyle(self, view: QWidget) -> None:
        """Take colours and fonts from the view; a cell is drawn too often to look them up."""
        self._tokens = tokens_of(view.palette())
        self._colours = {name: QColor(getattr(self._tokens, name)) for name in names()}
        self._font = view.font()
        self._tabular = tabular(self._font)
        self._ratio = view.devicePixelRatioF()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        model = self._model
        row, column = model.row(index.row()), model.columns[index.column()]
        colours = self._colours
        rect, state = option.rect, option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(rect, colours["selection"])
        elif model.marked(row, column):
            painter.fillRect(rect, colours["mark"])
        elif index.row() == self.hovered:
            painter.fillRect(rect, colours["hover"])
        left, right = rect.left() + S, rect.right() - S
        sign = column.state(row) if column.state else None
        if sign is not None:
            top = rect.top() + (rect.height() - SIGN) // 2
            drawn = sign_pixmap(sign, self._tokens.sign(sign), self._ratio)
            painter.drawPixmap(left, top, drawn)
            left += SIGN + S - 2
        share = column.progress(row) if column.progress else None
        if share is not None:
            width = min(BAR_WIDTH, right - left)
            area = QRect(left, rect.top(), width, rect.height())
            draw_bar(painter, area, share, self._tokens.hairline, self._tokens.accent)
            left += width + S
        if not selected and index.row() == self._focused():
            painter.setPen(colours["accent"])
            painter.drawLine(rect.topLeft(), rect.topRight())
            painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        text = column.text(row)
        if not text or right <= left:
            return
        colour = "secondary" if column.secondary else "text"
        if sign is State.FAILED or sign is State.ATTENTION:
            colour = sign.name.lower()
        painter.setPen(colours[colour])
        painter.setFont(self._tabular if column.tabular else self._font)
        room = right - left + 1
        painter.drawText(
            QRect(left, rect.top(), room, rect.height()),
            _FLAGS[column.align],
            painter.fontMetrics().elidedText(text, _ELIDED[column.elide], room),
        )

    def _focused(self) -> int:
        """The row the keyboard is at; -1 while it is elsewhere."""
        return self._view.currentIndex().row() if self._view.hasFocus() else -1

    def helpEvent(
        self,
        event: QHelpEvent,
        view: QAbstractItemView,
        option: QStyleOptionViewItem,
        index: AnyIndex,
    ) -> bool:
        """The declared tooltip, else the whole text where it is cut off."""
        if event.type() != QEvent.Type.ToolTip or not index.isValid():
            return super().helpEvent(event, view, option, index)
        row, column = self._model.row(index.row()), self._model.columns[index.column()]
        text = column.tooltip(row) if column.tooltip else ""
        if not text:
            whole = column.text(row)
            taken = 2 * S + (SIGN + S if column.state else 0)
            taken += BAR_WIDTH + S if column.progress and column.progress(row) is not None else 0
            if QFontMetrics(view.font()).horizontalAdvance(whole) > option.rect.width() - taken:
                text = whole
        if text:
            QToolTip.showText(event.globalPos(), text, view)
        else:
            QToolTip.hideText()
        return True


def draw_bar(painter: QPainter, area: QRect, share: float, ground: str, fill: str) -> None:
    """A slim progress bar, centred in ``area``; ``share`` from 0 to 1."""
    top = area.top() + (area.height() - BAR_HEIGHT) / 2
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    for width, colour in ((1.0, ground), (max(0.0, min(1.0, share)), fill)):
        if width:
            painter.setBrush(QColor(colour))
            bar = QRectF(area.left(), top, max(float(BAR_HEIGHT), area.width() * width), BAR_HEIGHT)
            painter.drawRoundedRect(bar, BAR_HEIGHT / 2, BAR_HEIGHT / 2)
    painter.restore()


@lru_cache(maxsize=64)
def sign_pixmap(sign: State, colour: str, ratio: float) -> QPixmap:
    """A state's sign: disc, half disc, triangle, cross or ring, told apart without colour."""
    result = QPixmap(QSize(SIGN, SIGN) * ratio)
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(colour), 1.6)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    brush = QBrush(QColor(colour))
    ring = QRectF(1, 1, SIGN - 2, SIGN - 2)
    match sign:
        case State.RUNNING:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(brush)
            painter.drawEllipse(ring.adjusted(-0.5, -0.5, 0.5, 0.5))
        case State.OFF:
            painter.setPen(pen)
            painter.drawEllipse(ring)
        case State.WORKING:
            painter.setPen(pen)
            painter.drawEllipse(ring)
            painter.setBrush(brush)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawPie(ring, 90 * 16, 180 * 16)
        case State.ATTENTION:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(brush)
            painter.drawPolygon(
                QPolygonF([QPointF(SIGN / 2, 0.5), QPointF(SIGN, 9.5), QPointF(0, 9.5)])
            )
        case State.FAILED:
            pen.setWidthF(2.2)
            painter.setPen(pen)
            painter.drawLine(QPointF(1.8, 1.8), QPointF(SIGN - 1.8, SIGN - 1.8))
            painter.drawLine(QPointF(SIGN - 1.8, 1.8), QPointF(1.8, SIGN - 1.8))
    painter.end()
    return result
