# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages hand their work to in the demo room: no thread, no database, nothing to wait for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject

from ..errors import ConsoleError
from .reads import READS
from .room import Room

NOT_HERE = "This is the demo room: it does not do this, and nothing was changed."
NO_IMPORT = "This is the demo room: no file is read, and nothing is imported."


class RoomRunner(QObject):
    """Answers at once, in the main thread, what is asked of the services."""

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.room = room
        self.reads = dict(READS)

    def run(
        self,
        work: Callable[..., Any],
        *args: Any,
        done: Callable[[Any], object],
        failed: Callable[[ConsoleError], object],
        parent: QObject,  # noqa: ARG002 - it cannot go before the answer comes
    ) -> None:
        """Answer a call of ``work(session, *args)`` from the room."""
        try:
            value = self._answer(work, args)
        except ConsoleError as error:
            failed(error)
        else:
            done(value)

    def _answer(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        read = self.reads.get(function_of(work))
        if read is None:
            return self.write(work, args)
        return read(self.room, *args, **getattr(work, "keywords", {}))

    def write(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:  # noqa: ARG002
        """What is not read from the room; ConsoleError for what is not played here."""
        raise ConsoleError(NOT_HERE)


def function_of(work: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, of one that some arguments were bound to."""
    function: Callable[..., Any] = getattr(work, "func", work)
    return function


class NoImporter:
    """Imports nothing, and says so."""

    def start(
        self,
        source: Path,  # noqa: ARG002
        spec: Any,  # noqa: ARG002
        *,
        failed: Callable[[ConsoleError], None],
        **_rest: Any,
    ) -> None:
        """Refuse to import ``source``."""
        failed(ConsoleError(NO_IMPORT))
