# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs programs on files of strangers: without root, without new rights, within resource limits."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from . import process

_FIRST_UID = 61184
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
        return self.limited([process.find("setpriv"), *identity, *privileges, "--", *inner], limits)

    @staticmethod
    def limited(argv: Sequence[str], limits: Limits) -> list[str]:
        """``argv`` under resource limits only, for a program that gives up its rights itself."""
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


def _possible(limit: int, wanted: int) -> int:
    """``wanted``, or less where this process is limited itself: only root may raise a limit."""
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
