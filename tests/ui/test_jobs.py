# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Jobs page says of a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ggnet_console.demo.jobs import new_job
from ggnet_console.enums import JobKind, JobStatus
from ggnet_console.ui.jobs import state_of
from ggnet_console.ui.kit.tokens import State


def test_a_running_job_of_which_nothing_is_heard_is_conspicuous():
    now = datetime.now(UTC)
    job = new_job(
        1, JobKind.IMAGE_IMPORT, now, status=JobStatus.RUNNING, phase="Converting", percent=40.0
    )
    assert state_of(job) == (State.WORKING, "Converting · 40 %")
    job = replace(job, heartbeat_at=now - timedelta(seconds=30))
    assert state_of(job) == (State.WORKING, "Converting · 40 %")
    state, told = state_of(replace(job, heartbeat_at=now - timedelta(seconds=150)))
    assert state is State.ATTENTION
    assert told.startswith("Converting · 40 % · no news for 2 min")
