# SPDX-License-Identifier: GPL-3.0-or-later
"""The user as whom the embedded server runs, and programs that are run as that user."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

from ..errors import ConsoleError, sentence
from ..program_call import ProgramCall

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}  # no PGPORT, PGDATA, PGOPTIONS


class ServerUser:
    """This process's user; for root ``postgres``, because PostgreSQL refuses to be root."""

    def __init__(self) -> None:
        self._user = pwd.getpwuid(os.geteuid())
        self._switch: dict[str, Any] = {}
        self._as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            self._user = _postgres()
            self._switch = {
                "user": self._user.pw_uid,
                "group": self._user.pw_gid,
                "extra_groups": [],
            }
            user, group = self._user.pw_name, str(self._user.pw_gid)
            self._as_user = ("setpriv", "--reuid", user, "--regid", group, "--clear-groups")

    @property
    def name(self) -> str:
        """Its name."""
        return self._user.pw_name

    @property
    def is_another(self) -> bool:
        """Whether it is not this process's user."""
        return bool(self._switch)

    def own(self, path: Path) -> None:
        """Give it a file or folder."""
        os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def try_run(self, argv: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``argv`` with ``text`` as its input; how it ended is for the caller."""
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env=_ENVIRONMENT,
            umask=0o077,
            check=False,
            **self._switch,
        )

    def run(self, argv: list[str], failure: str, text: str | None = None) -> str:
        """Run ``argv`` with ``text`` as its input, or without; its output, or ConsoleError(``failure``)."""
        done = self.try_run(argv, text or "")
        if done.returncode:
            raise ConsoleError(failure, self.details(done, text))
        return done.stdout

    def details(self, done: subprocess.CompletedProcess[str], text: str | None = None) -> str:
        """The command line as root repeats it, how it ended, and what it said."""
        call = ProgramCall((*self._as_user, *done.args), stdin=text)
        return call.details(done.returncode, done.stderr.strip() or done.stdout)


def user_name(uid: int) -> str:
    """The name of the user with this number, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _postgres() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise ConsoleError(
            sentence(
                "The system user “postgres”, as whom the database runs for root, does not exist; "
                "run “make install”."
            )
        ) from None
