# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads from the window: whatever ends one, whoever asked for it is told exactly once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject

from ggnet_console.enums import ImageType
from ggnet_console.errors import CancelledError, ConsoleError
from ggnet_console.services.images import ImageSpec
from ggnet_console.workers import uploader
from ggnet_console.workers.uploader import Uploader


@pytest.fixture
def start(
    qtbot, qapp: QObject, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[object], list[object]]]:
    """Begins an upload that is done by ``work(started)``; answers and bugs, once it has ended."""

    def start(
        work: Callable[[Callable[[object], None]], None], parent: QObject
    ) -> tuple[list[object], list[object]]:
        answers: list[object] = []
        bugs: list[object] = []
        monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: bugs.append(error))
        monkeypatch.setattr(uploader, "upload", lambda *_, started, **__: work(started))
        asked: Any = Uploader(None, None, qapp)
        asked.start(
            Path("/nowhere"),
            ImageSpec("disk", ImageType.SYSTEM),
            sha256=None,
            md5=None,
            started=lambda begun: answers.append(("started", begun)),
            failed=lambda error: answers.append(("failed", error.summary)),
            parent=parent,
        )
        qtbot.waitUntil(lambda: asked.active == 0)
        qapp.processEvents()
        return answers, bugs

    return start


FAULTS = [RuntimeError("a bug"), MemoryError(), SystemExit(3), KeyboardInterrupt()]


@pytest.mark.parametrize("error", [ConsoleError("No."), CancelledError("Cancelled."), *FAULTS])
def test_what_fails_before_it_has_begun_is_told_once(
    start: Callable, qapp: QObject, error: BaseException
) -> None:
    def work(_started: object) -> None:
        raise error

    answers, bugs = start(work, qapp)
    expected = (
        str(error) if isinstance(error, ConsoleError) else "A fault in the program ended this."
    )
    assert answers == [("failed", expected)]
    assert bugs == ([] if isinstance(error, ConsoleError) else [error])


@pytest.mark.parametrize("error", [None, ConsoleError("No."), *FAULTS])
def test_what_fails_later_is_not_told_again(
    start: Callable, qapp: QObject, error: BaseException | None
) -> None:
    def work(started: Callable[[object], None]) -> None:
        started(7)
        if error is not None:
            raise error

    answers, bugs = start(work, qapp)
    assert answers == [("started", 7)]
    assert bugs == ([error] if error in FAULTS else [])


def test_nobody_is_told_who_has_gone_meanwhile(start: Callable, qapp: QObject) -> None:
    import shiboken6

    parent = QObject(qapp)
    shiboken6.delete(parent)
    assert start(lambda started: started(7), parent) == ([], [])
