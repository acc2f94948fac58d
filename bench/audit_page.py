# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrolling the Audit page: from the key to the next screenful of entries, painted."""

from __future__ import annotations

import os
import tempfile
import time

from ggnet_console.db.engine import Database
from ggnet_console.enums import Role

from .figures import Figure, percentile

SCREENS = 500
KEY_REPEAT_S = 1 / 30
"""As fast as a held Page Down key."""


def next_page_on_screen(database: Database, entries: int) -> Figure:
    """``database``: an admin's, with ``entries`` in the trail."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QEventLoop, QSettings
    from PySide6.QtWidgets import QApplication

    from ggnet_console.ui.audit.page import AuditPage
    from ggnet_console.ui.kit.theme import Theme
    from ggnet_console.ui.window.main_window import MainWindow
    from ggnet_console.ui.window.workspace import Workspace, make_feeds
    from ggnet_console.workers.background import Background

    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        settings = QSettings(f"{folder}/window.ini", QSettings.Format.IniFormat)
        main_window = MainWindow(settings, Theme(app, settings))
        background = Background(database, main_window)
        Workspace(
            main_window,
            background,
            make_feeds(background, main_window),
            None,
            settings,
            user_id=0,
            person="bench",
            role=Role.ADMIN,
            server="bench",
        )
        main_window.resize(1366, 768)
        main_window.show()
        page = main_window.show_page("audit")
        assert isinstance(page, AuditPage)

        def idle(seconds: float) -> None:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 5)

        bar = page.view.verticalScrollBar()
        while not bar.maximum():
            app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        took = []
        for _ in range(SCREENS):
            idle(KEY_REPEAT_S)
            began = time.perf_counter()
            wanted = bar.value() + bar.pageStep()
            while bar.maximum() < wanted:
                app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            bar.setValue(wanted)
            page.view.viewport().repaint()
            took.append((time.perf_counter() - began) * 1000)
        background.wait()
        main_window.close()
        main_window.deleteLater()
        app.processEvents()
    return Figure(
        f"Page Down held through {entries:,} entries, p95, on screen",
        percentile(took, 0.95),
        "ms",
        "25 ms",
    )
