# SPDX-License-Identifier: GPL-3.0-or-later
"""Light, dark and system look: an explicit QPalette and one small stylesheet over Fusion."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, QSettings, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontInfo, QPalette
from PySide6.QtWidgets import QApplication

from .tokens import (
    CHECK,
    CONTROL_HEIGHT,
    DARK,
    LIGHT,
    RADIUS,
    ROW_HEIGHT,
    SECTION_SCALE,
    TITLE_SCALE,
    XS,
    M,
    S,
    Tokens,
)

Mode = Literal["system", "light", "dark"]
MODES: tuple[Mode, ...] = ("system", "light", "dark")
_MENU_RIGHT = 32
_LAST_RESORTS = ("DejaVu Sans", "Bitstream Vera Sans", "Sans Serif")
"""What fontconfig answers when nobody has asked for a font."""
_INTER_POINTS = 10


def interface_font(font: QFont) -> QFont:
    """The desktop's font; Inter, where it is installed, in place of what no desktop has chosen."""
    if QFontInfo(font).family() not in _LAST_RESORTS:
        return font
    chosen = QFont("Inter", _INTER_POINTS)
    return chosen if QFontInfo(chosen).family() == "Inter" else font


class Theme(QObject):
    """Applies the chosen mode to the application and remembers it."""

    changed = Signal()

    def __init__(self, app: QApplication, settings: QSettings) -> None:
        super().__init__(app)
        self._app = app
        self._settings = settings
        self._tokens: Tokens | None = None
        stored = str(settings.value("theme", "system"))
        self._mode: Mode = next((mode for mode in MODES if mode == stored), "system")
        app.setStyle("Fusion")
        app.setFont(interface_font(app.font()))
        app.styleHints().colorSchemeChanged.connect(self._on_scheme_changed)
        self._apply()

    @property
    def mode(self) -> Mode:
        """What the user chose."""
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Switch the look at once and remember it."""
        self._mode = mode
        self._settings.setValue("theme", mode)
        self._apply()

    def _on_scheme_changed(self) -> None:
        if self._mode == "system":
            self._apply()

    def _apply(self) -> None:
        dark = self._mode == "dark" or (
            self._mode == "system" and self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        )
        tokens = DARK if dark else LIGHT
        if tokens is self._tokens:
            return
        self._tokens = tokens
        self._app.setPalette(palette(tokens))
        self._app.setStyleSheet(stylesheet(tokens, self._app.font()))
        self.changed.emit()


def tokens_of(palette: QPalette) -> Tokens:
    """The tokens a widget is drawn with, told by its palette."""
    # Of all roles the link colour is the one no rule of the stylesheet replaces in a widget.
    return DARK if palette.link().color().name() == DARK.accent else LIGHT


def tabular(font: QFont) -> QFont:
    """The same font with figures of equal width; without that feature digits stay as they are."""
    result = QFont(font)
    result.setFeature(QFont.Tag("tnum"), 1)
    return result


def palette(tokens: Tokens) -> QPalette:
    """The whole QPalette; nothing is left to the platform."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    result = QPalette()
    colours = {
        role.Window: tokens.window,
        role.WindowText: tokens.text,
        role.Base: tokens.surface,
        role.AlternateBase: tokens.hover,
        role.Text: tokens.text,
        role.PlaceholderText: tokens.secondary,
        role.Button: tokens.surface,
        role.ButtonText: tokens.text,
        role.BrightText: tokens.failed,
        role.ToolTipBase: tokens.text,
        role.ToolTipText: tokens.surface,
        role.Highlight: tokens.selection,
        role.HighlightedText: tokens.text,
        role.Link: tokens.accent,
        role.LinkVisited: tokens.accent,
        role.Accent: tokens.accent,
        role.Light: tokens.surface,
        role.Midlight: tokens.hover,
        role.Mid: tokens.hairline,
        role.Dark: tokens.field_border,
        role.Shadow: tokens.field_border,
    }
    for colour_role, colour in colours.items():
        result.setColor(colour_role, QColor(colour))
    for colour_role in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        result.setColor(group.Disabled, colour_role, QColor(tokens.disabled))
    return result


def stylesheet(t: Tokens, font: QFont) -> str:
    """The rules Fusion needs to look like one product; ``font`` gives the base size."""
    base = font.pointSizeF() if font.pointSizeF() > 0 else 10.0
    inner = CONTROL_HEIGHT - 2 * XS - 2
    return f"""
    QToolTip {{ color: {t.surface}; background: {t.text}; border: none; padding: {XS}px {S}px; }}
    QLabel[role="title"] {{ font-size: {base * TITLE_SCALE:.1f}pt; font-weight: 600; }}
    QLabel[role="hero"] {{ font-size: {base * 2:.1f}pt; font-weight: 600; }}
    QLabel[state="attention"] {{ color: {t.attention}; }}
    QLabel[state="failed"] {{ color: {t.failed}; }}
    QLabel[role="section"] {{ font-size: {base * SECTION_SCALE:.1f}pt; font-weight: 600; }}
    QLabel[role="secondary"] {{ color: {t.secondary}; }}
    QLabel[role="error"] {{ color: {t.failed}; }}
    QLabel[role="label"] {{ font-weight: 500; }}
    QLabel[role="mark"] {{ color: {t.surface}; background: {t.attention}; font-weight: 600;
        padding: {XS // 2}px {S}px; border-radius: {RADIUS}px; }}
    QFrame[role="hairline"] {{ background: {t.hairline}; border: none; }}
    QWidget[role="surface"] {{ background: {t.surface}; }}
    QWidget[role="sidebar"] {{ background: {t.sidebar}; }}
    QFrame[role="card"] {{ background: {t.surface}; border: 1px solid {t.hairline};
        border-radius: {RADIUS}px; }}
    QFrame[role="banner"] {{ background: {t.banner}; border: none; }}
    QFrame[role="toast"] {{ background: {t.surface}; border: 1px solid {t.outline};
        border-radius: {RADIUS}px; }}

    QPushButton {{ min-height: {inner}px; padding: {XS}px {M}px; border-radius: {RADIUS}px;
        border: 1px solid {t.field_border}; background: {t.surface}; color: {t.text}; }}
    QPushButton:hover {{ background: {t.hover}; }}
    QPushButton:pressed {{ background: {t.selection}; }}
    QPushButton:focus {{ border-color: {t.accent}; }}
    QPushButton:disabled {{ color: {t.disabled}; border-color: {t.hairline};
        background: transparent; }}
    QPushButton[kind="primary"] {{ background: {t.accent}; border-color: {t.accent};
        color: {t.on_accent}; font-weight: 600; }}
    QPushButton[kind="primary"]:hover {{ background: {t.accent_hover}; }}
    QPushButton[kind="primary"]:focus {{ border-color: {t.text}; }}
    QPushButton[kind="primary"]:disabled {{ background: transparent; color: {t.disabled};
        border-color: {t.hairline}; }}
    QPushButton[kind="danger"] {{ color: {t.failed}; border-color: {t.failed}; }}
    QPushButton[kind="danger"]:disabled {{ color: {t.disabled}; border-color: {t.hairline}; }}
    QPushButton[kind="link"] {{ border: none; background: transparent; color: {t.accent};
        padding: {XS}px 0; text-align: left; }}
    QPushButton[kind="link"]:disabled {{ color: {t.disabled}; }}
    QPushButton[kind="link"]:hover, QPushButton[kind="link"]:focus {{
        text-decoration: underline; }}
    QPushButton[kind="chip"] {{ min-height: {inner - 4}px; padding: 2px {S + 2}px;
        border: 1px solid transparent; background: transparent; color: {t.secondary}; }}
    QPushButton[kind="chip"]:hover {{ background: {t.hover}; color: {t.text}; }}
    QPushButton[kind="chip"]:checked {{ background: {t.selection}; color: {t.text};
        font-weight: 600; }}
    QPushButton[kind="chip"]:focus {{ border-color: {t.accent}; }}
    QToolButton {{ border: 1px solid transparent; border-radius: {RADIUS}px; padding: {XS}px;
        background: transparent; color: {t.text}; }}
    QToolButton:hover {{ background: {t.hover}; }}
    QToolButton:focus {{ border-color: {t.accent}; }}
    QToolButton::menu-indicator {{ image: none; }}

    QLineEdit, QComboBox, QPlainTextEdit, QSpinBox {{ border: 1px solid {t.field_border};
        border-radius: {RADIUS}px; background: {t.surface}; color: {t.text};
        placeholder-text-color: {t.secondary};
        selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
    QLineEdit, QSpinBox, QComboBox {{ min-height: {inner}px; padding: {XS}px {S}px; }}
    QLineEdit {{ padding: {XS}px {S - 2}px; }}
    QComboBox[kind="filter"] {{ min-height: {inner - 4}px; padding: 2px {S}px; }}
    QPlainTextEdit {{ padding: {XS}px; }}
    QLineEdit:focus, QComboBox:focus, QPlainTextEdit:focus, QSpinBox:focus {{
        border-color: {t.accent}; }}
    QLineEdit[wrong="true"], QComboBox[wrong="true"], QPlainTextEdit[wrong="true"] {{
        border-color: {t.failed}; }}
    QLineEdit:disabled, QComboBox:disabled, QPlainTextEdit:disabled {{ color: {t.disabled};
        background: {t.window}; }}

    QCheckBox, QRadioButton {{ spacing: {S}px; }}
    QCheckBox::indicator, QRadioButton::indicator {{ width: {CHECK}px; height: {CHECK}px;
        border: 1px solid {t.secondary}; background: {t.surface};
        subcontrol-position: top left; }}
    QCheckBox::indicator {{ border-radius: {XS - 1}px; }}
    QCheckBox::indicator:checked {{ border-color: {t.accent}; background: {t.accent}; }}
    QRadioButton::indicator {{ border-radius: {CHECK // 2 + 1}px; }}
    QRadioButton::indicator:checked {{ border: 5px solid {t.accent}; width: {CHECK - 8}px;
        height: {CHECK - 8}px; background: {t.on_accent}; }}
    QCheckBox::indicator:focus, QRadioButton::indicator:focus {{ border-color: {t.accent}; }}
    QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{
        border-color: {t.field_border}; background: {t.window}; }}

    QComboBox::drop-down {{ border: none; width: {CONTROL_HEIGHT}px; }}
    QComboBox::down-arrow {{ image: none; }}
    QComboBox QAbstractItemView {{ background: {t.surface}; color: {t.text}; outline: none;
        border: 1px solid {t.outline}; padding: {XS}px;
        selection-background-color: {t.selection}; selection-color: {t.text}; }}
    QFrame[role="card"]:focus {{ border-color: {t.accent}; }}

    QTableView {{ border: none; background: {t.surface}; }}
    QHeaderView {{ background: {t.surface}; border: none; }}
    QHeaderView::section {{ background: {t.surface}; color: {t.secondary}; border: none;
        border-bottom: 1px solid {t.hairline}; padding: 0 {S}px; height: {ROW_HEIGHT}px; }}
    QHeaderView::up-arrow, QHeaderView::down-arrow {{ image: none; width: 0; height: 0; }}
    QHeaderView::section:hover {{ color: {t.text}; }}
    QAbstractScrollArea::corner {{ background: {t.surface}; border: none; }}
    QSplitter::handle {{ background: {t.hairline}; }}
    QTabBar {{ background: transparent; border: none; }}
    QTabBar::tab {{ padding: {S - 2}px {M}px; border: none; border-bottom: 2px solid transparent;
        color: {t.secondary}; background: transparent; }}
    QTabBar::tab:selected {{ color: {t.text}; border-bottom-color: {t.accent}; }}
    QTabBar::tab:hover {{ color: {t.text}; }}
    QTabBar::tab:focus {{ color: {t.accent}; }}
    QMenu {{ background: {t.surface}; border: 1px solid {t.outline}; padding: {XS}px; }}
    QMenu::item {{ padding: {S - 2}px {_MENU_RIGHT}px {S - 2}px {S}px; border-radius: {XS}px; }}
    QMenu::item:selected {{ background: {t.selection}; }}
    QMenu::item:disabled {{ color: {t.disabled}; }}
    QMenu::icon {{ padding-left: {S}px; }}
    QMenu::separator {{ height: 1px; background: {t.hairline}; margin: {XS}px {S}px; }}
    QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
    QScrollBar::handle {{ background: {t.outline}; border-radius: 3px; margin: 3px; }}
    QScrollBar::handle:vertical {{ min-height: 32px; }}
    QScrollBar::handle:horizontal {{ min-width: 32px; }}
    QScrollBar::handle:hover {{ background: {t.secondary}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QProgressBar {{ border: none; border-radius: 3px; background: {t.hairline};
        max-height: 6px; min-height: 6px; }}
    QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}
    """
