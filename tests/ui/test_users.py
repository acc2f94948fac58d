# SPDX-License-Identifier: GPL-3.0-or-later
"""Users in the window: the Users page, own password, and rights that change while it is open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from ggnet_console.db.rights import MATRIX, Holder
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, FieldChange, FieldError, StaleError
from ggnet_console.services import rights, users
from ggnet_console.services import settings as settings_service
from ggnet_console.services.settings import SettingSpec
from ggnet_console.ui.edit_dialog import EditDialog
from ggnet_console.ui.kit import format as fmt
from ggnet_console.ui.kit.conflict_dialog import MINE, ConflictDialog
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.kit.tokens import State
from ggnet_console.ui.setting_words import DESCRIPTIONS
from ggnet_console.ui.settings import SettingsPage
from ggnet_console.ui.users.page import UsersPage, state_of
from ggnet_console.ui.window.sign_in_pages import NewPasswordPage

from .demo import Window

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def page(admin: Window) -> UsersPage:
    page = admin.main_window.show_page("users")
    assert isinstance(page, UsersPage)
    return page


def open_dialog(kind):
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def press(parent, text: str) -> None:
    next(b for b in parent.findChildren(QPushButton) if b.text() == text).click()


def texts(widget) -> list[str]:
    return [each.text() for each in widget.findChildren(QLabel) if each.isVisibleTo(widget)]


def toasts(window: Window) -> list[str]:
    return [toast.text for toast in window.main_window._toasts]


def shown_keys(window: Window) -> list[str]:
    sidebar = window.main_window.sidebar
    return [k for n, k in enumerate(sidebar._keys) if not sidebar._list.isRowHidden(n)]


def called(window: Window, service) -> list[tuple]:
    return [
        (args, getattr(work, "keywords", {}))
        for work, args in window.runner.calls
        if getattr(work, "func", work) is service
    ]


def test_only_admins_have_the_pages_of_admins(qtbot, window, viewer):
    for each in (window, viewer):
        assert shown_keys(each) == [
            "dashboard",
            "machines",
            "images",
            "targets",
            "sessions",
            "jobs",
        ]
        for number in (7, 8, 9):
            qtbot.keyClick(each.main_window, getattr(Qt.Key, f"Key_{number}"), CTRL)
        assert list(each.main_window._pages) == ["machines"]


def test_accounts_say_what_is_the_matter_with_them(admin, page):
    failed_until = admin.room.users[1].failed[0].until
    states = {
        row.name: page.model.columns[2].text(row)
        for row in (page.model.row(n) for n in range(page.model.rowCount()))
    }
    assert states == {
        "anna": "Signed in",
        "ben": "Locked",
        "boss": f"Locked out until {fmt.clock(failed_until)}",
        "carla": "Must change password",
        "reception": "Signed in · 2 failed sign-ins",
        "summer intern": "Disabled",
    }


def test_the_last_admin_cannot_be_touched_and_the_window_says_why(qtbot, admin, page):
    page.select([2])
    assert page.action("Lock").isEnabled()
    admin.room.users = [
        replace(row, disabled=True) if row.name == "anna" else row for row in admin.room.users
    ]
    admin.workspace.on_changed({"users": {1}})
    qtbot.waitUntil(lambda: not page.action("Lock").isEnabled())
    for name in ("Change role", "Lock", "Disable"):
        assert page.action(name).toolTip() == (
            "boss is the last admin who can sign in: make another one first"
        )


def test_what_the_database_says_of_the_last_admin_is_shown_when_two_were_at_it(admin, page):
    def refuse(*_args, **_how):
        raise ConsoleError("boss is the last admin who can sign in; make another one first.")

    admin.runner.answer = refuse
    page.select([2])
    page.action("Lock").trigger()
    press(open_dialog(Message), "Lock 1 user")
    assert open_dialog(Message).text.text() == (
        "boss is the last admin who can sign in; make another one first."
    )


def test_locking_asks_first_and_then_also_ends_late_connections(admin, page):
    page.select([5])
    page.action("Lock").trigger()
    assert not called(admin, users.set_locked)
    press(open_dialog(Message), "Lock 1 user")
    assert called(admin, users.set_locked) == [((5,), {"locked": True})]
    assert len(called(admin, users.end_stale_connections)) == 1


def test_unlocking_enabling_and_disabling_call_their_services(admin, page):
    page.select([3])
    page.action("Unlock user").trigger()
    assert called(admin, users.set_locked) == [((3,), {"locked": False})]
    page.select([6])
    assert page.action("Disable").toolTip() == "Is disabled already"
    page.action("Enable").trigger()
    assert called(admin, users.set_disabled) == [((6,), {"disabled": False})]


def test_who_was_refused_stands_in_the_details_with_unlock_at_hand(admin, page):
    page.select([2])
    said = texts(page.detail._overview)
    for text in ("Failed sign-ins", "desk@reception-1 · 10.0.7.14", "6 times, last 4 min ago"):
        assert text in [each.replace("\u200b", "") for each in said]
    assert f"Until {fmt.clock(admin.room.users[1].failed[0].until)}" in said
    press(page, "Unlock user")
    assert called(admin, users.set_locked) == [((2,), {"locked": False})]
    page.select([5])
    assert page.action("Unlock user").toolTip() == "Is neither locked nor locked out"
    assert "Until" not in " ".join(texts(page.detail._overview))


def test_a_lock_out_ends_on_the_screen_with_its_time(admin, page):
    row = admin.room.users[1]
    past = replace(row.failed[0], until=admin.room.ago(0.1))
    assert state_of(replace(row, failed=(past,))) == (State.ATTENTION, "6 failed sign-ins")
    forever = replace(row.failed[0], until=None)
    assert state_of(replace(row, failed=(forever,)))[1] == "Locked out until an admin unlocks it"
    page.show_chip("Locked or disabled")
    shown = {page.model.row(n).name for n in range(page.model.rowCount())}
    assert shown == {"ben", "boss", "summer intern"}


def test_nobody_resets_their_own_password(page):
    page.select([1])
    assert page.action("Reset password").toolTip() == (
        "This is you: change your password at the bottom of the window"
    )
    page.select([3])
    assert page.action("Reset password").isEnabled()


def test_a_new_account_gets_name_role_and_a_password_typed_twice(admin, page, monkeypatch):
    made = []
    monkeypatch.setattr(
        users, "create_user", lambda _session, *values, **how: made.append((values, how))
    )
    admin.runner.answer = lambda values: work(None, values)
    page.action("Add user").trigger()
    dialog = open_dialog(FormDialog)
    boxes = dialog.form.boxes
    boxes["name"].set_raw("dora")
    boxes["password"].set_raw("long enough")
    boxes["again"].set_raw("long enouhg")

    def work(session, values):
        return admin.runner.calls[-1][0](session, values)

    dialog.go.click()
    assert boxes["again"].error == "The two passwords differ."
    assert made == []
    boxes["again"].set_raw("long enough")
    dialog.go.click()
    assert made == [(("dora", Role.OPERATOR, "long enough"), {"must_change": True})]


def test_sign_ins_are_listed_with_place_and_program_and_can_be_revoked(qtbot, admin, page):
    page.select([5])
    page.detail._bar.setCurrentIndex(1)
    tab = page.detail._tabs[0]
    qtbot.waitUntil(lambda: "desk@reception-1 · 10.0.7.14" in texts(tab))
    press(tab, "Revoke")
    assert called(admin, users.revoke_sign_in) == [((admin.room.sign_ins[2].id,), {})]
    page.select([3])
    qtbot.waitUntil(lambda: texts(tab) == ["ben is not signed in."])


def test_the_rights_of_the_role_are_shown_as_they_are_granted(qtbot, page):
    page.select([5])
    page.detail._bar.setCurrentIndex(2)
    tab = page.detail._tabs[1]
    expected = {"Machines", "Audit trail", "Viewer", "Operator", "Admin"}
    qtbot.waitUntil(lambda: expected <= set(texts(tab)))
    table = {(row.noun, row.action): row.roles for row in rights.list_rights()}
    assert table["Machines", "See"] == set(Role)
    assert table["Machines", "Delete"] == {Role.OPERATOR, Role.ADMIN}
    assert table["Audit trail", "See"] == {Role.ADMIN}
    assert table["Yourself", "Change password"] == set(Role)


def test_every_function_that_people_are_granted_has_words():
    people = {Holder.VIEWER, Holder.OPERATOR, Holder.ADMIN}
    named = {
        name
        for right in MATRIX
        if right.verb == "EXECUTE" and not people.isdisjoint(right.holders)
        for name in right.objects
    }
    assert named - rights.PLUMBING - {"object_history"} == named & rights._DEEDS.keys()
    assert ("Images", "See history") in {(row.noun, row.action) for row in rights.list_rights()}


# Rights that change while the window is open


def test_a_role_taken_away_shows_at_once_and_actions_say_so(admin, page):
    admin.room.me = replace(admin.room.me, role=Role.VIEWER, role_changed_by="boss")
    admin.workspace.on_changed({"users": {1}})
    assert shown_keys(admin)[-1] == "jobs"
    assert admin.main_window._page_stack.currentWidget() is not page
    assert admin.main_window.status._person.text() == "anna · Viewer"
    assert toasts(admin) == ["Your role is now Viewer, changed by boss."]
    machines = admin.main_window.show_page("machines")
    assert machines.action("Add machine").toolTip() == (
        "Needs the role Operator; yours was changed to Viewer"
    )


def test_a_role_given_brings_its_pages(admin, window):
    assert "users" not in shown_keys(window)
    window.room.me = replace(window.room.me, role=Role.ADMIN)
    window.workspace.on_changed({"sign_ins": None})
    assert shown_keys(window)[-3:] == ["audit", "users", "settings"]
    page = window.main_window.show_page("users")
    assert page.model.rowCount() == 6


def test_accounts_are_read_for_a_page_that_shows_them_and_not_for_anybody_else(qtbot, window):
    reads = []
    window.runner.reads[users.list_users] = lambda *_what: reads.append(1) or []
    window.workspace.on_changed({"users": {1}})
    window.workspace.on_changed(None)
    assert reads == []


# One's own password


def test_everybody_changes_their_own_password(viewer):
    viewer.main_window.password_wanted.emit()
    dialog = open_dialog(FormDialog)
    boxes = dialog.form.boxes
    boxes["present_password"].set_raw("the old one")
    boxes["password"].set_raw("short")
    boxes["again"].set_raw("short")
    dialog.go.click()
    assert boxes["password"].error == "At least 8 characters are needed."
    boxes["password"].set_raw("a longer one")
    boxes["again"].set_raw("a longer one")

    def wrong(*_args):
        raise FieldError("present_password", "The present password is wrong.")

    viewer.runner.answer = wrong
    dialog.go.click()
    assert boxes["present_password"].error == "The present password is wrong."
    viewer.runner.answer = None
    dialog.go.click()
    assert called(viewer, users.change_password)[-1] == (("the old one", "a longer one"), {})
    assert toasts(viewer) == ["Your password is changed; your other sign-ins have ended."]


def test_the_person_menu_offers_it(window):
    menu = window.main_window.status._person.menu()
    assert "Change password…" in [action.text() for action in menu.actions()]


def test_a_password_set_by_an_admin_is_changed_before_anything_else(qtbot):
    entry_page = NewPasswordPage(person="carla")
    qtbot.addWidget(entry_page)
    chosen = []
    entry_page.submitted.connect(chosen.append)
    entry_page.form.boxes["password"].set_raw("only mine now")
    entry_page.form.boxes["again"].set_raw("only mine")
    entry_page.go.click()
    assert entry_page.form.boxes["again"].error == "The two passwords differ."
    entry_page.form.boxes["again"].set_raw("only mine now")
    entry_page.go.click()
    assert chosen == ["only mine now"]


# Settings


def test_settings_show_value_and_range_in_words_and_are_changed_by_a_dialog(admin):
    page = admin.main_window.show_page("settings")
    assert isinstance(page, SettingsPage)
    page.select([2])
    row = page.view.selected()[0]
    assert [column.text(row) for column in page.model.columns[:3]] == [
        "Longest work on an image",
        "4 h",
        "1 min to 7 d",
    ]
    page.action("Edit").trigger()
    dialog = open_dialog(EditDialog)
    assert dialog.windowTitle() == "Edit “Longest work on an image”"
    box = dialog.form.boxes["value"]
    for wrong, sentence in (
        ("a lot", "Give it as a whole number of seconds."),
        ("59", "It must lie between 60 and 604\u202f800."),
    ):
        box.set_raw(wrong)
        dialog.go.click()
        assert box.error == sentence
    box.set_raw("7 200")
    admin.runner.answer = lambda *_args: ()
    dialog.go.click()
    assert called(admin, settings_service.update_setting) == [((row, SettingSpec(7200)), {})]


def test_what_the_database_says_of_its_settings_can_be_translated():
    tables = Path(__file__).parents[2] / "migrations" / "versions" / "0001_tables.sql"
    given = tables.read_text("utf-8").partition("INSERT INTO settings")[2].partition(";\n")[0]
    assert set(re.findall(r"^     '([^']+)'\)", given, re.MULTILINE)) == DESCRIPTIONS.keys()


def test_a_setting_that_another_admin_changed_meanwhile_is_asked_about(admin):
    page = admin.main_window.show_page("settings")
    page.select([2])
    row = page.view.selected()[0]
    now = replace(row, value=600, version=2)
    change = FieldChange("value", row.value, 600, 7200, "boss", admin.room.ago(1))

    def stale(*_args):
        raise StaleError("", now, (change,))

    page.action("Edit").trigger()
    open_dialog(EditDialog).form.boxes["value"].set_raw("7200")
    admin.runner.answer = stale
    open_dialog(EditDialog).go.click()
    conflict = open_dialog(ConflictDialog)
    assert conflict.windowTitle() == "“Longest work on an image” was changed meanwhile"
    conflict.choose("value", MINE)
    admin.runner.answer = lambda *_args: ()
    conflict.go.click()
    assert called(admin, settings_service.update_setting)[-1] == ((now, SettingSpec(7200)), {})
