# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do to targets by hand is seen, planned, put right or adopted, and can be undone."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S
from real_host import MIB, LoggedIn, RealHost, chap_read, read_disk, wait_for

from ggnet_console.db.engine import Database
from ggnet_console.enums import Drift, PlanAction, Role, TargetOrigin
from ggnet_console.errors import ConsoleError
from ggnet_console.services import target_plans, targets, users
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.services.target_plans import PlanEntry
from ggnet_console.services.targets import TargetRow
from ggnet_console.values import parse_iqn

LogIn = Callable[[BootSessionRow], LoggedIn]
FOREIGN = parse_iqn("iqn.2020-01.org.example:by-hand")
INITIATOR = "iqn.2020-01.org.example:somebody"


@pytest.fixture
def session(served: RealHost, disks: Path) -> BootSessionRow:
    """A session that waits for its machine, on a host whose agent works."""
    return served.open_session(served.import_ready(disks / "disk.raw").id)


@pytest.fixture
def admin(served: RealHost) -> Iterator[Database]:
    with served.owner.begin() as opened:
        users.create_user(opened, "ada", Role.ADMIN, "ada-password")
    with contextlib.closing(served.sign_in("ada", "ada-password")) as database:
        yield database


def plan(host: RealHost) -> list[PlanEntry]:
    """A fresh plan."""
    host.compare()
    with host.operator.begin() as session:
        [found] = target_plans.read_plans(session)
    return list(found.entries)


def apply(host: RealHost, *cut: str) -> None:
    job = host.ask(target_plans.apply_targets, host.host().id, cut=cut)
    assert (job.status, job.error) == ("SUCCEEDED", "")


def refused_to_apply(host: RealHost, *cut: str) -> str:
    job = host.ask(target_plans.apply_targets, host.host().id, cut=cut)
    assert job.status == "FAILED"
    return job.error


def tid(host: RealHost, iqn: str) -> str:
    """tgtd's number of a target."""
    lines = host.tgtadm("--mode target --op show").splitlines()
    [line] = [line for line in lines if line.startswith("Target ") and line.endswith(f" {iqn}")]
    return line.split()[1].rstrip(":")


def another_serial(host: RealHost, iqn: str) -> None:
    """Change a LUN as nobody wants it, under whoever is logged in."""
    host.tgtadm(
        "--mode logicalunit --op update --lun 1 --params scsi_sn=byhand --tid", tid(host, iqn)
    )


def make_foreign(host: RealHost, folder: Path) -> str:
    """A target that somebody makes with tgtadm; its listing."""
    wait_for(lambda: host.host().compared_at, "the agent serves")
    disk = folder / "by hand ü.raw"
    disk.write_bytes(os.urandom(MIB))
    host.tgtadm("--mode target --op new --tid 77 --targetname", FOREIGN)
    host.tgtadm(
        "--mode logicalunit --op new --tid 77 --lun 1 --bstype rdwr --backing-store", str(disk)
    )
    host.tgtadm("--mode target --op bind --tid 77 --initiator-name", INITIATOR)
    host.compare()
    return listing(host, FOREIGN)


def listing(host: RealHost, iqn: str) -> str:
    """What tgtadm lists of one target, without its number."""
    text = host.tgtadm("--mode target --op show")
    [found] = [part for part in text.split("Target ") if part.split("\n")[0].endswith(f" {iqn}")]
    return found.partition("\n")[2]


def test_a_target_as_wanted_is_in_step_and_drawn_as_a_tree(
    served: RealHost, session: BootSessionRow, log_in: LogIn
) -> None:
    row = served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert row is not None
    assert (row.origin, row.differences, row.portals) == (
        TargetOrigin.MACHINE,
        (),
        (served.portal,),
    )
    assert f"o- {session.initiator_iqn} " in row.tree
    assert plan(served) == []
    machine = log_in(session)
    machine.read("1M")

    def seen() -> TargetRow | None:
        row = served.target(session.target_iqn)
        return row if row is not None and row.logged_in else None

    row = wait_for(seen, "the login is reported")
    assert row is not None
    assert [(one.machine, one.address) for one in row.logged_in] == [("PC-1", "127.0.0.1")]
    assert f"LOGGED_IN from {row.logged_in[0].address}" in row.tree
    assert row.drift is Drift.IN_STEP

    def busy() -> bool:
        machine.read("4M")
        row = served.target(session.target_iqn)
        return row is not None and row.bytes_per_s > 0 and bool(row.rates[0].commands_per_s)

    wait_for(busy, "traffic is reported")


def test_what_does_not_change_is_not_written_again(
    served: RealHost, session: BootSessionRow
) -> None:
    before = served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    for _ in range(3):
        assert plan(served) == []
    assert served.target(session.target_iqn) == before


def test_drift_made_by_hand_is_seen_planned_applied_and_undone(
    served: RealHost, session: BootSessionRow, tmp_path: Path
) -> None:
    served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    number = tid(served, session.target_iqn)
    served.tgtadm("--mode target --op bind -I ALL --tid", number)
    another_serial(served, session.target_iqn)
    row = served.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    assert row is not None
    [entry] = plan(served)
    assert (entry.action, entry.machine, entry.cut_off) == (PlanAction.CHANGE, "PC-1", ())
    differences = {one.field: (one.wanted, one.found) for one in entry.differences}
    assert differences == {
        "structure": ("", "it lets in the addresses ALL"),
        "LUN 1 serial": (row.serial, "byhand"),
    }
    apply(served)
    assert plan(served) == []
    assert read_disk(session, tmp_path / "read").returncode == 0
    assert read_disk(session, tmp_path / "no", "iqn.2020-01.org.example:thief").returncode != 0
    assert served.host().undoable == 1
    assert stat.S_IMODE(served.tree.undo.stat().st_mode) == 0o600
    undone = served.ask(target_plans.undo_targets, served.host().id)
    assert undone.result == {
        "changed": 1,
        "not_restored": {session.target_iqn: ["structure: it lets in the addresses ALL"]},
    }
    row = served.target(session.target_iqn)
    assert row is not None
    assert [(one.field, one.found) for one in row.differences] == [("LUN 1 serial", "byhand")]
    assert served.host().undoable == 0
    again = served.ask(target_plans.undo_targets, served.host().id)
    assert again.error.startswith("There is nothing to undo")
    apply(served)
    assert plan(served) == []


def test_a_target_that_is_gone_is_planned_and_made_again_and_undo_takes_it_away(
    served: RealHost, session: BootSessionRow, tmp_path: Path
) -> None:
    served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    served.tgtadm("--mode target --op delete --tid", tid(served, session.target_iqn))
    [entry] = plan(served)
    assert (entry.action, entry.iqn) == (PlanAction.ADD, session.target_iqn)
    job = served.ask(target_plans.repair_targets, served.host().id)
    assert job.result == {"changed": 1, "left": []}
    assert read_disk(session, tmp_path / "read").returncode == 0
    served.ask(target_plans.undo_targets, served.host().id)
    assert [entry.action for entry in plan(served)] == [PlanAction.ADD]


def test_undo_does_not_open_a_target_again_whose_session_was_stopped(
    served: RealHost, session: BootSessionRow, tmp_path: Path
) -> None:
    served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    another_serial(served, session.target_iqn)
    apply(served)
    assert served.host().undoable == 1
    served.stop_session(session.id)
    assert plan(served) == []
    assert served.host().undoable == 0
    assert "nothing to undo" in served.ask(target_plans.undo_targets, served.host().id).error
    assert read_disk(session, tmp_path / "no").returncode != 0


def test_a_target_of_ours_that_nobody_wants_is_removed_by_apply(
    served: RealHost, session: BootSessionRow
) -> None:
    left = "iqn.2026-11.net.ggnet:target.0123456789ab"
    served.tgtadm("--mode target --op new --tid 70 --targetname", left)
    row = served.wait_for_drift(left, Drift.EXTRA)
    assert row is not None
    assert (row.origin, row.wanted) == (TargetOrigin.LEFTOVER, False)
    apply(served)
    assert served.target(left) is None
    assert left not in served.tgtadm("--mode target --op show")
    assert served.target(session.target_iqn) is not None


def test_nobody_is_cut_off_unless_named(
    served: RealHost, session: BootSessionRow, log_in: LogIn
) -> None:
    machine = log_in(session)
    another_serial(served, session.target_iqn)
    served.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    [entry] = plan(served)
    assert (entry.machines, entry.cut_off) == (("PC-1",), ("PC-1",))
    assert refused_to_apply(served) == (
        "Nothing was changed: PC-1 would lose the disk. Shut down what is logged in, or name it "
        "as what may be cut off."
    )
    repaired = served.ask(target_plans.repair_targets, served.host().id)
    assert repaired.result == {"changed": 0, "left": [session.target_iqn]}
    assert "read 1048576" in machine.read("1M")
    # Nor does an agent that starts.
    served.kill()
    served.start()
    assert "read 1048576" in machine.read("1M")
    assert [entry.cut_off for entry in plan(served)] == [("PC-1",)]
    assert served.session(session.id).status == "ACTIVE"
    apply(served, "pc-1")
    assert plan(served) == []


def test_what_others_made_is_shown_and_left_alone_until_it_is_adopted(
    served: RealHost, session: BootSessionRow, admin: Database, tmp_path: Path
) -> None:
    made = make_foreign(served, served.folder)
    row = served.wait_for_drift(FOREIGN, Drift.EXTRA)
    assert row is not None
    assert (row.origin, row.unsupported, row.initiator_iqn) == (TargetOrigin.FOREIGN, "", INITIATOR)
    [entry] = plan(served)
    assert (entry.action, entry.adoptable) == (PlanAction.LEAVE, True)
    apply(served)
    assert "left alone" in served.ask(target_plans.apply_targets, served.host().id, [FOREIGN]).error
    served.ask(target_plans.repair_targets, served.host().id)
    served.stop_session(session.id)
    served.kill()
    served.start()
    assert listing(served, FOREIGN) == made

    with pytest.raises(ConsoleError, match="ask an admin"), served.operator.begin() as opened:
        target_plans.adopt_target(opened, row.host_id, FOREIGN)
    with admin.begin() as opened:
        job_id = target_plans.adopt_target(opened, row.host_id, FOREIGN)
    served.succeeded(job_id)
    row = served.target(FOREIGN)
    assert row is not None
    assert (row.origin, row.drift, row.wanted) == (TargetOrigin.ADOPTED, Drift.IN_STEP, True)
    assert [lun.path for lun in row.luns] == [str(served.folder / "by hand ü.raw")]
    assert listing(served, FOREIGN) == made

    killed = served.tgtd_pid()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: (found := served.tgtd()) and found.pid != killed, "another tgtd runs")
    wait_for(lambda: served.host().problem == "", "targets are served again")
    assert plan(served) == []
    assert FOREIGN in served.tgtadm("--mode target --op show")

    with admin.begin() as opened:
        job_id = target_plans.release_target(opened, row.id)
    served.succeeded(job_id)
    row = served.target(FOREIGN)
    assert row is not None
    assert (row.origin, row.wanted) == (TargetOrigin.FOREIGN, False)
    apply(served)
    assert FOREIGN in served.tgtadm("--mode target --op show")


def test_what_the_console_could_not_make_again_is_not_adopted(
    served: RealHost, admin: Database
) -> None:
    make_foreign(served, served.folder)
    served.tgtadm("--mode target --op bind --tid 77 -I ALL")

    def odd() -> bool:
        row = served.target(FOREIGN)
        return row is not None and row.unsupported == "it lets in the addresses ALL"

    wait_for(odd, "what is not supported is reported")
    with pytest.raises(ConsoleError, match="lets in the addresses ALL"), admin.begin() as opened:
        target_plans.adopt_target(opened, served.host().id, FOREIGN)


def test_a_session_of_a_foreign_target_is_shown_and_not_ended(served: RealHost) -> None:
    make_foreign(served, served.folder)
    served.tgtadm("--mode target --op bind --tid 77 -I ALL")
    guest = subprocess.Popen(
        [
            "qemu-io",
            "-r",
            "--image-opts",
            f"driver=iscsi,transport=tcp,portal={served.portal},target={FOREIGN},lun=1,"
            "initiator-name=iqn.2020-01.org.example:guest",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:

        def seen() -> bool:
            row = served.target(FOREIGN)
            return row is not None and [one.initiator_iqn for one in row.logged_in] == [
                "iqn.2020-01.org.example:guest"
            ]

        wait_for(seen, "the session is reported")
        out, _ = guest.communicate("read 0 1M\n", timeout=PATIENCE_S)
        assert "read 1048576" in out
    finally:
        guest.kill()
        guest.communicate()


def test_chap_lets_in_who_knows_the_secret_and_nobody_else(
    served: RealHost, session: BootSessionRow, tmp_path: Path
) -> None:
    row = served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert row is not None
    with served.operator.begin() as opened:
        first = targets.turn_chap_on(opened, row.id)
    served.succeeded(first.job_id)
    assert len(first.secret) == 16
    assert chap_read(session, first.user, first.secret).returncode == 0
    assert chap_read(session, first.user, "x" * 16).returncode != 0
    assert read_disk(session, tmp_path / "without").returncode != 0
    with served.operator.begin() as opened:
        second = targets.turn_chap_on(opened, row.id)
    served.succeeded(second.job_id)
    assert second.secret != first.secret
    assert chap_read(session, first.user, first.secret).returncode != 0
    assert chap_read(session, second.user, second.secret).returncode == 0

    # The next agent, too, knows it, and a killed tgtd is told it again.
    served.kill()
    os.kill(served.tgtd_pid(), signal.SIGKILL)
    served.start()
    wait_for(lambda: chap_read(session, second.user, second.secret).returncode == 0, "it is served")
    assert read_disk(session, tmp_path / "without").returncode != 0
    served.wait_for_drift(session.target_iqn, Drift.IN_STEP)

    steps = target_plans.login_steps(served.ask(target_plans.test_login, row.id))
    assert [step.ok for step in steps] == [True, True, True], steps
    assert served.session(session.id).status == "PENDING"  # nobody took it for the machine

    served.tgtadm(
        f"--mode account --op unbind --user {second.user} --tid", tid(served, session.target_iqn)
    )
    [entry] = plan(served)
    assert [(one.field, one.found) for one in entry.differences] == [("chap", "none")]
    apply(served)
    assert read_disk(session, tmp_path / "without").returncode != 0

    with served.operator.begin() as opened:
        job_id = targets.turn_chap_off(opened, row.id)
    served.succeeded(job_id)
    assert read_disk(session, tmp_path / "without").returncode == 0
    assert "gg" not in served.tgtadm("--mode account --op show")
    told = "".join(file.read_text() for file in served.tree.logs.iterdir())
    everything = subprocess.run(
        ["grep", "-rl", "-e", second.secret, served.tree.logs, served.folder / "agent.out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told
    assert everything.stdout == ""


def test_a_secret_is_never_an_argument(served: RealHost, session: BootSessionRow) -> None:
    """Every program is started through the PATH, in which tgtadm is one that writes all down."""
    seen = served.folder / "arguments"
    real = subprocess.run(["which", "tgtadm"], capture_output=True, text=True, check=True).stdout
    spy = served.folder / "tgtadm"
    spy.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {real.strip()} "$@"\n')
    spy.chmod(0o755)
    row = served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert row is not None
    with served.operator.begin() as opened:
        made = targets.turn_chap_on(opened, row.id)
    served.succeeded(made.job_id)
    assert f"--user {made.user}" in seen.read_text()
    assert made.secret not in seen.read_text()


def test_a_test_login_to_a_closed_target_says_what_to_do(served: RealHost, disks: Path) -> None:
    image = served.import_ready(disks / "disk.raw")
    with served.operator.begin() as opened:
        job_id = targets.create_target(opened, served.machine(), image.id)
    served.succeeded(job_id)
    with served.operator.begin() as opened:
        [row] = targets.list_targets(opened)
    steps = target_plans.login_steps(served.ask(target_plans.test_login, row.id))
    assert [step.ok for step in steps] == [False, False]
    assert "The target is closed" in steps[-1].detail
