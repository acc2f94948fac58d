# SPDX-License-Identifier: GPL-3.0-or-later
"""Anybody can NOTIFY on the queue's channels: no job is aborted by it, and the runner goes on."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from real_host import RealHost, wait_for

from ggnet_console.db.cluster import CONSOLE_ROLE

GARBAGE = ("x", "", "{", "null", "[1]", '{"type": "?"}', "x" * 7999)


@pytest.mark.parametrize("who", ["console", "person"])
def test_a_job_is_not_aborted_by_a_forged_hint(served: RealHost, disks: Path, who: str) -> None:
    assert served.installation.cluster is not None
    console = served.installation.cluster.dsn(CONSOLE_ROLE)
    dsn = console if who == "console" else served.operator.dsn
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    served.held("convert")
    with psycopg.connect(dsn, autocommit=True) as forger:
        for number in range(1, 20):
            abort = json.dumps({"type": "abort_job_requested", "job_id": number})
            for payload in (abort, *GARBAGE):
                for channel in ("procrastinate_queue_v1#testhost", "procrastinate_any_queue_v1"):
                    forger.execute("SELECT pg_notify(%s, %s)", [channel, payload])
    # Whatever the runner heard, it heard before it got that far with the next one.
    other = served.import_file(disks / "disk.qcow2", "other")
    wait_for(lambda: len(served.qemu_imgs()) == 2, "the runner goes on")
    served.let_go()
    for each in (image, other):
        served.succeeded(each.job_id)
