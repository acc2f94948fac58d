# SPDX-License-Identifier: GPL-3.0-or-later
"""The Targets page: what differs comes first; plan, apply and undo; CHAP, test login, backends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from ggnet_console.demo.targets import BY_HAND, LEFT_OVER, LOCKED, LOGIN
from ggnet_console.enums import BackendChoice, JobKind, JobStatus, TargetOrigin
from ggnet_console.errors import ConsoleError
from ggnet_console.services import hosts, target_plans, targets
from ggnet_console.services.targets import ChapMade
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.kit.widgets import IconButton, Value
from ggnet_console.ui.targets.dialogs import LoginDialog, SecretDialog
from ggnet_console.ui.targets.page import TargetsPage
from ggnet_console.ui.targets.plan_dialog import PlanDialog
from ggnet_console.ui.targets.words import has_drifted

from .demo import Window

CTRL = Qt.KeyboardModifier.ControlModifier
BACKUP, TWO_GROUPS, LEFT = -2, -3, -1


@pytest.fixture
def page(qtbot, window: Window) -> TargetsPage:
    page = targets_of(window)
    qtbot.waitUntil(page.view.hasFocus)
    return page


def targets_of(window: Window) -> TargetsPage:
    page = window.main_window.show_page("targets")
    assert isinstance(page, TargetsPage)
    page.view.setFocus()
    return page


def dialog(qtbot, kind: type[QWidget]) -> QWidget:
    """The one open dialog of a kind."""

    def found() -> list[QWidget]:
        return [w for w in QApplication.topLevelWidgets() if type(w) is kind and w.isVisible()]

    qtbot.waitUntil(lambda: bool(found()))
    return found()[0]


def button(parent: QWidget, text: str) -> QPushButton:
    return next(b for b in parent.findChildren(QPushButton) if b.text() == text and b.isVisible())


def texts(parent: QWidget) -> list[str]:
    """What one can read in a widget; long words break anywhere."""
    shown = [each for each in parent.findChildren(QLabel) if each.isVisible()]
    return [each.text().replace("\u200b", "") for each in shown]


def reads(qtbot, parent: QWidget, *wanted: str) -> None:
    """Wait until all of this can be read in a widget."""
    qtbot.waitUntil(lambda: set(wanted) <= set(texts(parent)))


def compared(qtbot, window: Window, page: TargetsPage) -> PlanDialog:
    """The plan, once it has been compared."""
    window.end_jobs(JobKind.TARGET_COMPARE, result={"targets": 39})
    page.action("Plan…").trigger()
    plan = dialog(qtbot, PlanDialog)
    qtbot.waitUntil(lambda: not plan.working and bool(plan.boxes()))
    return plan


def asked(window: Window) -> list[tuple[object, ...]]:
    """What was last asked for."""
    return [args for work, args in window.runner.calls if work is target_plans.apply_plans]


def test_what_is_wrong_comes_first_and_is_said_by_sign_and_word(page):
    states = [page.model.index(n, 0).data() for n in range(page.model.rowCount())]
    assert states[:9] == [
        *(LOCKED, LOCKED, "Missing", LOCKED, "Missing"),
        *("Not wanted", "2 fields differ", "1 field differs", "1 field differs"),
    ]
    assert states[-2:] == ["Made by hand", "Made by hand"]
    assert {"Running", "Open", "Closed"} <= set(states)


def test_every_target_is_counted_by_just_one_chip(page):
    chips = [each.text() for each in page._group.buttons()]
    assert chips == ["All", "Problem  9", "Open  21", "Closed  7", "Made by hand  2"]
    assert page.model.total == 9 + 21 + 7 + 2


def test_the_line_over_the_table_counts_what_differs_and_goes_when_nothing_does(
    qtbot, window, page
):
    assert page.drift.text == "9 targets differ from what is wanted."
    window.room.targets = [
        row for row in window.room.targets if not has_drifted(row) or row.id == LEFT
    ]
    window.workspace.on_changed({"targets": None})
    qtbot.waitUntil(lambda: page.drift.text == "1 target differs from what is wanted.")
    window.room.targets = [row for row in window.room.targets if row.id != LEFT]
    window.workspace.on_changed({"targets": None})
    qtbot.waitUntil(page.drift.isHidden)
    assert page.action("Repair").toolTip() == "Everything runs as wanted"


def test_ctrl_c_and_the_button_beside_it_copy_the_iqn(qtbot, window, page):
    page.select([1, 2])
    qtbot.keyClick(page.view, Qt.Key.Key_C, CTRL)
    rows = page.view.selected()
    assert QGuiApplication.clipboard().text() == f"{rows[0].iqn}\n{rows[1].iqn}"
    page.select([7])

    def copies() -> list[QWidget]:
        found = page.detail.findChildren(IconButton)
        return [each for each in found if each.accessibleName() == "Copy IQN" and each.isVisible()]

    qtbot.waitUntil(lambda: len(copies()) == 1)
    qtbot.mouseClick(copies()[0], Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == page.view.selected()[0].iqn


@pytest.mark.parametrize(
    ("row_id", "action", "why"),
    [
        (1, "Adopt", "Only a target that was made by hand can be adopted"),
        (TWO_GROUPS, "Adopt", "Cannot be adopted: it has a second portal group"),
        (1, "Release", "Only a target that was adopted can be released"),
        (BACKUP, "Remove", "Was made by hand: end it where it was made"),
        (LEFT, "Remove", "Nobody wants it: the plan removes it"),
        (1, "Remove", "PC-01 has a session: stop it first"),
        (BACKUP, "Test login", "Nobody wants this target: it only runs"),
        (BACKUP, "Turn CHAP on", "Nobody wants this target: it only runs"),
        (1, "Turn CHAP off", "It asks for no secret"),
    ],
)
def test_an_action_that_is_not_possible_says_why(admin, row_id, action, why):
    page = targets_of(admin)
    page.select([row_id])
    assert not page.action(action).isEnabled()
    assert page.action(action).toolTip() == why


def test_without_the_role_the_actions_say_which_one_they_need(window, viewer):
    page = targets_of(viewer)
    page.select([BACKUP])
    assert page.action("Plan…").isEnabled()
    assert page.action("Copy IQN").isEnabled()
    assert page.action("Undo last apply").toolTip() == "Needs the role Operator"
    assert page.action("Adopt").toolTip() == "Needs the role Admin"
    operators = targets_of(window)
    operators.select([BACKUP])
    assert operators.action("Adopt").toolTip() == "Needs the role Admin"


def test_an_adopted_target_keeps_its_chap_and_is_released_instead_of_removed(qtbot, admin):
    room = admin.room
    adopted = replace(
        next(row for row in room.targets if row.id == BACKUP), id=77, origin=TargetOrigin.ADOPTED
    )
    room.targets.append(adopted)
    admin.workspace.on_changed({"targets": {77}})
    page = targets_of(admin)
    page.select([77])
    assert page.action("Turn CHAP on").toolTip() == (
        "Was adopted: it keeps the CHAP it was made with"
    )
    assert page.action("Remove").toolTip() == (
        "Was adopted: release it, and end it where it was made"
    )
    admin.end_jobs(JobKind.TARGET_COMPARE, result={"targets": 39})
    page.action("Release").trigger()
    button(dialog(qtbot, Message), "Release").click()
    qtbot.waitUntil(
        lambda: [t.text for t in admin.main_window._toasts] == [f"Released {adopted.iqn}."]
    )
    assert admin.runner.calls[-1][1] == (77,)


def test_adopting_asks_and_says_when_it_is_done(qtbot, admin):
    page = targets_of(admin)
    page.select([BACKUP])
    admin.end_jobs(JobKind.TARGET_ADOPT, result={"target_id": 78})
    page.action("Adopt").trigger()
    message = dialog(qtbot, Message)
    assert message.windowTitle() == f"Adopt {BY_HAND[0]}?"
    button(message, "Adopt").click()
    qtbot.waitUntil(
        lambda: [t.text for t in admin.main_window._toasts] == [f"Adopted {BY_HAND[0]}."]
    )
    assert admin.runner.calls[-1][1] == (1, BY_HAND[0])


def test_the_plan_compares_first_and_a_cut_waits_for_its_own_tick(qtbot, window, page):
    plan = compared(qtbot, window, page)
    assert plan.sentence.text() == "9 targets would be changed. Nothing is changed yet."
    reads(qtbot, plan, "5 to add · 3 to change · 1 to remove · 2 made by hand, left alone")
    first, *others = plan.boxes()
    assert first.entry.machine == "PC-07"
    assert list(first.ticks) == ["PC-07"]
    assert first.ticks["PC-07"].text() == "PC-07 loses its disk now"
    assert not any(box.ticks for box in others)
    reads(qtbot, first, "LUN 1 access", "writable", "read-only")
    reads(qtbot, plan, "Logged in and stays so: PC-14")
    assert plan.go.text() == "Apply 8 changes"
    assert {box.entry.iqn for box in plan.boxes()}.isdisjoint(BY_HAND)

    window.end_jobs(JobKind.TARGET_RECONCILE, result={"changed": 8})
    plan.go.click()
    qtbot.waitUntil(lambda: not plan.working)
    [[(host, iqns, cut)]] = [args[0] for args in asked(window)]
    assert (host, cut) == (1, [])
    assert first.entry.iqn not in iqns
    assert len(iqns) == 8
    assert LEFT_OVER in iqns


def test_what_was_ticked_is_applied_and_named_and_can_be_undone(qtbot, window, page):
    plan = compared(qtbot, window, page)
    assert not plan.undoing.isVisible()
    plan.boxes()[0].ticks["PC-07"].click()
    assert plan.go.text() == "Apply 9 changes, cut off 1"
    window.end_jobs(JobKind.TARGET_RECONCILE, result={"changed": 9})
    window.room.targets = [row for row in window.room.targets if not has_drifted(row)]
    plan.go.click()
    qtbot.waitUntil(lambda: not plan.working and not plan.boxes())
    [[(_host, iqns, cut)]] = [args[0] for args in asked(window)]
    assert (len(iqns), cut) == (9, ["PC-07"])
    assert plan.sentence.text() == (
        "9 targets on lab-server changed. Everything runs as wanted: there is nothing to apply."
    )
    assert not plan.go.isVisible()
    window.end_jobs(JobKind.TARGET_UNDO, result={"changed": 9})
    qtbot.mouseClick(plan.undoing, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: plan.sentence.text().startswith("9 targets on lab-server as before."))
    assert window.runner.calls[-1] == (target_plans.undo_hosts, ([1],))
    assert not plan.undoing.isVisible()


def test_an_apply_that_fails_is_told_in_the_dialog_alone(qtbot, window, page):
    plan = compared(qtbot, window, page)
    why = "Nothing was changed: PC-14 would lose the disk."
    window.end_jobs(JobKind.TARGET_RECONCILE, status=JobStatus.FAILED, error=why)
    plan.go.click()
    qtbot.waitUntil(lambda: plan.errors.sentence.text() == why)
    qtbot.waitUntil(lambda: not plan.working)
    assert plan.errors.isVisible()
    assert not plan.undoing.isVisible()
    assert window.main_window._toasts == []


def test_whoever_closes_the_plan_is_told_of_a_failure_by_a_notice(qtbot, window, page):
    plan = compared(qtbot, window, page)
    window.end_jobs(JobKind.TARGET_RECONCILE, status=JobStatus.RUNNING)
    plan.go.click()
    [job] = [job for job in window.room.jobs if job.kind is JobKind.TARGET_RECONCILE]
    qtbot.waitUntil(lambda: job.id in window.workspace.context.watched)
    plan.closing.click()
    qtbot.waitUntil(lambda: job.id not in window.workspace.context.watched)
    failed = replace(job, status=JobStatus.FAILED, error="The disk is gone.")
    window.room.jobs[window.room.jobs.index(job)] = failed
    window.workspace.on_changed({"jobs": {job.id}})
    qtbot.waitUntil(
        lambda: (
            [t.text for t in window.main_window._toasts]
            == ["Apply plan lab-server: failed. The disk is gone."]
        )
    )


def test_a_viewer_may_compare_and_read_why_nothing_can_be_applied(qtbot, viewer):
    plan = compared(qtbot, viewer, targets_of(viewer))
    assert not plan.go.isEnabled()
    assert plan.go.toolTip() == "Needs the role Operator"
    assert plan.again.isEnabled()


def test_a_host_whose_agent_is_silent_is_not_asked_and_the_plan_says_how_old_it_is(
    qtbot, window, page
):
    silent = replace(window.room.hosts[0], alive=False)
    window.room.hosts = [silent]
    window.workspace.on_changed({"hosts": None})
    feed = window.workspace.context.feeds.hosts
    qtbot.waitUntil(lambda: feed.rows[1] == silent)
    window.runner.answer = lambda *_args: []
    page.action("Plan…").trigger()
    plan = dialog(qtbot, PlanDialog)
    assert window.runner.calls[-1] == (target_plans.compare_hosts, ([],))
    reads(qtbot, plan, "Its agent does not answer; compared just now.")
    window.end_jobs(JobKind.TARGET_RECONCILE, status=JobStatus.QUEUED)
    plan.go.click()
    qtbot.waitUntil(
        lambda: plan.doing.text() == "Waiting for the agent of lab-server. It must run for this."
    )
    assert plan.working


def test_a_saved_configuration_that_cannot_be_read_is_set_aside_only_after_a_question(
    qtbot, window, page
):
    assert not page.unread.isVisible()
    window.room.hosts = [replace(window.room.hosts[0], saved_problem="it is empty.")]
    window.workspace.on_changed({"hosts": None})
    qtbot.waitUntil(page.unread.isVisible)
    assert page.unread.text == "The saved configuration of lab-server cannot be read: it is empty."
    window.end_jobs(JobKind.TARGET_REPAIR, result={"changed": 2, "left": ["iqn.one"]})
    button(page.unread, "Rewrite saved configuration…").click()
    message = dialog(qtbot, Message)
    assert "kept under another name" in message.text.text()
    button(message, "Rewrite saved configuration").click()
    assert window.runner.calls[-1][1] == ([1], True)
    said = "2 targets on lab-server repaired. 1 target left: a machine would lose its disk."
    qtbot.waitUntil(
        lambda: [t.text for t in window.main_window._toasts] == [f"{said} See the plan."]
    )


def test_a_viewer_reads_that_it_cannot_be_read_and_who_may_repair_it(qtbot, viewer):
    page = targets_of(viewer)
    viewer.room.hosts = [replace(viewer.room.hosts[0], saved_problem="it is empty.")]
    viewer.workspace.on_changed({"hosts": None})
    qtbot.waitUntil(page.unread.isVisible)
    repair = button(page.unread, "Rewrite saved configuration…")
    assert not repair.isEnabled()
    assert repair.toolTip() == "Needs the role Operator"


def test_traffic_leaves_names_beside_it_alone(qtbot, window, page):
    page.select([1])
    page.detail._bar.setCurrentIndex(3)
    row = page.view.selected()[0]
    tab = page.detail._tabs[2]
    reads(qtbot, tab, row.initiator_iqn)
    value = next(v for v in tab.findChildren(Value) if v.value == row.initiator_iqn)
    value.setSelection(0, 3)
    rates = (replace(row.rates[0], commands_per_s=4711),)
    window.room.targets[window.room.targets.index(row)] = replace(row, rates=rates)
    window.workspace.on_changed({"targets": {1}})
    reads(qtbot, tab, "4711/s")
    assert value.isVisible()
    assert value.hasSelectedText()


def test_repair_touches_no_saved_configuration(qtbot, window, page):
    window.end_jobs(JobKind.TARGET_REPAIR, result={"changed": 5, "left": []})
    page.action("Repair").trigger()
    assert window.runner.calls[-1][1] == ([1], False)
    qtbot.waitUntil(
        lambda: (
            [t.text for t in window.main_window._toasts] == ["5 targets on lab-server repaired."]
        )
    )


def test_undo_of_the_last_apply_asks_and_is_there_only_when_there_is_one(qtbot, window, page):
    window.end_jobs(JobKind.TARGET_UNDO, result={"changed": 2})
    page.action("Undo last apply").trigger()
    message = dialog(qtbot, Message)
    assert message.windowTitle() == ("Make 2 targets again what they were before the last apply?")
    button(message, "Undo last apply").click()
    qtbot.waitUntil(
        lambda: (
            [t.text for t in window.main_window._toasts] == ["2 targets on lab-server as before."]
        )
    )
    window.room.hosts = [replace(window.room.hosts[0], undoable=0)]
    window.workspace.on_changed({"hosts": None})
    undo = page.action("Undo last apply")
    qtbot.waitUntil(lambda: undo.toolTip() == "No apply has changed a target")
    assert not undo.isEnabled()


def test_the_details_show_differences_tree_and_sessions(qtbot, page):
    page.select([7])
    bar = page.detail._bar
    bar.setCurrentIndex(1)
    reads(qtbot, page.detail, "LUN 1 serial", "IET 00010001", "67676e0000000007")
    reads(qtbot, page.detail, "Apply would take the disk from PC-07.")
    bar.setCurrentIndex(2)
    [tree] = page.detail.findChildren(QPlainTextEdit)
    row = page.view.selected()[0]
    assert tree.toPlainText() == row.tree
    metrics = tree.fontMetrics()
    assert metrics.horizontalAdvance("ii") == metrics.horizontalAdvance("WW")
    copy = next(b for b in page.detail.findChildren(QPushButton) if b.text() == "Copy")
    qtbot.waitUntil(copy.isVisible)
    copy.click()
    assert QGuiApplication.clipboard().text() == row.tree
    bar.setCurrentIndex(3)
    reads(qtbot, page.detail, "PC-07", row.initiator_iqn, "from 10.0.2.17", "259/s")
    page.select([BACKUP])
    reads(qtbot, page.detail, "No machine of ours")
    bar.setCurrentIndex(1)
    reads(qtbot, page.detail, "An admin can adopt it; it is then wanted just as it runs now.")
    page.select([9])
    bar.setCurrentIndex(2)
    reads(qtbot, page.detail, "There is nothing to draw: the target does not run.")


def test_a_chap_secret_is_shown_once_with_a_button_that_copies_it(qtbot, window, page):
    page.select([1])
    window.runner.answer = lambda *_args: ChapMade("gg00000001", "sixteen-letters-", 9)
    page.action("Turn CHAP on").trigger()
    question = dialog(qtbot, Message)
    assert question.windowTitle() == "Ask PC-01 for a CHAP secret?"
    button(question, "Make secret").click()
    assert window.runner.calls[-1] == (targets.turn_chap_on, (1,))
    shown = dialog(qtbot, SecretDialog)
    assert "not shown again" in shown.text.text()
    assert [line.text() for line in shown.lines] == ["gg00000001", "sixteen-letters-"]
    copies = [each for each in shown.findChildren(QPushButton) if each.text() == "Copy"]
    copies[1].click()
    assert QGuiApplication.clipboard().text() == "sixteen-letters-"
    with qtbot.waitSignal(shown.destroyed):
        button(shown, "Close").click()


def test_a_second_chap_secret_says_that_the_first_one_ends(qtbot, page):
    page.select([4])
    page.action("Turn CHAP on").trigger()
    question = dialog(qtbot, Message)
    assert question.windowTitle() == "Make a new CHAP secret for PC-04?"
    assert "the present one stops working" in question.text.text()
    question.close()


def test_a_test_login_is_told_step_by_step(qtbot, window, page):
    page.select([4])
    window.end_jobs(JobKind.TARGET_TEST, result={"steps": LOGIN})
    page.action("Test login").trigger()
    opened = dialog(qtbot, LoginDialog)
    qtbot.waitUntil(lambda: "The target works as it should." in texts(opened))
    reads(qtbot, opened, *(step["step"] for step in LOGIN))
    refused = [*LOGIN[:2], {**LOGIN[2], "ok": False, "detail": "Wrong secret."}]
    window.end_jobs(JobKind.TARGET_TEST, result={"steps": refused})
    opened.again.click()
    qtbot.waitUntil(lambda: f"Failed at: {LOGIN[2]['step']}." in texts(opened))
    assert "Wrong secret." in texts(opened)
    assert "The target works as it should." not in texts(opened)
    window.end_jobs(JobKind.TARGET_TEST, status=JobStatus.FAILED, error="iscsi-ls is missing.")
    opened.again.click()
    qtbot.waitUntil(lambda: opened.errors.sentence.text() == "iscsi-ls is missing.")


def test_settings_say_what_serves_each_host_and_why(qtbot, admin):
    page = admin.main_window.show_page("settings")
    reads(qtbot, page, "LIO – found by itself: root, and the kernel has LIO")
    admin.room.sessions = []
    admin.workspace.on_changed({"boot_sessions": None})
    qtbot.waitUntil(lambda: not admin.workspace.open_sessions)
    page.hosts.buttons["lab-server"].click()
    form = dialog(qtbot, FormDialog)
    assert form.form.boxes["backend"].raw() == BackendChoice.AUTO
    form.form.boxes["backend"].set_raw(BackendChoice.TGT)
    sentence = "lab-server serves PC-01; stop its sessions before changing what serves them."

    def refuse(*_args):
        raise ConsoleError(sentence)

    admin.runner.answer = refuse
    form.go.click()
    assert form._error.sentence.text() == sentence
    assert form.isVisible()
    admin.runner.answer = None
    form.go.click()
    assert admin.runner.calls[-1] == (hosts.choose_backend, (1, BackendChoice.TGT))
    assert not form.isVisible()
    row = replace(
        admin.room.hosts[0],
        backend="tgt",
        backend_reason="an admin chose it",
        backend_choice=BackendChoice.TGT,
    )
    admin.room.hosts = [row]
    admin.workspace.on_changed({"hosts": None})
    qtbot.waitUntil(lambda: "tgt – an admin chose it" in texts(page))
    reads(qtbot, page, "Chosen: tgt")
