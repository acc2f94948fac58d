# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconciles what runs with what is wanted, the desired state: compare, apply, repair, undo, adopt.

What differs is drift; ``drift_reporter`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from ...db.engine import Database
from ...enums import Drift
from ...errors import ConsoleError, sentence
from ...paths import Home
from ...services import agent_targets, target_reports
from ...services.agent_targets import Wanted
from ...tools.target_backend import TargetBackend, WantedTarget
from ...tools.target_comparison import Comparison, Finding, compare_all
from ...values import is_ours
from . import adoption, undo_file
from .batch import Progress, for_each, raise_for
from .drift_reporter import DriftReporter
from .target_keeper import TargetKeeper
from .wanted_targets import wanted_target


def _quiet(_done: int, _total: int) -> None:
    """Nobody asks how far it is."""


class Reconciler:
    """Wanted, running and saved targets of one host; methods may be called from any thread.

    The agent thread calls ``compare`` every few seconds, job threads all of them. Each holds the
    keeper (its lock) from the comparison to what follows from it: nothing else touches the backend
    meanwhile.
    """

    def __init__(
        self, database: Database, keeper: TargetKeeper, tree: Home, host_id: int, portal: str
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._tree = tree
        self._host_id = host_id
        self._portal = portal
        self._drift_reporter = DriftReporter(database, host_id)

    def compare(self) -> Comparison:
        """Compare now, and report what has changed."""
        with self._keeper.hold() as backend:
            wanted = self._wanted()
            comparison = self._compare(backend, wanted)
            self._drift_reporter.write(
                comparison,
                {one.iqn: one.target_id for one in wanted},
                {
                    one.iqn: adoption.refusal(backend, one.running)
                    for one in comparison.findings
                    if one.is_foreign
                },
                len(undo_file.read(self._tree.undo)),
            )
            return comparison

    def reconcile(
        self, job_id: int, iqns: Sequence[str] | None, cut: Set[str], progress: Progress = _quiet
    ) -> int:
        """Make these targets (None: all) as wanted with the least change; how many were changed.

        Raises ConsoleError, with nothing changed, when initiators that are not in ``cut`` would
        lose a disk; and after trying all of them when some could not be made. What was changed by
        ``job_id``, however often it began, can be undone.
        """
        with self._keeper.hold() as backend:
            findings = self._to_change(backend, iqns)
            self._refuse_to_cut({name for one in findings for name in one.cut} - cut)
            return self._make(backend, job_id, findings, progress)

    def repair(
        self, job_id: int, *, set_saved_aside: bool, progress: Progress = _quiet
    ) -> tuple[int, list[str]]:
        """Make as wanted what can be without cutting anybody off; as ``reconcile``.

        Returns how many targets were changed, and the names of those that were left. With
        ``set_saved_aside`` a saved configuration that cannot be read is written anew first.
        """
        with self._keeper.hold() as backend:
            if set_saved_aside:
                backend.mend_saved()
            findings = self._to_change(backend, None)
            safe = [one for one in findings if not one.cut]
            left = [one.iqn for one in findings if one.cut]
            return self._make(backend, job_id, safe, progress), left

    def undo(
        self, cut: Set[str], progress: Progress = _quiet
    ) -> tuple[int, dict[str, tuple[str, ...]]]:
        """Make every target again what it was before the last ``reconcile``.

        Returns how many there are, and by name what of them could not be brought back. What is
        wanted stays as it is, so they show as drift. Raises as ``reconcile`` does.
        """
        with self._keeper.hold() as backend:
            before = undo_file.read(self._tree.undo)
            if not before:
                raise ConsoleError(
                    sentence("There is nothing to undo: no apply has changed a target here.")
                )
            known = {iqn: one for iqn, one in before.items() if not one.is_lost}
            lost = {name for iqn, one in known.items() for name in backend.cuts(iqn, one.target)}
            self._refuse_to_cut(lost - cut)
            done = before.keys() - known.keys()

            def put(iqn: str) -> None:
                _put(backend, iqn, known[iqn].target, cut)
                done.add(iqn)

            try:
                failures = for_each(
                    list(known), str, put, self._keeper.observer.with_looks(progress)
                )
            finally:  # the job may be interrupted between two targets
                undo_file.forget(self._tree.undo, done)
                self.compare()
            raise_for(failures, len(known))
            return len(known), {iqn: one.lost for iqn, one in before.items() if one.lost}

    def adopt(self, iqn: str) -> int:
        """Want this target, which others made, as it runs now; the new target's id.

        Raises ConsoleError, with nothing wanted, when it runs no more, is ours, cannot be made the
        same again, or cannot be saved now.
        """
        with self._keeper.hold() as backend:
            found = next((one for one in backend.running() if one.iqn == iqn), None)
            if is_ours(iqn):
                raise ConsoleError(
                    sentence(
                        "The target {iqn} cannot be adopted: it carries a name that only the "
                        "console gives.",
                        iqn=iqn,
                    )
                )
            refusal = adoption.refusal(backend, found)
            if refusal or found is None:
                raise ConsoleError(
                    sentence(
                        "The target {iqn} cannot be adopted: {reason}.", iqn=iqn, reason=refusal
                    )
                )
            wanted = undo_file.as_wanted(found)
            backend.apply(wanted)  # runs so already: what changes is what is saved
            sizes = {lun.lun: lun.size_bytes for lun in wanted.luns}
            try:
                with self._database.begin() as session:
                    return agent_targets.adopt(session, self._host_id, found, sizes)
            finally:
                self._drift_reporter.forget()
                self.compare()

    def wanted(self, target_id: int) -> Wanted:
        """What is wanted of one target; ConsoleError when it is wanted no more."""
        with self._database.begin() as session:
            found = agent_targets.list_wanted(session, self._host_id, [target_id])
        if not found:
            raise ConsoleError(sentence("This target no longer exists."))
        return found[0]

    # With the keeper held

    def _wanted(self) -> list[Wanted]:
        with self._database.begin() as session:
            return agent_targets.list_wanted(session, self._host_id)

    def _compare(self, backend: TargetBackend, wanted: Iterable[Wanted]) -> Comparison:
        return compare_all(backend, (wanted_target(self._tree, one) for one in wanted))

    def _to_change(self, backend: TargetBackend, iqns: Sequence[str] | None) -> list[Finding]:
        """What is not in step and ours to change."""
        findings = {one.iqn: one for one in self._compare(backend, self._wanted()).findings}
        for iqn in iqns or ():
            if iqn not in findings:
                raise ConsoleError(
                    sentence("There is no target {iqn} on this storage host.", iqn=iqn)
                )
            if findings[iqn].is_foreign:
                raise ConsoleError(
                    sentence(
                        "The target {iqn} was made by others and is left alone; adopt it first.",
                        iqn=iqn,
                    )
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
                sentence(
                    "Nothing was changed: {names} would lose the disk. Shut down what is logged "
                    "in, or name it as what may be cut off.",
                    names=", ".join(names),
                )
            )

    def _make(
        self, backend: TargetBackend, job_id: int, findings: Sequence[Finding], progress: Progress
    ) -> int:
        """Make these as wanted, after noting what they were; raises when some cannot be made."""
        if findings:
            before = {one.iqn: undo_file.previous_state(backend, one) for one in findings}
            undo_file.remember(self._tree.undo, job_id, before)
        made: set[str] = set()

        def put(one: Finding) -> None:
            _put(backend, one.iqn, one.wanted, one.cut)
            made.add(one.iqn)

        try:
            failures = for_each(findings, _iqn, put, self._keeper.observer.with_looks(progress))
        finally:  # the job may be interrupted between two targets
            undo_file.forget(self._tree.undo, {one.iqn for one in findings} - made)
            with self._database.begin() as session:
                for wanted in agent_targets.list_wanted(session, self._host_id):
                    if wanted.iqn in made:
                        agent_targets.note_made(session, wanted, self._portal)
            self.compare()
        raise_for(failures, len(findings))
        return len(findings)


def _put(backend: TargetBackend, iqn: str, target: WantedTarget | None, cut: Set[str]) -> None:
    if target is None:
        backend.remove(iqn, cut=cut)
    else:
        backend.apply(target, cut=cut)


def _iqn(one: Finding) -> str:
    return one.iqn
