# SPDX-License-Identifier: GPL-3.0-or-later
"""Being an initiator ourselves: discovery and login with libiscsi's programs, to try a target."""

from __future__ import annotations

from dataclasses import dataclass

from .process import Completed, run
from .target_backend import Chap

_TIMEOUT_S = 5.0
"""The portal is this computer's own; meanwhile nobody watches the machines."""


@dataclass(frozen=True)
class Attempt:
    """How a discovery or login went; ``answer`` is what the program said.

    ``details`` are the program's command line to be repeated, how it ended, and the answer.
    """

    worked: bool
    answer: str
    details: str


def discover(portal: str, iqn: str, initiator: str, chap: Chap | None = None) -> Attempt:
    """Ask a portal for its targets (SendTargets, RFC 3720 appendix D); works if ``iqn`` is told.

    Raises ConsoleError when the program is missing or hangs.
    """
    done = _run(["iscsi-ls", "-i", initiator, f"iscsi://{portal}"], chap)
    text = done.stdout.decode("utf-8", "replace").strip()
    told = {line.removeprefix("Target:").split(" ")[0] for line in text.splitlines()}
    if done.returncode != 0:
        return Attempt(False, done.messages, done.details)
    if iqn not in told:
        answer = f"The portal {portal} does not tell this initiator of the target."
        return Attempt(False, answer, done.call.details(done.returncode, answer))
    answer = next(line for line in text.splitlines() if f"Target:{iqn} " in line)
    return Attempt(True, answer, done.details)


def log_in(portal: str, iqn: str, lun: int, initiator: str, chap: Chap | None = None) -> Attempt:
    """Log in, ask the LUN what it is (INQUIRY), and log out again; raises as ``discover`` does."""
    done = _run(["iscsi-inq", "-i", initiator, f"iscsi://{portal}/{iqn}/{lun}"], chap)
    worked = done.returncode == 0
    text = done.stdout.decode("utf-8", "replace").strip()
    return Attempt(worked, text if worked else done.messages, done.details)


def _run(argv: list[str], chap: Chap | None) -> Completed:
    # The environment is this user's and root's to read; arguments are everybody's.
    variables = (
        {"LIBISCSI_CHAP_USERNAME": chap.user, "LIBISCSI_CHAP_PASSWORD": chap.secret} if chap else {}
    )
    secrets = [chap.secret] if chap else []
    return run(argv, timeout_s=_TIMEOUT_S, env=variables, secrets=secrets)
