# SPDX-License-Identifier: GPL-3.0-or-later
"""A kill or a failure before every single change to the kernel or the saved file.

After a kill the next run converges; what fails leaves everything as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ggnet_console.tools.target_backend import Chap, WantedTarget

from .bench import DUMP, MIB, Bench, command, comparable, initiator, iqn
from .lab import Lab

pytestmark = pytest.mark.slow("the work is done anew for each of its steps, disturbed before it")

_OBSERVE = """
def observe():
    names = {"match": ""}
    exec(dump, names)
    return names["result"]
"""
_PORTALS = [(Lab.address, 3260)]


@pytest.mark.parametrize(("work", "fewest"), [("make", 30), ("change", 30), ("remove", 15)])
def test_a_kill_between_any_two_steps_is_made_good_by_the_next_run(
    bench: Bench, work: str, fewest: int
) -> None:
    before, wanted = _works(bench)[work]
    bench.hand_made()
    saved_by_hand = bench.saved_entries("byhand")
    undisturbed, *disturbed = _in_guest(
        bench,
        f"from tests.labs.kills import after_kills\n{_OBSERVE}"
        "result = list(after_kills(portals, before, wanted, iqn, observe))",
        before=before,
        wanted=wanted,
    )
    assert len(disturbed) >= fewest
    running, saved, kernel = undisturbed
    assert saved == running
    for step, (running_then, saved_then, kernel_then) in enumerate(disturbed):
        where = f"killed before step {step} of {len(disturbed)}"
        assert running_then == running, where
        assert saved_then == saved, where
        assert comparable(kernel_then) == comparable(kernel), where
    assert bench.saved_entries("byhand") == saved_by_hand


@pytest.mark.parametrize(
    ("work", "fewest"), [("make", 25), ("change", 40), ("remove", 20), ("regroup", 10)]
)
def test_a_failure_at_any_step_leaves_everything_as_it_was(
    bench: Bench, work: str, fewest: int
) -> None:
    before, wanted = _works(bench)[work]
    bench.hand_made()
    outcomes = _in_guest(
        bench,
        f"from tests.labs.kills import after_failures, work\n{_OBSERVE}"
        "def prepare():\n"
        "    work(portals, iqn, None)\n"
        "    work(portals, iqn, before)\n"
        "    exec(by_hand)\n"
        "def both():\n"
        "    return observe(), open('/etc/rtslib-fb-target/saveconfig.json').read()\n"
        "result = list(after_failures(prepare, lambda: work(portals, iqn, wanted), both))",
        before=before,
        wanted=wanted,
        by_hand=_SECOND_GROUP if work == "regroup" else "",
    )
    assert len(outcomes) > fewest
    done = outcomes[-1]
    assert not done[0]
    for step, (was_refused, was, became) in enumerate(outcomes):
        where = f"step {step} of {len(outcomes)} failed:\n{bench.lab.console}"
        kernel, saved = was if was_refused else done[2]
        assert comparable(became[0]) == comparable(kernel), where
        assert became[1] == saved, where
    assert sum(was_refused for was_refused, *_ in outcomes) > fewest


def test_a_kill_in_the_middle_of_a_change_does_not_disturb_a_live_session(bench: Bench) -> None:
    first = bench.target(1, bench.disk("a.raw"))
    lun = replace(first.luns[0], lun=2, path=bench.disk("b.raw"), serial="b")
    more = replace(
        first,
        luns=(*first.luns, lun),
        initiators=frozenset([initiator(1), initiator(2)]),
        chap=Chap("new", "new-secret-here"),
    )
    process = bench.lab.process()
    process.python("from tests.labs.kills import killed, work", portals=_PORTALS, iqn=iqn(1))
    step, was_killed = 0, True
    while was_killed:
        bench.lio.apply(first, cut={initiator(1)})
        with bench.logged_in(first) as session:
            was_killed = process.python(
                "result = killed(step, lambda: work(portals, iqn, wanted))", step=step, wanted=more
            )
            for look in (bench.lio.connections, bench.lio.activity):
                assert [one.initiator_iqn for one in look()] == [initiator(1)], step
            assert bench.lio.cuts(first.iqn, more) == frozenset(), step
            process.python("work(portals, iqn, wanted)")
            (running,) = bench.lio.running()
            assert bench.lio.differences(more, running) == (), step
            assert bench.lio.saved().targets == (replace(running, sessions=0),)
            assert "512 bytes, 1 ops" in command(session, "read 0 512"), step
        step += 1
    process.close()
    assert step > 15


def test_a_kill_while_a_damaged_file_is_mended_loses_nothing(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    by_hand = bench.hand_made()
    process = bench.lab.process()
    process.python("from tests.labs.kills import Lio, killed", portals=_PORTALS)
    step, was_killed = 0, True
    while was_killed:
        bench.saveconfig.write_bytes(b"{")
        was_killed = process.python(
            "result = killed(step, lambda: Lio(portals).mend_saved())", step=step
        )
        assert bench.saveconfig.exists(), step
        bench.lio.mend_saved()
        saved = bench.lio.saved()
        assert {one.iqn for one in saved.targets} == {wanted.iqn, by_hand}, step
        for aside in bench.lab.etc.glob("*.damaged"):
            assert aside.read_bytes() == b"{", step
            aside.unlink()
        step += 1
    process.close()
    assert step > 3


_SECOND_GROUP = f"""
import rtslib_fb
group = rtslib_fb.TPG(rtslib_fb.Target(rtslib_fb.FabricModule("iscsi"), iqn, "lookup"), 2)
rtslib_fb.LUN(group, 3, rtslib_fb.FileIOStorageObject("byhand"))
rtslib_fb.MappedLUN(rtslib_fb.NodeACL(group, "{initiator(8)}"), 3, 3, True)
rtslib_fb.NetworkPortal(group, "{Lab.address}", 3277)
group.enable = True
"""


def _works(bench: Bench) -> dict[str, tuple[WantedTarget | None, WantedTarget | None]]:
    """Another disk, one more, one more initiator, another secret; and the ways there and back."""
    first = bench.target(1, bench.disk("a.raw", MIB))
    target = bench.target(1, bench.disk("c.raw", MIB), bench.disk("b.raw", MIB), read_only=True)
    changed = replace(
        target,
        luns=(replace(target.luns[0], serial="ce"), target.luns[1]),
        initiators=frozenset([initiator(1), initiator(2)]),
        chap=Chap("new", "new-secret-here"),
    )
    return {
        "make": (None, first),
        "change": (first, changed),
        "remove": (changed, None),
        "regroup": (first, first),
    }


def _in_guest(bench: Bench, source: str, **variables: object) -> Any:
    process = bench.lab.process()
    try:
        return process.python(
            source, timeout_s=250, portals=_PORTALS, iqn=iqn(1), dump=DUMP, **variables
        )
    finally:
        process.close()
