# SPDX-License-Identifier: GPL-3.0-or-later
"""A noun's page by keyboard and mouse: search, chips, selection, actions, details, empty states."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QMenu, QPushButton, QWidget

from ggnet_console.demo.targets import LOCKED
from ggnet_console.enums import (
    MachineStatus,
    Role,
    SessionStatus,
)
from ggnet_console.errors import ConsoleError, FieldChange
from ggnet_console.services import machines
from ggnet_console.services.machines import MachineChanges, Skipped
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Details, Message
from ggnet_console.ui.kit.widgets import StateLine
from ggnet_console.ui.machines.page import MachinesPage

from .demo import Window

Key = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def page(window: Window) -> MachinesPage:
    page = window.main_window.show_page("machines")
    assert isinstance(page, MachinesPage)
    page.view.setFocus()
    return page


def dialog(qtbot, kind: type[QWidget]) -> QWidget:
    """The one dialog that is open, with the keyboard."""
    found = next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())
    qtbot.waitUntil(found.isActiveWindow)
    return found


def back(qtbot, window: QWidget) -> None:
    """Nothing is open above this window any more, and it has the keyboard."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)


def no_dialog() -> bool:
    return not any(w.isModal() and w.isVisible() for w in QApplication.topLevelWidgets())


def buttons(parent: QWidget) -> list[QPushButton]:
    return parent.findChildren(QPushButton)


def toasts(window: Window) -> list[str]:
    return [toast.text for toast in window.main_window._toasts]


def click(qtbot, parent: QWidget, text: str) -> None:
    """Press the visible button with this text."""
    button = next(b for b in parent.findChildren(QPushButton) if b.text() == text and b.isVisible())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def shown(page: MachinesPage) -> list[str]:
    return [page.model.row(n).name for n in range(page.model.rowCount())]


def test_ctrl_f_searches_and_escape_backs_out_step_by_step(qtbot, page):
    qtbot.keyClick(page.view, Key.Key_F, CTRL)
    assert page.search.hasFocus()
    qtbot.keyClicks(page.search, "pc-03")
    assert shown(page) == ["PC-03"]
    qtbot.keyClick(page.search, Key.Key_Return)
    assert page.view.hasFocus()
    assert [row.name for row in page.view.selected()] == ["PC-03"]
    assert page.detail.isVisible()
    qtbot.keyClick(page.view, Key.Key_Escape)
    assert not page.detail.isVisible()
    qtbot.keyClick(page.view, Key.Key_Escape)
    assert page.view.selected() == []
    qtbot.keyClick(page.view, Key.Key_Escape)
    assert len(shown(page)) == 40


def test_arrows_and_ctrl_a_select_and_the_details_follow(qtbot, page):
    page.view.selectRow(0)
    qtbot.keyClick(page.view, Key.Key_Down)
    assert page.view.selected()[0].name == "PC-06"
    assert page.detail._heading.text() == "PC-06"
    qtbot.keyClick(page.view, Key.Key_A, CTRL)
    assert len(page.view.selected()) == 40
    assert page.detail._heading.text() == "40 machines"


def test_chips_count_states_and_filter_by_them(qtbot, page):
    chips = [button.text() for button in page._group.buttons()]
    assert chips == ["All", "Running  23", "Waiting  2", "Problem  9", "Off  6"]
    click(qtbot, page, "Problem  9")
    assert len(shown(page)) == 9
    page.search.setText("zzz")
    assert page._nothing_text.text() == "No machine contains “zzz” among “Problem”"
    click(qtbot, page, "Clear")
    assert len(shown(page)) == 40


def test_an_action_that_is_not_possible_stays_and_says_why(page):
    start, stop = page.action("Start session"), page.action("Stop session")
    assert not start.isEnabled()
    assert start.toolTip() == "Select a row first"
    page.select([1])
    assert start.toolTip() == "PC-01 already has a session: stop it first"
    assert stop.isEnabled()
    page.select([38])
    assert start.toolTip() == "PC-38 is not active: set it to active first"
    page.select([39])
    assert start.isEnabled()
    assert "Ctrl+" in start.toolTip()
    assert stop.toolTip() == "No session is open"


def test_a_viewer_sees_everything_and_every_writing_action_says_what_it_needs(viewer):
    page = viewer.main_window.show_page("machines")
    page.select([39])
    assert page.view.selected()
    for action in page.actions_:
        assert not action.isEnabled()
        assert action.toolTip() == "Needs the role Operator"
    action = page.action("Add machine")
    action.trigger()
    action._on_triggered()  # as if a stale shortcut got through
    assert no_dialog()


def test_without_connection_writing_waits_and_reading_goes_on(window, page):
    page.select([39])
    window.workspace.on_lost()
    assert window.main_window.banner.isVisible()
    assert "Connection to lab-server (TLS) lost" in window.main_window.banner.text
    assert page.action("Start session").toolTip() == (
        "Waiting for the connection to lab-server (TLS)"
    )
    page.search.setText("pc-03")
    assert shown(page) == ["PC-03"]
    window.workspace.on_restored()
    assert not window.main_window.banner.isVisible()
    page.select([39])
    assert page.action("Start session").isEnabled()


def test_the_context_menu_has_the_same_actions_in_the_same_order(qtbot, page):
    page.select([39])
    texts = [action.text() for action in page.menu().actions()]
    assert texts == [action.text() for action in page.actions_]
    qtbot.keyClick(page.view, Key.Key_Menu)
    menu = next(m for m in page.findChildren(QMenu) if m.isVisible())
    assert [action.text() for action in menu.actions()] == texts
    menu.close()


def test_a_right_click_selects_the_row_it_is_on(qtbot, page):
    place = page.view.visualRect(page.model.index(4, 0)).center()
    qtbot.mouseClick(page.view.viewport(), Qt.MouseButton.RightButton, pos=place)
    assert [row.name for row in page.view.selected()] == ["PC-31"]
    next(m for m in page.findChildren(QMenu) if m.isVisible()).close()


def test_ctrl_n_opens_the_form_and_enter_in_it_adds_the_machine(qtbot, window, page):
    qtbot.keyClick(page.view, Key.Key_N, CTRL)
    form = dialog(qtbot, FormDialog)
    boxes = form.form.boxes
    qtbot.keyClicks(boxes["name"].editor, "PC-41")
    qtbot.keyClicks(boxes["mac"].editor, "52-54-00-AB-CD-EF")
    window.runner.answer = lambda *_args: 41
    qtbot.keyClick(boxes["mac"].editor, Key.Key_Return)
    work, (spec,) = window.runner.calls[-1]
    assert work is machines.create_machine
    assert (spec.name, spec.mac, spec.ip) == ("PC-41", "52:54:00:ab:cd:ef", None)
    qtbot.waitUntil(no_dialog)
    window.room.machines.append(replace(window.room.machines[38], id=41, name="PC-41"))
    window.workspace.on_changed({"machines": {41}})
    assert [row.name for row in page.view.selected()] == ["PC-41"]


def test_a_wrong_mac_is_said_at_the_field_as_soon_as_it_is_left(qtbot, page):
    page.action("Add machine").trigger()
    form = dialog(qtbot, FormDialog)
    mac, ip = form.form.boxes["mac"], form.form.boxes["ip"]
    mac.editor.setFocus()
    qtbot.keyClicks(mac.editor, "52:54")
    ip.editor.setFocus()
    assert "is not a MAC address" in mac.error
    qtbot.keyClicks(mac.editor, ":00:00:00:01")
    assert mac.error == ""
    form.go.click()
    assert form.form.boxes["name"].error == "Name is needed."
    assert form.form.boxes["name"].editor.hasFocus()
    assert mac.raw() == "52:54:00:00:00:01"
    form.hide()


def test_what_the_database_refuses_is_said_and_nothing_typed_is_lost(qtbot, window, page):
    page.select([1])
    qtbot.keyClick(page.view, Key.Key_F2)
    form = dialog(qtbot, FormDialog)
    form.form.boxes["room"].set_raw("Lab 9")

    def refuse(*_args):
        raise ConsoleError("PC-01 cannot be saved now.", "the reason")

    window.runner.answer = refuse
    form.go.click()
    assert form.isVisible()
    assert form._error.sentence.text() == "PC-01 cannot be saved now."
    assert form.form.boxes["room"].raw() == "Lab 9"
    qtbot.keyClick(form, Key.Key_Escape)
    assert form.isVisible()
    question = dialog(qtbot, Message)
    click(qtbot, question, "Keep editing")
    assert form.isVisible()
    back(qtbot, form)
    qtbot.keyClick(form, Key.Key_Escape)
    click(qtbot, dialog(qtbot, Message), "Discard")
    qtbot.waitUntil(no_dialog)


def test_delete_names_what_goes_and_does_nothing_by_default(qtbot, window, page):
    page.select([36, 37])
    page.view.setFocus()
    qtbot.keyClick(page.view, Key.Key_Delete)
    question = dialog(qtbot, Message)
    assert question.windowTitle() == "Delete PC-36 and PC-37?"
    qtbot.keyClick(question, Key.Key_Return)
    qtbot.waitUntil(no_dialog)
    back(qtbot, window.main_window)
    assert window.runner.calls == []
    qtbot.keyClick(page.view, Key.Key_Delete)
    click(qtbot, dialog(qtbot, Message), "Delete 2 machines")
    assert window.runner.calls[-1] == (machines.delete_machines, ([36, 37],))


def test_delete_lists_everything_that_goes(qtbot, page):
    rows = [page.model.by_id(number) for number in range(34, 41)]
    page._on_delete(rows)
    question = dialog(qtbot, Message)
    assert question.windowTitle() == "Delete PC-34, PC-35, PC-36, PC-37, PC-38 and 2 more?"
    listed = question.findChild(Details)
    assert listed.text.isVisible()
    assert listed.text.toPlainText().splitlines() == [row.name for row in rows]
    question.close()


def test_what_is_broken_stands_first_until_somebody_sorts_otherwise(page):
    assert shown(page)[:10] == [
        *("PC-05", "PC-06", "PC-09", "PC-21", "PC-31"),
        *("PC-03", "PC-12", "PC-17", "PC-18"),
        "PC-08",
    ]


def test_a_name_gets_the_room_that_the_table_has_to_spare(qtbot, window, page):
    window.main_window.resize(1900, 900)
    header = page.view.horizontalHeader()
    image = next(n for n, column in enumerate(page.model.columns) if column.key == "image")
    widest = page.view.fontMetrics().horizontalAdvance("Ubuntu 26.04 LTS for the physics course")
    qtbot.waitUntil(lambda: header.sectionSize(image) > widest)
    header.resizeSection(image, 100)
    window.main_window.resize(1800, 900)
    qtbot.waitUntil(lambda: header.length() == page.view.viewport().width())
    assert header.sectionSize(image) == 100  # somebody chose it


def test_several_rows_are_told_by_their_states_the_worst_first(page):
    page.show_chip("Problem")
    page.view.selectAll()
    lines = [line.text for line in page.detail._tally.findChildren(StateLine)]
    assert lines == [
        f"3 × {LOCKED}",
        "2 × Its target is missing",
        "3 × Did not boot in time",
        "1 × Disconnected",
    ]
    assert not page.detail._bar.isVisible()


def test_a_refused_write_is_shown_with_its_details_to_copy(qtbot, window, page):
    def refuse(*_args):
        raise ConsoleError("PC-39 has a target.", "constraint targets_machine_id")

    window.runner.answer = refuse
    page.select([39])
    page.action("Delete").trigger()
    click(qtbot, dialog(qtbot, Message), "Delete 1 machine")
    error = next(
        w
        for w in QApplication.topLevelWidgets()
        if isinstance(w, Message) and w.windowTitle() == "That did not work"
    )
    assert error.text.text() == "PC-39 has a target."
    click(qtbot, error, "Copy")
    assert QApplication.clipboard().text() == "constraint targets_machine_id"
    error.close()


def test_live_changes_leave_selection_and_an_open_menu_alone(qtbot, window, page):
    page.select([3])
    qtbot.keyClick(page.view, Key.Key_Menu)
    row = window.room.machines[2]
    window.room.machines[2] = replace(
        row, session_status=SessionStatus.ACTIVE, online=True, session_since=window.room.now
    )
    first = replace(window.room.machines[4], id=77, name="AA-first", mac="52:54:00:00:00:77")
    window.room.machines.append(first)
    window.workspace.on_changed({"machines": {3, 77}})
    assert page.view.selected()[0].session_status is SessionStatus.ACTIVE
    assert page.model.row(0).name == "PC-05"  # held: the newcomer waits at the end
    assert page.detail._line.text.startswith("Running")
    next(m for m in page.findChildren(QMenu) if m.isVisible()).close()
    qtbot.waitUntil(lambda: page.model.row(0).name == "AA-first")


def test_a_machine_that_somebody_removed_leaves_the_page(window, page):
    page.select([40])
    del window.room.machines[39]
    window.workspace.on_changed({"machines": {40}})
    assert page.view.selected() == []
    assert len(shown(page)) == 39


def test_f5_reads_everything_again(qtbot, window, page):
    window.room.machines[4] = replace(window.room.machines[4], name="PC-00")
    qtbot.keyClick(page.view, Key.Key_F5)
    qtbot.waitUntil(lambda: shown(page)[0] == "PC-00")


def test_an_empty_page_says_what_it_is_for_and_starts_it(qtbot, empty_window):
    page = empty_window.main_window.show_page("machines")
    assert not page.view.isVisible()
    buttons = [b for b in page.findChildren(QPushButton) if b.isVisible()]
    assert buttons == [page._starter]  # nothing to search, filter or start yet
    qtbot.mouseClick(page._starter, Qt.MouseButton.LeftButton)
    assert dialog(qtbot, FormDialog).windowTitle() == "Add machine"
    dialog(qtbot, FormDialog).close()


def test_a_failed_machine_says_why_in_table_and_details(page):
    page.select([5])
    index = page.model.index(page.model.position(5), 1)
    assert index.data() == LOCKED  # its sign says that it failed
    assert page.detail._line.text == LOCKED
    facts = dict(page.detail._overview.shown())
    assert facts["Failed"] == "4 min ago"


def test_maintenance_is_set_for_idle_machines_only(window, page):
    page.select([1])
    assert page.action("Set to maintenance").toolTip() == "PC-01 has a session: stop it first"
    page.select([39])
    row = page.view.selected()[0]
    window.runner.answer = lambda *_args: []
    page.action("Set to maintenance").trigger()
    changes = MachineChanges(status=MachineStatus.MAINTENANCE)
    assert window.runner.calls[-1] == (machines.change_machines, ([row], changes))


def test_machines_that_changed_meanwhile_are_told_of_and_can_be_set_all_the_same(
    qtbot, window, page
):
    page.select([39, 40])
    first, second = page.view.selected()
    now = replace(second, room="Lab 9", version=2)
    change = FieldChange("room", "Lab 3", "Lab 9", "Lab 3", "ben", None)
    window.runner.answer = lambda *_args: [Skipped(second.name, now, (change,), None)]
    page.action("Set to maintenance").trigger()
    message = dialog(qtbot, Message)
    assert message.windowTitle() == "1 of 2 machines was left as it is"
    window.runner.answer = lambda *_args: []
    again = next(b for b in message.findChildren(QPushButton) if b.text() == "Change 1 machine too")
    qtbot.mouseClick(again, Qt.MouseButton.LeftButton)
    changes = MachineChanges(status=MachineStatus.MAINTENANCE)
    assert [args for work, args in window.runner.calls if work is machines.change_machines] == [
        ([first, second], changes),
        ([now], changes),
    ]


def test_roles_are_ranked(window):
    assert window.workspace.access.refusal(Role.VIEWER) is None
    assert window.workspace.access.refusal(Role.OPERATOR) is None
    assert window.workspace.access.refusal(Role.ADMIN) == "Needs the role Admin"


def test_the_pane_keeps_its_width(qtbot, window, page, settings):
    page.select([1])
    page._splitter.setSizes([600, 420])
    page._splitter.splitterMoved.emit(600, 1)
    width = page._splitter.sizes()[1]
    page._dismiss_detail()
    page._on_opened()
    assert abs(page._splitter.sizes()[1] - width) <= 1
    assert int(settings.value("detail/machines")) == width


def test_a_double_click_opens_the_form(qtbot, page):
    place = page.view.visualRect(page.model.index(1, 0)).center()
    qtbot.mouseClick(page.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(page.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    assert dialog(qtbot, FormDialog).windowTitle() == "Edit PC-06"
    dialog(qtbot, FormDialog).close()


def test_columns_are_chosen_by_keys_alone(qtbot, window, page):
    menu = page._overflow.menu()
    menu.popup(QPoint())
    columns = menu.actions()[-1]
    assert columns.text() == "Columns"
    chooser = columns.menu()
    assert [each.text() for each in chooser.actions()] == [c.title for c in page.model.columns]
    mac = next(each for each in chooser.actions() if each.text() == "MAC address")
    number = chooser.actions().index(mac)
    assert page.view.horizontalHeader().isSectionHidden(number)
    mac.trigger()
    assert not page.view.horizontalHeader().isSectionHidden(number)
    menu.close()
