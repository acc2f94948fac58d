# SPDX-License-Identifier: GPL-3.0-or-later
"""One structured log per process: JSON lines with the user, job and machine in question."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import logging.handlers
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .locks import FileLock

_MAX_BYTES = 5 * 2**20
_OLD_FILES = 3
_ROTATION_TIMEOUT_S = 2.0

_context: contextvars.ContextVar[tuple[tuple[str, Any], ...]] = contextvars.ContextVar(
    "log_context", default=()
)
_process: dict[str, Any] = {}


@contextlib.contextmanager
def context(**values: Any) -> Iterator[None]:
    """Add fields (``job=…``, ``machine=…``) to every record logged inside the block."""
    token = _context.set((*_context.get(), *values.items()))
    try:
        yield
    finally:
        _context.reset(token)


def set_process(**values: Any) -> None:
    """Fields of every record of this process from now on, such as the signed-in user."""
    _process.update(values)


class _SharedFileHandler(logging.handlers.WatchedFileHandler):
    """Follows the file when another process rotates it, and rotates it when it is full."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self._file = file
        self._lock_file = FileLock(file.with_suffix(".lock"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream and os.fstat(self.stream.fileno()).st_size >= _MAX_BYTES:
                self._rotate()
            super().emit(record)
        except Exception:  # noqa: BLE001 - as in logging itself: a log that is gone ends no program
            self.handleError(record)

    def _rotate(self) -> None:
        self._lock_file.exclusive(_ROTATION_TIMEOUT_S)
        try:
            if self._file.stat().st_size < _MAX_BYTES:
                return  # another process has just done it
            names = [self._file, *(Path(f"{self._file}.{n + 1}") for n in range(_OLD_FILES))]
            for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
                if newer.exists():
                    newer.replace(older)
        finally:
            self._lock_file.release()


def start(folder: Path, program: str, level: str = "INFO") -> Path:
    """Log to ``folder``/``program``.jsonl (5 MiB, three old ones kept); returns the file.

    Several processes may log to one file.
    """
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415 - only processes that log pay

    class Formatter(JsonFormatter):
        def add_fields(
            self,
            log_data: dict[str, Any],
            record: logging.LogRecord,
            message_dict: dict[str, Any],
        ) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat()
            log_data["pid"] = record.process
            log_data.update(_process)
            log_data.update(dict(_context.get()))

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{program}.jsonl"
    handler = _SharedFileHandler(file)
    handler.setFormatter(Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    set_process(program=program)
    return file
