# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted, running and saved side by side: what of each target is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..enums import Drift
from ..values import is_ours
from .target_backend import (
    Connection,
    Difference,
    RunningTarget,
    TargetBackend,
    WantedTarget,
)


@dataclass(frozen=True)
class Finding:
    """One target from all sides; ``cut`` are the initiators that ``apply`` would cut off.

    ``saved_differences`` are empty where nothing is saved, or what is saved cannot be read.
    """

    iqn: str
    drift: Drift
    wanted: WantedTarget | None
    running: RunningTarget | None
    saved: RunningTarget | None
    running_differences: tuple[Difference, ...]
    saved_differences: tuple[Difference, ...]
    cut: frozenset[str]

    @property
    def is_foreign(self) -> bool:
        """Whether others made it: nobody wants it, and it carries no name of ours."""
        return self.wanted is None and not is_ours(self.iqn)


@dataclass(frozen=True)
class Comparison:
    """All targets of a host, by name, and why what is saved could not be read."""

    findings: tuple[Finding, ...]
    connections: tuple[Connection, ...]
    saved_problem: str


def compare_all(backend: TargetBackend, wanted: Iterable[WantedTarget]) -> Comparison:
    """Compare everything on this backend with what is wanted of it; raises ConsoleError."""
    wanted_by_iqn = {one.iqn: one for one in wanted}
    running = {one.iqn: one for one in backend.running()}
    stored = backend.saved()
    saved: Mapping[str, RunningTarget] | None = None
    if stored is not None and not stored.problem:
        saved = {one.iqn: one for one in stored.targets}
    connections = backend.connections()
    names = sorted({*wanted_by_iqn, *running, *(saved or {})})
    return Comparison(
        tuple(
            _find(backend, name, wanted_by_iqn.get(name), running.get(name), saved)
            for name in names
        ),
        connections,
        stored.problem if stored is not None else "",
    )


def _find(
    backend: TargetBackend,
    iqn: str,
    wanted: WantedTarget | None,
    running: RunningTarget | None,
    saved: Mapping[str, RunningTarget] | None,
) -> Finding:
    found = _differences(backend, wanted, running)
    stored = saved.get(iqn) if saved is not None else None
    if saved is None:
        of_saved: tuple[Difference, ...] = ()
    else:
        of_saved = _differences(backend, wanted, stored)
    if wanted is None:
        drift = Drift.EXTRA
    elif running is None:
        drift = Drift.MISSING
    else:
        drift = Drift.DIFFERENT if found or of_saved else Drift.IN_STEP
    changes = running is not None and drift is not Drift.IN_STEP
    cut = backend.cuts(iqn, wanted) if changes else frozenset()
    return Finding(iqn, drift, wanted, running, stored, found, of_saved, cut)


def _differences(
    backend: TargetBackend, wanted: WantedTarget | None, found: RunningTarget | None
) -> tuple[Difference, ...]:
    if wanted is None:
        return () if found is None else (Difference("target", "", "there"),)
    if found is None:
        return (Difference("target", "there", ""),)
    return backend.differences(wanted, found)
