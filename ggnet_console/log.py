# SPDX-License-Identifier: GPL-3.0-or-later
"""One structured log per process: JSON lines with the user, job and machine in question."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import logging.handlers
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


def start(folder: Path, program: str, level: str = "INFO") -> Path:
    """Log to ``folder``/``program``.jsonl (5 MiB, three old ones kept); returns the file."""
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
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=5 * 2**20, backupCount=3, encoding="utf-8"
    )
    handler.setFormatter(Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    set_process(program=program)
    return file
