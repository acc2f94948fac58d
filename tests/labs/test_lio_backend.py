# SPDX-License-Identifier: GPL-3.0-or-later
"""What serves a storage host changes between LIO and tgt without anybody losing a disk by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_host import wait_for

from ggnet_console.enums import BackendChoice, Drift
from ggnet_console.services import hosts, targets

from .bench import Bench, command
from .lio_host import LEFT_OPEN, LioHost

pytestmark = pytest.mark.slow(
    "the agent, targetcli and whoever holds its lock take turns, in a slow guest"
)

WAITS = "takes over when no target is in use"


def choose(host: LioHost, choice: BackendChoice) -> None:
    """As an admin."""
    with host.owner.begin() as session:
        hosts.choose_backend(session, host.host().id, choice)


def unpin(host: LioHost, backend: str = "") -> None:
    """From its agent's next start on, the configuration says this of the backend."""
    host.kill()
    settings = Path(host.environment["GGNET_CONFIG"])
    lines = [line for line in settings.read_text().splitlines() if "backend" not in line]
    settings.write_text("\n".join([*lines, f'backend = "{backend}"', ""]))


def wait_for_backend(host: LioHost, backend: str) -> None:
    wait_for(
        lambda: (host.host().backend, host.host().problem) == (backend, ""),
        f"{backend} serves",
    )


def test_another_backend_waits_for_what_others_made_and_for_targetcli(
    host: LioHost, bench: Bench, disk: Path, tmp_path: Path
) -> None:
    image = host.import_ready(disk)
    with host.operator.begin() as opened:
        made = targets.create_target(opened, host.machine(), image.id)
    host.succeeded(made)
    by_hand = bench.hand_made()
    unpin(host)
    host.start()
    choose(host, BackendChoice.TGT)
    wait_for(lambda: WAITS in host.host().backend_reason, "it waits")
    assert host.host().backend == "lio"
    assert by_hand in bench.targetcli("ls", "/iscsi")

    bench.targetcli("/iscsi", "delete", by_hand)
    wait_for_backend(host, "tgt")
    [row] = _rows(host)
    host.wait_for_drift(row.iqn, Drift.IN_STEP)
    assert row.iqn not in bench.targetcli("ls", "/iscsi")
    session = host.session(_start(host, row, image.id))
    assert host.reads(session, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == disk.with_suffix(".raw").read_bytes()
    host.stop_session(session.id)

    # LIO cannot make the target while targetcli is open, and says so instead of claiming to serve.
    somebody = host.lab.process()
    pid = somebody.python(LEFT_OPEN)
    choose(host, BackendChoice.LIO)
    wait_for(lambda: f"(process {pid})" in host.host().problem, "the hindrance is told")
    assert host.host().backend == "lio"
    somebody.close()
    wait_for_backend(host, "lio")
    host.wait_for_drift(row.iqn, Drift.IN_STEP)

    # Nor does it end its targets then: it goes on, and says what is in the way.
    somebody = host.lab.process()
    pid = somebody.python(LEFT_OPEN)
    choose(host, BackendChoice.TGT)
    wait_for(lambda: f"(process {pid})" in host.host().problem, "the hindrance is told")
    assert host.host().backend == "lio"
    host.wait_for_drift(row.iqn, Drift.IN_STEP)
    somebody.close()
    wait_for_backend(host, "tgt")


def test_a_backend_that_serves_goes_on_after_the_agents_restart_until_it_is_idle(
    host: LioHost, disk: Path
) -> None:
    image = host.import_ready(disk)
    unpin(host, "tgt")
    host.start()
    wait_for_backend(host, "tgt")
    session = host.open_session(image.id)
    with host.logged_in(session) as machine:
        assert "read 1048576/1048576" in command(machine, "read 0 1M")
        wait_for(lambda: host.session(session.id).status == "ACTIVE", "the login is seen")
        unpin(host, "auto")
        host.start()
        wait_for(lambda: host.host().backend_reason == f"lio {WAITS}", "it waits")
        assert (host.host().backend, host.host().problem) == ("tgt", "")
        assert "read 1048576/1048576" in command(machine, "read 0 1M")
        assert host.session(session.id).status == "ACTIVE"
        host.stop_session(session.id)
    wait_for_backend(host, "lio")


def _rows(host: LioHost) -> list[targets.TargetRow]:
    with host.operator.begin() as session:
        return [one for one in targets.list_targets(session) if one.wanted]


def _start(host: LioHost, row: targets.TargetRow, image_id: int) -> int:
    assert row.machine_id is not None
    started = host.start_sessions([row.machine_id], image_id)
    host.succeeded(started.job_id)
    return started.session_ids[0]
