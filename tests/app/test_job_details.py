# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that failed shows the command that failed, to be repeated, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

from real_host import RealHost
from repeating import repeat
from samples import make_damaged_qcow2
from test_target_drift import tid

from ggnet_console.enums import Drift
from ggnet_console.services import target_plans, targets


def logged(host: RealHost) -> str:
    """All that the agent logged."""
    lines = (host.tree.logs / "ggnet-agent.jsonl").read_text().splitlines()
    return "\n".join(json.loads(line)["message"] for line in lines)


def test_a_failed_import_shows_its_command_in_the_jobs_row_and_in_the_log(
    served: RealHost, tmp_path: Path
) -> None:
    make_damaged_qcow2(tmp_path / "damaged")
    job = served.ended(served.import_file(tmp_path / "damaged").job_id)
    assert job.status == "FAILED"
    assert job.error == ("The image “disk” cannot be opened; it is damaged or not a disk image.")
    command, end, *said = job.error_details.splitlines()
    assert "prlimit --as=" in command
    assert "qemu-img info --output=json" in command
    assert f"<>{served.tree.work}/job-{job.id}/source" in command
    assert end == "exit code 1"
    assert any("L1 table offset invalid" in line for line in said)
    assert f"{job.error} ({job.error_details})" in logged(served)


def test_a_failed_test_login_shows_its_command_without_the_secret(
    served: RealHost, disks: Path
) -> None:
    session = served.open_session(served.import_ready(disks / "disk.raw").id)
    row = served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    assert row is not None
    with served.operator.begin() as opened:
        chap = targets.turn_chap_on(opened, row.id)
    served.succeeded(chap.job_id)
    number = tid(served, session.target_iqn)
    served.tgtadm(f"--mode account --op unbind --user {chap.user} --tid {number}")
    served.tgtadm(f"--mode account --op delete --user {chap.user}")
    served.tgtadm(f"--mode account --op new --user {chap.user} --password secret-by-hand")
    served.tgtadm(f"--mode account --op bind --user {chap.user} --tid {number}")
    job = served.ask(target_plans.test_login, row.id)
    steps = target_plans.login_steps(job)
    assert [step.ok for step in steps] == [True, True, False]
    assert steps[0].detail.startswith("Target:")
    command, end, *said = steps[2].detail.splitlines()
    assert command.startswith(f"LIBISCSI_CHAP_USERNAME={chap.user} LIBISCSI_CHAP_PASSWORD='***' ")
    assert command.endswith(
        f"iscsi-inq -i {session.initiator_iqn} "
        f"iscsi://{session.portal}/{session.target_iqn}/{session.lun}"
    )
    again = repeat(command.replace("'***'", chap.secret))
    assert end == f"exit code {again.returncode}"
    assert said == again.stderr.strip().splitlines() != []
    assert repeat(command.replace("'***'", "secret-by-hand")).returncode == 0
    assert chap.secret not in f"{job}{logged(served)}{(served.folder / 'agent.out').read_text()}"
