# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets whose agent, tgtd, portal or backing file goes away while machines use them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from real_host import MIB, LoggedIn, RealHost, read_disk, wait_for

from ggnet_console.services.boot_sessions import BootSessionRow

LogIn = Callable[[BootSessionRow], LoggedIn]
OVERHEAD_BYTES = 64 * 1024
"""A login reads a little (INQUIRY and the like) before the first block."""


@pytest.mark.parametrize("end", [RealHost.kill, RealHost.stop])
def test_a_running_tgtd_is_adopted_and_a_logged_in_machine_notices_nothing(
    end: Callable[[RealHost], None], served: RealHost, disks: Path, log_in: LogIn
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    machine = log_in(session)
    assert "read 1048576" in machine.read("1M")
    wait_for(lambda: served.session(session.id).bytes_read >= MIB, "the first read is counted")
    tgtd = served.tgtd_pid()
    end(served)
    assert "read 1048576" in machine.read("1M")
    served.start()
    assert "read 1048576" in machine.read("1M")
    wait_for(lambda: served.session(session.id).bytes_read >= 3 * MIB, "all reads are counted")
    assert served.tgtd_pid() == tgtd
    assert served.session(session.id).bytes_read < 3 * MIB + OVERHEAD_BYTES
    machine.log_out()
    wait_for(lambda: not served.session(session.id).connected, "the logout is observed")
    after = served.session(session.id)
    assert (after.status, after.client_address) == ("ACTIVE", "127.0.0.1")
    assert 3 * MIB <= after.bytes_read < 3 * MIB + OVERHEAD_BYTES


def test_a_machine_that_comes_back_after_the_agents_restart_is_counted_from_there(
    served: RealHost, disks: Path, log_in: LogIn
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    machine = log_in(session)
    machine.read("1M")
    wait_for(lambda: served.session(session.id).bytes_read >= MIB, "the first read is counted")
    served.kill()
    machine.log_out()
    served.start()
    wait_for(lambda: not served.session(session.id).connected, "the logout is observed")
    log_in(session).read("2M")
    wait_for(lambda: served.session(session.id).bytes_read >= 3 * MIB, "all reads are counted")
    assert served.session(session.id).bytes_read < 3 * MIB + 2 * OVERHEAD_BYTES


def test_a_killed_tgtd_is_rebuilt_and_its_machine_can_log_in_again(
    served: RealHost, disks: Path, tmp_path: Path, log_in: LogIn
) -> None:
    image = served.import_ready(disks / "disk.raw")
    session = served.open_session(image.id)
    log_in(session).read("1M")
    wait_for(lambda: served.session(session.id).bytes_read >= MIB, "the first read is counted")
    killed = served.tgtd_pid()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: (found := served.tgtd()) and found.pid != killed, "another tgtd runs")
    wait_for(lambda: served.host().problem == "", "targets are served again")
    wait_for(lambda: read_disk(session, tmp_path / "read").returncode == 0, "a new login")
    assert (tmp_path / "read").read_bytes() == (disks / "disk.raw").read_bytes()
    log_in(session).read("4M")
    wait_for(lambda: served.session(session.id).bytes_read >= 5 * MIB, "totals go on")
    assert served.session(session.id).status == "ACTIVE"


@pytest.mark.slow("an agent waits before it tries a taken portal again")
def test_a_taken_portal_is_told_with_its_owner_and_served_once_it_is_free(
    host: RealHost, disks: Path, tmp_path: Path
) -> None:
    [(address, port)] = host.config.portals
    with socket.create_server((address, port)):
        host.start()
        wait_for(lambda: host.host().problem, "the problem is told")
        problem = host.host().problem
        assert f"The portal {host.portal} is taken by" in problem
        assert f"(process {os.getpid()})" in problem
        # Images need no portal, sessions end with the reason.
        image = host.import_ready(disks / "disk.raw")
        refused = host.start_sessions([host.machine(1)], image.id)
        job = host.ended(refused.job_id)
        assert (job.status, job.error) == ("FAILED", problem)
        session = host.session(refused.session_ids[0])
        assert (session.status, session.error) == ("ERROR", problem)
    wait_for(lambda: not host.host().problem, "the portal is served")
    served = host.open_session(image.id, 2)
    assert read_disk(served, tmp_path / "read").returncode == 0


def test_a_session_whose_backing_file_is_gone_ends_as_an_error_with_a_sentence(
    served: RealHost, disks: Path
) -> None:
    image = served.import_ready(disks / "disk.raw")
    file = served.tree.image_file(image.id, 1)
    file.unlink()
    started = served.start_sessions([served.machine()], image.id)
    job = served.ended(started.job_id)
    session = served.session(started.session_ids[0])
    assert job.status == "FAILED"
    assert session.status == "ERROR"
    assert session.error == job.error
    assert session.error == (
        f"The disk file {file} cannot be served: it does not exist. Import the image again."
    )


def test_a_backing_file_that_is_gone_at_the_agents_start_ends_just_its_own_session(
    served: RealHost, disks: Path, tmp_path: Path
) -> None:
    lost, kept = (served.import_ready(disks / "disk.raw", name) for name in ("lost", "kept"))
    of_lost, of_kept = served.open_session(lost.id, 1), served.open_session(kept.id, 2)
    served.kill()
    os.kill(served.tgtd_pid(), signal.SIGKILL)
    served.tree.image_file(lost.id, 1).unlink()
    served.start()
    wait_for(lambda: served.session(of_lost.id).status == "ERROR", "the session ends")
    assert "it does not exist" in served.session(of_lost.id).error
    assert served.session(of_kept.id).status == "PENDING"
    wait_for(lambda: read_disk(of_kept, tmp_path / "read").returncode == 0, "a login")
