# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services do, done to the rows of the demo room; whatever is not here is not done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..services import boot_sessions, images, jobs, machines, settings, target_plans, targets
from . import boot_sessions as room_sessions
from . import images as room_images
from . import jobs as room_jobs
from . import machines as room_machines
from . import settings as room_settings
from . import targets as room_targets

WRITES: dict[Callable[..., Any], Callable[..., Any]] = {
    machines.create_machine: room_machines.create_machine,
    machines.update_machine: room_machines.update_machine,
    machines.change_machines: room_machines.change_machines,
    machines.delete_machines: room_machines.delete_machines,
    boot_sessions.start_boot_sessions: room_sessions.start_boot_sessions,
    boot_sessions.start_boot_sessions_again: room_sessions.start_boot_sessions_again,
    boot_sessions.stop_boot_sessions: room_sessions.stop_boot_sessions,
    images.update_image: room_images.update_image,
    images.verify_image: room_images.verify_image,
    jobs.cancel_job: room_jobs.cancel_job,
    jobs.retry_job: room_jobs.retry_job,
    settings.update_setting: room_settings.update_setting,
    targets.remove_target: room_targets.remove_target,
    target_plans.compare_hosts: room_targets.compare,
    target_plans.apply_plans: room_targets.apply,
    target_plans.repair_hosts: room_targets.repair,
}
"""Called with the room in place of the session."""
