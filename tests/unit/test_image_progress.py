# SPDX-License-Identifier: GPL-3.0-or-later
"""Percent and time left of an import go by what it has to do: they do not jump between phases."""

from __future__ import annotations

from typing import Any, cast

from ggnet_console.tools.disk_images import Phase
from ggnet_console.workers.agent.image_jobs import ImportImage
from ggnet_console.workers.agent.job import JobContext

GIB = 1 << 30


class Told:
    """Takes what a job says of its progress."""

    task = None

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[float, float], float | None]] = []

    def progress(
        self, phase: str, _done: int, _total: int, span: tuple[float, float], after_s: float | None
    ) -> None:
        self.told.append((phase, span, after_s))


def noted(plan: dict[Phase, float], *phases: Phase) -> list[tuple[str, Any, Any]]:
    context = Told()
    job = ImportImage(cast("JobContext", context))
    job.plan(plan)
    for phase in phases:
        job.note(phase, 1, 2)
    return context.told


def test_an_almost_empty_disk_is_nearly_all_hashing() -> None:
    converting, hashing = noted(
        {Phase.CONVERTING: 1.0, Phase.HASHING: 94.0}, Phase.CONVERTING, Phase.HASHING
    )
    assert converting == ("Converting", (5.0, 6.0), 94.0)
    assert hashing == ("Hashing", (6.0, 100.0), 0.0)


def test_comparing_and_hashing_are_one_part() -> None:
    comparing, hashing = noted(
        {Phase.CONVERTING: 30.0, Phase.HASHING: 10.0}, Phase.COMPARING, Phase.HASHING
    )
    assert comparing[1:] == hashing[1:]


def test_a_raw_disk_is_only_hashed() -> None:
    [hashing] = noted({Phase.HASHING: 10.0}, Phase.HASHING)
    assert hashing == ("Hashing", (5.0, 100.0), 0.0)


def test_each_layer_of_packing_takes_its_share_of_what_is_left() -> None:
    context = Told()
    job = ImportImage(cast("JobContext", context))
    for _ in range(2):
        job.note(Phase.UNPACKING, 1, 2)
        job.note(Phase.UNPACKING, 2, 2)
    spans = [span for _, span, _ in context.told]
    assert spans == [(0.0, 40.0), (0.0, 40.0), (40.0, 64.0), (40.0, 64.0)]
