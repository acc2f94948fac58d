# SPDX-License-Identifier: GPL-3.0-or-later
"""The login test: tries a target as its machine would, by a real discovery and a real login.

The observer (``login_observer``) is told, so that nobody takes it for the machine's; what it did it
keeps in a file (``login_test_file``).
"""

from __future__ import annotations

import time
from typing import Any

from ...errors import ConsoleError, sentence
from ...services.agent_targets import Wanted
from ...tools import initiator
from ...tools.initiator import Attempt
from ...tools.portals import portal_name
from ...tools.target_backend import TargetBackend
from .target_keeper import TargetKeeper

_GONE_S = 5.0
_POLL_S = 0.02


def try_login(
    keeper: TargetKeeper, wanted: Wanted, portal: tuple[str, int]
) -> list[dict[str, Any]]:
    """What happened, as ``services.target_plans.LoginStep`` in plain words.

    The detail of a step that went wrong begins with the command line that tries it again.

    Called by a job thread; holds the keeper, so that nobody looks while the test is logged in.
    Raises ConsoleError when there is nothing to log in with or to, or a program is missing.
    """
    if not wanted.initiators or not wanted.disks:
        raise ConsoleError(
            sentence("The target {iqn} has no initiator or no LUN to try.", iqn=wanted.iqn)
        )
    name = min(wanted.initiators)
    lun = wanted.disks[0].lun
    address = portal_name(*portal)
    steps = []

    def note(step: str, attempt: Attempt, *, should_work: bool = True) -> None:
        is_ok = attempt.worked is should_work
        hint = ""
        if not attempt.worked and should_work and not wanted.is_open:
            hint = " The target is closed: it lets its machine in while a session is open."
        detail = (attempt.answer if is_ok else attempt.details) + hint
        steps.append({"step": step, "ok": is_ok, "detail": detail})

    with keeper.hold() as backend:
        before = {one.key for one in backend.connections()}
        note(
            f"Discover at {address}",
            initiator.discover(address, wanted.iqn, name, wanted.chap),
        )
        if wanted.chap is not None:
            note(
                "Without the CHAP secret the login is refused",
                initiator.log_in(address, wanted.iqn, lun, name),
                should_work=False,
            )
        note(
            f"Log in as {name}" + (f" with CHAP as {wanted.chap.user}" if wanted.chap else ""),
            initiator.log_in(address, wanted.iqn, lun, name, wanted.chap),
        )
        _wait_until_gone(backend, wanted.iqn, before)
        keeper.observer.note_test_login(wanted.iqn)
    return steps


def _wait_until_gone(backend: TargetBackend, iqn: str, before: set[str]) -> None:
    """A logout is seen a moment later; nobody else is to see our login."""
    deadline = time.monotonic() + _GONE_S
    while any(one.key not in before and one.target_iqn == iqn for one in backend.connections()):
        if time.monotonic() > deadline:
            return  # the machine itself came meanwhile
        time.sleep(_POLL_S)
