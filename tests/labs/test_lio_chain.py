# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the kernel's LIO: import, target, session, a login that is seen, drift, repair."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_host import MIB, blank_cluster, wait_for

from ggnet_console.enums import Drift, Role, TargetOrigin
from ggnet_console.services import accounts, target_plans, targets

from .bench import Bench
from .lab import HOST_ADDRESS, Lab
from .lio_host import LioHost


@pytest.fixture(scope="module")
def blank() -> Iterator[Path]:
    with blank_cluster() as cluster:
        yield cluster


@pytest.fixture
def host(lab: Lab, bench: Bench, blank: Path) -> Iterator[LioHost]:
    """The storage host, its agent at work in the guest."""
    lab.folder.chmod(0o711)  # PostgreSQL runs as a user of its own
    folder = lab.folder / "host"
    folder.mkdir(mode=0o711)
    host = LioHost(lab, folder, blank)
    try:
        host.start()
        yield host
    finally:
        host.end()
        shutil.rmtree(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """4 MiB of data on a disk of 8 MiB, as QCOW2; beside it the same as raw."""
    raw = tmp_path / "disk.raw"
    raw.write_bytes(os.urandom(4 * MIB))
    os.truncate(raw, 8 * MIB)
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    return disk


def test_a_machine_gets_its_disk_from_the_kernel(host: LioHost, disk: Path, tmp_path: Path) -> None:
    row = host.host()
    assert (row.backend, row.backend_reason) == (
        "lio",
        "found by itself: root, and the kernel has LIO; it saves in "
        "/etc/rtslib-fb-target/saveconfig.json",
    )
    image = host.import_ready(disk)
    session = host.open_session(image.id)
    assert (session.status, session.portal) == ("PENDING", host.portal)
    assert session.target_iqn in host.lab.run(["targetcli", "ls", "/iscsi"]).stdout
    assert not host.reads(session, tmp_path / "stolen", "iqn.2026-11.net.ggnet:stranger")
    assert host.session(session.id).status == "PENDING"

    assert host.reads(session, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == disk.with_suffix(".raw").read_bytes()
    # However short: the kernel counts with the initiator's access, not with the login.
    wait_for(lambda: host.session(session.id).status == "ACTIVE", "the login is observed")
    with host.logged_in(session):
        wait_for(lambda: host.session(session.id).connected, "the next login is observed")
    wait_for(lambda: not host.session(session.id).connected, "the logout is observed")
    seen = host.session(session.id)
    assert seen.bytes_read == 8 * MIB
    assert (seen.client_address, seen.bytes_written) == (HOST_ADDRESS, 0)
    target = host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert target is not None
    assert session.initiator_iqn in target.tree

    assert host.stop_session(session.id).status == "SUCCEEDED"
    assert host.session(session.id).status == "STOPPED"
    assert not host.reads(session, tmp_path / "again")
    assert session.target_iqn not in host.lab.run(["targetcli", "ls", "/iscsi"]).stdout


def test_a_power_cut_of_the_storage_host_is_repaired_by_the_agents_next_start(
    host: LioHost, disk: Path, tmp_path: Path
) -> None:
    session = host.open_session(host.import_ready(disk).id)
    host.lose_power()
    assert not host.reads(session, tmp_path / "meanwhile")
    host.start()
    host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert host.reads(session, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == disk.with_suffix(".raw").read_bytes()


def test_what_somebody_does_with_targetcli_is_shown_planned_and_put_right(
    host: LioHost, disk: Path, tmp_path: Path
) -> None:
    session = host.open_session(host.import_ready(disk).id)
    host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    acl = f"/iscsi/{session.target_iqn}/tpg1/acls"
    done = host.lab.run(["targetcli", acl, "delete", session.initiator_iqn])
    assert done.returncode == 0, done
    found = host.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    assert found is not None
    assert {difference.field for difference in found.differences} >= {"initiators"}
    assert not host.reads(session, tmp_path / "refused")

    assert host.ask(target_plans.apply_targets, found.host_id).status == "SUCCEEDED"
    host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert host.reads(session, tmp_path / "copy")
    assert host.ask(target_plans.undo_targets, found.host_id).status == "SUCCEEDED"
    host.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    assert not host.reads(session, tmp_path / "again")


def test_a_secret_is_asked_for_once_it_was_made_and_the_test_login_knows_it(
    host: LioHost, disk: Path, tmp_path: Path
) -> None:
    session = host.open_session(host.import_ready(disk).id)
    target = host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert target is not None
    with host.operator.begin() as connection:
        made = targets.turn_chap_on(connection, target.id)
    host.succeeded(made.job_id)
    assert not host.reads(session, tmp_path / "without")
    assert not host.reads(session, tmp_path / "wrong", chap=(made.user, "another-secret-1"))
    assert host.reads(session, tmp_path / "copy", chap=(made.user, made.secret))
    tried = host.ask(target_plans.test_login, target.id)
    assert tried.status == "SUCCEEDED"
    steps = target_plans.login_steps(tried)
    assert steps
    assert all(step.ok for step in steps), steps


def test_what_an_admin_adopts_comes_back_after_a_power_cut_and_is_let_go_untouched(
    host: LioHost, bench: Bench
) -> None:
    iqn = "iqn.2003-01.org.example:by-hand"
    disk = bench.disk("by-hand.raw")
    who = "iqn.2003-01.org.example:somebody"
    for line in (
        f"/backstores/fileio create by-hand {disk} write_back=false",
        f"/iscsi create {iqn}",
        f"/iscsi/{iqn}/tpg1/luns create /backstores/fileio/by-hand 1",
        f"/iscsi/{iqn}/tpg1/portals delete 0.0.0.0 3260",
        f"/iscsi/{iqn}/tpg1/portals create {host.lab.address} 3260",
        f"/iscsi/{iqn}/tpg1/acls create {who}",
        f"/iscsi/{iqn}/tpg1 set attribute demo_mode_discovery=0 prod_mode_write_protect=1",
    ):
        bench.targetcli(*line.split())
    found = host.wait_for_drift(iqn, Drift.EXTRA)
    assert found is not None
    assert (found.origin, found.oddity) == (TargetOrigin.FOREIGN, "")

    with host.owner.begin() as session:
        accounts.create_user(session, "adam", Role.ADMIN, "adam-password")
    admin = host.sign_in("adam", "adam-password")
    with admin.begin() as session:
        adopting = target_plans.adopt_target(session, found.host_id, iqn)
    host.succeeded(adopting)
    host.wait_for_drift(iqn, Drift.IN_STEP)
    host.lose_power()
    host.start()
    adopted = host.wait_for_drift(iqn, Drift.IN_STEP)
    assert adopted is not None
    assert (adopted.origin, adopted.initiator_iqn) == (TargetOrigin.ADOPTED, who)
    with admin.begin() as session:
        releasing = target_plans.release_target(session, adopted.id)
    host.succeeded(releasing)
    admin.close()
    host.wait_for_drift(iqn, Drift.EXTRA)
    assert iqn in host.lab.run(["targetcli", "ls", "/iscsi"]).stdout


def test_a_targetcli_that_somebody_left_open_is_named_by_the_job_that_waits_for_it(
    host: LioHost, disk: Path
) -> None:
    image = host.import_ready(disk)
    somebody = host.lab.process()
    pid = somebody.python(
        "import subprocess\n"
        "open_ = subprocess.Popen(['targetcli'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "while b'/>' not in open_.stdout.read1(): pass\n"
        "result = open_.pid"
    )
    started = host.start_sessions([host.machine()], image.id)
    job = host.ended(started.job_id)
    assert job.status == "FAILED"
    assert f"targetcli” (process {pid})" in job.error
    assert host.session(started.session_ids[0]).error == job.error
    somebody.close()
    again = host.start_sessions([host.session(started.session_ids[0]).machine_id], image.id)
    host.succeeded(again.job_id)
