# SPDX-License-Identifier: GPL-3.0-or-later
"""What refers to itself is collected on the main thread, whoever allocates."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from patience import wait_for
from qt_time import pass_time

from ggnet_console.workers import garbage
from ggnet_console.workers.garbage import GarbageCollector


class Knot:
    """Refers to itself, as a dialog and what its buttons call do; notes where it ends."""

    ended_in: list[int]

    def __init__(self) -> None:
        self.myself = self

    def __del__(self) -> None:
        Knot.ended_in.append(threading.get_ident())


@pytest.fixture(autouse=True)
def _automatic() -> Iterator[None]:
    Knot.ended_in = []
    gc.enable()
    yield
    gc.disable()


def allocate(kept: list[list[int]]) -> None:
    kept.extend([number] for number in range(100_000))


def test_another_thread_collects_nothing(qapp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "INTERVAL_MS", 1)
    collector = GarbageCollector()
    Knot()
    kept: list[list[int]] = []
    elsewhere = threading.Thread(target=allocate, args=[kept])
    elsewhere.start()
    elsewhere.join()
    assert Knot.ended_in == []
    wait_for(lambda: Knot.ended_in, "the knot is collected", between=lambda: pass_time(2))
    assert Knot.ended_in == [threading.get_ident()]
    collector.deleteLater()


def test_a_generation_is_due_by_pythons_own_thresholds() -> None:
    gc.disable()
    gc.collect()
    assert garbage.collect_due() is None
    kept = [[number] for number in range(gc.get_threshold()[0] + 100)]
    assert garbage.collect_due() == 0
    assert kept
