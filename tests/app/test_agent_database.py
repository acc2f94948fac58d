# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL restarted and killed under an agent with an open session and a running job."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE_S
from real_host import MIB, LoggedIn, RealHost, wait_for
from sqlalchemy import text

from ggnet_console.errors import UnreachableError
from ggnet_console.services.boot_sessions import BootSessionRow


def postmaster(host: RealHost) -> int:
    return int((host.tree.cluster / "postmaster.pid").read_text().splitlines()[0])


def restart(host: RealHost) -> None:
    """As an administrator does it, as the user who owns the server."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    owner = host.tree.cluster.stat().st_uid
    switch = {"user": owner, "extra_groups": []} if owner != os.geteuid() else {}
    subprocess.run(
        [
            programs[-1],
            "restart",
            "-w",
            "-s",
            "-m",
            "fast",
            "-D",
            host.tree.cluster,
            "-l",
            "/dev/null",
        ],
        check=True,
        cwd="/",
        **switch,
    )


def kill(host: RealHost) -> None:
    os.kill(postmaster(host), signal.SIGKILL)


def answers(host: RealHost) -> bool:
    try:
        host.host()
    except UnreachableError:
        return False
    return True


@pytest.mark.parametrize("end", [restart, kill])
def test_sessions_stay_and_jobs_end_well_when_the_database_goes_and_comes(
    end: Callable[[RealHost], None],
    served: RealHost,
    disks: Path,
    log_in: Callable[[BootSessionRow], LoggedIn],
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    machine = log_in(session)
    machine.read("1M")
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2", "other")
    served.held("convert")
    before, tgtd = postmaster(served), served.tgtd_pid()
    end(served)
    assert "read 1048576" in machine.read("1M")
    wait_for(lambda: answers(served) and postmaster(served) != before, "the database is back")
    served.let_go()
    assert served.succeeded(image.job_id).attempts == 1
    assert served.image(image.image_id).status == "READY"
    wait_for(lambda: served.session(session.id).bytes_read >= 2 * MIB, "all reads are counted")
    row = served.session(session.id)
    assert (row.status, row.connected) == ("ACTIVE", True)
    assert row.bytes_read < 2 * MIB + 64 * 1024
    assert served.tgtd_pid() == tgtd
    # New work is done as before.
    assert served.stop_session(session.id).status == "SUCCEEDED"


def test_a_login_while_the_database_is_away_is_recorded_when_it_is_back(
    served: RealHost, disks: Path, log_in: Callable[[BootSessionRow], LoggedIn]
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    kill(served)
    machine = log_in(session)
    machine.read("1M")
    wait_for(lambda: answers(served), "the agent revives the database")
    wait_for(lambda: served.session(session.id).bytes_read >= MIB, "the read is counted")
    assert served.session(session.id).status == "ACTIVE"


def test_an_agent_says_what_was_changed_in_its_database_by_hand_and_serves(host: RealHost) -> None:
    with host.owner.begin() as session:
        session.execute(text("DROP INDEX uq_jobs_open_image"))
    host.start()
    log = (host.tree.logs / "ggnet-agent.jsonl").read_text()
    assert "changed by hand since its last upgrade: index uq_jobs_open_image is missing" in log


def test_an_agent_does_not_serve_with_functions_of_another_version(host: RealHost) -> None:
    with host.owner.begin() as session:
        session.execute(text("UPDATE schema_objects SET definition = '' WHERE name = 'rights'"))
    host.start(wait=False)
    assert host.agent is not None
    assert host.agent.wait(PATIENCE_S) == 1
    host.agent = None
    assert "run “ggnet db upgrade”" in (host.folder / "agent.out").read_text()
