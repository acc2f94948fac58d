# SPDX-License-Identifier: GPL-3.0-or-later
"""Small widgets used everywhere: buttons with icons, labels by role, hairlines, the state line."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import (
    QContextMenuEvent,
    QGuiApplication,
    QIcon,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPixmap,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from . import icons
from .cell_delegate import SIGN, sign_pixmap
from .theme import tokens_of
from .tokens import CHECK, XS, S, State, Tokens
from .translate import tr

Kind = Literal["plain", "primary", "danger", "link", "chip"]


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A label; ``role`` is one of title, hero, section, secondary, label, mark, error, or nothing."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        result.setProperty("role", role)
    result.setWordWrap(wrap)
    return result


def copyable(text: str = "", role: str = "", *, wrap: bool = True) -> QLabel:
    """A label whose text can be selected with mouse and keys."""
    result = label(text, role, wrap=wrap)
    result.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return result


_BREAK = "\u200b"
_LONG = 16


class Value(QLabel):
    """A value that can be copied; long words (IQNs, digests) break anywhere and copy whole."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )

    def set_value(self, text: str) -> None:
        """Show a value."""
        if text != self.value:
            self.setText(" ".join(map(breakable, text.split(" "))))

    @property
    def value(self) -> str:
        """The value shown."""
        return self.text().replace(_BREAK, "")

    def _copy(self) -> None:
        chosen = self.selectedText() or self.text()
        QGuiApplication.clipboard().setText(chosen.replace(_BREAK, ""))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.addAction(tr("Copy")).triggered.connect(self._copy)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())


def breakable(word: str, longest: int = _LONG) -> str:
    """A word that may break anywhere, when it has more letters than ``longest``."""
    return _BREAK.join(word) if len(word) > longest else word


def hairline(*, vertical: bool = False) -> QFrame:
    """A one-pixel line."""
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedWidth(1) if vertical else line.setFixedHeight(1)
    return line


def scrolling(inner: QWidget) -> QVBoxLayout:
    """What scrolls ``inner`` up and down, above a hairline that is seen while there is more."""
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    line = hairline()
    policy = line.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    line.setSizePolicy(policy)
    line.hide()
    area.verticalScrollBar().rangeChanged.connect(lambda _low, high: line.setVisible(high > 0))
    column = QVBoxLayout()
    column.setSpacing(0)
    column.addWidget(area, 1)
    column.addWidget(line)
    return column


def restyle(widget: QWidget) -> None:
    """Let the stylesheet look again at a property that has changed."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def clear(layout: QLayout) -> None:
    """Take everything out of a layout and let it go."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)


_NORMAL, _DISABLED = QIcon.Mode.Normal, QIcon.Mode.Disabled
_GAP = S - 4
"""What an icon lacks to stand S before the text: Qt's style sheets put 4 px between them."""


def _padded(drawn: QPixmap) -> QPixmap:
    """The same with room at its right."""
    ratio = drawn.devicePixelRatio()
    size = drawn.deviceIndependentSize().toSize()
    result = QPixmap((size + QSize(_GAP, 0)) * ratio)
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.drawPixmap(0, 0, drawn)
    painter.end()
    return result


class Button(QPushButton):
    """A push button whose icon follows the palette."""

    def __init__(
        self, text: str, icon: str = "", kind: Kind = "plain", parent: QWidget | None = None
    ) -> None:
        super().__init__(text, parent)
        self._icon = icon
        self._kind = kind
        self._sign: State | None = None
        self.setProperty("kind", kind)
        self.setAutoDefault(False)
        if kind in ("link", "chip"):
            self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._draw()

    def set_icon(self, icon: str) -> None:
        """Show another icon."""
        self._icon = icon
        self._draw()

    def set_sign(self, state: State | None) -> None:
        """Show a state's sign in place of an icon, or none."""
        if state is not self._sign:
            self._sign = state
            self._draw()

    def _draw(self) -> None:
        tokens = tokens_of(self.palette())
        colours = {"primary": tokens.on_accent, "danger": tokens.failed, "link": tokens.accent}
        colour = colours.get(self._kind, tokens.text)
        icon = QIcon()
        for ratio in (1.0, 2.0):
            if self._sign is not None:
                drawn = sign_pixmap(self._sign, tokens.sign(self._sign), ratio)
                icon.addPixmap(_padded(drawn))
            elif self._icon:
                for mode, each in ((_NORMAL, colour), (_DISABLED, tokens.disabled)):
                    drawn = icons.pixmap(self._icon, each, icons.SMALL, ratio)
                    icon.addPixmap(_padded(drawn), mode)
        self.setIcon(icon)
        size = SIGN if self._sign is not None else icons.SMALL
        self.setIconSize(QSize(size + _GAP, size))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


class IconButton(QToolButton):
    """A button of an icon alone; its tooltip says what it does and by which key."""

    def __init__(
        self, icon: str, tip: str, shortcut: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._icon = icon
        self.setAccessibleName(tip)
        self.setToolTip(with_shortcut(tip, shortcut))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setIconSize(QSize(icons.SMALL, icons.SMALL))
        self._draw()

    def set_icon(self, icon: str) -> None:
        """Show another icon."""
        self._icon = icon
        self._draw()

    def _draw(self) -> None:
        self.setIcon(icons.icon(self._icon, self.palette(), tokens_of(self.palette()).secondary))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


class MenuButton(QToolButton):
    """A flat button with icon, text and an arrow that tells of its menu, which opens upwards."""

    def __init__(self, icon: str, menu: QMenu, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self.setMenu(menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(icons.SMALL + _GAP, icons.SMALL))
        self._draw()

    def _draw(self) -> None:
        icon = QIcon()
        for ratio in (1.0, 2.0):
            colour = tokens_of(self.palette()).secondary
            icon.addPixmap(_padded(icons.pixmap(self._icon, colour, icons.SMALL, ratio)))
        self.setIcon(icon)

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(S, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        colour = tokens_of(self.palette()).secondary
        arrow = icons.pixmap("chevron-up", colour, icons.SMALL, self.devicePixelRatioF())
        place = self.width() - icons.SMALL - XS, (self.height() - icons.SMALL) // 2
        QPainter(self).drawPixmap(*place, arrow)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


class IconLabel(QLabel):
    """An icon that does nothing, in the strength of secondary text."""

    def __init__(self, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self._draw()

    def _draw(self) -> None:
        colour, ratio = tokens_of(self.palette()).secondary, self.devicePixelRatioF()
        self.setPixmap(icons.pixmap(self._icon, colour, icons.SMALL, ratio))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


class SearchField(QLineEdit):
    """A search field with a lens and a clear button."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(tr("Search"))
        self.setToolTip(with_shortcut(tr("Search in all columns"), "Ctrl+F"))
        self.setAccessibleName(tr("Search"))
        self.setClearButtonEnabled(True)
        self.setFixedWidth(208)
        self._lens = self.addAction(
            icons.icon("search", self.palette()), QLineEdit.ActionPosition.LeadingPosition
        )
        self._draw()

    def _draw(self) -> None:
        colour = tokens_of(self.palette()).secondary
        self._lens.setIcon(icons.icon("search", self.palette(), colour))
        clear_button = self.findChild(QToolButton, "_q_qlineeditclearbutton") or next(
            (b for b in self.findChildren(QToolButton) if b.defaultAction() is not self._lens), None
        )
        if clear_button is not None:
            clear_button.setIcon(icons.icon("x", self.palette(), colour))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_lens"):
            self._draw()


class Choice(QComboBox):
    """A drop-down list with an arrow of our icon family; the wheel scrolls the form, not it."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        tokens = tokens_of(self.palette())
        arrow = icons.pixmap(
            "chevron-down", tokens.secondary, icons.SMALL, self.devicePixelRatioF()
        )
        place = self.width() - icons.SMALL - S, (self.height() - icons.SMALL) // 2
        QPainter(self).drawPixmap(*place, arrow)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class Tick(QCheckBox):
    """A check box whose mark is of our icon family."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.isChecked():
            return
        tokens = tokens_for(self)
        colour = tokens.on_accent if self.isEnabled() else tokens.disabled
        mark = icons.pixmap("check", colour, CHECK, self.devicePixelRatioF())
        option = QStyleOptionButton()
        self.initStyleOption(option)
        box = self.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, self)
        place = QRect(0, 0, CHECK, CHECK)
        place.moveCenter(box.center())
        QPainter(self).drawPixmap(place, mark)


class Sign(QWidget):
    """The sign of a state, alone."""

    def __init__(self, state: State = State.OFF, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.setFixedSize(SIGN + XS, SIGN + XS)

    def set_state(self, state: State) -> None:
        """Show another state."""
        self._state = state
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        colour = tokens_of(self.palette()).sign(self._state)
        drawn = sign_pixmap(self._state, colour, self.devicePixelRatioF())
        painter.drawPixmap(XS // 2, (self.height() - SIGN) // 2, drawn)


class StateLine(QWidget):
    """A state's sign with its words beside it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sign = Sign()
        self._text = copyable()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(S - 2)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._text, 1)
        self._sign.setFixedHeight(self._text.fontMetrics().height())

    def show_state(self, state: State | None, text: str) -> None:
        """Show a state and what there is to say about it, in its colour where it is a problem."""
        self._sign.setVisible(state is not None)
        self._sign.set_state(state or State.OFF)
        self._text.setText(text)
        is_wrong = state in (State.FAILED, State.ATTENTION)
        self._text.setProperty("state", state.name.lower() if state and is_wrong else "")
        restyle(self._text)

    @property
    def text(self) -> str:
        """The words shown."""
        return self._text.text()


def with_shortcut(text: str, shortcut: str) -> str:
    """A tooltip that names the key, in the words of the platform."""
    if not shortcut:
        return text
    native = QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{text} ({native})"


def tokens_for(widget: QWidget) -> Tokens:
    """The tokens a widget is drawn with."""
    return tokens_of(widget.palette())
