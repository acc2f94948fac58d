# SPDX-License-Identifier: GPL-3.0-or-later
"""The job runner comes to an end whatever it is doing when it is stopped."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import cast

from patience import PATIENCE_S

from ggnet_console.config import Config
from ggnet_console.db.engine import Database
from ggnet_console.workers.agent.job_runner import JobRunner
from ggnet_console.workers.agent.reconciler import Reconciler
from ggnet_console.workers.agent.target_keeper import TargetKeeper


def test_a_job_runner_that_is_stopped_while_it_connects_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"host=127.0.0.1 port={silent.getsockname()[1]} user=nobody dbname=nothing"
        runner = JobRunner(
            dsn,
            Config(home=Path("/nowhere"), host="testhost"),
            1,
            Database(dsn, program="tests"),
            cast(TargetKeeper, None),  # only jobs use them, and none comes
            cast(Reconciler, None),
        )
        runner.start()
        connection, _ = silent.accept()
        with connection:
            runner.stop()
            assert runner.wait(int(PATIENCE_S * 1000))
