# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people in two windows at one object, each with their own sign-in to one real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QSettings
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QPlainTextEdit, QRadioButton, QWidget
from qt_time import pass_time
from real_database import HASH, RealDatabase
from real_window import spin
from shiboken6 import delete
from window_hands import Key, W, click, dialogs, fill, says

from ggnet_console.config import Config
from ggnet_console.db.engine import Database
from ggnet_console.enums import MachineStatus, Role
from ggnet_console.services import concurrent_edits, machines, users
from ggnet_console.services.machines import MachineRow, MachineSpec
from ggnet_console.ui import open_elsewhere
from ggnet_console.ui.edit_dialog import EditDialog
from ggnet_console.ui.kit.conflict_dialog import MINE, THEIRS, ConflictDialog
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.kit.page import Page
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.open_elsewhere import OpenElsewhere
from ggnet_console.ui.window.main_window import MainWindow
from ggnet_console.ui.window.workspace import Workspace, make_feeds
from ggnet_console.workers.background import Background
from ggnet_console.workers.listener import Listener
from ggnet_console.workers.uploader import Uploader


def ancestors(widget: QWidget) -> Iterator[QWidget]:
    """What a widget lies in or over."""
    while (above := widget.parentWidget()) is not None:
        yield above
        widget = above


def _id_of(database: Database) -> int:
    with database.begin() as session:
        return users.who_am_i(session).user_id


class Seat:
    """One person's window on the database, as the console puts it together after sign-in."""

    def __init__(self, clone: RealDatabase, person: str, settings: QSettings, theme: Theme) -> None:
        self.database = clone.open(clone.dsn(clone.log_in(person)))
        self.owner = QObject()
        self.background = Background(self.database, self.owner)
        self.listener = Listener(self.database.dsn, self.owner)
        self.main_window = MainWindow(settings, theme)
        self.workspace = Workspace(
            self.main_window,
            self.background,
            make_feeds(self.background, self.owner),
            Uploader(self.database, Config(home=Path("/nowhere")), self.owner),
            settings,
            user_id=_id_of(self.database),
            person=person,
            role=Role.OPERATOR,
            server="test",
        )
        self.feeds = self.workspace.context.feeds
        self.listener.changed.connect(self.workspace.on_changed)
        self.listener.connected.connect(self.workspace.on_restored)
        self.main_window.show()
        self.listener.start()
        spin(
            lambda: all(feed.loaded for feed in self.feeds.all() if not feed.on_demand),
            "everything is read",
        )

    def page(self, key: str) -> Page:
        page = self.main_window.show_page(key)
        assert isinstance(page, Page)
        return page

    def edit(self, *names: str, key: str = "machines") -> FormDialog:
        """Select rows and press F2 on them."""
        page = self.page(key)

        def ids() -> list[int]:
            return [row.id for row in page.model.rows if row.name in names]

        spin(lambda: len(ids()) == len(names), f"{names} are shown")
        page.select(ids())
        page.action("Edit").trigger()
        return self.dialog(FormDialog)

    def dialog(self, kind: type[W]) -> W:
        """The one dialog of a kind over this window."""
        (found,) = spin(lambda: self.dialogs(kind), f"a {kind.__name__}")
        return found

    def dialogs(self, kind: type[W]) -> list[W]:
        return [each for each in dialogs(kind) if self.main_window in ancestors(each)]

    def no_dialog(self) -> None:
        spin(lambda: not self.dialogs(FormDialog) and not self.dialogs(Message), "all are closed")

    def machine(self, name: str) -> MachineRow:
        with self.database.begin() as session:
            return machines.get_machine(session, name)

    def save(self, name: str, **changes: str) -> None:
        """Change a machine from another place, faster than any form."""
        row = self.machine(name)
        form = self.edit(name).form
        form.unfold()
        fill(form, **changes)
        click(self.dialog(FormDialog), "Save")
        self.no_dialog()
        spin(
            lambda: self.feeds.machines.rows[row.id].version == row.version + 1,
            "it is saved and read again",
        )

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close everything over the window, and its connections."""
        for dialog in (*self.dialogs(Message), *self.dialogs(QDialog)):
            dialog.done(0)
        stopping = loop.create_task(self.listener.stop())
        spin(stopping.done, "the listener stops")
        self.main_window.hide()


@pytest.fixture
def sit(
    qapp: QApplication,
    loop: asyncio.AbstractEventLoop,
    database: RealDatabase,
    tmp_path: Path,
) -> Iterator[Callable[[str], Seat]]:
    """Opens a window for somebody."""
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    theme = Theme(qapp, settings)
    seats: list[Seat] = []

    def sit(person: str) -> Seat:
        database.rows("SELECT user_create(%s, 'OPERATOR', %s)", person, HASH)
        seats.append(Seat(database, person, settings, theme))
        return seats[-1]

    yield sit
    for seat in seats:
        seat.leave(loop)
    for seat in seats:
        seat.background.end()
        assert seat.background.wait()
        delete(seat.owner)
        delete(seat.main_window)
    theme.deleteLater()
    pass_time(0)


@pytest.fixture
def anna(database: RealDatabase, sit: Callable[[str], Seat]) -> Seat:
    with database.sign_in(Role.OPERATOR).begin() as session:
        for number in (1, 2, 3):
            spec = MachineSpec(f"PC-{number:02d}", f"52540000000{number}", room="Lab 1")
            machines.create_machine(session, spec)
    return sit("anna")


@pytest.fixture
def ben(anna: Seat, sit: Callable[[str], Seat]) -> Seat:
    return sit("ben")


def others(dialog: FormDialog) -> str:
    """What a dialog says about who else has its object open; empty when it says nothing."""
    line = dialog.findChild(OpenElsewhere)
    return line.text if line.isVisible() else ""


def type_in(dialog: FormDialog, **values: str) -> None:
    dialog.form.unfold()
    fill(dialog.form, **values)


# Who has it open


def test_each_sees_at_once_that_the_other_has_it_open_and_when_it_is_closed(anna, ben) -> None:
    hers = anna.edit("PC-01")
    assert others(hers) == ""
    his = ben.edit("PC-01")
    spin(lambda: others(his) == "anna has had this open for a moment", "ben sees anna")
    spin(lambda: others(hers) == "ben has had this open for a moment", "anna sees ben")
    QTest.keyClick(his, Key.Key_Escape)
    spin(lambda: not others(hers), "ben is gone")
    QTest.keyClick(hers, Key.Key_Escape)
    his = ben.edit("PC-02")
    anna.edit("PC-01")
    spin(lambda: len(ben.feeds.opened.rows) == 1, "ben hears of another machine")
    assert others(his) == ""


def test_a_console_that_crashed_has_nothing_open(anna, database, monkeypatch) -> None:
    monkeypatch.setattr(open_elsewhere, "LOOK_MS", 50)
    crashing = database.sign_in(Role.OPERATOR)
    with crashing.begin() as session:
        concurrent_edits.open_object(session, "machine", machines.get_machine(session, "PC-01").id)
    dialog = anna.edit("PC-01")
    spin(lambda: others(dialog) == "operator has had this open for a moment", "anna sees it")
    crashing.close()
    spin(lambda: not others(dialog), "anna's window looks again by itself")


def test_a_form_that_is_closed_before_it_was_announced_is_not_left_open(anna, database) -> None:
    for _ in range(5):
        anna.edit("PC-01").reject()
        anna.no_dialog()
    assert anna.background.wait()
    spin(
        lambda: anna.background.wait() and not database.value("SELECT count(*) FROM open_objects"),
        "nothing is open",
    )


# Edit against edit


def test_a_stale_save_asks_field_by_field_and_saves_the_mix(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3", location="Main", asset_tag="A-1")
    ben.save("PC-01", room="Lab 2", location="Annex", ip="10.0.2.7")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    texts = says(dialog)
    assert dialog.windowTitle() == "PC-01 was changed meanwhile"
    assert any(text.startswith("ben saved it while you edited.") for text in texts)
    for text in ("Room", "Lab 1", "Lab 2", "Lab 3", "Annex", "Main", "10.0.2.7", "ben, just now"):
        assert text in texts
    assert "A-1" not in texts  # only anna changed it
    assert not dialog.go.isEnabled()
    assert dialog.go.toolTip() == "Choose what stays: Room, Location"
    dialog.choose("room", MINE)
    dialog.choose("location", THEIRS)
    assert dialog.go.isEnabled()
    click(dialog, "Save")
    anna.no_dialog()
    now = anna.machine("PC-01")
    assert (now.room, now.location, now.ip, now.asset_tag) == ("Lab 3", "Annex", "10.0.2.7", "A-1")


@pytest.mark.parametrize(
    ("button", "room", "ip"),
    [("Keep all of mine", "Lab 3", None), ("Take all of theirs", "Lab 2", "10.0.2.7")],
)
def test_all_of_mine_or_all_of_theirs_is_one_click(anna, ben, button, room, ip) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3")
    ben.save("PC-01", room="Lab 2", ip="10.0.2.7")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    click(dialog, button)
    click(dialog, "Save")
    anna.no_dialog()
    assert (anna.machine("PC-01").room, anna.machine("PC-01").ip) == (room, ip)


def test_a_choice_is_made_by_keys_alone(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    mine = dialog.focusWidget()
    assert isinstance(mine, QRadioButton)
    assert mine.accessibleName() == "Room, yours: Lab 3"
    QTest.keyClick(mine, Key.Key_Space)
    assert mine.isChecked()
    QTest.keyClick(dialog, Key.Key_Return)
    anna.no_dialog()
    assert anna.machine("PC-01").room == "Lab 3"


def test_saving_from_the_conflict_can_conflict_again(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3", asset_tag="A-1")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    dialog.choose("room", MINE)
    ben.save("PC-01", room="Lab 9", location="Annex")
    click(dialog, "Save")
    spin(lambda: dialog.windowTitle() == "PC-01 was changed again", "it asks again")
    spin(lambda: {"Lab 2", "Lab 9", "Lab 3", "Annex"} <= set(says(dialog)), "all is shown")
    assert not dialog.go.isEnabled()
    dialog.choose("room", MINE)
    click(dialog, "Save")
    anna.no_dialog()
    now = anna.machine("PC-01")
    assert (now.room, now.location, now.asset_tag) == ("Lab 3", "Annex", "A-1")


def test_back_to_the_form_keeps_everything_that_was_typed(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3", asset_tag="A-1")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    QTest.keyClick(dialog, Key.Key_Escape)
    spin(lambda: not anna.dialogs(ConflictDialog), "it closes")
    assert form.form.isEnabled()
    assert (form.form.raw()["room"], form.form.raw()["asset_tag"]) == ("Lab 3", "A-1")
    click(form, "Save")
    assert "Lab 2" in says(anna.dialog(ConflictDialog))


def test_what_only_the_other_changed_stays_without_a_question_but_not_in_silence(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, asset_tag="A-1")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    anna.no_dialog()
    assert (anna.machine("PC-01").room, anna.machine("PC-01").asset_tag) == ("Lab 2", "A-1")
    told = "PC-01 is saved. ben had changed Room meanwhile; that stays."
    spin(lambda: told in says(anna.main_window), "it is told")


def test_what_the_database_refuses_in_the_conflict_is_said_there(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3", ip="10.0.2.9")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    dialog.choose("room", THEIRS)
    ben.save("PC-02", ip="10.0.2.9")
    click(dialog, "Save")
    sentence = "The IP address 10.0.2.9 already belongs to the machine PC-02."
    spin(lambda: sentence in says(dialog), "it is said")
    assert dialog.go.isEnabled()
    click(dialog, "Back to the form")
    spin(form.form.isEnabled, "the form is back")


# Edit against delete


def test_what_was_removed_meanwhile_can_be_copied_or_added_again(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3")
    page = ben.page("machines")
    page.select([row.id for row in page.model.rows if row.name == "PC-01"])
    page.action("Delete").trigger()
    click(ben.dialog(Message), "Delete 1 machine")
    spin(lambda: 1 not in ben.feeds.machines.rows, "it is gone")
    click(form, "Save")
    message = anna.dialog(Message)
    assert message.windowTitle() == "PC-01 was removed by ben just now"
    [typed] = message.findChildren(QPlainTextEdit)
    assert typed.isVisible()
    assert "MAC address: 52:54:00:00:00:01\n" in typed.toPlainText()
    assert "Room: Lab 3" in typed.toPlainText()
    click(message, "Copy")
    assert QApplication.clipboard().text() == typed.toPlainText()
    click(message, "Back to the form")
    spin(lambda: not anna.dialogs(Message), "it closes")
    assert any(text.startswith("PC-01 was removed by ben at ") for text in says(form))
    type_in(form, room="Lab 4")
    click(form, "Save")
    click(anna.dialog(Message), "Add again")
    anna.no_dialog()
    assert anna.machine("PC-01").room == "Lab 4"


def test_a_machine_removed_while_one_decides_is_said_too(anna, ben) -> None:
    form = anna.edit("PC-01")
    type_in(form, room="Lab 3")
    ben.save("PC-01", room="Lab 2")
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    dialog.choose("room", MINE)
    with ben.database.begin() as session:
        machines.delete_machines(session, [ben.machine("PC-01").id])
    click(dialog, "Save")
    click(anna.dialog(Message), "Add again")
    anna.no_dialog()
    spin(lambda: not anna.dialogs(ConflictDialog), "it closes")
    assert anna.machine("PC-01").room == "Lab 3"


# Many at once


def test_many_are_changed_where_it_is_ticked_and_nowhere_else(anna) -> None:
    with anna.database.begin() as session:
        row = machines.get_machine(session, "PC-02")
        machines.update_machine(session, row, MachineSpec("PC-02", row.mac, room="Lab 2"))
    spin(lambda: anna.feeds.machines.rows[row.id].room == "Lab 2", "the window follows")
    dialog = anna.edit("PC-01", "PC-02")
    assert dialog.windowTitle() == "Change 2 machines"
    boxes = dialog.form.boxes
    assert not boxes["room"].editor.isEnabled()
    assert boxes["room"].editor.placeholderText() == "Various"
    assert boxes["status"].raw() == MachineStatus.ACTIVE
    click(dialog, "Change 2 machines")
    assert "Tick what is to change." in says(dialog)
    boxes["status"].tick()
    boxes["status"].set_raw(MachineStatus.MAINTENANCE)
    boxes["location"].tick()
    fill(dialog.form, location="Main")
    click(dialog, "Change 2 machines")
    anna.no_dialog()
    found = [anna.machine(f"PC-0{number}") for number in (1, 2, 3)]
    assert [(row.room, row.location, row.status) for row in found] == [
        ("Lab 1", "Main", MachineStatus.MAINTENANCE),
        ("Lab 2", "Main", MachineStatus.MAINTENANCE),
        ("Lab 1", "", MachineStatus.ACTIVE),
    ]


def test_many_without_those_that_changed_meanwhile_and_then_with_them(anna, ben) -> None:
    dialog = anna.edit("PC-01", "PC-02", "PC-03")
    dialog.form.boxes["room"].tick()
    fill(dialog.form, room="Lab 7")
    ben.save("PC-02", room="Lab 2")
    with ben.database.begin() as session:
        machines.delete_machines(session, [ben.machine("PC-03").id])
    click(dialog, "Change 3 machines")
    message = anna.dialog(Message)
    assert message.windowTitle() == "2 of 3 machines were left as they are"
    [details] = message.findChildren(QPlainTextEdit)
    assert details.toPlainText() == (
        "PC-02: ben set Room to “Lab 2” just now\nPC-03: removed by ben just now"
    )
    assert [anna.machine(name).room for name in ("PC-01", "PC-02")] == ["Lab 7", "Lab 2"]
    click(message, "Change 1 machine too")
    anna.no_dialog()
    spin(lambda: anna.machine("PC-02").room == "Lab 7", "it is changed, too")


def test_leaving_what_is_ticked_asks_first(anna) -> None:
    dialog = anna.edit("PC-01", "PC-02")
    assert not dialog.form.changed
    spin(dialog.isActiveWindow, "it has the keyboard")
    dialog.form.boxes["room"].tick()
    QTest.keyClick(dialog, Key.Key_Escape)
    assert "Discard what you typed?" in [
        label.text() for label in anna.dialog(Message).findChildren(QLabel)
    ]


# Images


def test_an_image_is_edited_by_two_in_the_same_dialog(anna, ben, database) -> None:
    database.rows(
        "INSERT INTO images (host_id, name, status) SELECT id, 'win11', 'ERROR' FROM hosts"
    )
    form = anna.edit("win11", key="images")
    assert isinstance(form, EditDialog)
    fill(form.form, name="win12")
    his = ben.edit("win11", key="images")
    spin(lambda: others(his).startswith("anna has had this open"), "ben sees anna")
    fill(his.form, name="win13")
    click(his, "Save")
    ben.no_dialog()
    click(form, "Save")
    dialog = anna.dialog(ConflictDialog)
    assert {"win11", "win12", "win13"} <= set(says(dialog))
    dialog.choose("name", MINE)
    click(dialog, "Save")
    anna.no_dialog()
    form = anna.edit("win12", key="images")
    fill(form.form, name="win14")
    database.rows("DELETE FROM images")
    click(form, "Save")
    message = anna.dialog(Message)
    assert message.windowTitle().startswith("win12 was removed by ")
    assert "Add again" not in says(message)
    click(message, "Back to the form")
