# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads from the window: each file is copied in by a QThread of the console's own process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from shiboken6 import isValid

from ..config import Config
from ..db.engine import Database
from ..errors import ConsoleError, FaultError
from ..services.images import ImageSpec
from .named_thread import NamedThread
from .upload import upload


class Uploader(QObject):
    """Copies files in, each in a thread of its own; lives on the main thread."""

    _event = Signal(object)

    def __init__(self, database: Database, config: Config, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._database = database
        self._config = config
        self._uploads: set[_UploadThread] = set()
        self._event.connect(self._on_event)

    @property
    def active(self) -> int:
        """How many files are being copied."""
        return len(self._uploads)

    def start(
        self,
        source: Path,
        spec: ImageSpec,
        *,
        sha256: str | None,
        md5: str | None,
        started: Callable[[object], None],
        failed: Callable[[ConsoleError], None],
        parent: QObject,
    ) -> None:
        """Begin to copy ``source``.

        Exactly one of ``started`` (the image's row exists, copying goes on) and ``failed`` is
        called, on the main thread; what fails later stands in the image's and the job's row. A bug
        reaches ``sys.excepthook`` besides. When ``parent`` is gone by then, neither is called.
        """
        stop = threading.Event()
        told = threading.Event()

        def tell(callback: Callable[..., None], value: object) -> None:
            if not told.is_set():
                told.set()
                self._event.emit(lambda: callback(value) if isValid(parent) else None)

        def work() -> None:
            try:
                upload(
                    self._database,
                    self._config,
                    source,
                    spec,
                    sha256=sha256,
                    md5=md5,
                    started=lambda begun: tell(started, begun),
                    stop=stop,
                )
            except ConsoleError as error:
                tell(failed, error)
            except BaseException as error:  # noqa: BLE001 - a bug, shown by the crash dialog
                caught = error
                self._event.emit(lambda: sys.excepthook(type(caught), caught, caught.__traceback__))
                tell(failed, FaultError(caught))

        thread = _UploadThread(work, stop)
        self._uploads.add(thread)
        thread.finished.connect(self._on_finished)
        thread.start()

    def cancel(self) -> None:
        """Have all copies stop; nothing is left of them once there is none ``active`` any more."""
        for thread in self._uploads:
            thread.stop_copying.set()

    @Slot(object)
    def _on_event(self, event: Callable[[], None]) -> None:
        event()

    @Slot()
    def _on_finished(self) -> None:
        self._uploads = {thread for thread in self._uploads if not thread.isFinished()}


class _UploadThread(NamedThread):
    def __init__(self, work: Callable[[], None], stop: threading.Event) -> None:
        super().__init__("upload")
        self._work = work
        self.stop_copying = stop

    def run(self) -> None:
        self._work()
