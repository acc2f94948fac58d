# SPDX-License-Identifier: GPL-3.0-or-later
"""Short work in the pool: the answer comes to the main thread, and a bug leaves nobody waiting."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.workers.background import Background


@pytest.fixture
def background(qapp) -> Iterator[Background]:
    background = Background()
    yield background
    background.end()
    assert background.wait()


def test_the_answer_comes_to_the_main_thread(qtbot, background: Background) -> None:
    answers: list[Any] = []
    background.call(
        threading.get_ident, done=lambda ident: answers.append((ident, threading.get_ident()))
    )
    qtbot.waitUntil(lambda: answers != [])
    (worked_in, answered_in) = answers[0]
    assert worked_in != answered_in == threading.get_ident()


def test_a_sentence_goes_to_whoever_asked(qtbot, background: Background) -> None:
    def work() -> None:
        raise ConsoleError("No.")

    failures: list[ConsoleError] = []
    background.call(work, failed=failures.append)
    qtbot.waitUntil(lambda: failures != [])
    assert [failure.summary for failure in failures] == ["No."]


def test_a_bug_is_shown_as_one_and_ends_the_waiting(
    qtbot, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[BaseException] = []
    failures: list[ConsoleError] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: faults.append(error))
    background.call(lambda: 1 // 0, failed=failures.append)
    qtbot.waitUntil(lambda: failures != [])
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    assert "fault in the program" in failures[0].summary


def test_after_the_end_nothing_is_called(qapp, background: Background) -> None:
    called = threading.Event()
    background.end()
    background.call(called.set)
    assert background.wait()
    assert not called.is_set()
