# SPDX-License-Identifier: GPL-3.0-or-later
"""UPLOADING: the uploader's own process copies a file, with its own rights, into ``incoming``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ..config import Config
from ..db.engine import Database
from ..errors import CancelledError, ConsoleError, UnreachableError
from ..services import images
from ..services.images import ImageSpec, Upload
from ..tools import storage
from ..tools.copying import copy_in, open_regular
from ..values import shown
from .progress_pace import ProgressPace

_log = logging.getLogger(__name__)


def upload(
    database: Database,
    config: Config,
    source: Path,
    spec: ImageSpec,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    started: Callable[[Upload], None] = lambda _upload: None,
    progress: Callable[[float, int | None, int | None], None] = lambda _percent, _speed, _left: (
        None
    ),
    stop: threading.Event | None = None,
) -> Upload:
    """Copy ``source`` into this storage host's ``incoming`` folder and queue its processing.

    ``sha256`` and ``md5`` (hexadecimal) must match when given. ``started`` is told the new image
    and job, ``progress`` percent, bytes per second and seconds left; ``stop`` ends the copy from this process, ``job cancel`` from anywhere. Blocks until
    the copy is done: call it in a worker thread or a command. Raises ConsoleError; the image is
    then ERROR with the same sentence (or was never made), and nothing is left in ``incoming``.
    """
    storage.require_storage_host(config)
    source_fd = open_regular(source)
    try:
        size = os.fstat(source_fd).st_size
        storage.require_space(config.tree.incoming, source_fd)
        with database.begin() as session:
            begun = images.start_upload(session, spec, config.host, shown(source.name), size)
        started(begun)
        target = config.tree.incoming / str(begun.upload_id)
        reporter = _ProgressReporter(database, begun.job_id, stop or threading.Event(), progress)
        try:
            copied = copy_in(
                source_fd,
                target,
                expected_sha256=sha256,
                expected_md5=md5,
                progress=reporter.progress,
                tick=reporter.tick,
            )
            with database.begin() as session:
                images.finish_upload(session, begun.job_id, copied.size_bytes, copied.sha256)
        except BaseException as error:
            target.unlink(missing_ok=True)
            _fail(database, begun, error)
            raise
        return begun
    finally:
        os.close(source_fd)


def _fail(database: Database, begun: Upload, error: BaseException) -> None:
    cancelled = isinstance(error, CancelledError | KeyboardInterrupt)
    if cancelled:
        message = "The import was cancelled."
    elif isinstance(error, ConsoleError):
        message = error.summary
    else:
        message = "The import stopped because of a fault in the program; see its log."
    try:
        with database.begin() as session:
            images.fail_upload(session, begun.job_id, message, cancelled=cancelled)
    except ConsoleError as second:
        # The agent ends uploads that have fallen silent; the first error is what counts here.
        _log.warning("upload %s could not be marked as failed: %s", begun.job_id, second)


class _ProgressReporter:
    """Writes the progress of one upload and learns from it whether to stop."""

    def __init__(
        self,
        database: Database,
        job_id: int,
        stop: threading.Event,
        show: Callable[[float, int | None, int | None], None],
    ) -> None:
        self._database = database
        self._job_id = job_id
        self._stop = stop
        self._show = show
        self._pace = ProgressPace()

    def tick(self) -> None:
        if self._stop.is_set():
            raise CancelledError

    def progress(self, done: int, total: int) -> None:
        if not self._pace.due():
            return
        speed, left = self._pace.measure(done, total)
        fraction = done / total if total else 1.0
        self._show(fraction * 100, speed, left)
        try:
            with self._database.begin() as session:
                cancelled = images.note_upload(
                    session, self._job_id, fraction, done, total, speed, left
                )
        except UnreachableError:
            return  # the copy needs no database; the end of it does and will say so
        if cancelled:
            raise CancelledError
