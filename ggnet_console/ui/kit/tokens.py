# SPDX-License-Identifier: GPL-3.0-or-later
"""Design tokens: spacing, sizes, both palettes and the state signs; plain values without Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum

XS, S, M, L, XL = 4, 8, 12, 16, 24
"""Spacing in device-independent pixels; no other distances are used."""

ROW_HEIGHT = 28
RADIUS = 6
CONTROL_HEIGHT = 30
CHECK = 14
"""Box of a check box, circle of a radio button."""
SIDEBAR_WIDTH = 184
TITLE_SCALE = 1.4
SECTION_SCALE = 1.15


class State(Enum):
    """What a row's sign says; colour never says it alone, each has a shape and a word."""

    RUNNING = "●"
    WORKING = "◐"
    ATTENTION = "▲"
    FAILED = "✕"
    OFF = "○"


URGENCY = {State.FAILED: 0, State.ATTENTION: 1, State.WORKING: 2, State.RUNNING: 3, State.OFF: 4}
"""What is wrong comes first."""


def worst(states: Iterable[State]) -> State | None:
    """The most urgent of some states; None of none."""
    return min(states, key=URGENCY.__getitem__, default=None)


@dataclass(frozen=True)
class Tokens:
    """One palette; every colour is ``#rrggbb``."""

    window: str
    """Page background."""
    surface: str
    """Tables, panes, fields."""
    sidebar: str
    hairline: str
    field_border: str
    outline: str
    """Frames of menus and notices, handles of scroll bars: seen, but nothing to type into."""
    hover: str
    selection: str
    mark: str
    """Background of a cell that has just changed."""
    text: str
    secondary: str
    """Text at 70 % strength."""
    disabled: str
    accent: str
    on_accent: str
    accent_hover: str
    banner: str
    """Background of the connection banner."""
    running: str
    working: str
    attention: str
    attention_sign: str
    """A sign needs less contrast than text, and a clear yellow is told from it faster."""
    failed: str
    off: str

    def state(self, state: State) -> str:
        """The colour of a state's text."""
        return str(getattr(self, state.name.lower()))

    def sign(self, state: State) -> str:
        """The colour of a state's sign."""
        return self.attention_sign if state is State.ATTENTION else self.state(state)

    @property
    def dark(self) -> bool:
        """Whether light text stands on dark ground."""
        return luminance(self.window) < luminance(self.text)


LIGHT = Tokens(
    window="#f6f7f9",
    surface="#ffffff",
    sidebar="#eef0f3",
    hairline="#dfe3e8",
    field_border="#868e98",
    outline="#c3c9d1",
    hover="#f1f4f8",
    selection="#dfe9fd",
    mark="#fff3c9",
    text="#1b1f24",
    secondary="#565d66",
    disabled="#68707a",
    accent="#2159d6",
    on_accent="#ffffff",
    accent_hover="#1a4ab8",
    banner="#fff1cc",
    running="#11693f",
    working="#1b57c8",
    attention="#7d4f00",
    attention_sign="#b86e00",
    failed="#b3261e",
    off="#59616b",
)

DARK = Tokens(
    window="#16191e",
    surface="#1c2026",
    sidebar="#121519",
    hairline="#2b3139",
    field_border="#6a737f",
    outline="#454d58",
    hover="#232830",
    selection="#25385c",
    mark="#40381c",
    text="#e6e9ed",
    secondary="#a7afba",
    disabled="#868f9b",
    accent="#76a5ff",
    on_accent="#0c1626",
    accent_hover="#95b9ff",
    banner="#43370f",
    running="#52c98f",
    working="#84b5ff",
    attention="#f2b93b",
    attention_sign="#f2b93b",
    failed="#ff9188",
    off="#a7afba",
)


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 to 1 (WCAG 2.2)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def names() -> list[str]:
    """The names of all colours of a palette."""
    return [field.name for field in fields(Tokens)]
