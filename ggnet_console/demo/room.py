# SPDX-License-Identifier: GPL-3.0-or-later
"""A room at eight in the morning, as rows: for ``--demo``, for pictures of the window, for its tests."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..enums import Drift, JobKind, MachineStatus, Role, SessionStatus
from ..services.audit import AuditRow
from ..services.boot_sessions import BootSessionRow
from ..services.concurrent_edits import OpenRow
from ..services.hosts import HostRow
from ..services.images import ImageRow
from ..services.jobs import JobRow
from ..services.machines import MachineRow
from ..services.settings import SettingRow
from ..services.targets import TargetRow
from ..services.users import Me, SignInRow, UserRow
from . import boot_sessions, hosts, jobs
from .audit import make_audit
from .boot_sessions import course_of, make_session
from .changes import save
from .hosts import make_host
from .images import make_images
from .jobs import make_jobs, new_job
from .machines import make_machine, with_session
from .settings import SETTINGS
from .targets import MISSING, as_kept, make_target, unwanted
from .users import make_sign_ins, make_users

_UNWANTED_FOR = 60 * 24 * 9
_GIB = 2**30


class Room:
    """Forty machines, some of them in trouble, and everything else that an installation has."""

    def __init__(
        self, machines: int = 40, *, empty: bool = False, role: Role = Role.OPERATOR
    ) -> None:
        """``role``: of anna, who is signed in."""
        self.now = datetime.now(UTC)
        self.me = Me(1, "anna", role, self.now + timedelta(hours=11), False, None)
        self.users: list[UserRow] = make_users(self.ago, role)
        self.sign_ins: list[SignInRow] = make_sign_ins(self.ago)
        self.settings: list[SettingRow] = list(SETTINGS)
        self.hosts: list[HostRow] = [make_host(self.now, undoable=0 if empty else 2)]
        self.opened: list[OpenRow] = []
        self.machines: list[MachineRow] = []
        self.sessions: list[BootSessionRow] = []
        self.targets: list[TargetRow] = []
        self.images: list[ImageRow] = [] if empty else make_images(self.ago)
        self.jobs: list[JobRow] = [] if empty else make_jobs(self.ago)
        self.audit: list[AuditRow] = [] if empty else make_audit(self.ago)
        self.hints: dict[str, set[int]] = {}
        """The ids of rows that have changed, by table; whoever tells the window empties it."""
        self.switched_on: set[int] = set()
        """Sessions whose machines somebody switches on."""
        self.unseen_s = 0.0
        """Since it was last looked how much the machines read and write."""
        self._numbers = itertools.count(101)
        if not empty:
            self._furnish(machines)
            self.targets += unwanted(self.ago(_UNWANTED_FOR))

    def ago(self, minutes: float) -> datetime:
        """The time so many minutes ago."""
        return self.now - timedelta(minutes=minutes)

    def _furnish(self, machines: int) -> None:
        """Put machines into the room, each with its session and its target."""
        chance = random.Random(8)  # noqa: S311 - the same figures in every picture
        for n in range(1, machines + 1):
            course = course_of(n)
            machine = make_machine(n, course, self.ago)
            if machine.status is not MachineStatus.ACTIVE:
                self.machines.append(machine)
                continue
            image = self.images[0 if n % 5 else 1]
            session = make_session(n, machine, image.name, course, self.ago)
            if session.connected:
                session = replace(
                    session,
                    bytes_read=chance.randint(2, 60) * _GIB // 7,
                    bytes_written=chance.randint(1, 30) * _GIB // 90,
                )
            is_missing = n in MISSING and session.status is SessionStatus.PENDING
            machine = with_session(machine, session, Drift.MISSING if is_missing else None)
            self.machines.append(machine)
            self.sessions.append(session)
            if session.status is SessionStatus.TIMEOUT:
                continue
            target = make_target(
                machine, image, session.created_at, online=course.online, error=course.error
            )
            is_kept = session.status is SessionStatus.STOPPED
            self.targets.append(as_kept(target) if is_kept else target)

    # What rows are asked for, and what changes them

    def machine(self, machine_id: int) -> MachineRow | None:
        """The machine with this id, if it is still there."""
        return next((row for row in self.machines if row.id == machine_id), None)

    def target_of(self, machine_id: int) -> TargetRow | None:
        """The target that is wanted for a machine."""
        return next((row for row in self.targets if row.machine_id == machine_id), None)

    def new_id(self) -> int:
        """A number that nothing has had."""
        return next(self._numbers)

    def ask(
        self, kind: JobKind, name: str, result: dict[str, Any] | None = None, **fields: Any
    ) -> int:
        """A new job of the storage host, done to ``name``; it will have this result."""
        number = self.new_id()
        job = new_job(number, kind, self.now, object_name=name, result=result or {}, **fields)
        save(self, job)
        return number

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass in the room."""
        self.now += timedelta(seconds=seconds)
        hosts.pass_time(self)
        jobs.pass_time(self, seconds)
        boot_sessions.pass_time(self, seconds)

    # What joins rows of several nouns, as the services read them

    def list_images(self, ids: Iterable[int] | None = None) -> list[ImageRow]:
        """The images with the jobs that work on them, and how many targets serve them."""
        wanted = None if ids is None else set(ids)
        jobs = {job.image_id: job for job in self.jobs if job.open}
        served = [row.image_id for row in self.targets]
        rows = [replace(row, used_by=served.count(row.id)) for row in self.images]
        return [
            replace(
                row,
                job_id=job.id,
                job_phase=job.phase,
                percent=job.percent,
                seconds_left=job.seconds_left,
            )
            if (job := jobs.get(row.id)) is not None
            else row
            for row in rows
            if wanted is None or row.id in wanted
        ]
