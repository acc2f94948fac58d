# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend choice: what serves a storage host, LIO in the kernel or tgt, and why."""

from __future__ import annotations

from dataclasses import dataclass

from ...config import Config
from ...enums import BackendChoice
from ...tools.lio_host import lio_available
from ...tools.lio_saved import saved_path
from ...tools.target_backend import TargetBackend
from ...tools.tgt import Tgt


@dataclass(frozen=True)
class Selection:
    """What is to serve (LIO or TGT, never AUTO), and the reason in words for people."""

    backend: BackendChoice
    reason: str


def select(config: Config, chosen: BackendChoice) -> Selection:
    """The configuration's word, else what an admin chose, else LIO where it can run.

    Where LIO was chosen but cannot run, tgt serves and the reason says so.
    """
    pinned = config.backend_choice
    wanted = pinned or chosen
    who = "this host's configuration says so" if pinned else "an admin chose it"
    if wanted is BackendChoice.TGT:
        return Selection(wanted, who)
    problem = lio_available()
    if problem:
        return Selection(BackendChoice.TGT, problem)
    found = "found by itself: root, and the kernel has LIO"
    saved = config.saved_config or saved_path()
    return Selection(
        BackendChoice.LIO,
        f"{who if wanted is BackendChoice.LIO else found}; it saves in {saved}",
    )


def select_at_start(chosen: Selection, last: BackendChoice | None) -> Selection:
    """What an agent begins with: what ran last, where that still can, else what is ``chosen``.

    Machines may be running from it; it is changed over from as ever, once nobody would miss it.
    """
    if last is None or last is chosen.backend:
        return chosen
    if last is BackendChoice.LIO and lio_available():
        return chosen
    return Selection(last, waiting_for(chosen))


def waiting_for(chosen: Selection) -> str:
    """The reason why something else than ``chosen`` serves for now."""
    return f"{chosen.backend.lower()} takes over when no target is in use"


def make_backend(backend: BackendChoice, config: Config) -> TargetBackend:
    """The backend that ``select`` named; it does nothing yet."""
    if backend is BackendChoice.LIO:
        from ...tools.lio import Lio  # noqa: PLC0415 - rtslib, which tgt does not need

        return Lio(config.portals, saved_file=config.saved_config)
    return Tgt(config.tree.tgt_socket, config.portals, config.tree.logs / "tgtd.log")
