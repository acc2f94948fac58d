# SPDX-License-Identifier: GPL-3.0-or-later
"""What must have happened before: machines, images and sessions, made as in real life."""

from __future__ import annotations

import itertools
from pathlib import Path

from patience import wait_for
from real_database import HOST, RealDatabase
from sqlalchemy.orm import Session

from ggnet_console.db.engine import Database
from ggnet_console.enums import ImageFormat, JobStatus, MachineStatus, Role, SessionType
from ggnet_console.services import (
    agent_jobs,
    agent_targets,
    boot_sessions,
    images,
    machines,
    settings,
)
from ggnet_console.services.agent_targets import Wanted
from ggnet_console.services.boot_sessions import Started
from ggnet_console.services.images import ImageSpec, Upload
from ggnet_console.services.machines import MachineChanges, MachineSpec
from ggnet_console.services.settings import SettingSpec

BIG = 3 * 2**31
"""More bytes than 32 bits can count."""
SHA256 = "ab" * 32
PORTAL = "127.0.0.1:3260"

_numbers = itertools.count(1)


def mac() -> str:
    """A MAC address nobody else has."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in next(_numbers).to_bytes(3))


def add_machines(database: Database, *names: str) -> list[int]:
    """ACTIVE machines with these names; their ids."""
    with database.begin() as session:
        return [machines.create_machine(session, MachineSpec(name, mac())) for name in names]


def set_status(session: Session, ids: list[int], status: MachineStatus) -> None:
    """Put machines into a status, as one who has just read them."""
    read = machines.list_machines(session, ids)
    assert machines.change_machines(session, read, MachineChanges(status=status)) == []


def set_setting(session: Session, name: str, value: int) -> None:
    """Change a setting, as one who has just read it."""
    settings.update_setting(session, settings.read_setting(session, name), SettingSpec(value))


def pass_seconds(database: RealDatabase, seconds: int) -> None:
    """Let every count of failed sign-ins have begun so much earlier."""
    for (name,) in database.rows(
        "SELECT format('attempts.%I', sequencename) FROM pg_sequences WHERE schemaname = 'attempts' "
        "AND sequencename ~ '_[0-9]+$' AND last_value > 0"
    ):
        database.rows(
            "SELECT setval(%s, greatest(last_value - %s * 10::bigint * (1 << 27), 0)) FROM " + name,
            name,
            seconds,
        )


def server_log(database: RealDatabase) -> str:
    """All that the server has logged, wherever its kind puts that."""
    folder = Path(database.value("SHOW data_directory")) / database.value("SHOW log_directory")
    files = (file for root in (folder, folder.parents[1]) for file in root.rglob("*.log*"))
    return "".join(file.read_text("utf-8", "replace") for file in files)


def wait_for_log(database: RealDatabase, text: str) -> None:
    """Wait until the server has logged ``text``."""
    wait_for(lambda: text in server_log(database), f"“{text}” is in the log")


def begin_upload(database: Database, name: str = "win11") -> Upload:
    """An image in UPLOADING, by whoever ``database`` is signed in as."""
    with database.begin() as session:
        return images.start_upload(session, ImageSpec(name), HOST, f"{name}.vhdx", BIG)


def add_image(clone: RealDatabase, name: str = "win11", operator: Database | None = None) -> int:
    """A READY image; its id. A furnished database has one already."""
    if name in clone.images:
        return clone.images.pop(name)
    operator = operator or clone.sign_in(Role.OPERATOR)
    upload = begin_upload(operator, name)
    with operator.begin() as session:
        images.finish_upload(session, upload.job_id, BIG, SHA256)
    with clone.agent.begin() as session:
        agent_jobs.for_job(session, upload.job_id)
        agent_jobs.take_up(session, upload.job_id)
        agent_jobs.begin_processing(session, upload.image_id)
        agent_jobs.finish_import(session, upload.image_id, ImageFormat.VHDX, SHA256, BIG, 2**31)
        agent_jobs.end_job(session, upload.job_id, JobStatus.SUCCEEDED)
    return upload.image_id


def start_sessions(operator: Database, image_id: int, *machine_ids: int) -> Started:
    """PENDING sessions whose targets are only wanted so far."""
    with operator.begin() as session:
        return boot_sessions.start_boot_sessions(
            session, machine_ids, image_id, SessionType.DISKLESS_BOOT
        )


def make_targets(clone: RealDatabase) -> list[Wanted]:
    """Report every wanted target as made, as the agent does; what was wanted."""
    with clone.agent.begin() as session:
        wanted = agent_targets.list_wanted(session, clone.host_id)
        for one in wanted:
            agent_targets.note_made(session, one, PORTAL)
    return wanted
