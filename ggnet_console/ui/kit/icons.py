# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons of one family (Lucide, ISC), drawn from SVG in the colour of the text beside them."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer

from ...paths import RESOURCES
from .theme import tokens_of

FOLDER = RESOURCES / "icons"
SMALL, LARGE = 16, 20


@lru_cache(maxsize=256)
def pixmap(name: str, colour: str, size: int = SMALL, ratio: float = 1.0) -> QPixmap:
    """One icon as a pixmap of ``size`` logical pixels; a name that is not shipped is a bug."""
    svg = (FOLDER / f"{name}.svg").read_text("utf-8").replace("currentColor", colour)  # no text
    result = QPixmap(QSize(size, size) * ratio)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(result.rect()))
    painter.end()
    result.setDevicePixelRatio(ratio)
    return result


def icon(name: str, palette: QPalette, colour: str | None = None) -> QIcon:
    """An icon for buttons and menus in the palette's text colour, also at double resolution."""
    tokens = tokens_of(palette)
    result = QIcon()
    for size in (SMALL, LARGE):
        for ratio in (1.0, 2.0):
            result.addPixmap(pixmap(name, colour or tokens.text, size, ratio))
            result.addPixmap(pixmap(name, tokens.disabled, size, ratio), QIcon.Mode.Disabled)
    return result
