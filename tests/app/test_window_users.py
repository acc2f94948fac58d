# SPDX-License-Identifier: GPL-3.0-or-later
"""The window's pages for admins on a real database: users, audit, and rights taken away."""

from __future__ import annotations

import csv
import json

import pytest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget
from real_database import PASSWORD, RealDatabase

from ggnet_console.enums import Role
from ggnet_console.errors import SignInError
from ggnet_console.services import machines, users
from ggnet_console.services.audit import PAGE
from ggnet_console.services.machines import MachineSpec
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.setting_words import SETTINGS
from ggnet_console.ui.users.page import state_of


def dialog(kind: type[QWidget]) -> QWidget:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def press(parent: QWidget, text: str) -> None:
    next(b for b in parent.findChildren(QPushButton) if b.text() == text).click()


def opened(qtbot, kind: type[QWidget]) -> QWidget:
    """The dialog of this kind, once it is there."""
    qtbot.waitUntil(
        lambda: any(isinstance(w, kind) and w.isVisible() for w in QApplication.topLevelWidgets())
    )
    return dialog(kind)


def no_dialog() -> bool:
    return not any(w.isModal() and w.isVisible() for w in QApplication.topLevelWidgets())


def toasts(window) -> list[str]:
    return [toast.text for toast in window.main_window._toasts]


def row_of(page, name: str):
    return next((row for row in page.model.rows if row.name == name), None)


def test_an_admin_adds_an_account_that_can_sign_in(qtbot, database, window_of):
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("users")
    qtbot.waitUntil(lambda: page.model.total == 3)
    page.action("Add user").trigger()
    form = dialog(FormDialog)
    boxes = form.form.boxes
    boxes["name"].set_raw("Dora O'Neil")
    boxes["password"].set_raw("quite long enough")
    boxes["again"].set_raw("quite long enough")
    form.go.click()
    qtbot.waitUntil(no_dialog)
    window.workspace.on_changed({"users": None})
    qtbot.waitUntil(lambda: row_of(page, "Dora O'Neil") is not None)
    assert database.log_in("Dora O'Neil", "quite long enough").role is Role.OPERATOR


def test_the_same_name_again_is_said_at_the_field(qtbot, window_of):
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("users")
    page.action("Add user").trigger()
    form = dialog(FormDialog)
    for key, text in (("name", "OPERATOR"), ("password", "long enough"), ("again", "long enough")):
        form.form.boxes[key].set_raw(text)
    form.go.click()
    qtbot.waitUntil(lambda: form.form.boxes["name"].error != "")
    assert form.form.boxes["name"].error == "Another user already has this name."
    form.hide()
    form.deleteLater()


def test_a_role_taken_away_is_said_in_the_open_window(qtbot, database, window_of):
    window = window_of(Role.OPERATOR)
    with database.sign_in(Role.ADMIN).begin() as session:
        users.set_role(session, window.signed_in.user_id, Role.VIEWER)

    def said() -> bool:
        window.workspace.on_restored()  # as the listener says: its connection was cut and is back
        return toasts(window) == ["Your role is now Viewer, changed by admin."]

    qtbot.waitUntil(said)
    machines_page = window.main_window.show_page("machines")
    assert machines_page.action("Add machine").toolTip() == (
        "Needs the role Operator; yours was changed to Viewer"
    )


def test_the_last_admin_stays_even_when_the_window_does_not_know_yet(qtbot, database, window_of):
    window = window_of(Role.ADMIN)
    with window_admin(database).begin() as session:
        second = users.create_user(session, "second", Role.ADMIN, PASSWORD)
    page = window.main_window.show_page("users")
    qtbot.waitUntil(lambda: page.model.total == 4)
    with window_admin(database).begin() as session:
        users.set_disabled(session, second, disabled=True)
    page.select([window.signed_in.user_id])
    page.action("Disable").trigger()
    press(dialog(Message), "Disable 1 user")
    assert opened(qtbot, Message).text.text() == (
        "admin is the last admin who can sign in; make another one first."
    )
    dialog(Message).close()


def window_admin(database: RealDatabase):
    return database.sign_in(Role.ADMIN)


def test_a_sign_in_is_revoked_from_its_row(qtbot, database, window_of):
    window = window_of(Role.ADMIN)
    other = database.log_in("viewer")
    page = window.main_window.show_page("users")
    qtbot.waitUntil(lambda: row_of(page, "viewer") is not None)
    page.select([other.user_id])
    page.detail._bar.setCurrentIndex(1)
    tab = page.detail._tabs[0]
    qtbot.waitUntil(lambda: any(b.text() == "Revoke" for b in tab.findChildren(QPushButton)))
    press(tab, "Revoke")
    qtbot.waitUntil(
        lambda: database.value(
            "SELECT ended_at IS NOT NULL FROM sign_ins WHERE role_name = %s", other.role_name
        ),
    )
    with pytest.raises(SignInError), database.open(database.dsn(other)).begin() as session:
        users.who_am_i(session)


def test_ones_own_password_is_changed_and_the_old_one_is_checked(qtbot, database, window_of):
    window = window_of(Role.VIEWER)
    window.main_window.password_wanted.emit()
    form = dialog(FormDialog)
    boxes = form.form.boxes
    boxes["present_password"].set_raw("not this one")
    for key in ("password", "again"):
        boxes[key].set_raw("a brand new one")
    form.go.click()
    qtbot.waitUntil(lambda: boxes["present_password"].error != "")
    assert "present password is wrong" in boxes["present_password"].error
    boxes["present_password"].set_raw(PASSWORD)
    form.go.click()
    qtbot.waitUntil(no_dialog)
    assert database.log_in("viewer", "a brand new one").role is Role.VIEWER


def test_the_trail_is_shown_page_by_page_and_exported_as_filtered(
    qtbot, database, window_of, tmp_path
):
    with database.sign_in(Role.OPERATOR).begin() as session:
        for number in range(PAGE + 10):
            machines.create_machine(
                session, MachineSpec(f"PC-{number:03}", f"52:54:00:00:00:{number:02x}")
            )
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("audit")
    qtbot.waitUntil(lambda: page.model.rowCount() == PAGE)
    assert page.model.row(0).object_name == f"PC-{PAGE + 9:03}"
    bar = page.view.verticalScrollBar()

    def at_the_end() -> bool:
        bar.setValue(bar.maximum())
        return page.model.rowCount() >= PAGE + 10

    qtbot.waitUntil(at_the_end)
    page.search.setText("pc-00")
    qtbot.waitUntil(lambda: page.model.rowCount() == 10)
    for name in ("trail.csv", "trail.json"):
        page.export(tmp_path / name)
        qtbot.waitUntil((tmp_path / name).exists)
    with (tmp_path / "trail.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "trail.json").read_text().splitlines()]
    expected = [f"PC-00{n}" for n in range(9, -1, -1)]
    assert [row["object_name"] for row in rows] == expected
    assert [line["object_name"] for line in lines] == expected
    assert json.loads(rows[0]["changes"]) == lines[0]["changes"]


def test_verify_tells_a_whole_trail_from_one_that_was_touched(qtbot, database, window_of):
    with database.sign_in(Role.OPERATOR).begin() as session:
        machines.create_machine(session, MachineSpec("PC-1", "52:54:00:00:00:01"))
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("audit")

    def verdict() -> str:
        page.action("Verify").trigger()
        dialog(FormDialog).go.click()
        qtbot.waitUntil(
            lambda: any(
                isinstance(w, Message) and w.isVisible() for w in QApplication.topLevelWidgets()
            ),
        )
        message = dialog(Message)
        text = message.text.text()
        message.close()
        qtbot.waitUntil(no_dialog)
        return text

    assert verdict().startswith("No entry was changed, removed or put in, up to link no. ")
    database.rows("UPDATE audit SET object_name = 'PC-2' WHERE object_name = 'PC-1'")
    assert verdict().startswith("The audit trail was tampered with: Entries of this link were ch")
    assert toasts(window) == []


def test_an_export_that_cannot_be_written_leaves_nothing_and_says_so(qtbot, window_of, tmp_path):
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("audit")
    page.export(tmp_path / "no such folder" / "trail.csv")
    assert "could not be written to" in opened(qtbot, Message).text.text()
    dialog(Message).close()
    assert list(tmp_path.glob("*.part")) == []


def test_every_setting_of_the_database_has_a_name_people_read(database):
    assert {name for [name] in database.rows("SELECT name FROM settings")} == SETTINGS.keys()


@pytest.mark.parametrize("role", list(Role))
def test_history_shows_everybody_what_was_done_to_one_machine(qtbot, database, window_of, role):
    with database.sign_in(Role.OPERATOR).begin() as session:
        made = machines.create_machine(session, MachineSpec("PC-1", "52:54:00:00:00:01"))
        machines.create_machine(session, MachineSpec("PC-2", "52:54:00:00:00:02"))
    window = window_of(role)
    page = window.main_window.show_page("machines")
    qtbot.waitUntil(lambda: page.model.total == 2)
    page.select([made])
    page.detail._bar.setCurrentIndex(2)
    tab = page.detail._tabs[-1]

    def said() -> list[str]:
        return [each.text().replace("\u200b", "") for each in tab.findChildren(QLabel)]

    qtbot.waitUntil(lambda: "Machine added by operator" in said())
    assert "Name: PC-1" in said()
    assert "Name: PC-2" not in said()


def test_a_lock_out_is_shown_and_ended_by_unlock(qtbot, database, window_of):
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("users")
    qtbot.waitUntil(lambda: row_of(page, "viewer") is not None)
    for _ in range(5):
        with pytest.raises(SignInError):
            database.log_in("viewer", "a wrong one")

    def state() -> str:
        window.workspace.on_changed({"failed_sign_ins": None})  # as the database hints
        return state_of(row_of(page, "viewer"))[1]

    qtbot.waitUntil(lambda: state().startswith("Locked out until "))
    page.select([row_of(page, "viewer").id])
    said = [each.text().replace("\u200b", "") for each in page.detail.findChildren(QLabel)]
    assert any(text.endswith(" · this server") for text in said)
    assert any(text.startswith("5 times, last ") for text in said)
    press(page, "Unlock user")
    qtbot.waitUntil(lambda: state() == "Active")
    assert database.log_in("viewer").role is Role.VIEWER


def test_a_new_installation_s_trail_is_in_people_s_words(qtbot, window_of):
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("audit")
    qtbot.waitUntil(lambda: page.model.rowCount() > 0)
    cells = [
        page.model.index(row, column).data()
        for row in range(page.model.rowCount())
        for column in range(page.model.columnCount())
    ]
    assert "Set-up" in cells
    assert not [text for text in cells if "ggnet_" in text or "Id:" in text or "_s" in text]


def test_old_entries_are_removed_and_that_is_an_entry(qtbot, database, window_of):
    database.rows("SET session_replication_role = replica; "
                  "UPDATE audit_links SET at = at - interval '2 years' WHERE number = 1; "
                  "UPDATE audit SET at = at - interval '2 years' WHERE link IN "
                  "(SELECT id FROM audit_links WHERE number = 1)")  # fmt: skip
    window = window_of(Role.ADMIN)
    page = window.main_window.show_page("audit")
    page.action("Remove old entries").trigger()
    opened(qtbot, FormDialog).go.click()

    def asked() -> Message | None:
        found = (w for w in QApplication.topLevelWidgets() if isinstance(w, Message))
        return next((w for w in found if w.isVisible()), None)

    qtbot.waitUntil(lambda: asked() is not None)
    before = database.value("SELECT count(*) FROM audit")
    verb = asked().windowTitle().removesuffix(" of the audit trail?")
    press(asked(), verb)
    qtbot.waitUntil(lambda: len(toasts(window)) == 1)
    number = int(verb.split()[1])
    assert toasts(window) == [f"{number} entry removed from the audit trail."]
    assert database.value("SELECT count(*) FROM audit") == before - number + 1
    qtbot.waitUntil(lambda: page.model.row(0).verb == "prune")
    assert page.model.row(0).user_name == "admin"
