# SPDX-License-Identifier: GPL-3.0-or-later
"""What our own programs do that read files of strangers: give up all rights, answer in JSON.

``python -I -m ggnet_console.tools.PROGRAM UID ARGUMENT…`` (see ``Sandbox.own_program``). They start
as root because a virtual environment may lie where the sandbox's user cannot go, and give root up
after their imports, before they look at any file; UID ``-`` when there is nothing to give up.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def answer(work: Callable[..., Any]) -> None:
    """Give up all rights, call ``work`` with the arguments, and print the dataclass it returns."""
    _give_up_rights(None if sys.argv[1] == "-" else int(sys.argv[1]))
    say(json.dumps(asdict(work(*sys.argv[2:]))))


def say(line: object) -> None:
    """A line to the process that started this one: a number on the way, the answer at the end."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _give_up_rights(uid: int | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # Changing the user clears the parent-death signal, so it comes after that (prctl(2)).
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, int(value), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option})")  # no text
