# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on targets: apply, remove, compare, reconcile, repair, undo, adopt, login test."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from ...enums import JobKind, SessionStatus
from ...errors import ConsoleError
from .job import Job
from .login_test import try_login


class ApplyTargets(Job):
    """Make the targets of started sessions real."""

    kind = JobKind.TARGET_APPLY

    def work(self) -> dict[str, Any]:
        progress = partial(self.context.count, "Making targets")
        self.context.keeper.apply(self.task.params["target_ids"], progress)
        return {"targets": len(self.task.params["target_ids"])}

    def revert(self, session: Session, error: ConsoleError) -> None:
        self.context.keeper.give_up(session, self.task.params["target_ids"], error.summary)


class RemoveTargets(Job):
    """Refuse the machines of stopped sessions, or take targets away."""

    kind = JobKind.TARGET_REMOVE

    def work(self) -> dict[str, Any]:
        sessions = self.task.params.get("session_ids", [])
        targets = self.task.params.get("target_ids", [])
        if sessions:
            progress = partial(self.context.count, "Ending sessions")
            self.context.keeper.close(sessions, SessionStatus.STOPPED, progress)
        if targets:
            self.context.keeper.remove(targets, partial(self.context.count, "Removing targets"))
        return {"sessions": len(sessions), "targets": len(targets)}


class CompareTargets(Job):
    """Look anew how what runs and is saved compares with what is wanted."""

    kind = JobKind.TARGET_COMPARE

    def work(self) -> dict[str, Any]:
        return {"targets": len(self.context.reconciler.compare().findings)}


class ReconcileTargets(Job):
    """Make targets as wanted, cutting off nobody but those who were named."""

    kind = JobKind.TARGET_RECONCILE

    def work(self) -> dict[str, Any]:
        params = self.task.params
        changed = self.context.reconciler.reconcile(
            self.task.job_id,
            params["iqns"],
            frozenset(params["cut"]),
            partial(self.context.count, "Applying"),
        )
        return {"changed": changed}


class RepairTargets(Job):
    """Make as wanted what can be without cutting anybody off."""

    kind = JobKind.TARGET_REPAIR

    def work(self) -> dict[str, Any]:
        changed, left = self.context.reconciler.repair(
            self.task.job_id,
            set_saved_aside=self.task.params["set_saved_aside"],
            progress=partial(self.context.count, "Repairing"),
        )
        return {"changed": changed, "left": left}


class UndoTargets(Job):
    """Make targets again what they were before the last apply, and say what is not."""

    kind = JobKind.TARGET_UNDO

    def work(self) -> dict[str, Any]:
        changed, lost = self.context.reconciler.undo(
            frozenset(self.task.params["cut"]), partial(self.context.count, "Undoing")
        )
        return {"changed": changed, "not_restored": lost}


class AdoptTarget(Job):
    """Want a target that others made as it runs."""

    kind = JobKind.TARGET_ADOPT

    def work(self) -> dict[str, Any]:
        return {"target_id": self.context.reconciler.adopt(self.task.params["iqn"])}


class TestLogin(Job):
    """Login test: discover a target and log in to it as its machine does."""

    kind = JobKind.TARGET_TEST

    def work(self) -> dict[str, Any]:
        wanted = self.context.reconciler.wanted(self.task.params["target_id"])
        portal = self.context.config.portals[0]
        return {"steps": try_login(self.context.keeper, wanted, portal)}
