# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast long work goes, how long it will take, and when to say so again."""

from __future__ import annotations

import time
from collections import deque

REPORT_S = 0.25
"""Progress is written this often: often enough for a moving bar, rarely enough for the database."""
_WINDOW_S = 5.0


class ProgressPace:
    """Speed over the last seconds of one phase of the work."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._reported = float("-inf")

    def due(self) -> bool:
        """Whether it is time to report again; True at most every ``REPORT_S``."""
        now = time.monotonic()
        if now - self._reported < REPORT_S:
            return False
        self._reported = now
        return True

    def measure(self, done: int, total: int) -> tuple[int | None, int | None]:
        """Note ``done`` bytes of ``total``; returns (bytes per second, seconds left) once known."""
        now = time.monotonic()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # another phase began
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        elapsed, copied = now - self._seen[0][0], done - self._seen[0][1]
        if elapsed < REPORT_S or copied <= 0:
            return None, None
        speed = copied / elapsed
        return int(speed), int((total - done) / speed + 0.5)


def rest_s(part_s: float, span: tuple[float, float]) -> int:
    """Seconds that what follows a part of the work will take, as far as one can tell.

    The part takes ``part_s`` seconds for its ``span`` of the whole in percent.
    """
    begin, end = span
    return round(part_s * (100.0 - end) / (end - begin))
