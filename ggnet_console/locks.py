# SPDX-License-Identifier: GPL-3.0-or-later
"""One lock between processes: flock(2) on a file, which the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from .errors import ConsoleError, sentence

_POLL_S = 0.02


class FileLock:
    """A lock on the file at ``path``, made when missing (0600) and never removed.

    Each object is a holder of its own, also within one process. The descriptor is not inherited
    by programs that are started (O_CLOEXEC), so that a server we start does not hold our locks.
    Opening the file may raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def try_exclusive(self) -> bool:
        """Become the only holder now, or answer False.

        A holder of the shared lock asks for more with this; on False it holds nothing any more
        (flock(2): a conversion is not atomic).
        """
        return self._try(fcntl.LOCK_EX)

    def exclusive(self, timeout_s: float) -> None:
        """Become the only holder, waiting ``timeout_s`` seconds; then ConsoleError."""
        self._wait(fcntl.LOCK_EX, timeout_s)

    def shared(self, timeout_s: float) -> None:
        """Become one of several holders, waiting ``timeout_s`` seconds; then ConsoleError."""
        self._wait(fcntl.LOCK_SH, timeout_s)

    def release(self) -> None:
        """Let go; harmless when nothing is held."""
        if self._descriptor is None:
            return
        # Unlocked by name: a child between fork and exec still has a copy of the descriptor.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None

    def _try(self, operation: int) -> bool:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def _wait(self, operation: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._try(operation):
            if time.monotonic() > deadline:
                raise ConsoleError(
                    sentence(
                        "Another GGnet program has kept {path} locked for {seconds:.0f} s; wait "
                        "for it to finish, or end it, and try again.",
                        path=self.path,
                        seconds=timeout_s,
                    )
                )
            time.sleep(_POLL_S)
