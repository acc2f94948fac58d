# SPDX-License-Identifier: GPL-3.0-or-later
"""Python's cyclic garbage, collected on the main thread alone while there is a window."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 1000


class GarbageCollector(QObject):
    """Takes the place of Python's automatic collection, which runs in whatever thread allocates.

    A closed dialog and what its buttons call refer to each other. Collected in the thread of a
    query or a job, its widgets would be destroyed there while their timers go on in the main
    thread, and the next tick would end the process.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        """To be made on the main thread before there is another one."""
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(collect_due)
        self._timer.start(INTERVAL_MS)


def collect_due() -> int | None:
    """Collect the oldest generation that is due by Python's own thresholds; None when none is."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if thresholds[generation] and counts[generation] > thresholds[generation]:
            gc.collect(generation)
            return generation
    return None
