# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what runs with what is wanted, and makes it so as people ask: plan, apply, undo."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial

from ..db.engine import Database
from ..enums import Drift
from ..errors import ConsoleError
from ..paths import Home
from ..services import observations, target_reports
from ..services.observations import Wanted
from ..tools.comparison import Comparison, Finding, compare_all
from ..tools.targets import TargetBackend, WantedTarget
from ..values import is_ours
from . import undo
from .keeper import TargetKeeper
from .reporter import Reporter
from .wishes import wanted_target

_log = logging.getLogger(__name__)


class Reconciler:
    """Wanted, running and saved targets of one host; methods may be called from any thread.

    All of them hold the keeper, so nothing changes between a look and what follows from it.
    """

    def __init__(
        self, database: Database, keeper: TargetKeeper, tree: Home, host_id: int, portal: str
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._tree = tree
        self._host_id = host_id
        self._portal = portal
        self._reporter = Reporter(database, host_id)

    def compare(self) -> Comparison:
        """Compare now, and report what has changed."""
        with self._keeper.hold() as backend:
            wanted = self._wanted()
            comparison = self._look(backend, wanted)
            self._reporter.write(
                comparison,
                {one.iqn: one.target_id for one in wanted},
                len(undo.read(self._tree.undo)),
            )
            return comparison

    def reconcile(self, iqns: Sequence[str] | None, cut: Set[str], tick: Callable[[], None]) -> int:
        """Make these targets (None: all) as wanted with the least change; how many were changed.

        Raises ConsoleError, with nothing changed, when initiators that are not in ``cut`` would
        lose a disk; and after trying all of them when some could not be made.
        """
        with self._keeper.hold() as backend:
            findings = self._to_change(backend, iqns)
            self._refuse_to_cut({name for one in findings for name in one.cut} - cut)
            return self._make(backend, findings, tick)

    def repair(self, *, set_saved_aside: bool, tick: Callable[[], None]) -> tuple[int, list[str]]:
        """Make as wanted what can be without cutting anybody off.

        Returns how many targets were changed, and the names of those that were left. With
        ``set_saved_aside`` a saved configuration that cannot be read is written anew first.
        """
        with self._keeper.hold() as backend:
            if set_saved_aside:
                backend.mend_saved()
            findings = self._to_change(backend, None)
            safe = [one for one in findings if not one.cut]
            return self._make(backend, safe, tick), [one.iqn for one in findings if one.cut]

    def undo(self, cut: Set[str]) -> int:
        """Make every target again what it was before the last ``reconcile``; how many there are.

        What is wanted stays as it is, so they show as drift. Raises as ``reconcile`` does.
        """
        with self._keeper.hold() as backend:
            before = undo.read(self._tree.undo)
            if not before:
                raise ConsoleError("There is nothing to undo: no apply has changed a target here.")
            lost = {name for iqn, former in before.items() for name in backend.cuts(iqn, former)}
            self._refuse_to_cut(lost - cut)
            failures: dict[str, ConsoleError] = {}
            for iqn, target in before.items():
                _try(failures, iqn, partial(_put, backend, iqn, target, cut))
            undo.write(self._tree.undo, {iqn: before[iqn] for iqn in failures})
            self.compare()
            _raise_for(failures)
            return len(before)

    def adopt(self, iqn: str) -> int:
        """Want this target, which others made, as it runs now; the new target's id.

        Raises ConsoleError when it runs no more, is ours, or cannot be made the same again.
        """
        with self._keeper.hold() as backend:
            found = next((one for one in backend.running() if one.iqn == iqn), None)
            subject = f"The target {iqn} cannot be adopted:"
            if found is None:
                raise ConsoleError(f"{subject} it does not run any more.")
            if is_ours(iqn):
                raise ConsoleError(f"{subject} it carries a name that only the console gives.")
            if found.oddity:
                raise ConsoleError(f"{subject} it {found.oddity}.")
            if found.chap is not None and not found.chap.secret:
                raise ConsoleError(
                    f"{subject} it asks for a CHAP secret that {backend.name} does not tell. "
                    "Take its CHAP account away first."
                )
            wanted = undo.as_wanted(found)
            differences = backend.differences(wanted, found)
            if differences:
                fields = "; ".join(
                    f"{one.field}: {one.found} instead of {one.wanted}" for one in differences
                )
                raise ConsoleError(f"{subject} the console would make it otherwise ({fields}).")
            sizes = {lun.lun: lun.size_bytes for lun in wanted.luns}
            with self._database.begin() as session:
                target_id = observations.adopt(session, self._host_id, found, sizes)
            try:
                backend.apply(wanted)  # runs so already: what changes is what is saved
            finally:
                self._reporter.forget()
                self.compare()
            return target_id

    def wanted(self, target_id: int) -> Wanted:
        """What is wanted of one target; ConsoleError when it is wanted no more."""
        with self._database.begin() as session:
            found = observations.list_wanted(session, self._host_id, [target_id])
        if not found:
            raise ConsoleError("This target no longer exists.")
        return found[0]

    # With the keeper held

    def _wanted(self) -> list[Wanted]:
        with self._database.begin() as session:
            return observations.list_wanted(session, self._host_id)

    def _look(self, backend: TargetBackend, wanted: Iterable[Wanted]) -> Comparison:
        return compare_all(backend, (wanted_target(self._tree, one) for one in wanted))

    def _to_change(self, backend: TargetBackend, iqns: Sequence[str] | None) -> list[Finding]:
        """What is not in step and ours to change."""
        findings = {one.iqn: one for one in self._look(backend, self._wanted()).findings}
        for iqn in iqns or ():
            if iqn not in findings:
                raise ConsoleError(f"There is no target {iqn} on this storage host.")
            if findings[iqn].is_foreign:
                raise ConsoleError(
                    f"The target {iqn} was made by others and is left alone; adopt it first."
                )
        return [
            one
            for one in findings.values()
            if one.drift is not Drift.IN_STEP
            and not one.is_foreign
            and (iqns is None or one.iqn in iqns)
        ]

    def _refuse_to_cut(self, unnamed: Set[str]) -> None:
        if unnamed:
            with self._database.begin() as session:
                names = sorted(target_reports.machine_names(session, unnamed).values())
            raise ConsoleError(
                f"Nothing was changed: {', '.join(names)} would lose the disk. Shut down what is "
                "logged in, or name it as what may be cut off."
            )

    def _make(
        self, backend: TargetBackend, findings: Sequence[Finding], tick: Callable[[], None]
    ) -> int:
        """Make these as wanted, after noting what they were; raises when some cannot be made."""
        if findings:
            undo.write(self._tree.undo, _before(findings))
        failures: dict[str, ConsoleError] = {}
        for one in findings:
            tick()
            _try(failures, one.iqn, partial(_put, backend, one.iqn, one.wanted, one.cut))
        made = {one.iqn for one in findings} - failures.keys()
        with self._database.begin() as session:
            for wanted in observations.list_wanted(session, self._host_id):
                if wanted.iqn in made:
                    observations.note_made(session, wanted, self._portal)
        self.compare()
        _raise_for(failures)
        return len(findings)


def _before(findings: Iterable[Finding]) -> undo.Before:
    """What these are now; without those whose file is gone, which nothing can bring back."""
    before: dict[str, WantedTarget | None] = {}
    for one in findings:
        try:
            before[one.iqn] = undo.as_wanted(one.running) if one.running else None
        except ConsoleError as error:
            _log.warning("the change of %s cannot be undone: %s", one.iqn, error)
    return before


def _put(backend: TargetBackend, iqn: str, target: WantedTarget | None, cut: Set[str]) -> None:
    if target is None:
        backend.remove(iqn, cut=cut)
    else:
        backend.apply(target, cut=cut)


def _try(failures: dict[str, ConsoleError], iqn: str, action: Callable[[], None]) -> None:
    try:
        action()
    except ConsoleError as error:
        _log.warning("target %s: %s (%s)", iqn, error, error.details)
        failures[iqn] = error


def _raise_for(failures: dict[str, ConsoleError]) -> None:
    if failures:
        first = next(iter(failures.values()))
        more = f" {len(failures) - 1} more could not be made either." if len(failures) > 1 else ""
        raise ConsoleError(
            first.summary + more, "\n".join(f"{iqn}: {error}" for iqn, error in failures.items())
        )
