# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as they are looked for: composed, with plain spaces, in whatever case."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute

from ..values import tidy


def is_named(column: InstrumentedAttribute[str], name: str) -> ColumnElement[bool]:
    """Whether ``column`` holds this name; the database alone says what its other case is."""
    return func.lower(column) == func.lower(tidy(name))
