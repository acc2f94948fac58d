# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault of the program, wherever it happens, is shown once, and the window stays usable."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QPlainTextEdit
from qt_time import pass_time
from real_database import PASSWORD
from real_window import RealConsole, spin
from window_hands import click, dialogs

from ggnet_console.ui.kit.messages import Message
from ggnet_console.workers.loop import spawn
from ggnet_console.workers.named_thread import NamedThread

TITLE = "Something went wrong inside GGnet Console"


class PlantedError(Exception):
    """Raised by the tests."""


def fail(*_arguments: object) -> None:
    raise PlantedError("on purpose")


async def fail_later() -> None:
    fail()


class FailingThread(NamedThread):
    def __init__(self) -> None:
        super().__init__("fails")

    def run(self) -> None:
        fail()


def in_a_slot(console: RealConsole) -> None:
    timer = QTimer(console.main_window)
    timer.setSingleShot(True)
    timer.timeout.connect(fail)
    timer.start(0)


def in_a_pool_call(console: RealConsole) -> None:
    assert console.lifecycle is not None
    assert console.lifecycle.signed_in is not None
    console.lifecycle.signed_in.background.call(fail)


def in_the_answer_of_a_unit_of_work(console: RealConsole) -> None:
    assert console.lifecycle is not None
    assert console.lifecycle.signed_in is not None
    console.lifecycle.signed_in.background.run(lambda _session: 1, done=fail)


def in_a_thread(console: RealConsole) -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def in_a_qthread(console: RealConsole) -> None:
    thread = FailingThread()
    thread.start()
    thread.wait()


def in_a_task_of_the_loop(console: RealConsole) -> None:
    spawn(fail_later())


PLACES = (
    in_a_slot,
    in_a_pool_call,
    in_the_answer_of_a_unit_of_work,
    in_a_thread,
    in_a_qthread,
    in_a_task_of_the_loop,
)


def crash_dialogs() -> list[Message]:
    return [dialog for dialog in dialogs(Message) if dialog.windowTitle() == TITLE]


@pytest.fixture
def window(console: RealConsole) -> RealConsole:
    """With an operator at it."""
    console.sign_in("operator", PASSWORD)
    return console


def test_a_fault_is_shown_once_with_a_report_wherever_it_happens(window: RealConsole) -> None:
    for place in PLACES:
        place(window)
        (dialog,) = spin(crash_dialogs, f"a dialog for the fault {place.__name__}")
        spin(lambda: len(window.crashes) == 1, "it is reported")
        pass_time(50)
        assert len(crash_dialogs()) == 1, place.__name__
        assert len(window.crashes) == 1, place.__name__
        assert isinstance(window.crashes.pop(), PlantedError)
        report = dialog.findChild(QPlainTextEdit).toPlainText()
        assert "PlantedError: on purpose" in report
        assert "in fail" in report
        click(dialog, "Close")
        spin(lambda: not crash_dialogs(), "the dialog closes")
        assert window.main_window.isVisible()
        window.page("machines")


def test_many_faults_at_once_open_one_dialog(window: RealConsole) -> None:
    for place in PLACES:
        place(window)
    spin(lambda: len(window.crashes) == len(PLACES), "all are reported")
    assert len(crash_dialogs()) == 1
    click(crash_dialogs()[0], "Close")
    spin(lambda: not crash_dialogs(), "the dialog closes")
    window.crashes.clear()
