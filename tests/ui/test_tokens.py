# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours can be told apart, and exactly the icons that are used are shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtGui import QFont, QFontInfo
from PySide6.QtWidgets import QLineEdit

import ggnet_console.ui
from ggnet_console.ui.kit import icons
from ggnet_console.ui.kit.theme import Mode, Theme, interface_font, tokens_of
from ggnet_console.ui.kit.tokens import DARK, LIGHT, State, Tokens, contrast, names

GROUNDS = ("window", "surface", "sidebar", "hover", "selection", "mark", "banner")


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", ["text", "secondary", *[s.name.lower() for s in State]])
def test_text_of_every_kind_is_readable_on_every_ground(tokens: Tokens, ground: str, text: str):
    assert contrast(getattr(tokens, text), getattr(tokens, ground)) >= 4.5


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_the_accent_is_readable_as_a_link_and_under_a_button(tokens: Tokens):
    for ground in ("window", "surface", "sidebar"):
        assert contrast(tokens.accent, getattr(tokens, ground)) >= 4.5
    assert contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert contrast(tokens.on_accent, tokens.accent_hover) >= 4.5


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_disabled_can_be_read_and_fields_signs_and_buttons_be_seen(tokens: Tokens):
    for ground in ("window", "surface"):
        assert contrast(tokens.disabled, getattr(tokens, ground)) >= 4.5
        assert contrast(tokens.field_border, getattr(tokens, ground)) >= 3
    for ground in GROUNDS:
        assert contrast(tokens.attention_sign, getattr(tokens, ground)) >= 3


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_placeholder_is_drawn_as_secondary_text(qapp, settings, qtbot, mode: Mode):
    theme = Theme(qapp, settings)
    theme.set_mode(mode)
    field = QLineEdit()
    qtbot.addWidget(field)
    field.ensurePolished()
    drawn = field.palette().placeholderText().color().name()
    assert drawn == tokens_of(field.palette()).secondary
    theme.set_mode("light")
    theme.deleteLater()


def test_contrast_is_computed_as_the_guidelines_say():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_palettes_name_every_colour():
    for tokens in (LIGHT, DARK):
        for name in names():
            assert re.fullmatch("#[0-9a-f]{6}", getattr(tokens, name))
    assert DARK.dark
    assert not LIGHT.dark


def test_each_state_has_a_sign_of_its_own():
    assert len({state.value for state in State}) == len(State)


def test_exactly_the_icons_that_are_used_are_shipped():
    shipped = {path.stem for path in icons.FOLDER.glob("*.svg")}
    code = "\n".join(
        path.read_text("utf-8") for path in Path(ggnet_console.ui.__file__).parent.rglob("*.py")
    )
    used = {name for name in re.findall(r'"([a-z0-9-]+)"', code) if name in shipped}
    assert used == shipped
    assert "ISC License" in (icons.FOLDER / "LICENSE").read_text("utf-8")


def test_an_icon_is_drawn_in_the_colour_asked_for(qapp):
    image = icons.pixmap("square", "#ff0000", 48).toImage()
    colours = {
        image.pixelColor(x, y).name()
        for x in range(48)
        for y in range(48)
        if image.pixelColor(x, y).alpha() == 255
    }
    assert colours == {"#ff0000"}


def test_an_icon_that_is_not_shipped_is_a_bug(qapp):
    with pytest.raises(FileNotFoundError):
        icons.pixmap("no-such-icon", "#000000")


@pytest.mark.parametrize(
    ("family", "chosen"), [("DejaVu Sans", "Inter"), ("DejaVu Serif", "DejaVu Serif")]
)
def test_a_desktop_s_font_stays_and_without_one_the_window_is_set_in_inter(qapp, family, chosen):
    assert QFontInfo(interface_font(QFont(family))).family() == chosen
