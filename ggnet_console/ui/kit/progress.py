# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is, as one line shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What is being done, how much of it is done, and how long it will take."""

    text: str
    share: float | None
    """Done, 0 to 1; None when nobody can say."""
    left: str = ""
    """The time that is left, in words."""
