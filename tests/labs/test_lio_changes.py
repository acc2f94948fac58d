# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of targets that are in use: who keeps a disk, who is asked about, what fails as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import Chap, SessionsCutError, WantedTarget

from .bench import MIB, Bench, command, comparable, initiator


def test_a_session_is_told_with_address_bytes_and_commands(bench: Bench) -> None:
    wanted = bench.target(1, bench.disk("a.raw"), bench.disk("b.raw"))
    bench.lio.apply(wanted)
    assert bench.lio.connections() == ()
    with bench.logged_in(wanted) as session:
        command(session, "read 0 3M")
        command(session, "write 1M 2M")
        (one,) = bench.lio.connections()
        first, second = one.luns
        assert (one.target_iqn, one.initiator_iqn) == (wanted.iqn, initiator(1))
        assert (one.address, first.lun, second.lun) == ("10.199.7.1", 1, 2)
        assert (first.bytes_read, first.bytes_written) == (3 * MIB, 2 * MIB)
        assert first.commands is not None
        assert first.commands >= 3
        assert (second.bytes_read, second.bytes_written) == (0, 0)
        assert [target.sessions for target in bench.lio.running()] == [1]


def test_counters_go_on_over_logins_and_begin_anew_with_a_new_access(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    keys = []
    read = []
    for again in (False, False, True):
        if again:
            bench.lio.disconnect(wanted.iqn)
            bench.lio.apply(wanted)
        with bench.logged_in(wanted) as session:
            command(session, "read 0 2M")
            (one,) = bench.lio.connections()
            keys.append(one.key)
            read.append(one.bytes_read)
    assert keys[0] == keys[1] != keys[2]
    assert read == [2 * MIB, 4 * MIB, 2 * MIB]


def test_sessions_of_targets_that_let_everybody_in_are_told_too(bench: Bench) -> None:
    target = bench.hand_made()
    bench.targetcli(f"/iscsi/{target}/tpg1", "set", "attribute", "generate_node_acls=1")
    wanted = replace(bench.target(chap=None), iqn=target)
    with bench.logged_in(wanted, read_only=True) as session:
        command(session, "read 0 2M")
        (one,) = bench.lio.connections()
        assert (one.target_iqn, one.initiator_iqn) == (target, initiator(1))
        assert [lun.bytes_read for lun in one.luns] == [2 * MIB]
        (running,) = bench.lio.running()
        assert running.sessions == 1
        assert "everybody may log in" in running.unsupported
        with pytest.raises(ConsoleError, match="lets everybody in"):
            bench.lio.disconnect(target, initiator(1))
        bench.lio.disconnect(target)
        assert bench.lio.connections() == ()
    assert bench.qemu_io(wanted, "read 0 512", read_only=True).returncode == 1


def test_what_sessions_without_an_access_share_is_told_once(bench: Bench) -> None:
    target = bench.hand_made()
    bench.targetcli(f"/iscsi/{target}/tpg1", "set", "attribute", "generate_node_acls=1")
    wanted = replace(bench.target(chap=None), iqn=target)
    second, named = ({"initiator-name": initiator(number)} for number in (2, 200))
    with (
        bench.logged_in(wanted, read_only=True) as one,
        bench.logged_in(wanted, read_only=True, **second) as two,
        bench.logged_in(wanted, read_only=True, **named) as three,
    ):
        for session, size in ((one, "1M"), (two, "2M"), (three, "4M")):
            command(session, f"read 0 {size}")
        told = {each.initiator_iqn: each for each in bench.lio.connections()}
        assert told.keys() == {initiator(1), initiator(2), initiator(200)}
        assert told[initiator(200)].bytes_read == 4 * MIB
        assert sum(told[initiator(number)].bytes_read for number in (1, 2)) == 3 * MIB
        assert len({each.key for each in told.values()}) == 3


def test_a_live_session_is_not_cut_without_the_word(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    with bench.logged_in(wanted) as session:
        other_disk = bench.disk("other.raw")
        lun = replace(wanted.luns[0], path=other_disk)
        before = bench.dump(wanted.iqn)
        saved = bench.saveconfig.read_bytes()
        for change in (
            lambda: bench.lio.remove(wanted.iqn),
            lambda: bench.lio.apply(replace(wanted, luns=())),
            lambda: bench.lio.apply(replace(wanted, luns=(lun,))),
            lambda: bench.lio.apply(replace(wanted, initiators=frozenset([initiator(2)]))),
        ):
            with pytest.raises(SessionsCutError) as caught:
                change()
            assert caught.value.initiators == {initiator(1)}
            assert initiator(1) in str(caught.value)
        assert bench.dump(wanted.iqn) == before
        assert bench.saveconfig.read_bytes() == saved
        assert "512 bytes, 1 ops" in command(session, "read 0 512")


def test_only_who_is_named_is_cut_off(bench: Bench) -> None:
    wanted = bench.target(initiators=frozenset([initiator(1), initiator(2)]))
    bench.lio.apply(wanted)
    second = {"initiator-name": initiator(2)}
    with bench.logged_in(wanted) as first, bench.logged_in(wanted, **second):
        other = replace(wanted.luns[0], path=bench.disk("other.raw"))
        for change in (replace(wanted, luns=(other,)), None):
            assert bench.lio.cuts(wanted.iqn, change) == wanted.initiators
        for change in (
            lambda: bench.lio.apply(replace(wanted, luns=(other,)), cut={initiator(1)}),
            lambda: bench.lio.remove(wanted.iqn, cut={initiator(1)}),
        ):
            with pytest.raises(SessionsCutError) as caught:
                change()
            assert caught.value.initiators == {initiator(2)}
        assert len(bench.lio.connections()) == 2
        bench.lio.apply(replace(wanted, initiators=frozenset([initiator(1)])), cut={initiator(2)})
        assert [one.initiator_iqn for one in bench.lio.connections()] == [initiator(1)]
        assert "512 bytes, 1 ops" in command(first, "read 0 512")


def test_a_target_under_load_goes_only_with_the_word(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    empty = bench.dump("core/")
    assert empty
    with bench.logged_in(wanted) as session:
        assert session.stdin is not None
        # The guest keeps 64 answers that nobody has fetched yet; of 4 MiB each they fill its memory.
        session.stdin.write("aio_read 0 1M\n" * 2000)
        session.stdin.flush()
        before = _read_so_far(bench)
        with pytest.raises(SessionsCutError):
            bench.lio.remove(wanted.iqn)
        between = _read_so_far(bench)
        assert between > before
        bench.lio.remove(wanted.iqn, cut={initiator(1)})
        assert between < 2000 * MIB  # it was cut in the middle
        assert bench.lio.running() == bench.lio.connections() == ()
    assert bench.dump("core/") == {}


def _read_so_far(bench: Bench) -> int:
    """Bytes, once it is some and more than at the last look."""
    seen = bench.lio.connections()[0].bytes_read
    for _ in range(200):
        (one,) = bench.lio.connections()
        if one.bytes_read > seen:
            return int(one.bytes_read)
    raise AssertionError("nothing is being read")


def test_whoever_keeps_access_keeps_the_session(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    more = replace(
        wanted,
        luns=(*wanted.luns, replace(wanted.luns[0], lun=2, path=bench.disk("b.raw"), serial="b")),
        initiators=wanted.initiators | {initiator(2)},
        chap=Chap("pc-01", "a-new-secret-for-all"),
    )
    with bench.logged_in(wanted) as session:
        (before,) = bench.lio.connections()
        bench.lio.apply(more)
        assert bench.lio.differences(more, bench.lio.running()[0]) == ()
        (after,) = bench.lio.connections()
        assert after.key == before.key
        assert "512 bytes, 1 ops" in command(session, "read 512 512")
        assert bench.qemu_io(more, "read 0 512", **{"initiator-name": initiator(2)}).returncode == 0
        bench.lio.apply(replace(more, initiators=wanted.initiators))
        assert "512 bytes, 1 ops" in command(session, "read 1024 512")
    assert bench.qemu_io(wanted, "read 0 512").returncode == 1  # the old secret
    assert bench.qemu_io(more, "read 0 512", lun=2).returncode == 0


def test_disconnecting_ends_the_session_and_refuses_from_then_on(bench: Bench) -> None:
    wanted = bench.target(initiators=frozenset([initiator(1), initiator(2)]))
    bench.lio.apply(wanted)
    second = {"initiator-name": initiator(2)}
    with bench.logged_in(wanted), bench.logged_in(wanted, **second) as stays:
        assert len(bench.lio.connections()) == 2
        bench.lio.disconnect(wanted.iqn, initiator(1))
        assert [one.initiator_iqn for one in bench.lio.connections()] == [initiator(2)]
        assert "512 bytes, 1 ops" in command(stays, "read 0 512")
        assert bench.qemu_io(wanted, "read 0 512").returncode == 1
        assert bench.lio.saved().targets[0].initiators == {initiator(2)}
        bench.lio.disconnect(wanted.iqn)
        assert bench.lio.connections() == ()
    assert bench.qemu_io(wanted, "read 0 512", **second).returncode == 1


def test_a_changed_disk_comes_only_after_the_sessions_have_ended(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    lun = replace(wanted.luns[0], path=bench.disk("new.raw"), serial="0e3")
    changed = replace(wanted, luns=(lun,))
    with bench.logged_in(wanted):
        bench.lio.apply(changed, cut={initiator(1)})
    assert bench.lio.differences(changed, bench.lio.running()[0]) == ()
    assert [store.name for store in _stores(bench)] == ["ggnet_0e3"]
    done = bench.qemu_io(changed, "read -v 0 16")
    assert b"new.raw.".hex(" ") in done.stdout


def _stores(bench: Bench) -> list[object]:
    process = bench.lab.process()
    stores: list[object] = process.python(
        "from ggnet_console.tools.lio_configfs import store_folders, read_store\n"
        "result = [read_store(folder) for folder, name in store_folders() if name]"
    )
    process.close()
    return stores


@pytest.mark.parametrize("damage", ["missing", "empty", "shorter", "folder"])
def test_a_bad_backing_file_takes_down_its_own_target_alone(bench: Bench, damage: str) -> None:
    good, bad = bench.target(1), bench.target(2)
    path = bad.luns[0].path
    for wanted in (good, bad):
        bench.lio.apply(wanted)
    bench.guest("rm", path)
    if damage == "folder":
        bench.guest("mkdir", path)
    elif damage != "missing":
        bench.guest("truncate", "-s", "0" if damage == "empty" else "1M", path)
    with pytest.raises(ConsoleError, match=r"disk-2\.raw cannot be served"):
        bench.lio.apply(bad)
    states = {one.iqn: one.enabled for one in bench.lio.running()}
    assert states == {good.iqn: True, bad.iqn: False}
    assert path.exists() is (damage != "missing")
    size = path.stat().st_size if path.is_file() else 0
    assert size == (MIB if damage == "shorter" else 0)
    assert bench.qemu_io(good, "read 0 512").returncode == 0
    assert bench.qemu_io(bad, "read 0 512").returncode == 1
    bench.guest("rm", "-rf", path)
    bench.guest("cp", good.luns[0].path, path)
    bench.lio.apply(bad)
    assert bench.qemu_io(bad, "read 0 512").returncode == 0


def test_a_session_on_a_lost_file_goes_on(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    with bench.logged_in(wanted) as session:
        bench.guest("rm", wanted.luns[0].path)
        assert "does not exist" in bench.lio.running()[0].unsupported
        with pytest.raises(ConsoleError, match="Import the image again"):
            bench.lio.apply(wanted)
        assert "512 bytes, 1 ops" in command(session, "read 0 512")


def test_a_lost_file_is_not_made_anew_when_a_removal_is_undone(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    bench.guest("rm", wanted.luns[0].path)
    bench.guest("mkdir", f"{bench.saveconfig}.ggnet")  # nothing can be saved
    with pytest.raises(ConsoleError, match="cannot be saved"):
        bench.lio.remove(wanted.iqn)
    assert not wanted.luns[0].path.exists()
    bench.guest("rmdir", f"{bench.saveconfig}.ggnet")
    bench.lio.remove(wanted.iqn)
    assert bench.dump("core/") == {}


def test_a_mapped_lun_that_is_half_made_neither_stops_the_looks_nor_costs_the_session(
    bench: Bench,
) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    group = f"/sys/kernel/config/target/iscsi/{wanted.iqn}/tpgt_1"
    with bench.logged_in(wanted) as session:
        bench.guest("mkdir", f"{group}/acls/{initiator(1)}/lun_7")
        for look in (bench.lio.connections, bench.lio.activity):
            (one,) = look()
            assert [lun.lun for lun in one.luns] == [1]
        (running,) = bench.lio.running()
        assert running.unsupported
        assert bench.lio.cuts(wanted.iqn, wanted) == frozenset()
        bench.lio.apply(wanted)
        assert bench.lio.differences(wanted, bench.lio.running()[0]) == ()
        assert "512 bytes, 1 ops" in command(session, "read 0 512")


def test_a_failed_step_undoes_those_before_it(bench: Bench) -> None:
    wanted = bench.target(1, bench.disk("a.raw"))
    bench.lio.apply(wanted)
    taken = bench.target(2).luns[0]  # its backstore's name is in use
    bench.lio.apply(bench.target(2))
    before, saved = bench.dump(""), bench.saveconfig.read_bytes()
    changed = replace(
        wanted,
        luns=(replace(wanted.luns[0], serial="5a"), replace(taken, lun=7)),
        initiators=frozenset([initiator(5)]),
        chap=None,
    )
    with pytest.raises(ConsoleError, match="serves another target already"):
        bench.lio.apply(changed)
    assert comparable(bench.dump("")) == comparable(before)
    assert bench.saveconfig.read_bytes() == saved
    assert bench.qemu_io(wanted, "read 0 512").returncode == 0


_BY_HAND = pytest.mark.parametrize(
    ("by_hand", "field"),
    [
        ("/iscsi/{iqn}/tpg1 disable", "enabled"),
        ("/iscsi/{iqn}/tpg1/acls create iqn.2003-01.org.example:guest", "initiators"),
        ("/iscsi/{iqn}/tpg1/acls delete {initiator}", "initiators"),
        ("/iscsi/{iqn}/tpg1/acls/{initiator} set auth password=changed", "chap"),
        ("/iscsi/{iqn}/tpg1 set attribute authentication=0", "chap"),
        ("/iscsi/{iqn}/tpg1 set attribute generate_node_acls=1", "structure"),
        ("/iscsi/{iqn}/tpg1 set attribute demo_mode_discovery=1", "demo_mode_discovery"),
        ("/iscsi/{iqn}/tpg1 set attribute demo_mode_write_protect=0", "demo_mode_write_protect"),
        ("/iscsi/{iqn}/tpg1 set attribute prod_mode_write_protect=0", "prod_mode_write_protect"),
        ("/iscsi/{iqn}/tpg1 set attribute cache_dynamic_acls=1", "cache_dynamic_acls"),
        ("/backstores/fileio/{store} set attribute emulate_tpu=0", "LUN 1 emulate_tpu"),
        (
            "/backstores/fileio/{store} set attribute emulate_write_cache=1",
            "LUN 1 emulate_write_cache",
        ),
        (
            "/iscsi/{iqn}/tpg1/acls/{initiator} set attribute authentication=1",
            "{initiator} authentication",
        ),
        ("/iscsi/{iqn}/tpg1/portals delete 10.199.7.2 3260", "portals"),
        ("/iscsi/{iqn}/tpg1/portals create 10.199.7.2 3261", "portals"),
        ("/iscsi/{iqn}/tpg1/luns delete lun1", "LUN 1"),
        ("/iscsi/{iqn}/tpg1/acls/{initiator} delete 1", "structure"),
        ("/iscsi/{iqn}/tpg1/acls/{initiator} set auth mutual_userid=me", "structure"),
        ("/iscsi/{iqn} create 2", "structure"),
        ("/iscsi delete {iqn}", "target"),
    ],
)


def _names(wanted: WantedTarget) -> dict[str, str]:
    store = f"ggnet_{wanted.luns[0].serial}"
    return {"iqn": wanted.iqn, "initiator": initiator(1), "store": store}


@_BY_HAND
def test_what_is_changed_by_hand_is_seen_and_repaired(
    bench: Bench, by_hand: str, field: str
) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    bench.targetcli(*by_hand.format(**_names(wanted)).split())
    found = bench.lio.running()
    if field == "target":
        assert found == ()
    else:
        field = field.format(**_names(wanted))
        assert field in {each.field for each in bench.lio.differences(wanted, found[0])}
    bench.lio.apply(wanted)
    (running,) = bench.lio.running()
    assert bench.lio.differences(wanted, running) == ()
    assert bench.qemu_io(wanted, "read 0 512").returncode == 0


@_BY_HAND
def test_the_comparison_names_whom_the_repair_would_cut_off(
    bench: Bench, by_hand: str, field: str
) -> None:
    wanted = bench.target(initiators=frozenset([initiator(1), initiator(2)]))
    bench.lio.apply(wanted)
    compare = "from ggnet_console.tools.target_comparison import compare_all\n"
    compare += "result = compare_all(lio, [wanted]).findings[0]"
    with bench.logged_in(wanted) as session:
        bench.targetcli(*by_hand.format(**_names(wanted)).split())
        finding = bench.lio.process.python(compare, wanted=wanted)
        assert finding.running_differences or field in bench.lio.running()[0].unsupported
        if finding.cut:
            with pytest.raises(SessionsCutError) as caught:
                bench.lio.apply(wanted, cut={initiator(2)})
            assert caught.value.initiators == finding.cut == {initiator(1)}
        bench.lio.apply(wanted, cut=finding.cut)
        assert bench.lio.process.python(compare, wanted=wanted).running_differences == ()
        if not finding.cut and field not in ("enabled", "initiators", "LUN 1", "target"):
            assert "512 bytes, 1 ops" in command(session, "read 0 512")
