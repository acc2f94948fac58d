# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs programs on files of strangers: without root, without new rights, within resource limits."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConsoleError, sentence
from . import process

_FIRST_UID = 61184
_END_S, _POLL_S = 5.0, 0.02
_UID_COUNT = 4000
"""Inside systemd's range for DynamicUser= (systemd.io/UIDS-GIDS), 61184-65519: no passwd entry."""


@dataclass(frozen=True)
class Limits:
    """Resource limits of one program (setrlimit(2)); core dumps are always off."""

    cpu_s: int
    file_size_bytes: int
    address_space_bytes: int = 4 * 2**30
    open_files: int = 64


@dataclass(frozen=True)
class Sandbox:
    """Whom untrusted work runs as: a numeric user of the job's own, or this process's user.

    The sandboxed program gets its files as open descriptors (``pass_fds``, ``/proc/self/fd/N``):
    it needs no way through the folders they lie in, and cannot put anything in their place.
    """

    uid: int | None
    """None when this process is not root and cannot become anybody else."""

    @classmethod
    def for_job(cls, number: int) -> Sandbox:
        """The sandbox of job ``number``; jobs that run at the same time get different users."""
        return cls(_FIRST_UID + number % _UID_COUNT if os.geteuid() == 0 else None)

    def own(self, fd: int) -> None:
        """Let this sandbox, and besides root nobody else, read and write an open file."""
        if self.uid is not None:
            os.fchown(fd, self.uid, self.uid)
        os.fchmod(fd, 0o600)

    def lend(self, fd: int, tick: Callable[[], None] = lambda: None) -> int:
        """Open a file anew, so that this sandbox may read it and no longer write it.

        What escaped from its group and still runs in the sandbox is killed: it could write into
        the file after it was proved. ConsoleError when that cannot be ended. None of this job's
        programs may run; ``tick`` is called while something is waited for.
        """
        if self.uid is not None:
            os.fchown(fd, 0, self.uid)
            os.fchmod(fd, 0o440)
            deadline = time.monotonic() + _END_S
            while left := self._escaped():
                if time.monotonic() > deadline:
                    raise ConsoleError(
                        sentence(
                            "A program that works on the image cannot be ended (process {process}); "
                            "restart the storage host.",
                            process=left[0],
                        )
                    )
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                tick()
                time.sleep(_POLL_S)
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)

    def _escaped(self) -> list[int]:
        """What runs as this sandbox's user, and whoever started it has ended.

        Its parent is the next reaper above us (PR_SET_CHILD_SUBREAPER, at last process 1); that of
        another agent's program is that agent. A service that systemd runs under the same number
        (DynamicUser=) has such a parent, too, but a control group of its own, which nothing in the
        sandbox can leave for another. Which files it holds does not count: a descriptor may be on
        its way through a socket.
        """
        above = {os.getpid()}
        own = process = _Process.find(os.getpid())
        while process is not None and process.parent:
            above.add(process.parent)
            process = _Process.find(process.parent)
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            top = _Process.find(pid)
            if top is None or own is None or top.uid != self.uid or top.is_over:
                continue
            if top.control_groups != own.control_groups:
                continue
            while (parent := _Process.find(top.parent)) is not None and parent.uid == self.uid:
                top = parent
            if top.parent in above:
                found.append(pid)
        return found

    def new_file(self, path: Path) -> int:
        """Open a new, empty file that this sandbox may write; what an earlier attempt left goes."""
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.own(fd)
        return fd

    def wrap(self, argv: Sequence[str], limits: Limits) -> list[str]:
        """``argv`` as this sandbox's user, with no-new-privs and rlimits (setpriv(1), prlimit(1)).

        The program is killed when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2):
        the *thread*, not the process), so a job's programs cannot outlive its worker.
        """
        identity = (
            ["--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups"]
            if self.uid is not None
            else []
        )
        privileges = ["--no-new-privs", "--pdeathsig", "KILL"]
        inner = [process.find(argv[0]), *argv[1:]]
        return self._limited(
            [process.find("setpriv"), *identity, *privileges, "--", *inner], limits
        )

    def own_program(self, name: str, arguments: Sequence[str], limits: Limits) -> list[str]:
        """One of this package's programs, which becomes this sandbox's user itself (`sandboxed`)."""
        identity = "-" if self.uid is None else str(self.uid)
        program = [sys.executable, "-I", "-m", f"{__package__}.{name}", identity]
        return self._limited([*program, *arguments], limits)

    @staticmethod
    def _limited(argv: Sequence[str], limits: Limits) -> list[str]:
        """``argv`` under resource limits."""
        return [
            process.find("prlimit"),
            f"--as={_possible(resource.RLIMIT_AS, limits.address_space_bytes)}",
            f"--fsize={_possible(resource.RLIMIT_FSIZE, limits.file_size_bytes)}",
            f"--cpu={_possible(resource.RLIMIT_CPU, limits.cpu_s)}",
            f"--nofile={_possible(resource.RLIMIT_NOFILE, limits.open_files)}",
            "--core=0",
            "--",
            *argv,
        ]


@dataclass(frozen=True)
class _Process:
    """A process as proc(5) shows it."""

    parent: int
    uid: int
    is_over: bool
    """All of it: a first thread that has ended shows as a zombie while the others go on."""
    control_groups: str
    """See cgroups(7)."""

    @classmethod
    def find(cls, pid: int) -> _Process | None:
        """None when it has ended."""
        folder = Path("/proc", str(pid))
        try:
            status = (folder / "status").read_text("utf-8", "replace")
            control_groups = (folder / "cgroup").read_text("utf-8", "replace")
        except OSError:
            return None
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return cls(
            int(fields["PPid"]),
            int(fields["Uid"].split()[0]),
            fields["State"].split()[0] == "Z" and int(fields["Threads"]) == 1,
            control_groups,
        )


def _possible(limit: int, wanted: int) -> int:
    """``wanted``, or less where this process is limited itself: only root may raise a limit."""
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
