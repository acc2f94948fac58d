# SPDX-License-Identifier: GPL-3.0-or-later
"""The window around the pages: navigation, counts, notices, banner, drops, look and closing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from ggnet_console.demo.targets import LOCKED
from ggnet_console.enums import ImageStatus, JobKind, JobStatus
from ggnet_console.errors import ConsoleError, RefusedError, UnreachableError
from ggnet_console.services import boot_sessions
from ggnet_console.services.boot_sessions import StartedAgain
from ggnet_console.ui.dashboard import Dashboard, problems
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.kit.theme import Theme, tokens_of
from ggnet_console.ui.kit.tokens import DARK, LIGHT, State
from ggnet_console.ui.window.main_window import ask_what_to_do_with_machines

from .demo import Window

KEYS = ["dashboard", "machines", "images", "targets", "sessions", "jobs"]


def toasts(window: Window) -> list[str]:
    return [toast.text for toast in window.main_window._toasts]


@pytest.mark.parametrize("number", range(1, 7))
def test_ctrl_and_a_number_open_a_page(qtbot, window, number):
    key = getattr(Qt.Key, f"Key_{number}")
    qtbot.keyClick(window.main_window, key, Qt.KeyboardModifier.ControlModifier)
    current = window.main_window._page_stack.currentWidget()
    assert current is window.main_window._pages[KEYS[number - 1]]
    assert window.main_window.sidebar._list.currentRow() == number - 1


def test_pages_are_made_when_they_are_first_shown(window):
    assert list(window.main_window._pages) == ["machines"]
    window.main_window.show_page("jobs")
    assert list(window.main_window._pages) == ["machines", "jobs"]


def test_every_page_shows_its_rows_at_once(window):
    for key, count in zip(KEYS[1:], (40, 6, 39, 39, 6), strict=True):
        assert window.main_window.show_page(key).model.rowCount() == count


def test_counts_stand_beside_the_pages(qtbot, window):
    qtbot.waitUntil(lambda: window.main_window.sidebar.count("images") == 6)
    assert [window.main_window.sidebar.count(key) for key in KEYS] == [9, 9, 6, 9, 28, 3]
    tip = window.main_window.sidebar._list.item(1).toolTip()
    assert tip.endswith("9 with a problem, 40 in all")


@pytest.mark.parametrize(
    ("key", "chips", "number"),
    [
        (
            "sessions",
            ["Running  23", "Waiting  4", "Disconnected  1", "Failed  6", "Ended  5"],
            "39, 28 open",
        ),
        ("images", ["Ready  1", "Warning  1", "Working  3", "Failed  1"], "6"),
        ("jobs", ["Running  2", "Waiting  1", "Failed  1", "Ended  2"], "6, 3 open"),
    ],
)
def test_every_row_is_counted_by_just_one_chip_and_the_open_ones_beside_all(
    window, key, chips, number
):
    page = window.main_window.show_page(key)
    assert [button.text() for button in page._group.buttons()][1:] == chips
    assert sum(page.model.counts[: len(chips)]) == page.model.total
    assert page._number.text() == number


def test_buttons_of_the_header_count_what_they_do(window):
    page = window.main_window.show_page("sessions")
    page.view.selectAll()
    stop = next(b for b in page.findChildren(QPushButton) if b.text().startswith("Stop"))
    assert stop.text() == "Stop 28 sessions"
    page.select([1])
    assert stop.text() == "Stop session"


def test_running_work_is_in_the_status_bar_and_leads_to_jobs(qtbot, window):
    status = window.main_window.status
    assert status._work.text() == "Import Blender render node  and 1 more"
    assert status._left.text() == "12 %  11 min left"
    qtbot.mouseClick(status._work, Qt.MouseButton.LeftButton)
    assert window.main_window._page_stack.currentWidget() is window.main_window._pages["jobs"]
    window.room.jobs = [replace(job, status=JobStatus.SUCCEEDED) for job in window.room.jobs]
    window.workspace.on_changed({"jobs": {2, 3, 4}})
    assert not status._work.isVisible()


def test_a_job_tells_once_when_it_ends(window):
    assert toasts(window) == []
    jobs = window.room.jobs
    jobs[0] = replace(jobs[0], status=JobStatus.SUCCEEDED)
    jobs[1] = replace(jobs[1], status=JobStatus.FAILED, error="The file is damaged.")
    for _ in range(2):
        window.workspace.on_changed({"jobs": {2, 3}})
    assert toasts(window) == [
        "Import Blender render node: done.",
        "Import Win11-Office 2026-11: failed. The file is damaged.",
    ]
    failure = window.main_window._toasts[-1]
    next(b for b in failure.findChildren(QPushButton) if b.text() == "Show").click()
    page = window.main_window._page_stack.currentWidget()
    assert [row.id for row in page.view.selected()] == [2]


def test_a_job_that_fails_before_it_was_ever_seen_running_is_told_too(window):
    window.room.jobs.append(replace(window.room.jobs[3], id=99, error="No room."))
    window.workspace.on_changed({"jobs": {99}})
    assert toasts(window) == ["Set up target PC-05, PC-06, PC-21: failed. No room."]


def test_a_lost_connection_never_opens_a_dialog_but_other_errors_are_told(window):
    window.workspace.context.feeds.machines.failed.emit(UnreachableError("gone"))
    assert toasts(window) == []
    window.workspace.context.feeds.machines.failed.emit(RefusedError("You may not read machines."))
    assert toasts(window) == ["You may not read machines."]


def test_the_dashboard_groups_problems_by_cause_and_leads_to_them(qtbot, window):
    found = problems(window.workspace.context)
    assert [(p.cause, len(p.ids)) for p in found] == [
        (LOCKED, 3),
        ("Its target is missing", 2),
        ("9 targets differ from what is wanted.", 9),
        (window.room.images[5].error, 1),
        ("Did not boot in time", 3),
        ("Disconnected", 1),
    ]
    assert found[-1].names == ("PC-12 · last seen 47 min ago",)
    dashboard = window.main_window.show_page("dashboard")
    assert isinstance(dashboard, Dashboard)
    assert [tile.number.text() for tile, _ in dashboard._tiles] == ["9", "2", "23", "6", "3"]
    show = next(b for b in dashboard.findChildren(QPushButton) if b.text() == "Show")
    qtbot.mouseClick(show, Qt.MouseButton.LeftButton)
    machines = window.main_window._page_stack.currentWidget()
    assert [row.id for row in machines.view.selected()] == [5, 6, 21]
    assert machines.model.rowCount() == 9  # the others that are well do not lie between them


def press(qtbot, dashboard: Dashboard, text: str) -> None:
    """The first button with this text."""
    button = next(b for b in dashboard.findChildren(QPushButton) if b.text() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_dashboard_starts_again_what_failed_and_repairs_targets(qtbot, window):
    dashboard = window.main_window.show_page("dashboard")
    window.runner.answer = lambda *_args: StartedAgain((50, 51, 52), ())
    press(qtbot, dashboard, "Start again")
    work, args = window.runner.calls[-1]
    assert work is boot_sessions.start_boot_sessions_again
    assert sorted(args[0]) == [5, 6, 21]
    window.end_jobs(JobKind.TARGET_REPAIR, result={"changed": 2, "left": []})
    press(qtbot, dashboard, "Repair target")
    assert window.runner.calls[-1][1] == ([1], False)


def test_a_saved_configuration_that_cannot_be_read_needs_attention(qtbot, window):
    dashboard = window.main_window.show_page("dashboard")
    window.room.hosts[0] = replace(window.room.hosts[0], saved_problem="it is empty")
    window.workspace.on_changed({"hosts": None})
    told = "The saved configuration of lab-server cannot be read: it is empty."
    qtbot.waitUntil(lambda: problems(window.workspace.context)[0].cause == told)
    rewrite = "Rewrite saved configuration…"
    qtbot.waitUntil(lambda: any(b.text() == rewrite for b in dashboard.findChildren(QPushButton)))
    press(qtbot, dashboard, rewrite)
    message = next(
        w for w in QApplication.topLevelWidgets() if isinstance(w, Message) and w.isVisible()
    )
    assert message.windowTitle() == "Write the saved configuration of lab-server anew?"
    message.close()


def test_a_viewer_sees_why_the_dashboard_mends_nothing(viewer):
    dashboard = viewer.main_window.show_page("dashboard")
    again = [b for b in dashboard.findChildren(QPushButton) if b.text() == "Start again"]
    assert [b.isEnabled() for b in again] == [False, False]
    assert again[0].toolTip() == "Needs the role Operator"


def test_a_silent_storage_host_is_the_first_problem(qtbot, window):
    window.room.hosts[0] = replace(
        window.room.hosts[0], alive=False, heartbeat_at=window.room.ago(3)
    )
    window.workspace.on_changed({"hosts": None})
    qtbot.waitUntil(lambda: not problems(window.workspace.context)[0].ids)
    first = problems(window.workspace.context)[0]
    assert first.state is State.FAILED
    assert first.cause.startswith("The storage host lab-server does not answer (last heard 3 min")


def test_a_tile_opens_by_key_what_it_counts(qtbot, window):
    dashboard = window.main_window.show_page("dashboard")
    tile = dashboard._tiles[0][0]
    tile.setFocus()
    qtbot.keyClick(tile, Qt.Key.Key_Return)
    assert window.main_window._page_stack.currentWidget().model.rowCount() == 9


def test_the_tile_of_ready_images_selects_those_it_counts(qtbot, window):
    tile = window.main_window.show_page("dashboard")._tiles[4][0]
    tile.setFocus()
    qtbot.keyClick(tile, Qt.Key.Key_Return)
    selected = window.main_window._page_stack.currentWidget().view.selected()
    assert str(len(selected)) == tile.number.text() == "3"
    assert {row.status for row in selected} == {ImageStatus.READY}


def test_a_renamed_machine_is_renamed_wherever_it_is_shown(window, qtbot):
    room = window.room
    targets = window.main_window.show_page("targets")
    room.machines[0] = replace(room.machines[0], name="PC-99")
    room.targets[0] = replace(room.targets[0], machine="PC-99")
    window.workspace.on_changed({"machines": {1}})
    qtbot.waitUntil(lambda: targets.model.by_id(1).machine == "PC-99")


def test_a_file_dropped_on_the_window_opens_the_import_prefilled(qtbot, window, tmp_path):
    file = tmp_path / "Win 11 – lab.vhdx"
    file.touch()
    drop(window, [file])
    form = next(w for w in QApplication.topLevelWidgets() if isinstance(w, FormDialog))
    assert form.form.boxes["source"].raw() == str(file)
    assert form.form.boxes["name"].raw() == "Win 11 – lab"
    form.go.click()
    source, spec = window.uploader.asked[0]
    assert source == file
    assert spec.name == "Win 11 – lab"
    qtbot.waitUntil(lambda: not form.isVisible())


def test_a_file_whose_name_is_no_text_is_said_to_be(window, tmp_path):
    drop(window, [tmp_path / os.fsdecode(b"old \xff.img")])
    assert not window.main_window.findChildren(FormDialog)
    [notice] = window.main_window._toasts
    assert notice.text == (
        f"The name of “{tmp_path}/old ?.img” is not UTF-8; rename the file, or use "
        "“ggnet image import”."
    )


def test_two_files_at_once_or_a_web_address_are_not_taken(window, tmp_path):
    for files in ([tmp_path / "a", tmp_path / "b"], []):
        drop(window, files)
    assert not any(isinstance(w, FormDialog) for w in window.main_window.findChildren(FormDialog))


def test_a_viewer_who_drops_a_file_is_told_why_not(qtbot, viewer, tmp_path):
    drop(viewer, [tmp_path / "disk.vhdx"])
    message = next(
        w for w in QApplication.topLevelWidgets() if isinstance(w, Message) and w.isVisible()
    )
    assert message.text.text() == "An image cannot be imported now. Needs the role Operator."
    message.close()


def drop(window: Window, files: list[Path]) -> None:
    data = QMimeData()
    data.setData("text/uri-list", "\r\n".join(file.as_uri() for file in files).encode())
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    action = Qt.DropAction.CopyAction
    enter = QDragEnterEvent(QPointF(50, 50).toPoint(), action, data, buttons, keys)
    window.main_window.dragEnterEvent(enter)
    assert enter.isAccepted() == (len(files) == 1)
    window.main_window.dropEvent(QDropEvent(QPointF(50, 50), action, data, buttons, keys))


def test_the_look_switches_at_once_and_is_remembered(qapp, window, settings):
    window.theme.set_mode("dark")
    assert tokens_of(window.main_window.palette()) is DARK
    window.theme.set_mode("light")
    assert tokens_of(window.main_window.palette()) is LIGHT
    window.theme.set_mode("dark")
    again = Theme(qapp, settings)
    assert again.mode == "dark"
    again.set_mode("light")
    again.deleteLater()


def test_closing_asks_and_the_window_stays_until_it_may_go(qtbot, window):
    asked = []
    window.main_window.ask_before_closing(lambda: bool(asked.append(1)))
    window.main_window.close()
    assert window.main_window.isVisible()
    assert asked == [1]
    kept, stopped = [], []
    ask_what_to_do_with_machines(
        window.main_window, 28, lambda: kept.append(1), lambda: stopped.append(1)
    )
    message = next(
        w for w in QApplication.topLevelWidgets() if isinstance(w, Message) and w.isVisible()
    )
    assert message.windowTitle() == "28 machines still run from this computer"
    texts = [b.text() for b in message.findChildren(QPushButton) if b.isVisible()]
    assert texts == ["Stop 28 machines", "Keep serving 28 machines", "Cancel"]
    qtbot.keyClick(message, Qt.Key.Key_Escape)
    assert kept == stopped == []
    window.main_window.ask_before_closing(lambda: True)


def test_an_error_that_belongs_to_a_field_is_shown_at_that_field(window, tmp_path):
    from ggnet_console.errors import FieldError

    page = window.main_window.show_page("images")
    form = page.import_file(tmp_path / "x.vhdx")
    window.uploader.start = lambda *_args, failed, **_rest: failed(
        FieldError("name", "There is an image of that name already.")
    )
    form.go.click()
    assert form.form.boxes["name"].error == "There is an image of that name already."
    window.uploader.start = lambda *_args, failed, **_rest: failed(ConsoleError("No room."))
    form.form.boxes["name"].set_raw("another")
    form.go.click()
    assert form._error.sentence.text() == "No room."
    form.hide()


def test_a_value_that_grows_is_shown_whole(qtbot, window):
    """The digest of an image appears when its import ends, while its details are open."""
    page = window.main_window.show_page("images")
    page.select([4])
    image = window.room.images[3]
    window.room.images[3] = replace(image, sha256="d3d112d8" * 8)
    window.workspace.on_changed({"images": {4}})
    values = page.detail._overview._values
    digest = next(value for value in values if value.value == "d3d112d8" * 8)
    qtbot.waitUntil(lambda: digest.height() >= digest.heightForWidth(digest.width()))
    assert digest.height() >= 3 * digest.fontMetrics().height()


@pytest.mark.parametrize("key", ["machines", "images", "targets", "sessions", "jobs"])
def test_no_page_scrolls_sideways_beside_its_details_on_a_small_screen(qtbot, window, key):
    window.main_window.resize(1280, 720)
    page = window.main_window.show_page(key)
    _fits_beside_the_details(qtbot, page)


@pytest.mark.parametrize("key", ["audit", "users", "settings"])
def test_nor_do_the_pages_of_admins(qtbot, admin, key):
    admin.main_window.resize(1280, 720)
    _fits_beside_the_details(qtbot, admin.main_window.show_page(key))


def _fits_beside_the_details(qtbot, page):
    header, bar = page.view.horizontalHeader(), page.view.horizontalScrollBar()
    stretching = next(n for n, column in enumerate(page.model.columns) if column.stretch)

    def shown() -> list[int]:
        return [n for n in range(header.count()) if not header.isSectionHidden(n)]

    declared = [n for n, column in enumerate(page.model.columns) if not column.hidden]
    qtbot.waitUntil(lambda: shown() == declared)
    page.view.selectRow(0)
    qtbot.waitUntil(page.detail.isVisible)
    qtbot.waitUntil(lambda: bar.maximum() == 0)
    assert header.length() == page.view.viewport().width()
    assert header.sectionSize(stretching) >= page.model.columns[stretching].width
    page._dismiss_detail()
    qtbot.waitUntil(lambda: shown() == declared)


def test_a_notice_in_the_corner_is_as_high_as_its_text(window):
    window.main_window.notify("Import Win11-Games: done.", State.RUNNING)
    window.main_window.notify("The file differs from what was sealed. " * 4, State.RUNNING)
    one, several = (toast.height() for toast in window.main_window._toasts)
    assert one < 50
    assert several > 2 * window.main_window.fontMetrics().height() + 20


def test_a_host_with_open_sessions_does_not_change_over(admin):
    page = admin.main_window.show_page("settings")
    page.hosts.buttons["lab-server"].click()
    form = next(w for w in QApplication.topLevelWidgets() if isinstance(w, FormDialog))
    assert not form.go.isEnabled()
    assert form.go.toolTip() == "28 sessions open: stop them first."
    assert form._error.sentence.text() == form.go.toolTip()
    form.done(0)


def test_the_dashboard_says_that_all_is_well(qtbot, empty_window):
    dashboard = empty_window.main_window.show_page("dashboard")
    qtbot.waitUntil(lambda: "All is well." in texts(dashboard))
    assert "Reading…" not in texts(dashboard)


def texts(widget: QWidget) -> list[str]:
    return [each.text() for each in widget.findChildren(QLabel)]
