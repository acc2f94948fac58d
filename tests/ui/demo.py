# SPDX-License-Identifier: GPL-3.0-or-later
"""The window over the demo room, for tests: what is asked for is recorded, and answered as prepared."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from ggnet_console.demo.jobs import new_job
from ggnet_console.demo.room import Room
from ggnet_console.demo.room_window import RoomWindow
from ggnet_console.demo.runner import RoomRunner
from ggnet_console.enums import JobKind, JobStatus
from ggnet_console.services.images import Upload


class RecordingRunner(RoomRunner):
    """Reads are the room's; whatever else is asked for gets the answer of the test."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.answer: Callable[..., Any] | None = None

    def write(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self.calls.append((work, args))
        return None if self.answer is None else self.answer(*args)


class RecordingUploader:
    """Remembers what it was asked to import."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, Any]] = []

    def start(self, source: Path, spec: Any, **rest: Any) -> None:
        self.asked.append((source, spec))
        rest["started"](Upload(1, 1, uuid.uuid4()))


class Window(RoomWindow):
    """The real window and workspace over a room."""

    def __init__(self, app: QApplication, settings: QSettings, room: Room) -> None:
        runner = RecordingRunner(room)
        self.uploader = RecordingUploader()
        super().__init__(app, settings, room, runner, self.uploader, "lab-server (TLS)")
        self.runner: RecordingRunner = runner

    def end_jobs(self, kind: JobKind, **fields: Any) -> None:
        """Whatever is asked for from now on becomes a job of this kind that has ended at once."""

        def answer(*_args: Any) -> list[int]:
            job_id = max((job.id for job in self.room.jobs), default=0) + 1
            now = self.room.now
            ended = {"status": JobStatus.SUCCEEDED, "percent": 100.0, "finished_at": now}
            self.room.jobs.append(new_job(job_id, kind, now, started_at=now, **ended | fields))
            hint = {"jobs": {job_id}, "targets": None}
            QTimer.singleShot(0, self.main_window, lambda: self.workspace.on_changed(hint))
            return [job_id]

        self.runner.answer = answer
