# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages hand their work to in the demo room: no thread, no database, nothing to wait for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from ..errors import ConsoleError, sentence
from .reads import READS
from .room import Room
from .writes import WRITES

NOT_HERE = sentence("This is the demo room: that is not done here, and nothing is changed.")
NO_IMPORT = sentence("This is the demo room: no file is read, and nothing is imported.")


class RoomRunner(QObject):
    """Answers at once, in the main thread, what is asked of the services."""

    changed = Signal(object)
    """Hints, as the listener's: the ids of changed rows by table."""

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
        self.tell()

    def tell(self) -> None:
        """Hint at all that has changed in the room."""
        if self.room.hints:
            hints, self.room.hints = self.room.hints, {}
            self.changed.emit(hints)

    def _answer(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        read = self.reads.get(function_of(work))
        if read is None:
            return self.write(work, args)
        return read(self.room, *args, **getattr(work, "keywords", {}))

    def write(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do it to the room; ConsoleError for what is not done here."""
        do = WRITES.get(function_of(work))
        if do is None:
            raise ConsoleError(NOT_HERE)
        return do(self.room, *args, **getattr(work, "keywords", {}))


def function_of(work: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, of one that some arguments were bound to."""
    function: Callable[..., Any] = getattr(work, "func", work)
    return function


class NoUploader:
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
