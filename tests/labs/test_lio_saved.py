# SPDX-License-Identifier: GPL-3.0-or-later
"""The saved configuration: restored by the host's own tools, damaged, edited, shared with others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from real_host import wait_for

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import Chap, RunningTarget, WantedTarget

from .bench import Bench, comparable, initiator, iqn


def _several(bench: Bench) -> list[WantedTarget]:
    """One of each kind: two disks in an odd order, read-only, write-back, without a secret."""
    first = bench.target(1, bench.disk("Übung 1.raw"), bench.disk("b.raw"))
    wanted = [
        replace(first, luns=(replace(first.luns[1], lun=9), replace(first.luns[0], lun=4))),
        bench.target(2, read_only=True, chap=Chap("two", "'quoted\"\\secret'")),
        bench.target(3, write_back=True, initiators=frozenset([initiator(3), initiator(4)])),
        bench.target(5, chap=None),
        bench.target(6, initiators=frozenset()),
    ]
    for each in wanted:
        bench.lio.apply(each)
    return wanted


def test_a_restart_of_the_host_brings_the_same_back(bench: Bench) -> None:
    bench.hand_made()  # first: targetcli saves everything, in its own words
    wanted = _several(bench)
    before: tuple[RunningTarget, ...] = bench.lio.running()
    dump = set(comparable(bench.dump("/iqn.")) + comparable(bench.dump("/core/")))
    bench.restart()
    assert bench.lio.running() == before
    restored = set(comparable(bench.dump("/iqn.")) + comparable(bench.dump("/core/")))
    assert restored ^ dump == set()
    running = {each.iqn: each for each in before}
    for each in wanted:
        assert bench.lio.differences(each, running[each.iqn]) == ()
    assert bench.qemu_io(wanted[0], "read 0 512", lun=9).returncode == 0
    assert bench.qemu_io(wanted[1], "read 0 512", read_only=True).returncode == 0


def test_targetcli_restores_saves_and_shows_what_we_made(bench: Bench) -> None:
    wanted = _several(bench)
    before = bench.lio.running()
    bench.targetcli("restoreconfig", "clear_existing=true")
    assert bench.lio.running() == before
    ours = bench.saveconfig.read_text()
    bench.targetcli("saveconfig")  # every attribute, in its own words
    assert bench.saveconfig.read_text() != ours
    assert bench.lio.saved().targets == before
    saved = bench.saveconfig.read_bytes()
    for each in wanted:
        bench.lio.apply(each)
    assert bench.saveconfig.read_bytes() == saved


def test_the_pinned_rtslib_is_another_than_the_hosts(bench: Bench) -> None:
    """What the tests here show is that the two get on; it takes two for that."""
    process = bench.lab.process()
    ours = process.python("import rtslib_fb; result = rtslib_fb.__file__")
    process.close()
    theirs = bench.guest("/usr/bin/python3", "-c", "import rtslib_fb; print(rtslib_fb.__file__)")
    assert "/dist-packages/" in theirs
    assert ours not in theirs


@pytest.mark.parametrize(
    "damage", [b"", b" \n", b'{"storage_objects": [', b"[]", b'{"targets": 7}']
)
def test_a_damaged_file_is_told_and_nothing_is_done_before_it_is_mended(
    bench: Bench, damage: bytes
) -> None:
    first, second = bench.target(1), bench.target(2)
    bench.lio.apply(first)
    by_hand = bench.hand_made()
    bench.saveconfig.write_bytes(damage)
    before = bench.dump("")
    assert bench.lio.saved().targets == ()
    assert "Repair it" in bench.lio.saved().problem
    for change in (
        lambda: bench.lio.apply(second),
        lambda: bench.lio.apply(first),
        lambda: bench.lio.remove(first.iqn),
    ):
        with pytest.raises(ConsoleError, match=r"saveconfig\.json is (empty|damaged)"):
            change()
    assert bench.dump("") == before
    assert bench.saveconfig.read_bytes() == damage

    bench.lio.mend_saved()
    (aside,) = bench.lab.etc.glob("saveconfig.json.*.damaged")
    assert aside.read_bytes() == damage
    assert bench.lio.saved().targets == bench.lio.running()
    bench.lio.apply(second)
    running = bench.lio.running()
    assert {each.iqn for each in running} == {first.iqn, second.iqn, by_hand}
    bench.targetcli("restoreconfig", "clear_existing=true")
    assert bench.lio.running() == running


def test_mending_what_is_whole_changes_nothing(bench: Bench) -> None:
    bench.lio.apply(bench.target())
    before = bench.saveconfig.read_bytes()
    bench.lio.mend_saved()
    assert bench.saveconfig.read_bytes() == before
    assert [path.name for path in bench.lab.etc.glob("*.damaged")] == []


def test_a_file_damaged_before_a_restart_is_kept_when_nothing_runs(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    bench.saveconfig.write_bytes(b"")
    bench.close()
    bench.lab.power_off()
    bench.lab.start()
    assert bench.lab.run(["targetctl", "restore"]).returncode != 0
    bench.lio.mend_saved()
    assert not bench.saveconfig.exists()
    assert len(list(bench.lab.etc.glob("*.damaged"))) == 1
    bench.lio.apply(wanted)
    assert bench.lio.saved().targets == bench.lio.running()


def test_an_edit_by_hand_is_shown_and_only_ours_is_written_over(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    bench.hand_made()
    document = json.loads(bench.saveconfig.read_text())
    document["extra"] = {"kept": [1.5, None, "ü"]}
    for entry in document["targets"]:
        group = entry["tpgs"][0]
        group["node_acls"][0]["chap_password"] = "edited"
        group["parameters"] = {"MaxConnections": "3"}
    bench.saveconfig.write_text(json.dumps(document))
    others = bench.saved_entries("byhand")

    saved = {each.iqn: each for each in bench.lio.saved().targets}
    assert [each.field for each in bench.lio.differences(wanted, saved[wanted.iqn])] == ["chap"]
    bench.lio.apply(wanted)
    saved = {each.iqn: each for each in bench.lio.saved().targets}
    assert bench.lio.differences(wanted, saved[wanted.iqn]) == ()
    assert bench.saved_entries("byhand") == others
    written = json.loads(bench.saveconfig.read_text())
    assert written["extra"] == document["extra"]
    (ours,) = (entry for entry in written["targets"] if entry["wwn"] == wanted.iqn)
    assert ours["tpgs"][0]["parameters"] == {"MaxConnections": "3"}


def test_what_others_have_not_saved_is_not_saved_for_them(bench: Bench) -> None:
    target = bench.hand_made()
    before = bench.saved_entries("byhand")
    bench.targetcli(f"/iscsi/{target}/tpg1", "disable")
    bench.targetcli("/iscsi", "create", "iqn.2003-01.org.example.host:unsaved")
    bench.lio.apply(bench.target())
    assert bench.saved_entries("byhand") == before
    assert "unsaved" not in bench.saveconfig.read_text()


def test_the_file_is_for_root_alone(bench: Bench) -> None:
    bench.lio.apply(bench.target())
    assert bench.saveconfig.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in bench.lab.etc.iterdir()] == ["saveconfig.json"]


def test_a_file_that_is_known_to_be_lost_is_not_made_anew_by_a_restart(bench: Bench) -> None:
    good, bad = bench.target(1), bench.target(2, bench.disk("lost.raw"), bench.disk("other.raw"))
    for wanted in (good, bad):
        bench.lio.apply(wanted)
    bench.guest("rm", bad.luns[0].path)
    with bench.logged_in(bad, lun=2), pytest.raises(ConsoleError, match="does not exist"):
        bench.lio.apply(bad)
    running, saved = ({one.iqn: one for one in each} for each in _both(bench))
    assert (running[bad.iqn].enabled, saved[bad.iqn].enabled) == (True, False)
    wait_for(lambda: not bench.lio.connections(), "the session has ended")
    with pytest.raises(ConsoleError, match="does not exist"):
        bench.lio.apply(bad)
    assert not {one.iqn: one for one in bench.lio.running()}[bad.iqn].enabled
    assert [lun.lun for lun in saved[bad.iqn].luns] == [2]
    bench.restart()
    assert not bad.luns[0].path.exists()
    assert {one.iqn: one.enabled for one in bench.lio.running()} == {
        good.iqn: True,
        bad.iqn: False,
    }
    bench.guest("cp", good.luns[0].path, bad.luns[0].path)
    bench.lio.apply(bad)
    assert bench.qemu_io(bad, "read 0 512").returncode == 0
    assert bench.lio.saved().targets == bench.lio.running()


def _both(bench: Bench) -> tuple[tuple[RunningTarget, ...], tuple[RunningTarget, ...]]:
    return bench.lio.running(), bench.lio.saved().targets


def test_a_file_lost_before_a_restart_is_noticed_and_its_target_closed(bench: Bench) -> None:
    """The kernel makes a missing file anew, empty, and targetcli calls that restored."""
    good, bad = bench.target(1), bench.target(2)
    for wanted in (good, bad):
        bench.lio.apply(wanted)
    bench.guest("rm", bad.luns[0].path)
    bench.restart()
    unsupported = {each.iqn: each.unsupported for each in bench.lio.running()}
    assert unsupported[good.iqn] == ""
    assert "has 0 bytes" in unsupported[bad.iqn]
    with pytest.raises(ConsoleError, match=r"it is empty\. Import the image again"):
        bench.lio.apply(bad)
    bench.lio.apply(good)
    assert bench.qemu_io(good, "read 0 512").returncode == 0
    assert bench.qemu_io(bad, "read 0 512").returncode == 1
    bench.lio.remove(iqn(2))
    bench.guest("cp", good.luns[0].path, bad.luns[0].path)
    bench.lio.apply(bad)
    assert bench.qemu_io(bad, "read 0 512").returncode == 0
