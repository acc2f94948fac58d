# SPDX-License-Identifier: GPL-3.0-or-later
"""targetcli's own lock: whoever changes LIO holds it, and who holds it is named."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import sentence
from ..locks import FileLock
from .target_backend import LockedError

LOCK = Path("/var/run/targetcli.lock")
"""What targetcli (and its daemon targetclid) flock(2) while they run."""
_POLL_S = 0.05


@contextmanager
def targetcli_lock(timeout_s: float, path: Path = LOCK) -> Iterator[None]:
    """Hold targetcli's lock, waiting at most ``timeout_s`` seconds for it (0: not at all).

    Raises LockedError, which names who holds it by process and command.
    """
    lock = FileLock(path)
    deadline = time.monotonic() + timeout_s
    while not lock.try_exclusive():
        if time.monotonic() >= deadline:
            waited = f"{path} was waited for {timeout_s:g} seconds."
            raise LockedError(
                sentence(
                    "Nothing was changed: the kernel's targets are locked by {holder}. Leave that "
                    "program (in targetcli: exit), then try again.",
                    holder=_holder(path),
                ),
                waited,
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Who holds the flock, from /proc/locks (proc(5)), in words."""
    file = path.stat()
    key = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in Path("/proc/locks").read_text("ascii").splitlines():
        fields = line.split()  # number: [->] FLOCK ADVISORY WRITE pid device:inode from to
        if "->" not in fields and fields[1] == "FLOCK" and fields[5] == key:
            return _process(int(fields[4]))
    return sentence("a program that has just ended")


def _process(pid: int) -> str:
    try:
        argv = Path("/proc", str(pid), "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:  # it ended, and a child of its own keeps the lock
        return sentence("a child of process {process}, which has ended", process=pid)
    command = " ".join(os.fsdecode(each) for each in argv)
    return sentence("“{command}” (process {process})", command=command, process=pid)
