# SPDX-License-Identifier: GPL-3.0-or-later
"""A sign-in lasts while its window is used, and no longer."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QWindow
from PySide6.QtTest import QTest

from ggnet_console.errors import UnreachableError
from ggnet_console.services import users
from ggnet_console.ui.window.sign_in_renewal import EVERY_S, SignInRenewal

RENEWED = (users.renew_sign_in, ())


def renewal(window, copying: bool = False, every_s: float = 0) -> SignInRenewal:
    return SignInRenewal(
        window.main_window, window.runner, lambda: copying, window.main_window, every_s=every_s
    )


def move(handle: QWindow) -> None:
    """Over the window, from wherever the pointer is: to where it is already is no move."""
    QTest.mouseMove(handle, QPoint(40, 40))
    QTest.mouseMove(handle, QPoint(60, 60))


@pytest.mark.parametrize(
    "use",
    [
        lambda handle: QTest.keyClick(handle, Qt.Key.Key_Down),
        lambda handle: QTest.mouseClick(handle, Qt.MouseButton.LeftButton),
        move,
    ],
    ids=["key", "click", "move"],
)
def test_who_uses_the_window_renews_the_sign_in(window, qtbot, use):
    renewal(window)
    use(window.main_window.windowHandle())
    qtbot.waitUntil(lambda: RENEWED in window.runner.calls)


def test_a_window_that_nobody_touches_renews_nothing(window, qtbot):
    renewal(window)
    window.workspace.on_changed({"machines": None})
    qtbot.wait(50)  # in which its clock looks many times
    assert RENEWED not in window.runner.calls


def test_a_window_that_copies_a_file_in_is_in_use(window, qtbot):
    renewal(window, copying=True)
    qtbot.waitUntil(lambda: RENEWED in window.runner.calls)


def test_it_is_renewed_in_time_for_the_shortest_sign_in_and_not_at_every_key(window):
    """An hour is the least that the setting allows; half of it must do for a failure or two."""
    assert EVERY_S * 2 < 30 * 60
    renewal(window, every_s=EVERY_S)
    QTest.keyClick(window.main_window.windowHandle(), Qt.Key.Key_Down)
    assert RENEWED not in window.runner.calls


def test_a_renewal_that_failed_is_tried_again(window, qtbot):
    def refuse() -> None:
        raise UnreachableError("The connection is lost.")

    window.runner.answer = refuse
    renewal(window)
    QTest.keyClick(window.main_window.windowHandle(), Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: window.runner.calls.count(RENEWED) == 1)
    QTest.keyClick(window.main_window.windowHandle(), Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: window.runner.calls.count(RENEWED) >= 2)
