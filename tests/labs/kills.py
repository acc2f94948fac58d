# SPDX-License-Identifier: GPL-3.0-or-later
"""In the guest: do a piece of work again and again, disturbed before each of its steps in turn.

The steps are found, not listed: Python tells an audit hook of every call that changes a file
system, rtslib's as well as ours.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.lio import Lio
from ggnet_console.tools.target_backend import WantedTarget

_CHANGES = {"open", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.remove", "os.rename"}
_WATCHED = ("/sys/kernel/config", "/etc/rtslib-fb-target")
_REFUSED = 3
_Portals = Sequence[tuple[str, int]]


def work(portals: _Portals, iqn: str, target: WantedTarget | None) -> Lio:
    """What an agent that has just started does to make this target so (None: to have it gone)."""
    lio = Lio(portals)
    lio.start()
    if target is None:
        lio.remove(iqn)
    else:
        lio.apply(target)
    return lio


def after_kills(
    portals: _Portals,
    before: WantedTarget | None,
    wanted: WantedTarget | None,
    iqn: str,
    observe: Callable[[], object],
) -> Iterator[tuple[Any, ...]]:
    """What runs, what is saved and what ``observe`` sees when ``before`` was to become ``wanted``.

    The first outcome is that of undisturbed work; one follows for every step, where a first
    attempt was killed before it and a second one, by a new process, was not.
    """
    deadly = -1
    was_killed = True
    while was_killed:
        work(portals, iqn, None)
        work(portals, iqn, before)
        was_killed = killed(deadly, lambda: work(portals, iqn, wanted)) or deadly < 0
        if was_killed:
            lio = work(portals, iqn, wanted)
            yield lio.running(), lio.saved().targets, observe()
        deadly += 1


def after_failures(
    prepare: Callable[[], object], attempt: Callable[[], object], observe: Callable[[], object]
) -> Iterator[tuple[bool, object, object]]:
    """Whether the attempt was refused, and what was seen before and after it, step by step.

    Each time one step fails as on a broken disk. The last attempt has no step of that number.
    """
    failing = 0
    has_failed = True
    while has_failed:
        prepare()
        before = observe()
        status, has_failed = _forked(_Saboteur(failing), attempt)
        was_refused = os.WEXITSTATUS(status) == _REFUSED
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) not in {0, _REFUSED}:
            raise AssertionError(f"the work itself failed ({status})")
        yield was_refused, before, observe()
        failing += 1


def killed(deadly: int, action: Callable[[], object]) -> bool:
    """Whether ``action``, in a process of its own, had a step of this number, before which it died."""
    status, _ = _forked(_Executioner(deadly), action)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.WEXITSTATUS(status):
        raise AssertionError(f"the work itself failed ({status})")
    return False


def _forked(hook: _Hook, action: Callable[[], object]) -> tuple[int, bool]:
    """The status of a process that does this, and whether its hook did anything."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        hook.writer = writer
        sys.addaudithook(hook)
        try:
            action()
        except ConsoleError:
            os._exit(_REFUSED)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    acted = os.read(reader, 1) != b""
    os.close(reader)
    return status, acted


class _Hook:
    """Does something before one step."""

    writer = -1

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES:
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        paths = (each for each in arguments if isinstance(each, (str, bytes, os.PathLike)))
        if any(os.fsdecode(path).startswith(_WATCHED) for path in paths):
            self._left -= 1
            if self._left == -1:
                os.write(self.writer, b"x")
                self.act()

    def act(self) -> None:
        raise NotImplementedError


class _Executioner(_Hook):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class _Saboteur(_Hook):
    def act(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
