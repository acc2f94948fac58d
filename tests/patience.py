# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what must come: as long as the busiest machine may need, and no longer than it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 120.0
"""A test that waits less proves nothing more, and fails on a machine with other things to do."""


def wait_for(
    condition: Callable[[], T], what: str, between: Callable[[], object] | None = None
) -> T:
    """The first true answer of ``condition``; ``between`` two looks something else may happen.

    Looks less often the longer it takes: looking costs those who work their time.
    """
    begun = time.monotonic()
    while not (answer := condition()):
        waited_s = time.monotonic() - begun
        assert waited_s < PATIENCE_S, f"not within {PATIENCE_S:g} s: {what}"
        if between is None:
            time.sleep(min(0.005 + waited_s / 10, 0.1))
        else:
            between()
    return answer
