# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving machines an image, and mending those that failed, from the Machines page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ggnet_console.enums import Drift, ImageStatus, JobKind, SessionType
from ggnet_console.services import boot_sessions
from ggnet_console.services.boot_sessions import StartedAgain
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.machines.page import MachinesPage

from .demo import Window
from .test_page import buttons, click, dialog, no_dialog, toasts


@pytest.fixture
def page(window: Window) -> MachinesPage:
    page = window.main_window.show_page("machines")
    assert isinstance(page, MachinesPage)
    return page


def test_a_session_is_started_for_all_selected_machines_with_the_image_chosen(qtbot, window, page):
    page.select([36, 37])
    page.action("Start session").trigger()
    form = dialog(qtbot, FormDialog)
    assert form.windowTitle() == "Start 2 sessions"
    image = form.form.boxes["image"]
    assert image.editor.currentText().startswith("Win11-Games")  # which both had before
    form.go.click()
    work, (ids, image_id, _kind) = window.runner.calls[-1]
    assert work is boot_sessions.start_boot_sessions
    assert (ids, image_id) == ([36, 37], 1)


def started_with(qtbot, window, page, ids) -> FormDialog:
    """The dialog that asks for an image for these machines."""
    page.select(ids)
    page.action("Start session").trigger()
    return dialog(qtbot, FormDialog)


def test_no_image_is_proposed_that_the_machines_have_not_had(qtbot, window, page):
    """A room that starts with the exam's disk because of its letter A is the worst of mistakes."""
    room = window.room
    room.machines[35] = replace(room.machines[35], session_id=None, session_status=None, image=None)
    window.workspace.on_changed({"machines": {36}})
    form = started_with(qtbot, window, page, [35, 36])
    image = form.form.boxes["image"]
    assert image.raw() is None
    assert image.editor.currentText() == ""
    form.go.click()
    assert image.error == "Choose a value for Image."
    assert window.runner.calls == []
    image.set_raw(3)
    form.go.click()
    assert window.runner.calls[-1][1][:2] == ([35, 36], 3)


def test_the_only_image_is_proposed_to_a_machine_that_had_none(qtbot, window, page):
    room = window.room
    room.machines[35] = replace(room.machines[35], session_id=None, session_status=None, image=None)
    room.images = [
        image if image.id == 3 else replace(image, status=ImageStatus.ERROR)
        for image in room.images
    ]
    window.workspace.on_changed({"machines": {36}, "images": {i.id for i in room.images}})
    form = started_with(qtbot, window, page, [36])
    assert form.form.boxes["image"].raw() == 3


def test_machines_with_several_images_are_each_offered_their_last(qtbot, window, page):
    form = started_with(qtbot, window, page, [35, 36, 37])
    image = form.form.boxes["image"]
    assert image.editor.currentText() == "Each machine’s last image"
    assert image._help.text() == (
        "They had last: Win11-Games (2), Ubuntu 26.04 LTS for the physics course (1)."
    )
    window.runner.answer = lambda *_args: StartedAgain((50, 51), ("PC-35: its image is gone.",))
    form.go.click()
    work, args = window.runner.calls[-1]
    assert work is boot_sessions.start_boot_sessions_again
    assert args == ([35, 36, 37], SessionType.DISKLESS_BOOT)
    qtbot.waitUntil(no_dialog)
    assert toasts(window) == ["PC-35: its image is gone."]


def test_a_failed_machine_is_started_again_by_one_click_in_its_details(qtbot, window, page):
    page.select([5])
    window.runner.answer = lambda *_args: StartedAgain((50,), ())
    click(qtbot, page.detail, "Start again")
    assert window.runner.calls[-1] == (boot_sessions.start_boot_sessions_again, ([5],))
    assert toasts(window) == ["1 session started again."]
    page.select([1])
    assert not any(b.text() == "Start again" and b.isVisible() for b in buttons(page.detail))


def test_one_machine_that_cannot_be_started_again_keeps_nobody_else_from_it(qtbot, window, page):
    page.show_chip("Problem")
    page.view.selectAll()
    window.runner.answer = lambda *_args: StartedAgain((50, 51, 52, 53, 54, 55), ())
    click(qtbot, page.detail, "Start 6 sessions again")
    assert sorted(window.runner.calls[-1][1][0]) == [3, 5, 6, 17, 18, 21]
    assert toasts(window)[-1].startswith(
        "6 sessions started again. "
        "PC-09 still has its session: switch it on, or stop the session first. PC-31"
    )
    page.select([12])
    assert page.action("Start again").toolTip() == (
        "PC-12 still has its session: switch it on, or stop the session first"
    )


def test_a_machine_that_waits_for_a_missing_target_is_a_problem_to_be_repaired(qtbot, window, page):
    page.select([9])
    assert page.detail._line.text == "Its target is missing"
    window.end_jobs(JobKind.TARGET_REPAIR, result={"changed": 1, "left": []})
    click(qtbot, page.detail, "Repair target")
    assert window.runner.calls[-1][1] == ([1], False)
    qtbot.waitUntil(lambda: toasts(window) == ["1 target on lab-server repaired."])


def test_what_a_storage_host_reports_of_a_target_shows_at_its_machine(qtbot, window, page):
    room = window.room
    page.select([8])
    assert page.detail._line.text.startswith("Waiting for boot")
    row = next(each for each in room.targets if each.machine_id == 8)
    room.targets[room.targets.index(row)] = replace(row, drift=Drift.DIFFERENT)
    room.machines[7] = replace(room.machines[7], drift=Drift.DIFFERENT)
    window.workspace.on_changed({"targets": {row.id}})
    qtbot.waitUntil(lambda: page.detail._line.text == "Its target is not as wanted")
