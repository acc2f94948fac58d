# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting Qt's loop turn in tests while other threads go on."""

from __future__ import annotations

import time

from PySide6.QtCore import QCoreApplication, QEvent


def pass_time(milliseconds: int) -> None:
    """Handle events for this long; what was to be deleted later is deleted.

    As QTest.qWait does, which keeps the interpreter's lock from beginning to end, though: other
    threads stand still meanwhile, and waiting for one of them there would never end.
    """
    until = time.monotonic() + milliseconds / 1000
    while True:
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.monotonic() >= until:
            return
        time.sleep(0.001)
