# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of the real kernel: made, logged in to from outside, read back, taken down."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import Chap, WantedLun
from ggnet_console.tools.target_drawing import draw

from .bench import CHAP, MIB, PORTAL, Bench, initiator, iqn
from .lab import BLOCK_DEVICE_BYTES

REFUSED = "Failed to log in to target"


def test_what_was_applied_runs_is_saved_and_needs_nothing_more(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    (running,) = bench.lio.running()
    assert (running.iqn, running.initiators, running.chap) == (iqn(1), {initiator(1)}, CHAP)
    assert (running.portals, running.enabled, running.unsupported) == ({PORTAL}, True, "")
    assert bench.lio.differences(wanted, running) == ()
    assert bench.lio.saved().targets == (running,)


def test_applying_again_changes_nothing(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    before, saved = bench.dump(""), bench.saveconfig.stat().st_ino
    bench.lio.apply(wanted)
    assert bench.dump("") == before
    assert bench.saveconfig.stat().st_ino == saved


def test_a_pattern_is_read_and_written_from_outside(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    done = bench.qemu_io(wanted, "write -P 0xa5 1M 64k", "read -P 0xa5 1M 64k", "flush")
    assert done.returncode == 0, done.stderr + done.stdout
    data = wanted.luns[0].path.read_bytes()
    assert data[MIB : MIB + 65536] == b"\xa5" * 65536
    assert data[:MIB].startswith(b"disk-1.raw.")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"secret": "not-the-secret"}, "Authentication failure"),
        ({"user": "somebody"}, "Authentication failure"),
        ({"user": None, "password-secret": None}, REFUSED),
        ({"initiator-name": initiator(9)}, REFUSED),
        ({"target": iqn(9)}, REFUSED),
    ],
)
def test_a_wrong_name_or_secret_is_refused(
    bench: Bench, changed: dict[str, object], why: str
) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    done = bench.qemu_io(wanted, "read 0 512", **changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr


def test_without_chap_the_name_alone_lets_in(bench: Bench) -> None:
    wanted = bench.target(chap=None)
    bench.lio.apply(wanted)
    assert bench.qemu_io(wanted, "read 0 512").returncode == 0
    assert bench.qemu_io(wanted, "read 0 512", **{"initiator-name": initiator(9)}).returncode == 1


def test_only_those_who_may_log_in_learn_a_targets_name(bench: Bench) -> None:
    wanted = bench.target()
    bench.lio.apply(wanted)
    for name, sees in ((initiator(1), True), (initiator(9), False)):
        done = bench.lab.outside(["iscsi-ls", "-i", name, f"iscsi://{PORTAL}"])
        assert (wanted.iqn in done.stdout) is sees, done.stdout + done.stderr


def test_a_read_only_disk_cannot_be_written(bench: Bench) -> None:
    wanted = bench.target(read_only=True)
    bench.lio.apply(wanted)
    assert bench.lio.differences(wanted, bench.lio.running()[0]) == ()
    before = wanted.luns[0].path.read_bytes()
    assert bench.qemu_io(wanted, "read 0 4M", read_only=True).returncode == 0
    refused = bench.qemu_io(wanted, "write 0 512")
    assert refused.returncode == 1
    assert "write protected" in refused.stderr
    assert wanted.luns[0].path.read_bytes() == before


def test_several_machines_read_one_sealed_file_each_by_its_own_serial(bench: Bench) -> None:
    image = bench.disk("image.raw")
    image.chmod(0o444)
    serials = set()
    for number in (1, 2):
        wanted = bench.target(number, image, read_only=True)
        bench.lio.apply(wanted)
        assert bench.qemu_io(wanted, "read 0 1M", read_only=True).returncode == 0
        done = bench.lab.outside(
            [
                *("iscsi-inq", "-e", "1", "-c", "128", "-i", initiator(number)),
                f"iscsi://{CHAP.user}%{CHAP.secret}@{PORTAL}/{wanted.iqn}/1",
            ]
        )
        serials.add(re.search(r"Unit Serial Number:\[(\w+)\]", done.stdout)[1])  # type: ignore[index]
        assert wanted.luns[0].serial in serials, done.stdout + done.stderr
    assert len(serials) == 2


def test_luns_keep_their_numbers_whatever_their_order(bench: Bench) -> None:
    disks = [bench.disk(f"{name}.raw", size * MIB) for name, size in (("a", 1), ("b", 2), ("c", 3))]
    wanted = bench.target(1, *disks)
    wanted = replace(
        wanted, luns=(wanted.luns[2], replace(wanted.luns[0], lun=200), wanted.luns[1])
    )
    bench.lio.apply(wanted)
    assert bench.lio.differences(wanted, bench.lio.running()[0]) == ()
    for lun, name in ((3, b"c.raw."), (200, b"a.raw."), (2, b"b.raw.")):
        done = bench.qemu_io(wanted, "read -v 0 512", lun=lun)
        assert name.hex(" ") in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["with space.raw", "Übungsraum ñ 教室.raw", "quote'\"=;$.raw", "x" * 180 + ".raw"]
)
def test_paths_with_spaces_letters_and_signs_are_served(bench: Bench, name: str) -> None:
    wanted = bench.target(1, bench.disk(name))
    bench.lio.apply(wanted)
    (running,) = bench.lio.running()
    assert bench.lio.differences(wanted, running) == ()
    assert bench.lio.saved().targets == (running,)
    assert bench.qemu_io(wanted, "read 0 4M").returncode == 0
    assert [path.name for path in bench.disks.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a,b.raw", "a\nb.raw", "end .raw ", "x" * 250 + ".raw"])
def test_paths_that_the_kernel_would_cut_or_split_are_refused(bench: Bench, name: str) -> None:
    path = bench.disks / name
    wanted = bench.target()
    lun = replace(wanted.luns[0], path=path)
    with pytest.raises(ConsoleError, match="Choose another folder or name"):
        bench.lio.apply(replace(wanted, luns=(lun,)))
    assert bench.lio.running() == ()


@pytest.mark.parametrize(
    "chap", [Chap("NULLable", "a-good-secret"), Chap("user", "with space"), Chap("user", "")]
)
def test_secrets_that_the_kernel_would_misread_are_refused(bench: Bench, chap: Chap) -> None:
    with pytest.raises(ConsoleError, match="CHAP"):
        bench.lio.apply(bench.target(chap=chap))
    assert bench.lio.running() == ()


def test_ipv6_and_several_portals_are_served_and_others_given_up(bench: Bench) -> None:
    wanted = bench.target()
    address6 = bench.lab.address6
    both = bench.backend(portals=[(bench.lab.address, 3261), (address6, 3260)])
    bench.lio.apply(wanted)
    both.apply(wanted)
    expected = {f"{bench.lab.address}:3261", f"[{address6}]:3260"}
    assert bench.lio.running()[0].portals == expected
    assert both.differences(wanted, bench.lio.running()[0]) == ()
    assert bench.lio.saved().targets == bench.lio.running()
    for portal in expected:
        assert bench.qemu_io(wanted, "read 0 512", portal=portal).returncode == 0
    with bench.logged_in(wanted, portal=f"[{address6}]:3260"):
        assert [one.address for one in bench.lio.connections()] == ["fd00:199:7::1"]
    assert bench.qemu_io(wanted, "read 0 512").returncode == 1


def test_a_portal_of_another_computer_is_named_at_the_start(bench: Bench) -> None:
    with pytest.raises(ConsoleError, match=r"192\.0\.2\.1:3260") as caught:
        bench.backend(portals=[("192.0.2.1", 3260)])
    assert "no address of this computer" in str(caught.value)


def test_a_portal_that_is_taken_is_named_and_nothing_stays(bench: Bench) -> None:
    process = bench.lab.process()
    process.python(
        "import socket; taken = socket.create_server((address, 3999))", address=bench.lab.address
    )
    busy = bench.backend(portals=[(bench.lab.address, 3999)])
    before = bench.dump("")
    with pytest.raises(ConsoleError, match=r"cannot listen on 10\.199\.7\.2:3999"):
        busy.apply(bench.target())
    process.close()
    assert bench.dump("") == before
    assert not bench.saveconfig.exists()


def test_a_block_device_is_served_as_it_is(bench: Bench) -> None:
    device = Path("/dev/ubda")
    lun = WantedLun(1, device, BLOCK_DEVICE_BYTES, False, "b10c", write_back=True)
    wanted = replace(bench.target(), luns=(lun,))
    bench.lio.apply(wanted)
    process = bench.lab.process()
    differences = process.python(
        "from ggnet_console.tools.lio import Lio\n"
        "lio = Lio([(address, 3260)])\n"
        "result = lio.differences(wanted, lio.running()[0])",
        wanted=wanted,
        address=bench.lab.address,
    )
    process.close()
    assert differences == ()
    assert bench.qemu_io(wanted, "write -P 3 1M 1M", "read -P 3 1M 1M").returncode == 0
    assert "block" in bench.targetcli("/backstores/block", "ls")
    bench.lio.remove(wanted.iqn)
    assert bench.lio.running() == ()


def test_the_write_cache_is_on_only_where_it_is_wanted(bench: Bench) -> None:
    for number, write_back in ((1, False), (2, True)):
        wanted = bench.target(number, write_back=write_back)
        bench.lio.apply(wanted)
        assert bench.lio.differences(wanted, bench.lio.running()[number - 1]) == ()
        mode = "write-back" if write_back else "write-thru"
        assert mode in bench.targetcli(f"/backstores/fileio/ggnet_{wanted.luns[0].serial}", "ls")


def test_what_a_machine_deletes_is_given_back_to_the_disk(bench: Bench) -> None:
    thin = "/run/thin.raw"  # hostfs cannot give blocks back
    bench.lab.run(["sh", "-c", f"yes | head -c 4M > {thin}"])
    lun = WantedLun(1, Path(thin), 4 * MIB, False, "7419")
    wanted = replace(bench.target(), luns=(lun,))
    bench.lio.apply(wanted)
    done = bench.qemu_io(wanted, "discard 0 2M", "read -P 0 0 2M")
    assert done.returncode == 0, done.stderr + done.stdout
    assert int(bench.lab.run(["stat", "-c", "%b", thin]).stdout) * 512 == 2 * MIB


@pytest.mark.parametrize(
    ("chap", "read_only", "by_hand"),
    [
        (CHAP, False, ()),
        (None, True, ()),
        (CHAP, False, ("{tpg} disable",)),
        (None, False, ("{tpg} set attribute generate_node_acls=1",)),
        (CHAP, False, ("{tpg} set attribute generate_node_acls=1",)),
        (CHAP, False, ("{tpg}/acls/{initiator} set auth mutual_userid=me mutual_password=mine",)),
        (None, False, ("{tpg}/acls/{initiator} delete 2", "{tpg}/acls create {initiator}0")),
        (CHAP, False, ("/iscsi/{iqn} create 7", "/iscsi/{iqn}/tpg7/luns create {store}")),
        (CHAP, False, ("{tpg} set attribute authentication=0", "{tpg}/luns delete lun1")),
    ],
)
def test_targetcli_draws_the_same_tree(
    bench: Bench, chap: Chap | None, read_only: bool, by_hand: tuple[str, ...]
) -> None:
    disks = (bench.disk("one.raw"), bench.disk("two.raw"))
    both = frozenset([initiator(1), initiator(12)])
    wanted = bench.target(1, *disks, chap=chap, read_only=read_only, initiators=both)
    bench.lio.apply(wanted)
    names = {
        "iqn": wanted.iqn,
        "tpg": f"/iscsi/{wanted.iqn}/tpg1",
        "initiator": initiator(1),
        "store": f"/backstores/fileio/ggnet_{wanted.luns[0].serial}",
    }
    for line in by_hand:
        bench.targetcli(*line.format(**names).split())
    (running,) = bench.lio.running()
    ours = [line for line in _tree(draw(running)) if "[Sessions: 0]" not in line]
    assert ours == _tree(bench.targetcli(f"/iscsi/{wanted.iqn}", "ls"))
    assert len(ours) >= 5


def _tree(text: str) -> list[str]:
    """Without what depends on the width and on what follows."""
    lines = (line.replace("|", " ") for line in text.splitlines() if "o- " in line)
    return [re.sub(r" ?\.+ \[", " [", line) for line in lines]


@pytest.mark.parametrize(
    "name", ["iqn.2003-01.org.Example:x", "iqn.2003-01.org.example:a_b", "x" * 224, "a/b", ""]
)
def test_names_that_no_initiator_may_have_are_refused(bench: Bench, name: str) -> None:
    wanted = bench.target()
    long = "iqn.2003-01.org.example:" + "x" * 200
    for bad in (name, long):
        for change in ({"iqn": bad}, {"initiators": frozenset([bad])}):
            with pytest.raises(ConsoleError, match="iSCSI name"):
                bench.lio.apply(replace(wanted, **change))
    assert bench.lio.running() == ()
    assert bench.dump("core/") == {}


def test_removing_leaves_nothing_behind(bench: Bench) -> None:
    bench.lio.running()  # the first of all moves the kernel's folder to where the host's is
    before = bench.dump("")
    for number in (1, 2):
        bench.lio.apply(bench.target(number))
    bench.lio.remove(iqn(1))
    assert [one.iqn for one in bench.lio.running()] == [iqn(2)]
    assert [one.iqn for one in bench.lio.saved().targets] == [iqn(2)]
    bench.lio.remove(iqn(1))
    bench.lio.stop()
    assert bench.dump("") == before
    assert bench.lio.saved().targets == ()


def test_nobody_let_in_is_no_difference_and_nobody_comes_in(bench: Bench) -> None:
    wanted = bench.target(initiators=frozenset(), read_only=True)
    bench.lio.apply(wanted)
    (running,) = bench.lio.running()
    assert bench.lio.differences(wanted, running) == ()
    open_ = replace(wanted, initiators=frozenset([initiator(1)]))
    assert {each.field for each in bench.lio.differences(open_, running)} == {"initiators", "chap"}
    assert bench.qemu_io(open_, "read 0 512", read_only=True).returncode == 1
