# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet-console --demo``: a room in which machines can be started, and nothing is kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QLabel, QPushButton, QWidget

from ggnet_console.app import _arguments
from ggnet_console.demo.runner import NO_IMPORT, NOT_HERE
from ggnet_console.demo.window import NOBODY, SERVER, DemoWindow
from ggnet_console.demo.writes import WRITES
from ggnet_console.enums import Drift, ImageStatus, JobStatus, SessionStatus
from ggnet_console.ui.job_dialog import JobDialog
from ggnet_console.ui.kit.actions import BoundAction
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.kit.page import Page
from ggnet_console.ui.machines.page import words_of
from ggnet_console.ui.targets.plan_dialog import PlanDialog

from .test_page import click, dialog, no_dialog, toasts

KEYS = (
    *("dashboard", "machines", "images", "targets", "sessions", "jobs"),
    *("audit", "users", "settings"),
)
TYPED = {
    "name": "PC-99",
    "mac": "52:54:00:12:34:99",
    "source": "/disks/Kiosk.vhdx",
    "password": "long enough",
    "again": "long enough",
    "present_password": "the old one",
}
"""What the walk types into a field that is empty."""


def machine(demo: DemoWindow, number: int) -> Any:
    """A machine as the window has read it."""
    return demo.workspace.context.feeds.machines.rows.get(number)


def texts(widget: QWidget) -> list[str]:
    return [each.text() for each in widget.findChildren(QLabel) if each.isVisible()]


def select(demo: DemoWindow, key: str, ids: list[int]) -> Page[Any]:
    page = demo.main_window.show_page(key)
    assert isinstance(page, Page)
    page.select(list(ids))
    return page


def fill(form: FormDialog, **values: Any) -> None:
    for key, value in values.items():
        form.form.boxes[key].set_raw(value)
    form.go.click()


# What it says of itself


def test_it_says_demo_in_its_title_over_its_pages_and_at_the_bottom(demo):
    assert demo.main_window.windowTitle() == "Machines – GGnet Console – DEMO"
    assert "DEMO" in texts(demo.main_window.sidebar)
    assert SERVER in texts(demo.main_window.status)


def test_a_real_window_has_no_mark(window):
    assert window.main_window.windowTitle() == "Machines – GGnet Console"
    assert texts(window.main_window.sidebar) == ["", "GGnet Console"]


@pytest.mark.parametrize("option", ["--home", "--database-url", "--portal", "--config"])
def test_an_installation_beside_it_is_refused_with_a_sentence(option, capsys):
    with pytest.raises(SystemExit) as ended:
        _arguments(["--demo", option, "somewhere"])
    assert ended.value.code == 2
    sentence = f"--demo shows a made-up room and no installation: leave out {option}\n"
    assert capsys.readouterr().err.endswith(sentence)


# What can be tried


def test_a_machine_that_is_started_waits_and_then_runs(qtbot, demo):
    page = select(demo, "machines", [36])
    page.action("Start session").trigger()
    dialog(qtbot, FormDialog).go.click()
    qtbot.waitUntil(lambda: words_of(machine(demo, 36)).startswith("Waiting for boot"))
    assert demo.workspace.context.feeds.targets.rows[36].drift is Drift.IN_STEP
    for _second in range(9):
        demo.pass_time(1)
    qtbot.waitUntil(lambda: words_of(machine(demo, 36)).startswith("Running"))
    sessions = demo.workspace.context.feeds.sessions
    session = sessions.rows[machine(demo, 36).session_id]
    demo.pass_time(60)
    qtbot.waitUntil(lambda: sessions.rows[session.id].bytes_read > session.bytes_read)


def test_a_machine_that_is_stopped_is_off(qtbot, demo):
    page = select(demo, "machines", [1])
    page.action("Stop session").trigger()
    click(qtbot, dialog(qtbot, Message), "Stop 1 session")
    feeds = demo.workspace.context.feeds
    qtbot.waitUntil(lambda: feeds.sessions.rows[1].stop_requested)
    demo.pass_time(1)
    qtbot.waitUntil(lambda: machine(demo, 1).session_status is SessionStatus.STOPPED)
    qtbot.waitUntil(lambda: 1 not in feeds.targets.rows)
    assert not machine(demo, 1).online


def test_machines_that_failed_are_started_again(qtbot, demo):
    page = select(demo, "machines", [5, 6])
    page.action("Start again").trigger()
    qtbot.waitUntil(lambda: "2 sessions started again." in toasts(demo))
    qtbot.waitUntil(lambda: words_of(machine(demo, 5)).startswith("Waiting for boot"))


def test_a_machine_nobody_switches_on_runs_out_of_time(qtbot, demo):
    demo.pass_time(60 * 9)
    qtbot.waitUntil(lambda: machine(demo, 8).session_status is SessionStatus.TIMEOUT)


def test_a_machine_is_added_changed_and_deleted(qtbot, demo):
    page = select(demo, "machines", [])
    page.action("Add machine").trigger()
    form = dialog(qtbot, FormDialog)
    fill(form, name="pc-01", mac="52:54:00:12:34:99")
    assert form.form.boxes["name"].error == "The name pc-01 already belongs to the machine PC-01."
    fill(form, name="PC-99")
    qtbot.waitUntil(lambda: [row.name for row in page.view.selected()] == ["PC-99"])
    [row] = page.view.selected()
    page.action("Edit").trigger()
    fill(dialog(qtbot, FormDialog), room="Lab 9")
    qtbot.waitUntil(lambda: machine(demo, row.id).room == "Lab 9")
    page.action("Set to maintenance").trigger()
    qtbot.waitUntil(lambda: words_of(machine(demo, row.id)) == "Maintenance")
    page.action("Delete").trigger()
    click(qtbot, dialog(qtbot, Message), "Delete 1 machine")
    qtbot.waitUntil(lambda: machine(demo, row.id) is None)
    assert [(entry.verb, entry.object_name) for entry in demo.room.audit[:4]] == [
        ("delete", "PC-99"),
        ("update", "PC-99"),
        ("update", "PC-99"),
        ("insert", "PC-99"),
    ]


def test_a_machine_with_a_target_is_not_deleted_before_the_target_is(qtbot, demo):
    page = select(demo, "machines", [36])
    page.action("Delete").trigger()
    click(qtbot, dialog(qtbot, Message), "Delete 1 machine")
    why = "PC-36 has a target; stop its session and remove the target first."
    qtbot.waitUntil(lambda: any(why in texts(each) for each in opened()))
    for each in opened():
        each.close()
    targets = select(demo, "targets", [36])
    targets.action("Remove").trigger()
    click(qtbot, dialog(qtbot, Message), "Remove 1 target")
    qtbot.waitUntil(lambda: 36 not in demo.workspace.context.feeds.targets.rows)
    select(demo, "machines", [36]).action("Delete").trigger()
    click(qtbot, dialog(qtbot, Message), "Delete 1 machine")
    qtbot.waitUntil(lambda: machine(demo, 36) is None)


def test_a_new_name_shows_wherever_the_machine_is_named(qtbot, demo):
    page = select(demo, "machines", [1])
    page.action("Edit").trigger()
    fill(dialog(qtbot, FormDialog), name="By the door")
    feeds = demo.workspace.context.feeds
    for feed, field in ((feeds.machines, "name"), (feeds.sessions, "machine")):
        qtbot.waitUntil(lambda f=feed, a=field: getattr(f.rows[1], a) == "By the door")
    qtbot.waitUntil(lambda: feeds.targets.rows[1].machine == "By the door")


def test_a_changed_setting_stands_in_the_trail(qtbot, demo):
    page = select(demo, "settings", [5])
    page.action("Edit").trigger()
    fill(dialog(qtbot, FormDialog), value="24")
    qtbot.waitUntil(lambda: page.model.by_id(5).value == 24)
    newest = demo.room.audit[0]
    assert (newest.noun, newest.user_name, newest.changes) == (
        "setting",
        "anna",
        {"value": [12, 24]},
    )


def test_work_comes_further_with_time_and_ends(qtbot, demo):
    feeds = demo.workspace.context.feeds
    demo.pass_time(10)
    qtbot.waitUntil(lambda: 64 < feeds.jobs.rows[2].percent < 100)
    qtbot.waitUntil(lambda: feeds.images.rows[4].percent == feeds.jobs.rows[2].percent)
    demo.pass_time(120)
    qtbot.waitUntil(lambda: feeds.jobs.rows[2].status is JobStatus.SUCCEEDED)
    qtbot.waitUntil(lambda: feeds.images.rows[4].status is ImageStatus.READY)
    assert toasts(demo)[-1] == "Import Win11-Office 2026-11: done."


def test_a_verification_is_cancelled_and_tried_again(qtbot, demo):
    page = select(demo, "jobs", [4])
    page.action("Cancel job").trigger()
    jobs = demo.workspace.context.feeds.jobs
    qtbot.waitUntil(lambda: jobs.rows[4].status is JobStatus.CANCELLED)
    page.action("Try again").trigger()
    qtbot.waitUntil(lambda: max(jobs.rows) > 7)
    demo.pass_time(1)
    demo.pass_time(300)
    qtbot.waitUntil(lambda: jobs.rows[max(jobs.rows)].status is JobStatus.SUCCEEDED)


def test_an_import_is_cancelled(qtbot, demo):
    select(demo, "jobs", [3]).action("Cancel job").trigger()
    images = demo.workspace.context.feeds.images
    qtbot.waitUntil(lambda: images.rows[5].error == "The import was cancelled.")


def test_the_plan_is_applied(qtbot, demo):
    demo.main_window.show_page("targets").action("Plan…").trigger()
    plan = dialog(qtbot, PlanDialog)
    demo.pass_time(1)
    qtbot.waitUntil(lambda: bool(plan.boxes()) and not plan.working)
    for tick in (tick for box in plan.boxes() for tick in box.ticks.values()):
        tick.click()
    plan.go.click()
    demo.pass_time(1)
    nothing = "Everything runs as wanted: there is nothing to apply."
    qtbot.waitUntil(lambda: plan.sentence.text().endswith(nothing))
    qtbot.waitUntil(lambda: machine(demo, 9).drift is None)


# What is not done here


def test_what_is_not_done_here_is_said(qtbot, demo):
    page = select(demo, "users", [5])
    page.action("Lock").trigger()
    click(qtbot, dialog(qtbot, Message), "Lock 1 user")
    qtbot.waitUntil(lambda: any(NOT_HERE in texts(each) for each in opened()))
    assert not page.model.by_id(5).locked


def test_a_form_says_it_too_and_keeps_what_was_typed(qtbot, demo):
    demo.main_window.password_wanted.emit()
    form = dialog(qtbot, FormDialog)
    fill(form, present_password="the old one", password="a new one", again="a new one")
    assert NOT_HERE in texts(form)
    assert form.form.raw()["password"] == "a new one"


def test_no_file_is_imported(qtbot, demo):
    demo.main_window.show_page("images").action("Import image").trigger()
    form = dialog(qtbot, FormDialog)
    fill(form, source="/disks/Kiosk.vhdx")
    assert NO_IMPORT in texts(form)


def test_signing_out_is_answered(qtbot, demo):
    demo.main_window.sign_out_wanted.emit()
    assert NOBODY in texts(dialog(qtbot, Message))


@pytest.mark.parametrize("key", KEYS[1:])
def test_every_action_of_every_page_does_something_or_says_why_not(qtbot, demo, key):
    page = demo.main_window.show_page(key)
    assert isinstance(page, Page)
    qtbot.waitUntil(lambda: page.model.rowCount() > 2)
    tried = []
    for action in page.actions_:
        if any(can_be_done(page, action, row.id) for row in list(page.model.rows)):
            action.trigger()
            answer_all(qtbot, demo)
            tried.append(action.declared.text)
    left = {action.declared.text for action in page.actions_} - set(tried)
    # Nothing was adopted, and an import is not tried again.
    assert left <= {"Release", "Try again"}


def can_be_done(page: Page[Any], action: BoundAction[Any], row_id: int) -> bool:
    page.view.select_ids([row_id])
    return action.refusal() is None


def opened() -> list[QDialog]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]


def answer_all(qtbot, demo: DemoWindow) -> None:
    """Press on in every dialog that opens, then close what stays."""
    pressed: set[QDialog] = set()
    for _round in range(6):
        for each in [each for each in opened() if each not in pressed]:
            pressed.add(each)
            press_on(each)
        demo.pass_time(1)
        QApplication.processEvents()
    for each in reversed(opened()):
        each.done(QDialog.DialogCode.Rejected)
    qtbot.waitUntil(no_dialog)


def press_on(opened: QDialog) -> None:
    """As somebody does who agrees to everything."""
    if isinstance(opened, QFileDialog):
        opened.reject()
    elif isinstance(opened, FormDialog):
        boxes = opened.form.boxes
        fill(
            opened,
            **{key: TYPED[key] for key in TYPED.keys() & boxes.keys() if not boxes[key].raw()},
        )
    elif isinstance(opened, JobDialog):
        pass
    else:
        next(
            b for b in opened.findChildren(QPushButton) if b.text() not in ("Details", "Copy")
        ).click()


# The table of what is done


@pytest.mark.parametrize("work", WRITES, ids=lambda work: work.__name__)
def test_the_room_takes_what_the_service_takes(work: Callable[..., Any]):
    def taken(function: Callable[..., Any]) -> list[str]:
        _session_or_room, *rest = inspect.signature(function).parameters
        return rest

    assert taken(WRITES[work]) == taken(work)
