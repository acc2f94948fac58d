# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside targetcli: its lock, its targets, and the same answers to the same SCSI commands."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import Chap, WantedLun, WantedTarget

from .bench import PORTAL, Bench, initiator, iqn

READING = (
    *("GetLBAStatus", "Inquiry", "Mandatory", "ModeSense6", "Prefetch10", "Prefetch16"),
    *("PreventAllow", "PrinReadKeys", "PrinReportCapabilities", "PrinServiceactionRange"),
    *("Read6", "Read10", "Read12", "Read16", "ReadCapacity10", "ReadCapacity16"),
    *("ReadDefectData10", "ReadDefectData12", "ReadOnly", "ReceiveCopyResults"),
    *("ReportSupportedOpcodes", "StartStopUnit", "TestUnitReady"),
)
RESIDUALS = ("Read10Invalid", "Read10Residuals", "Read12Residuals", "Read16Residuals")
"""The other residuals are of writes."""
FAMILIES = (
    *(f"SCSI.{name}" for name in READING),
    *(f"iSCSI.iSCSIResiduals.{name}" for name in RESIDUALS),
    "iSCSI.iSCSIcmdsn",
)
WRITING = (
    *("CompareAndWrite", "ExtendedCopy", "OrWrite", "Sanitize", "Unmap", "WriteAtomic16"),
    *(f"{name}{size}" for name in ("Verify", "Write", "WriteVerify") for size in (10, 12, 16)),
    *("WriteSame10", "WriteSame16", "iSCSIdatasn", "iSCSITMF"),
)
"""They write, or write first what they then look at."""
RESERVING = (
    *("ProutRegister", "ProutReserve", "ProutClear", "ProutPreempt", "Reserve6"),
    "MultipathIO",  # needs a second path and reservations
    "NoMedia",  # ejects the medium
)


def test_whoever_holds_targetclis_lock_is_named_and_nothing_is_changed(bench: Bench) -> None:
    wanted = bench.target()
    hasty = bench.backend(lock_timeout_s=0.2)
    process = bench.lab.process()
    pid = process.python(
        "import fcntl, subprocess, time\n"
        "shell = subprocess.Popen(['targetcli'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "while result is None:\n"
        "    with open('/var/run/targetcli.lock', 'a') as lock:\n"
        "        try:\n"
        "            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        except BlockingIOError:\n"
        "            result = shell.pid\n"
        "    time.sleep(0.02)\n"
    )
    for change in (
        lambda: hasty.apply(wanted),
        lambda: hasty.remove(wanted.iqn),
        lambda: hasty.disconnect(wanted.iqn),
    ):
        with pytest.raises(ConsoleError, match=rf"locked by “.*targetcli” \(process {pid}\)"):
            change()
    assert hasty.running() == hasty.connections() == ()
    late = bench.backend(lock_timeout_s=0.2)  # starts, and leaves the sweeping for later
    process.python("shell.communicate(b'exit\\n')")
    process.close()
    late.apply(wanted)
    assert [each.iqn for each in bench.lio.running()] == [wanted.iqn]


def test_hand_made_targets_are_shown_and_never_touched(bench: Bench) -> None:
    target = bench.hand_made()
    before = bench.dump("byhand")
    saved = bench.saved_entries("byhand")
    first, second = bench.target(1), bench.target(2)
    for wanted in (first, second, replace(first, chap=Chap("other", "other-secret"))):
        bench.lio.apply(wanted)
        (shown,) = (each for each in bench.lio.running() if each.iqn == target)
        assert (shown.initiators, shown.unsupported) == ({initiator(200)}, "")
        assert [(lun.lun, lun.store) for lun in shown.luns] == [(1, "byhand")]
    bench.lio.disconnect(first.iqn)
    bench.lio.remove(first.iqn)
    bench.lio.stop()
    assert [each.iqn for each in bench.lio.running()] == [target]
    assert bench.dump("byhand") == before
    assert bench.saved_entries("byhand") == saved


def test_only_what_is_certainly_ours_is_swept_up(bench: Bench) -> None:
    core = "/sys/kernel/config/target/core"
    theirs = bench.disk("ggnet_backup.raw")
    bench.targetcli("/backstores/fileio", "create", "ggnet_backup", str(theirs))
    orphan = bench.target().luns[0]
    process = bench.lab.process()
    process.python(
        "import os, pathlib\n"
        "from ggnet_console.tools.lio_kernel import use_state_folder\n"
        "from ggnet_console.tools.lio_objects import make_store\n"
        "from ggnet_console.tools.lio_tree import Store\n"
        "use_state_folder(pathlib.Path('/etc/rtslib-fb-target'))\n"
        "os.mkdir(f'{core}/fileio_77')\n"
        "make_store(Store('fileio', f'ggnet_{lun.serial}', lun.path, lun.size_bytes, lun.serial,"
        " False))",
        core=core,
        lun=orphan,
    )
    process.close()
    assert orphan.serial in str(bench.dump("core/"))
    bench.lio.apply(bench.target(2))
    left = bench.dump("core/")
    assert orphan.serial not in str(left)
    assert any("ggnet_backup" in path for path in left)
    assert any("/fileio_77" in path for path in left)


def test_a_hand_made_target_is_adopted_as_it_is(bench: Bench) -> None:
    target = bench.hand_made(lun=0)
    (found,) = bench.lio.running()
    (lun,) = found.luns
    adopted = WantedTarget(
        target,
        (
            WantedLun(
                lun.lun,
                lun.path,
                lun.path.stat().st_size,
                lun.read_only,
                lun.serial,
                store=lun.store,
            ),
        ),
        found.initiators,
        found.chap,
    )
    assert bench.lio.differences(adopted, found) == ()
    before, saved = bench.dump(""), bench.saveconfig.read_bytes()
    bench.lio.apply(adopted)
    assert bench.dump("") == before
    assert bench.saveconfig.read_bytes() == saved
    bench.lio.apply(replace(adopted, chap=Chap("now", "with-a-secret")))
    (running,) = bench.lio.running()
    assert running.luns == found.luns
    assert running.chap == Chap("now", "with-a-secret")
    changed = bench.dump("")
    assert {path.rsplit("/", 1)[1] for path in before if before[path] != changed[path]} == {
        "AuthMethod",
        "authentication",
        "userid",
        "password",
    }
    bench.lio.remove(target)
    assert bench.lio.running() == ()
    assert "byhand" in bench.targetcli("/backstores/fileio", "ls")  # theirs stays


def test_every_family_of_iscsi_test_cu_is_run_or_left_out_for_a_reason(bench: Bench) -> None:
    listed = bench.lab.outside(["iscsi-test-cu", "-l"]).stdout
    families = set(re.findall(r"^i?SCSI\.(\w+)$", listed, re.MULTILINE))
    assert families >= {"Inquiry", "iSCSIcmdsn"}
    run = {name.split(".")[1] for name in FAMILIES}
    assert families - run - set(WRITING) - set(RESERVING) == set()


@pytest.mark.slow("some two hundred tests of another program's, twice")
def test_iscsi_test_cu_sees_no_difference_to_a_target_made_by_targetcli(bench: Bench) -> None:
    wanted = bench.target(chap=None)
    bench.lio.apply(wanted)
    theirs = bench.hand_made(1)
    results = []
    for name in (wanted.iqn, theirs):
        lines: list[str] = []
        for family in FAMILIES:
            done = bench.lab.outside(
                [
                    "iscsi-test-cu",
                    "-i",
                    initiator(1),
                    "-t",
                    family,
                    f"iscsi://{PORTAL}/{name}/1",
                ]
            )
            assert "Run Summary" in done.stdout, done.stdout + done.stderr
            lines += re.findall(r"Test: \w+ \.\.\.|passed|FAILED|\[SKIPPED\].*", done.stdout)
        results.append(lines)
    assert results[0].count("passed") > 40
    assert results[0] == results[1]


def test_250_targets_run_side_by_side_and_go_again(bench: Bench) -> None:
    image = bench.disk("image.raw")
    targets = [bench.target(number, image, read_only=True) for number in range(250)]
    process = bench.lio.process
    process.python("for each in targets:\n    lio.apply(each)", targets=targets, timeout_s=120)
    running = {each.iqn: each for each in bench.lio.running()}
    assert len(running) == 250
    assert [each for one in targets for each in bench.lio.differences(one, running[one.iqn])] == []
    assert len(bench.lio.saved().targets) == 250
    with bench.logged_in(targets[249], read_only=True):
        assert [one.target_iqn for one in bench.lio.connections()] == [iqn(249)]
    process.python("lio.stop()", timeout_s=120)
    assert bench.lio.running() == bench.lio.saved().targets == ()
    assert bench.dump("core/") == {}
