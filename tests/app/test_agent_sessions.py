# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of sessions: nobody comes, many come at once, one is stopped while it reads."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from real_host import MIB, LoggedIn, RealHost, read_disk, wait_for

from ggnet_console.errors import ConsoleError
from ggnet_console.services import boot_sessions, images, machines, targets
from ggnet_console.services.boot_sessions import BootSessionRow

LogIn = Callable[[BootSessionRow], LoggedIn]


def test_twenty_machines_started_at_once_read_their_disks(
    served: RealHost, disks: Path, log_in: LogIn
) -> None:
    image = served.import_ready(disks / "disk.raw")
    started = served.start_sessions([served.machine(n) for n in range(1, 21)], image.id)
    served.succeeded(started.job_id)
    rows = [served.session(session_id) for session_id in started.session_ids]
    assert len({row.target_iqn for row in rows}) == 20
    assert served.agent is not None
    served.agent.send_signal(signal.SIGSTOP)  # so that all logins are news at the same look
    for machine in [log_in(row) for row in rows]:
        assert "read 1048576" in machine.read("1M")
    served.agent.send_signal(signal.SIGCONT)

    def all_counted() -> bool:
        with served.operator.begin() as session:
            found = boot_sessions.list_boot_sessions(session, started.session_ids)
        return all(row.status == "ACTIVE" and row.bytes_read >= MIB for row in found)

    wait_for(all_counted, "every login is observed")
    with served.operator.begin() as session:
        assert all(machine.online for machine in machines.list_machines(session))


def test_a_session_nobody_comes_for_ends_as_timeout_and_refuses_from_then_on(
    served: RealHost, disks: Path, tmp_path: Path
) -> None:
    served.set_setting("session_timeout_s", 1)
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    wait_for(lambda: served.session(session.id).status == "TIMEOUT", "the time is up")
    assert served.session(session.id).client_address is None
    assert read_disk(session, tmp_path / "late").returncode == 1
    with served.operator.begin() as unit:
        assert targets.list_targets(unit) == []


def test_stopping_a_session_cuts_its_machine_off_and_keeps_what_was_counted(
    served: RealHost, disks: Path, tmp_path: Path, log_in: LogIn
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    log_in(session).read("1M")
    assert served.stop_session(session.id).status == "SUCCEEDED"
    stopped = served.session(session.id)
    assert (stopped.status, stopped.connected) == ("STOPPED", False)
    assert stopped.client_address == "127.0.0.1"
    assert stopped.bytes_read >= MIB  # all of it, though it was stopped right after the read
    assert read_disk(session, tmp_path / "again").returncode == 1


def test_a_target_made_by_hand_refuses_everybody_until_a_session_opens_it(
    served: RealHost, disks: Path, tmp_path: Path
) -> None:
    image, machine = served.import_ready(disks / "disk.raw"), served.machine()
    with served.operator.begin() as session:
        job_id = targets.create_target(session, machine, image.id)
    served.succeeded(job_id)
    started = served.start_sessions([machine], image.id)
    served.succeeded(started.job_id)
    row = served.session(started.session_ids[0])
    assert read_disk(row, tmp_path / "read").returncode == 0
    assert served.stop_session(row.id).status == "SUCCEEDED"
    assert read_disk(row, tmp_path / "read").returncode == 1
    with served.operator.begin() as session:
        (target,) = targets.list_targets(session)
        assert target.status == "CLOSED"
        job_id = targets.remove_target(session, target.id)
    served.succeeded(job_id)
    with served.operator.begin() as session:
        assert targets.list_targets(session) == []


def test_an_image_that_is_served_cannot_be_removed(served: RealHost, disks: Path) -> None:
    image = served.import_ready(disks / "disk.raw")
    session = served.open_session(image.id)
    with (
        pytest.raises(ConsoleError, match="“disk” is served to PC-1; stop its session"),
        served.operator.begin() as unit,
    ):
        images.remove_image(unit, image.id)
    assert served.stop_session(session.id).status == "SUCCEEDED"
    with served.operator.begin() as unit:
        job_id = images.remove_image(unit, image.id)
    served.succeeded(job_id)
    assert served.left_over() == []
