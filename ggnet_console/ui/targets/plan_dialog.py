# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: compare anew, show what apply would change and who loses the disk, target_plans.apply_plans, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from ...enums import PlanAction, Role
from ...services import target_plans
from ...services.jobs import JobRow
from ...services.target_plans import HostPlan, PlanEntry
from ..job_dialog import JobDialog
from ..job_waiter import error_of
from ..kit import format as fmt
from ..kit.tokens import XL, XS, M, S, State
from ..kit.translate import tr, translated
from ..kit.widgets import Button, IconLabel, Sign, StateLine, Tick, Value, copyable, label
from ..page_context import PageContext
from .tabs import difference_grid

_ICONS = {
    PlanAction.ADD: "plus",
    PlanAction.CHANGE: "pencil",
    PlanAction.REMOVE: "trash-2",
}
_OF_MACHINE = {
    PlanAction.ADD: tr("Add the target of {machine}"),
    PlanAction.CHANGE: tr("Change the target of {machine}"),
    PlanAction.REMOVE: tr("Remove the target of {machine}"),
}
_OF_NO_MACHINE = {
    PlanAction.ADD: tr("Add an adopted target"),
    PlanAction.CHANGE: tr("Change an adopted target"),
    PlanAction.REMOVE: tr("Remove a target that nobody wants"),
}
_COUNTED: dict[PlanAction, Callable[[int], str]] = {
    PlanAction.ADD: lambda n: tr("%n to add", "", n),
    PlanAction.CHANGE: lambda n: tr("%n to change", "", n),
    PlanAction.REMOVE: lambda n: tr("%n to remove", "", n),
}
_WIDTH = 680


class EntryBox(QFrame):
    """One target of the plan: what would be done, why, and a tick for each machine it cuts off."""

    ticked = Signal()

    def __init__(self, entry: PlanEntry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.entry = entry
        self.setProperty("role", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(M, S, M, S)
        column.setSpacing(XS)
        head = QHBoxLayout()
        head.setSpacing(S)
        if entry.cut_off:
            head.addWidget(Sign(State.ATTENTION))
        else:
            head.addWidget(IconLabel(_ICONS[entry.action]))
        texts = _OF_MACHINE if entry.machine else _OF_NO_MACHINE
        what = texts[entry.action].format(machine=entry.machine)
        head.addWidget(copyable(what, "label"), 1)
        column.addLayout(head)
        name = Value()
        name.set_value(entry.iqn)
        name.setProperty("role", "secondary")
        name.setContentsMargins(XL - XS, 0, 0, 0)
        column.addWidget(name)
        if entry.differences:
            grid = difference_grid(entry.differences)
            grid.setContentsMargins(XL - XS, XS, 0, XS)
            column.addWidget(grid)
        others = [each for each in entry.machines if each not in entry.cut_off]
        if others:
            text = tr("Logged in and stays so: {names}").format(names=fmt.names(others))
            stays = label(text, "secondary", wrap=True)
            stays.setContentsMargins(XL - XS, 0, 0, 0)
            column.addWidget(stays)
        loses = tr("{machine} loses its disk now")
        self.ticks = {each: Tick(loses.format(machine=each)) for each in entry.cut_off}
        for tick in self.ticks.values():
            tick.toggled.connect(self.ticked)
            column.addWidget(tick)

    @property
    def agreed(self) -> bool:
        """Whether everybody that it cuts off may be cut off."""
        return all(tick.isChecked() for tick in self.ticks.values())


class PlanDialog(JobDialog):
    """Compares when it opens; applies what needs no tick, and what was ticked."""

    def __init__(self, parent: QWidget, context: PageContext) -> None:
        super().__init__(parent, context, tr("Plan for the targets"), _WIDTH)
        self._boxes: list[tuple[int, EntryBox]] = []
        self._applied: list[int] = []
        self._result = ""
        self.again = Button(tr("Compare again"), "git-compare", "link")
        self.again.clicked.connect(self.compare)
        self.undoing = Button(tr("Undo"), "undo-2")
        self.undoing.clicked.connect(self._on_undo)
        self.go = Button(tr("Apply"), kind="primary")
        self.go.clicked.connect(self._on_apply)
        self.buttons.insertWidget(0, self.again)
        self.buttons.insertWidget(2, self.undoing)
        self.buttons.addWidget(self.go)
        context.access.changed.connect(self.on_work)
        self.on_work()

    def compare(self) -> None:
        """Have every agent that answers look anew, then show the plan."""
        self._result = ""
        self._applied = []
        hosts = [host.id for host in self.context.feeds.hosts.rows.values() if host.alive]
        self.have_done(
            tr("Comparing what runs with what is wanted…"),
            target_plans.compare_hosts,
            hosts,
            ended=self._read,
        )

    def boxes(self) -> list[EntryBox]:
        """The targets of the plan, as shown."""
        return [box for _host, box in self._boxes]

    def _read(self, jobs: Sequence[JobRow]) -> None:
        """Show the plans; the jobs that went before say what did not work."""
        errors = [error for job in jobs if (error := error_of(job)) is not None]
        if errors:
            self.errors.show_error(errors[0])
        self.begin(tr("Reading the plan…"))
        self.context.runner.run(
            target_plans.read_plans, done=self._show, failed=self.show_error, parent=self
        )

    def _show(self, plans: Sequence[HostPlan]) -> None:
        self.clear_body()
        self._boxes = []
        changes = sum(len(_changes(plan)) for plan in plans)
        waiting = tr("Everything runs as wanted: there is nothing to apply.")
        if changes:
            waiting = tr("%n target(s) would be changed. Nothing is changed yet.", "", changes)
        self.sentence.setText(f"{self._result} {waiting}".strip())
        for plan in plans:
            self._show_host(plan, alone=len(plans) == 1)
        self.body.addStretch()
        self.end()

    def _show_host(self, plan: HostPlan, *, alone: bool) -> None:
        if not alone:
            self.body.addWidget(label(plan.host, "section"))
        alive = {host.id for host in self.context.feeds.hosts.rows.values() if host.alive}
        if plan.host_id not in alive:
            since = (
                tr("Its agent does not answer; compared {time}.")
                if plan.compared_at
                else tr("Its agent does not answer; never compared.")
            )
            self._warn(since.format(time=fmt.ago(plan.compared_at)))
        if plan.saved_problem:
            unread = tr("The saved configuration cannot be read: {problem}")
            self._warn(unread.format(problem=translated(plan.saved_problem)))
        entries = _changes(plan)
        safe = [entry for entry in entries if not entry.cut_off]
        cutting = [entry for entry in entries if entry.cut_off]
        counts = [
            counted(number)
            for action, counted in _COUNTED.items()
            if (number := sum(entry.action is action for entry in entries))
        ]
        others = len(plan.entries) - len(entries)
        if others:
            counts.append(tr("%n made by hand, left alone", "", others))
        if counts:
            self.body.addWidget(label(" · ".join(counts), "secondary", wrap=True))
        if cutting:
            line = StateLine()
            line.show_state(
                State.ATTENTION, tr("These changes take a disk away. They wait for your tick:")
            )
            self.body.addWidget(line)
        self._add_boxes(plan, cutting)
        if cutting and safe:
            self.body.addSpacing(S)
            self.body.addWidget(label(tr("These changes cut nobody off:")))
        self._add_boxes(plan, safe)

    def _add_boxes(self, plan: HostPlan, entries: Sequence[PlanEntry]) -> None:
        for entry in entries:
            box = EntryBox(entry)
            box.ticked.connect(self.on_work)
            self._boxes.append((plan.host_id, box))
            self.body.addWidget(box)

    def _warn(self, text: str) -> None:
        line = StateLine()
        line.show_state(State.ATTENTION, text)
        self.body.addWidget(line)

    def on_work(self) -> None:
        """The buttons say what they would do now, or why they cannot."""
        chosen = [box for box in self.boxes() if box.agreed]
        cut = sum(len(box.ticks) for box in chosen)
        refusal = self.context.access.refusal(Role.OPERATOR)
        self.go.setText(_verb(len(chosen), cut))
        self.go.setEnabled(bool(chosen) and not self.working and refusal is None)
        self.go.setVisible(bool(self._boxes))
        why = "" if chosen else tr("Tick first who may lose the disk")
        self.go.setToolTip(refusal or why)
        self.undoing.setVisible(bool(self._applied) and not self.working)
        self.undoing.setEnabled(refusal is None)
        self.undoing.setToolTip(refusal or tr("Make these targets again what they were before"))
        self.again.setEnabled(not self.working)
        for tick in (each for box in self.boxes() for each in box.ticks.values()):
            tick.setEnabled(not self.working)

    def _on_apply(self) -> None:
        wanted: dict[int, tuple[list[str], list[str]]] = {}
        for host_id, box in self._boxes:
            if box.agreed:
                iqns, cut = wanted.setdefault(host_id, ([], []))
                iqns.append(box.entry.iqn)
                cut += [each for each in box.ticks if each not in cut]
        self._applied = list(wanted)
        asked = [(host_id, *one) for host_id, one in wanted.items()]
        self.have_done(tr("Applying…"), target_plans.apply_plans, asked, ended=self._on_applied)

    def _on_applied(self, jobs: list[JobRow]) -> None:
        self._result = _changed(jobs)
        if not self._result:
            self._applied = []
        self._read(jobs)

    def _on_undo(self) -> None:
        hosts, self._applied = self._applied, []
        self.have_done(tr("Undoing…"), target_plans.undo_hosts, hosts, ended=self._on_undone)

    def _on_undone(self, jobs: list[JobRow]) -> None:
        done = " ".join(as_before(job) for job in jobs if job.result)
        unchanged = tr("What is wanted has not changed.")
        self._result = f"{done} {unchanged}" if done else ""
        self._read(jobs)


def _verb(changes: int, cut: int) -> str:
    """What the button does to so many targets, and how many machines lose their disk by it."""
    if cut:
        return tr("Apply %n change(s), cut off {machines}", "", changes).format(machines=cut)
    return tr("Apply %n change(s)", "", changes) if changes else tr("Apply")


def _changes(plan: HostPlan) -> list[PlanEntry]:
    return [entry for entry in plan.entries if entry.action is not PlanAction.LEAVE]


def _changed(jobs: Sequence[JobRow]) -> str:
    """What was done, host by host; "" when nothing was."""
    return " ".join(
        tr("%n target(s) on {host} changed.", "", job.result["changed"]).format(host=job.host)
        for job in jobs
        if job.result.get("changed")
    )


def as_before(job: JobRow) -> str:
    """What an undo brought back, and what of it could not be."""
    number = job.result["changed"]
    done = tr("%n target(s) on {host} as before.", "", number).format(host=job.host)
    lost = job.result.get("not_restored", {})
    if not lost:
        return done
    each = "; ".join(f"{iqn} ({', '.join(what)})" for iqn, what in lost.items())
    missing = tr("Not brought back: {what}.").format(what=each)
    return f"{done} {missing}"


def show_plan(parent: QWidget, context: PageContext) -> PlanDialog:
    """Open the plan and compare."""
    dialog = PlanDialog(parent, context)
    dialog.open()
    dialog.compare()
    return dialog
