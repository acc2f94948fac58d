# SPDX-License-Identifier: GPL-3.0-or-later
"""A room at eight in the morning, as rows: for pictures of the window and for its tests."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, QTimer
from PySide6.QtWidgets import QApplication

from ggnet_console.enums import (
    BootMode,
    Drift,
    ImageFormat,
    ImageStatus,
    ImageType,
    JobKind,
    JobStatus,
    MachineStatus,
    Role,
    SessionStatus,
    SessionType,
)
from ggnet_console.errors import ConsoleError
from ggnet_console.services.audit import list_audit, object_history
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.services.concurrent_edits import OpenRow, close_object, open_object
from ggnet_console.services.hosts import HostRow
from ggnet_console.services.images import ImageRow, Upload
from ggnet_console.services.jobs import JobRow
from ggnet_console.services.machines import MachineRow
from ggnet_console.services.settings import SettingRow, get_setting
from ggnet_console.services.target_plans import read_plans
from ggnet_console.services.targets import TargetRow
from ggnet_console.services.users import (
    Me,
    PublicUser,
    UserRow,
    list_public_users,
    list_sign_ins,
    who_am_i,
)
from ggnet_console.ui.kit.feed import Feed
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.page_context import Feeds
from ggnet_console.ui.window.main_window import MainWindow
from ggnet_console.ui.window.workspace import Workspace
from ggnet_console.values import initiator_iqn, target_iqn

from .demo_admin import SETTINGS, find_audit, find_history, make_audit, make_sign_ins, make_users
from .demo_targets import MISSING, PORTAL, as_kept, ended, make_target, plans_of, unwanted

GIB = 2**30
LOCKED = (
    "Nothing was changed: the kernel's targets are locked by “targetcli” (process 4711). "
    "Leave that program (in targetcli: exit), then try again."
)


class DirectRunner:
    """Runs work at once in the main thread; ``session`` is the room itself."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.answer: Callable[..., Any] | None = None

    def run(
        self,
        work: Callable[..., Any],
        *args: Any,
        done: Callable[[Any], None],
        failed: Callable[[ConsoleError], None],
        parent: QObject,
    ) -> None:
        if work in (open_object, close_object):
            done(None)
            return
        read = self.room.reads.get(getattr(work, "func", work))
        if read is not None:
            done(read(*args, **getattr(work, "keywords", {})))
            return
        if getattr(work, "__self__", None) is not self.room:
            self.calls.append((work, args))
            work = self.answer or (lambda *_args: None)
            try:
                value = work(*args)
            except ConsoleError as error:
                failed(error)
                return
            done(value)
            return
        done(work(None, *args))


class NoImporter:
    """Remembers what it was asked to import."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, Any]] = []

    def start(self, source: Path, spec: Any, **rest: Any) -> None:
        self.asked.append((source, spec))
        rest["started"](Upload(1, 1, uuid.uuid4()))


class Room:
    """Forty machines, some of them in trouble."""

    def __init__(
        self, machines: int = 40, *, empty: bool = False, role: Role = Role.OPERATOR
    ) -> None:
        self.now = datetime.now(UTC)
        self._random = random.Random(8)
        self.images = [] if empty else self._images()
        self.jobs = [] if empty else self._jobs()
        self.machines: list[MachineRow] = []
        self.sessions: list[BootSessionRow] = []
        self.targets: list[TargetRow] = []
        for number in range(1, 0 if empty else machines + 1):
            self._machine(number)
        if not empty:
            self.targets += unwanted(self.ago(60 * 24 * 9))
        self.hosts = [
            HostRow(
                *(1, "lab-server", PORTAL, "lio", "", self.now, True),
                backend_reason="found by itself: root, and the kernel has LIO",
                undoable=0 if empty else 2,
                compared_at=self.now,
            )
        ]
        self.opened: list[OpenRow] = []
        self.me = Me(1, "anna", role, self.now + timedelta(hours=11), False, None)
        self.accounts = make_users(self.ago, role)
        self.sign_ins = make_sign_ins(self.ago)
        self.settings = SETTINGS
        self.audit = [] if empty else make_audit(self.ago, LOCKED)
        # What pages read beside the feeds.
        self.reads: dict[Callable[..., Any], Callable[..., Any]] = {
            who_am_i: lambda: self.me,
            list_audit: lambda wanted, **how: find_audit(self.audit, wanted, **how),
            object_history: lambda *what: find_history(self.audit, *what),
            get_setting: lambda name: next(s.value for s in self.settings if s.name == name),
            list_public_users: lambda: [
                PublicUser(a.id, a.name, a.role, a.disabled, a.locked) for a in self.accounts
            ],
            read_plans: lambda *_host: plans_of(self.hosts, self.targets),
            list_sign_ins: lambda user_id: [s for s in self.sign_ins if s.user_id == user_id],
        }

    # Read functions, as the services offer them

    def list_machines(self, _session: Any, ids: Any = None) -> list[MachineRow]:
        return [row for row in self.machines if ids is None or row.id in ids]

    def list_images(self, _session: Any, ids: Any = None) -> list[ImageRow]:
        return [row for row in self.images if ids is None or row.id in ids]

    def list_targets(self, _session: Any, ids: Any = None) -> list[TargetRow]:
        return [row for row in self.targets if ids is None or row.id in ids]

    def list_sessions(self, _session: Any, ids: Any = None) -> list[BootSessionRow]:
        return [row for row in self.sessions if ids is None or row.id in ids]

    def list_jobs(self, _session: Any, ids: Any = None) -> list[JobRow]:
        return [row for row in self.jobs if ids is None or row.id in ids]

    def list_hosts(self, _session: Any, ids: Any = None) -> list[HostRow]:
        return self.hosts

    def list_open(self, _session: Any, ids: Any = None) -> list[OpenRow]:
        return self.opened

    def list_users(self, _session: Any, ids: Any = None) -> list[UserRow]:
        return self.accounts

    def list_settings(self, _session: Any, ids: Any = None) -> list[SettingRow]:
        return self.settings

    def ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def _machine(self, n: int) -> None:
        mac = f"52:54:00:1a:{n // 256:02x}:{n % 256:02x}"
        status, error, online, since = SessionStatus.ACTIVE, None, True, 134.0 - n
        if n in (3, 17, 18):
            status, online, since = SessionStatus.TIMEOUT, False, 12.0
        elif n in (5, 6, 21):
            status, online, since, error = SessionStatus.ERROR, False, 4.0, LOCKED
        elif n in (8, 9, 30, 31):
            status, online, since = SessionStatus.PENDING, False, 1.5
        elif n == 12:
            online, since = False, 44.0
        elif n > 34:
            status, online, since = SessionStatus.STOPPED, False, 900.0
        image = "Win11-Games" if n % 5 else "Ubuntu 26.04 LTS for the physics course"
        name = f"PC-{n:02d}" if n != 11 else "Teacher’s desk, window side"
        kept = MachineStatus.MAINTENANCE if n == 38 else MachineStatus.ACTIVE
        has = kept is MachineStatus.ACTIVE
        self.machines.append(
            MachineRow(
                id=n,
                name=name,
                mac=mac,
                ip=f"10.0.2.{10 + n}" if n % 9 else None,
                boot_mode=BootMode.UEFI if n % 4 else BootMode.BIOS,
                status=kept,
                location="Main building, 2nd floor",
                room="Lab 2" if n <= 20 else "Lab 3",
                asset_tag=f"A-{4100 + n}",
                notes="Fan is loud." if n == 7 else "",
                online=online,
                last_seen_at=self.ago(0 if online else since + 3),
                created_at=self.ago(60 * 24 * 40),
                version=1,
                session_id=n if has else None,
                session_status=status if has else None,
                session_error=error,
                session_since=self.ago(since) if has else None,
                image=image if has else None,
                drift=Drift.MISSING if n in MISSING and status is SessionStatus.PENDING else None,
            )
        )
        if not has:
            return
        ended = status not in (SessionStatus.ACTIVE, SessionStatus.PENDING)
        self.sessions.append(
            BootSessionRow(
                id=n,
                machine=name,
                machine_id=n,
                image=image,
                type=SessionType.DISKLESS_BOOT,
                status=status,
                stop_requested=False,
                connected=online,
                target_iqn=target_iqn(mac),
                initiator_iqn=initiator_iqn(mac),
                portal="10.0.2.1:3260",
                lun=1,
                client_address=f"10.0.2.{10 + n}" if online else None,
                bytes_read=self._random.randint(2, 60) * GIB // 7 if online else 0,
                bytes_written=self._random.randint(1, 30) * GIB // 90 if online else 0,
                host="lab-server",
                error=error or "",
                started_by="anna",
                created_at=self.ago(since + 2),
                ready_at=self.ago(since + 1),
                active_at=self.ago(since) if status is SessionStatus.ACTIVE else None,
                last_seen_at=self.ago(0 if online else since),
                expires_at=self.now + timedelta(minutes=8.5),
                ended_at=self.ago(since) if ended else None,
            )
        )
        if status is not SessionStatus.TIMEOUT:
            row = self.machines[-1]
            target = make_target(row, image, self.ago(since + 2), online=online, error=error)
            self.targets.append(target if not ended or error else as_kept(target))

    def _images(self) -> list[ImageRow]:
        rows = (
            ("Win11-Games", ImageStatus.READY, 80, 31.4, ImageFormat.VHDX, "", None),
            (
                "Ubuntu 26.04 LTS for the physics course",
                ImageStatus.READY,
                40,
                9.2,
                ImageFormat.QCOW2,
                "",
                None,
            ),
            ("Exam room, locked down", ImageStatus.READY, 60, 22.8, ImageFormat.VHD, "", None),
            ("Win11-Office 2026-11", ImageStatus.PROCESSING, 120, None, ImageFormat.VHDX, "", 64.0),
            ("Blender render node", ImageStatus.UPLOADING, None, None, None, "", 12.0),
            (
                "Old accounting disk",
                ImageStatus.ERROR,
                None,
                None,
                ImageFormat.VMDK,
                "The disk names another file as its backing file; only self-contained images "
                "can be imported.",
                None,
            ),
        )
        return [
            ImageRow(
                id=n,
                name=name,
                status=status,
                type=ImageType.SYSTEM if n != 5 else ImageType.DATA,
                notes="",
                host="lab-server",
                source_name=f"{name}.{(source or ImageFormat.RAW).lower()}",
                source_format=source,
                source_size_bytes=int((actual or 20) * GIB),
                source_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                sha256="d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
                if status is ImageStatus.READY
                else None,
                virtual_size_bytes=virtual * GIB if virtual and actual else None,
                actual_size_bytes=int(actual * GIB) if actual else None,
                version_number=1 if actual else None,
                verified_at=self.ago(60 * 30) if n == 1 else None,
                used_by={1: 27, 2: 7}.get(n, 0),
                error=error,
                created_at=self.ago(60 * 24 * (8 - n)),
                version=1,
                job_id={4: 2, 5: 3}.get(n),
                job_phase={4: "Converting", 5: "Copying"}.get(n),
                percent=percent,
                seconds_left={4: 118, 5: 640}.get(n),
            )
            for n, (name, status, virtual, actual, source, error, percent) in enumerate(rows, 1)
        ]

    def _jobs(self) -> list[JobRow]:
        rows = (
            (3, JobKind.IMAGE_IMPORT, JobStatus.RUNNING, "Blender render node", "Copying", 12.0),
            (
                2,
                JobKind.IMAGE_IMPORT,
                JobStatus.RUNNING,
                "Win11-Office 2026-11",
                "Converting",
                64.0,
            ),
            (4, JobKind.IMAGE_VERIFY, JobStatus.QUEUED, "Exam room, locked down", "", 0.0),
            (5, JobKind.TARGET_APPLY, JobStatus.FAILED, "PC-05, PC-06, PC-21", "", 0.0),
            (6, JobKind.IMAGE_CONVERT, JobStatus.SUCCEEDED, "Win11-Games", "", 100.0),
            (7, JobKind.IMAGE_IMPORT, JobStatus.CANCELLED, "Kiosk test", "", 31.0),
        )
        return [
            JobRow(
                id=job_id,
                kind=kind,
                status=status,
                object_name=name,
                host="lab-server",
                image_id=None,
                machine_id=None,
                phase=phase,
                percent=percent,
                bytes_done=int(percent / 100 * 40 * GIB),
                bytes_total=40 * GIB,
                bytes_per_s=312 * 2**20 if status is JobStatus.RUNNING else None,
                seconds_left={2: 118, 3: 640}.get(job_id),
                error=LOCKED if status is JobStatus.FAILED else "",
                error_details="/var/run/targetcli.lock was waited for 5 seconds."
                if status is JobStatus.FAILED
                else "",
                result={},
                cancel_requested=False,
                attempts=1,
                created_by_name="anna",
                created_at=self.ago(4 + job_id * 3),
                started_at=self.ago(3 + job_id * 3) if status is not JobStatus.QUEUED else None,
                finished_at=self.ago(job_id * 2)
                if status in (JobStatus.FAILED, JobStatus.SUCCEEDED, JobStatus.CANCELLED)
                else None,
            )
            for job_id, kind, status, name, phase, percent in rows
        ]


def make_feeds(room: Room, runner: DirectRunner, parent: QObject) -> Feeds:
    """Feeds that read the room."""
    return Feeds(
        machines=Feed(runner, room.list_machines, "machines", ("boot_sessions",), parent=parent),
        images=Feed(runner, room.list_images, "images", ("jobs",), parent=parent),
        targets=Feed(runner, room.list_targets, "targets", parent=parent),
        sessions=Feed(runner, room.list_sessions, "boot_sessions", parent=parent),
        jobs=Feed(runner, room.list_jobs, "jobs", parent=parent),
        hosts=Feed(runner, room.list_hosts, "hosts", by_id=False, parent=parent),
        opened=Feed(runner, room.list_open, "open_objects", by_id=False, parent=parent),
        users=Feed(
            runner,
            room.list_users,
            "users",
            ("sign_ins", "failed_sign_ins"),
            by_id=False,
            on_demand=True,
            parent=parent,
        ),
        settings=Feed(
            runner, room.list_settings, "settings", by_id=False, on_demand=True, parent=parent
        ),
    )


class Window:
    """The real shell and workspace over a room."""

    def __init__(self, app: QApplication, settings: QSettings, room: Room) -> None:
        self.room = room
        self.theme = Theme(app, settings)
        self.shell = MainWindow(settings, self.theme)
        self.runner = DirectRunner(room)
        self.importer = NoImporter()
        self.workspace = Workspace(
            self.shell,
            self.runner,
            make_feeds(room, self.runner, self.shell),
            self.importer,
            settings,
            user_id=room.me.user_id,
            person=room.me.name,
            role=room.me.role,
            server="lab-server (TLS)",
        )

    def end_jobs(self, kind: JobKind, **fields: Any) -> None:
        """Whatever is asked for from now on becomes a job of this kind that has ended at once."""

        def answer(*_args: Any) -> list[int]:
            job_id = max((job.id for job in self.room.jobs), default=0) + 1
            self.room.jobs.append(ended(job_id, kind, self.room.now, **fields))
            hint = {"jobs": {job_id}, "targets": None}
            QTimer.singleShot(0, self.shell, lambda: self.workspace.on_changed(hint))
            return [job_id]

        self.runner.answer = answer
