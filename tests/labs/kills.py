# SPDX-License-Identifier: GPL-3.0-or-later
"""In the guest: do a piece of work again and again, killed before each of its steps in turn.

The steps are found, not listed: Python tells an audit hook of every call that changes a file
system, rtslib's as well as ours.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ggnet_console.tools.lio import Lio
from ggnet_console.tools.targets import WantedTarget

_CHANGES = {"open", "os.mkdir", "os.rmdir", "os.symlink", "os.remove", "os.rename"}
_WATCHED = ("/sys/kernel/config", "/etc/rtslib-fb-target")


def outcomes(
    portals: Sequence[tuple[str, int]],
    before: WantedTarget | None,
    wanted: WantedTarget | None,
    iqn: str,
    observe: Callable[[], object],
) -> Iterator[tuple[Any, ...]]:
    """What runs, what is saved and what ``observe`` sees when ``before`` was to become ``wanted``.

    The first outcome is that of undisturbed work; one follows for every step, where a first
    attempt was killed before it and a second one, by a new process, was not.
    """

    def work(target: WantedTarget | None) -> Lio:
        lio = Lio(portals)
        lio.start()
        if target is None:
            lio.remove(iqn)
        else:
            lio.apply(target)
        return lio

    deadly = -1
    was_killed = True
    while was_killed:
        work(None)
        work(before)
        was_killed = _killed(lambda: work(wanted), deadly) or deadly < 0
        if was_killed:
            lio = work(wanted)
            yield lio.running(), lio.saved().targets, observe()
        deadly += 1


def _killed(work: Callable[[], object], deadly: int) -> bool:
    """Whether ``work``, in a process of its own, had a step of this number, before which it died."""
    child = os.fork()
    if child == 0:
        sys.addaudithook(_Executioner(deadly))
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.WEXITSTATUS(status):
        raise AssertionError(f"the work itself failed ({status})")
    return False


class _Executioner:
    def __init__(self, deadly: int) -> None:
        self._left = deadly

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES:
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        paths = (each for each in arguments if isinstance(each, (str, bytes, os.PathLike)))
        if any(os.fsdecode(path).startswith(_WATCHED) for path in paths):
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
