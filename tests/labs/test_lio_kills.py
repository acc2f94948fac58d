# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 before every single change to the kernel or the saved file: the next run converges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ggnet_console.tools.targets import Chap, WantedTarget

from .bench import DUMP, Bench, comparable, initiator, iqn
from .lab import Lab


@pytest.mark.parametrize(("work", "fewest"), [("make", 30), ("change", 30), ("remove", 15)])
def test_a_kill_between_any_two_steps_is_made_good_by_the_next_run(
    bench: Bench, work: str, fewest: int
) -> None:
    first = bench.target(1, bench.disk("a.raw"))
    changed = _changed(bench)
    before, wanted = {
        "make": (None, first),
        "change": (first, changed),
        "remove": (changed, None),
    }[work]
    bench.hand_made()
    saved_by_hand = bench.saved_entries("byhand")
    process = bench.lab.process()
    undisturbed, *disturbed = process.python(
        "from tests.labs.kills import outcomes\n"
        "def observe():\n"
        "    names = {'match': ''}\n"
        "    exec(dump, names)\n"
        "    return names['result']\n"
        "result = list(outcomes(portals, before, wanted, iqn, observe))",
        timeout_s=250,
        portals=[(Lab.address, 3260)],
        before=before,
        wanted=wanted,
        iqn=iqn(1),
        dump=DUMP,
    )
    process.close()
    assert len(disturbed) >= fewest
    running, saved, kernel = undisturbed
    assert saved == running
    for step, (running_then, saved_then, kernel_then) in enumerate(disturbed):
        where = f"killed before step {step} of {len(disturbed)}"
        assert running_then == running, where
        assert saved_then == saved, where
        assert comparable(kernel_then) == comparable(kernel), where
    assert bench.saved_entries("byhand") == saved_by_hand


def _changed(bench: Bench) -> WantedTarget:
    """Another disk, one more, one more initiator, another secret."""
    target = bench.target(1, bench.disk("c.raw"), bench.disk("b.raw"))
    return replace(
        target,
        luns=(replace(target.luns[0], serial="ce"), target.luns[1]),
        initiators=frozenset([initiator(1), initiator(2)]),
        chap=Chap("new", "new-secret-here"),
    )
