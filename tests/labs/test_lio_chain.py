# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the kernel's LIO: import, target, session, a login that is seen, drift, repair."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from real_host import MIB, wait_for

from ggnet_console.enums import Drift, Role, TargetOrigin
from ggnet_console.services import target_plans, targets, users

from .bench import Bench, command
from .lab import HOST_ADDRESS
from .lio_host import LEFT_OPEN, LioHost

pytestmark = pytest.mark.slow("agents start and targetcli runs again and again, in a slow guest")


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

    # Disabled is nothing the console makes: undone, nobody is let in, and it says so.
    assert host.ask(target_plans.apply_targets, found.host_id).status == "SUCCEEDED"
    done = host.lab.run(["targetcli", f"/iscsi/{session.target_iqn}/tpg1", "disable"])
    assert done.returncode == 0, done
    host.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    assert host.ask(target_plans.apply_targets, found.host_id).status == "SUCCEEDED"
    assert host.reads(session, tmp_path / "copy")
    undone = host.ask(target_plans.undo_targets, found.host_id)
    assert "enabled: no" in undone.result["not_restored"][session.target_iqn]
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


def test_a_test_login_is_not_taken_for_the_machine_by_the_next_agent_either(
    host: LioHost, disk: Path, tmp_path: Path
) -> None:
    session = host.open_session(host.import_ready(disk).id)
    target = host.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert target is not None
    assert host.ask(target_plans.test_login, target.id).status == "SUCCEEDED"
    host.kill()
    host.start()
    compared = host.host().compared_at  # by then everybody has been looked at
    wait_for(lambda: host.host().compared_at != compared, "the agent has looked")
    assert host.session(session.id).status == "PENDING"
    assert host.reads(session, tmp_path / "copy")
    wait_for(lambda: host.session(session.id).status == "ACTIVE", "the machine is seen")


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
    host.compare()
    found = host.wait_for_drift(iqn, Drift.EXTRA)
    assert found is not None
    assert (found.origin, found.unsupported) == (TargetOrigin.FOREIGN, "")

    with host.owner.begin() as session:
        users.create_user(session, "adam", Role.ADMIN, "adam-password")
    admin = host.sign_in("adam", "adam-password")
    somebody = host.lab.process()
    somebody.python(LEFT_OPEN)
    with admin.begin() as session:
        adopting = target_plans.adopt_target(session, found.host_id, iqn)
    assert "targetcli" in host.ended(adopting).error
    refused = host.target(iqn)
    assert refused is not None
    assert (refused.origin, refused.wanted) == (TargetOrigin.FOREIGN, False)
    somebody.close()
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
    pid = somebody.python(LEFT_OPEN)
    started = host.start_sessions([host.machine()], image.id)
    job = host.ended(started.job_id)
    assert job.status == "FAILED"
    assert f"targetcli” (process {pid})" in job.error
    assert host.session(started.session_ids[0]).error == job.error
    somebody.close()
    again = host.start_sessions([host.session(started.session_ids[0]).machine_id], image.id)
    host.succeeded(again.job_id)


def test_what_is_only_saved_and_nobody_wants_does_not_come_back_at_the_next_boot(
    host: LioHost, bench: Bench
) -> None:
    host.kill()
    left = bench.target(9)
    bench.lio.apply(left)
    bench.close()
    bench.targetcli("/iscsi", "delete", left.iqn)
    assert left.iqn in bench.saveconfig.read_text()
    host.start()
    wait_for(lambda: left.iqn not in bench.saveconfig.read_text(), "it is saved no more")
    assert host.host().problem == ""


def test_an_agent_that_starts_while_targetcli_is_open_ends_nobody_and_waits_for_it(
    host: LioHost, disk: Path, tmp_path: Path
) -> None:
    image = host.import_ready(disk)
    running, lost = (host.open_session(image.id, number) for number in (1, 2))
    with host.logged_in(running) as machine:
        _reads(machine)
        wait_for(lambda: host.session(running.id).connected, "the login is observed")
        host.kill()
        done = host.lab.run(["targetcli", "/iscsi", "delete", lost.target_iqn])
        assert done.returncode == 0, done
        somebody = host.lab.process()
        pid = somebody.python(LEFT_OPEN)
        host.start()
        wait_for(lambda: host.host().problem, "the hindrance is told")
        assert f"targetcli” (process {pid})" in host.host().problem
        host.wait_for_drift(lost.target_iqn, Drift.MISSING)
        assert host.wait_for_drift(running.target_iqn, Drift.IN_STEP) is not None
        assert [host.session(one.id).status for one in (running, lost)] == ["ACTIVE", "PENDING"]
        _reads(machine)
        assert host.stop_session(lost.id).status == "FAILED"  # and nobody else's session ends by it
        assert host.session(running.id).status == "ACTIVE"
        somebody.close()
        assert host.stop_session(lost.id).status == "SUCCEEDED"
        wait_for(lambda: not host.host().problem, "nothing is in the way any more")
        _reads(machine)
    wait_for(lambda: not host.session(running.id).connected, "the logout is observed")
    assert host.session(running.id).status == "ACTIVE"
    assert host.reads(running, tmp_path / "copy")


@pytest.mark.parametrize("content", ["", '{"storage_objects": [], "targ'])
def test_an_agent_that_starts_with_a_damaged_saved_configuration_ends_nobody(
    host: LioHost, bench: Bench, disk: Path, tmp_path: Path, content: str
) -> None:
    image = host.import_ready(disk)
    running, lost = (host.open_session(image.id, number) for number in (1, 2))
    with host.logged_in(running) as machine:
        _reads(machine)
        wait_for(lambda: host.session(running.id).connected, "the login is observed")
        host.kill()
        done = host.lab.run(["targetcli", "/iscsi", "delete", lost.target_iqn])
        assert done.returncode == 0, done
        bench.guest("sh", "-c", f"printf %s '{content}' > {bench.saveconfig}")
        host.start()
        wait_for(lambda: host.host().saved_problem, "it is told")
        what = "is damaged" if content else "is empty"
        assert what in host.host().saved_problem
        wait_for(lambda: what in host.host().problem, "it is told that it is in the way")
        host.wait_for_drift(lost.target_iqn, Drift.MISSING)
        assert [host.session(one.id).status for one in (running, lost)] == ["ACTIVE", "PENDING"]
        _reads(machine)
        assert bench.saveconfig.read_text() == content

        # A session can be stopped all the same: the kernel comes first.
        third = host.start_sessions([host.machine(3)], image.id)
        assert host.ended(third.job_id).status == "FAILED"
        repaired = host.ask(target_plans.repair_targets, host.host().id, set_saved_aside=True)
        assert repaired.status == "SUCCEEDED"
        assert host.reads(lost, tmp_path / "copy")
        wait_for(lambda: not host.host().problem, "nothing is in the way any more")
        _reads(machine)
        assert host.session(running.id).status == "ACTIVE"
        bench.guest("sh", "-c", f": > {bench.saveconfig}")
        wait_for(lambda: host.host().saved_problem, "it is told again")
        assert host.stop_session(running.id).status == "SUCCEEDED"
        assert host.session(running.id).status == "STOPPED"
    assert not host.reads(running, tmp_path / "refused")


def _reads(machine: subprocess.Popen[str]) -> None:
    assert "read 1048576/1048576" in command(machine, "read 0 1M")
