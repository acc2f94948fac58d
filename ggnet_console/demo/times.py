# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of the demo room: it is eight in the morning there, and things have happened before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Ago = Callable[[float], datetime]
"""The time so many minutes ago."""
