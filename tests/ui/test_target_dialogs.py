# SPDX-License-Identifier: GPL-3.0-or-later
"""What the dialogs for targets show is shown whole, and in the order that matters."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QScrollArea

from ggnet_console.demo.targets import LOGIN
from ggnet_console.enums import JobKind
from ggnet_console.ui.targets.dialogs import LoginDialog
from ggnet_console.ui.targets.page import TargetsPage

from .demo import Window
from .test_targets import compared, dialog, reads, targets_of, texts


@pytest.fixture
def page(window: Window) -> TargetsPage:
    return targets_of(window)


def test_a_test_login_shows_all_of_its_steps_and_its_verdict(qtbot, window, page):
    window.end_jobs(JobKind.TARGET_TEST, result={"steps": LOGIN})
    page.select([4])
    page.action("Test login").trigger()
    opened = dialog(qtbot, LoginDialog)
    reads(qtbot, opened, "The target works as it should.")
    area = opened.findChild(QScrollArea)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() == 0)


def test_the_plan_says_which_changes_harm_nobody(qtbot, window, page):
    plan = compared(qtbot, window, page)
    reads(qtbot, plan, "These changes cut nobody off:", "Add the target of PC-05")
    shown = texts(plan)
    harmless = shown.index("These changes cut nobody off:")
    assert shown.index("Change the target of PC-07") < harmless
    assert harmless < shown.index("Add the target of PC-05")
