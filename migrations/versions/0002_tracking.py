# SPDX-License-Identifier: GPL-3.0-or-later
"""Row versions, NOTIFY hints and the audit trail, by triggers."""

from __future__ import annotations

from support import run, run_file, track, untrack

revision = "0002"
down_revision = "0001"

PROGRESS = (
    "phase",
    "percent",
    "bytes_done",
    "bytes_total",
    "bytes_per_s",
    "seconds_left",
    "heartbeat_at",
    "queue_job_id",
    "attempts",
)
TRAFFIC = ("client_address", "connected", "bytes_read", "bytes_written", "last_seen_at")


def upgrade() -> None:
    run_file("0002_tracking.sql")
    track("users", noun="user", observed=("last_sign_in_at",))
    track("hosts", versioned=False)
    track("machines", noun="machine", observed=("online", "last_seen_at"))
    track("images", noun="image")
    track(
        "image_versions",
        noun="image version",
        seen_as=[("images", "image_id")],
        versioned=False,
    )
    track("targets", noun="target", seen_as=[("targets", "id"), ("machines", "machine_id")])
    track("luns", noun="lun", seen_as=[("targets", "target_id")], versioned=False)
    track(
        "boot_sessions",
        noun="session",
        observed=TRAFFIC,
        seen_as=[("boot_sessions", "id"), ("machines", "machine_id")],
    )
    track(
        "jobs",
        noun="job",
        observed=PROGRESS,
        seen_as=[("jobs", "id"), ("images", "image_id")],
        versioned=False,
    )
    track("sign_ins", versioned=False)
    track("settings", noun="setting")


def downgrade() -> None:
    for table in ("users", "machines", "images", "settings"):
        untrack(table)
    for table in ("targets", "boot_sessions"):
        untrack(table, seen_as=[table, "machines"])
    untrack("luns", seen_as=["targets"], versioned=False)
    untrack("jobs", seen_as=["jobs", "images"], versioned=False)
    untrack("image_versions", seen_as=["images"], versioned=False)
    for table in ("hosts", "sign_ins"):
        untrack(table, noun=False, versioned=False)
    run(
        "DROP FUNCTION audit_rows(), notify_rows(), bump_version(), actor_name(), "
        "require_sign_in(), signed_in_user()"
    )
