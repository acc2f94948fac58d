# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of every page, light and dark: ``python tests/screenshots.py FOLDER``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSettings
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication, QWidget
from qt_time import pass_time
from ui.demo import Window

from ggnet_console.demo.room import Room
from ggnet_console.demo.targets import LOGIN
from ggnet_console.enums import JobKind, MachineStatus, Role
from ggnet_console.errors import ConsoleError, FieldChange, RemovedError, StaleError
from ggnet_console.services.audit import AuditHead, OldAudit
from ggnet_console.services.concurrent_edits import OpenRow
from ggnet_console.services.machines import MachineChanges, Skipped
from ggnet_console.services.targets import ChapMade
from ggnet_console.ui.audit.page import AuditPage
from ggnet_console.ui.audit.verify_dialog import tell_verdict
from ggnet_console.ui.edit_dialog import EditDialog
from ggnet_console.ui.images.page import ImagesPage
from ggnet_console.ui.kit import translate
from ggnet_console.ui.kit.conflict_dialog import MINE, ConflictDialog
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message, show_error
from ggnet_console.ui.kit.page import Page
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.kit.tokens import State
from ggnet_console.ui.machines import dialogs
from ggnet_console.ui.machines.page import MachinesPage
from ggnet_console.ui.targets.dialogs import SecretDialog, test_login
from ggnet_console.ui.targets.page import TargetsPage
from ggnet_console.ui.targets.plan_dialog import show_plan
from ggnet_console.ui.targets.words import has_drifted
from ggnet_console.ui.users.page import UsersPage
from ggnet_console.ui.window.main_window import MainWindow, ask_what_to_do_with_machines
from ggnet_console.ui.window.sign_in_pages import (
    FirstRunPage,
    NewPasswordPage,
    ProblemPage,
    SignInPage,
)

SIZE = 1366, 768
_READ_MS = 400
"""Until a job that has ended is read, and the dialog has its height."""
_SETTLED_MS = 300
"""Until counts are counted and the fading of a button that is shown or hidden has ended."""
PAGES = {
    "dashboard": [],
    "machines": [5],
    "images": [1],
    "targets": [7],
    "sessions": [1],
    "jobs": [5],
}


def pages(app: QApplication, settings: QSettings) -> Iterator[tuple[str, QWidget]]:
    """Each page in turn, with a row selected."""
    window = Window(app, settings, Room())
    main_window = window.main_window
    main_window.resize(*SIZE)
    main_window.show()
    for key, ids in PAGES.items():
        page = main_window.show_page(key)
        if isinstance(page, Page):
            page.select(list(ids))
        yield key, main_window
    yield from target_pages(window)
    machines = main_window.show_page("machines")
    assert isinstance(machines, MachinesPage)
    machines.view.clearSelection()
    yield "machines-wide", main_window
    machines.search.setText("no such machine")
    yield "machines-nothing-found", main_window
    machines.search.clear()
    machines.show_chip("Problem")
    machines.view.selectAll()
    window.workspace.on_lost()
    main_window.notify("Import Win11-Games: done.", State.RUNNING)
    main_window.notify(
        "Verify Exam room, locked down: failed. The file differs.",
        State.FAILED,
        "Show",
        lambda: None,
    )
    yield "machines-problem", main_window
    window.workspace.on_restored()
    machines._on_add([])
    yield from dialog(main_window, "dialog-machine")
    yield from two_at_once(window, machines)
    machines._on_start(machines.model.rows[34:37])
    yield from dialog(main_window, "dialog-session")
    machines._on_delete(machines.model.rows[34:40])
    yield from dialog(main_window, "dialog-delete")
    images = main_window.show_page("images")
    assert isinstance(images, ImagesPage)
    opened = images.import_file(Path("/srv/images/Win11-Games 2026-12.vhdx"))
    opened.form.unfold()
    opened.form.boxes["sha256"].set_raw("nonsense")
    opened.form.submit()
    yield from dialog(main_window, "dialog-import")
    ask_what_to_do_with_machines(main_window, 31, lambda: None, lambda: None)
    yield from dialog(main_window, "dialog-close")
    error = ConsoleError(
        "The image “Win11-Games” could not be exported: the folder exports is full. "
        "Free some space and try again.",
        "qemu-img: error while writing at byte 4294967296: No space left on device",
    )
    show_error(main_window, error)
    yield from dialog(main_window, "dialog-error")
    main_window.close()
    yield from admin_pages(app, settings)
    empty = Window(app, settings, Room(empty=True))
    empty.main_window.resize(*SIZE)
    empty.main_window.show()
    empty.main_window.show_page("machines")
    yield "machines-first-use", empty.main_window
    empty.main_window.close()


def target_pages(window: Window) -> Iterator[tuple[str, QWidget]]:
    """Targets that are not as wanted, and what can be done about them."""
    main_window, room, context = window.main_window, window.room, window.workspace.context
    page = main_window.show_page("targets")
    assert isinstance(page, TargetsPage)
    assert page.detail is not None
    for number, name, row_id in ((1, "differences", 7), (2, "tree", -2), (3, "sessions", 1)):
        page.select([row_id])
        page.detail._bar.setCurrentIndex(number)
        yield f"targets-{name}", main_window
    page.detail._bar.setCurrentIndex(0)
    page.view.clearSelection()
    broken = "it is empty. Its last good copy is saveconfig.json.2026-11-22"
    room.hosts = [replace(room.hosts[0], saved_problem=broken)]
    window.workspace.on_changed({"hosts": None})
    pass_time(_READ_MS)
    page.view.scrollToTop()
    yield "targets-wide", main_window
    room.hosts = [replace(room.hosts[0], saved_problem="")]
    window.workspace.on_changed({"hosts": None})
    window.end_jobs(JobKind.TARGET_COMPARE, result={"targets": 42})
    plan = show_plan(page, context)
    pass_time(_READ_MS)
    yield "dialog-plan", plan
    tick = next(tick for box in plan.boxes() for tick in box.ticks.values())
    tick.click()
    window.end_jobs(JobKind.TARGET_RECONCILE, result={"changed": 9})
    room.targets = [row for row in room.targets if not has_drifted(row)]
    plan.go.click()
    pass_time(_READ_MS)
    yield from dialog(main_window, "dialog-plan-applied")
    window.end_jobs(JobKind.TARGET_TEST, result={"steps": LOGIN})
    tested = test_login(page, context, room.targets[3])
    pass_time(_READ_MS)
    yield from dialog(main_window, "dialog-test-login")
    tested.close()
    SecretDialog(page, "PC-04", ChapMade("gg3f9c51d0", "0123456789abcdef", 1)).open()
    yield from dialog(main_window, "dialog-chap")
    window.runner.answer = None


def two_at_once(window: Window, machines: MachinesPage) -> Iterator[tuple[str, QWidget]]:
    """The dialogs for two people at one machine, or at many."""
    room = window.room
    row = room.machines[6]
    room.opened = [OpenRow(1, "machine", row.id, "ben", False, room.ago(3.2))]
    window.workspace.on_changed({"open_objects": None})
    machines.view.select_ids([row.id])
    machines._on_edit([row])
    opened = next(
        d for d in QApplication.topLevelWidgets() if isinstance(d, EditDialog) and d.isVisible()
    )
    yield "dialog-edit", opened
    notes = "Fan replaced. The old one lies in the cupboard of Lab 3, second shelf from the top."
    now = replace(row, room="Lab 3", status=MachineStatus.MAINTENANCE, notes=notes)
    changes = (
        FieldChange("room", "Lab 2", "Lab 3", "Lab 4", "ben", room.ago(2)),
        FieldChange("status", row.status, now.status, row.status, "clara", room.ago(1)),
        FieldChange("notes", row.notes, notes, "Fan is very loud.", "ben", room.ago(2)),
    )
    conflict = ConflictDialog(
        opened,
        window.main_window.notify,
        opened._fields,
        StaleError("", now, changes),
        lambda *_args: None,
    )
    conflict.open()
    conflict.choose("room", MINE)
    yield "dialog-conflict", conflict
    conflict.hide()
    removed = RemovedError("", row.name, "ben", room.ago(2))
    opened._wanted = opened._spec(**opened.form.raw())
    opened._tell_removed(removed)
    yield from dialog(opened, "dialog-removed", Message)
    opened.hide()
    rows = machines.model.rows[12:18]
    machines._on_edit(rows)
    many = next(
        d for d in QApplication.topLevelWidgets() if type(d) is FormDialog and d.isVisible()
    )
    many.form.boxes["status"].tick()
    yield from dialog(many, "dialog-change")
    left = [Skipped(now.name, now, changes, None), Skipped("PC-19", None, (), removed)]
    dialogs._tell_left(machines, window.workspace.context, 6, left, MachineChanges())
    yield from dialog(many, "dialog-left")


def admin_pages(app: QApplication, settings: QSettings) -> Iterator[tuple[str, QWidget]]:
    """What only admins see."""
    window = Window(app, settings, Room(role=Role.ADMIN))
    main_window = window.main_window
    main_window.resize(*SIZE)
    main_window.show()
    users = main_window.show_page("users")
    assert isinstance(users, UsersPage)
    users.select([2])
    yield "users", main_window
    users.select([1])
    for number, name in ((1, "sign-ins"), (2, "rights")):
        users.detail._bar.setCurrentIndex(number)
        yield f"users-{name}", main_window
    users._on_role(users.view.selected())
    yield from dialog(main_window, "dialog-role")
    users._on_add([])
    yield from dialog(main_window, "dialog-user")
    users.detail._bar.setCurrentIndex(3)
    users.select([4])
    yield "users-history", main_window
    audit = main_window.show_page("audit")
    assert isinstance(audit, AuditPage)
    audit.select([449])
    yield "audit", main_window
    audit.view.clearSelection()
    audit.people.setCurrentIndex(audit.people.findData("boss"))
    audit._on_object(audit.model.rows[:1])
    yield "audit-filtered", main_window
    audit._on_clear()
    audit.action("Verify").trigger()
    yield from dialog(main_window, "dialog-verify")
    tell_verdict(main_window, [], AuditHead(1204, "ab12" * 16, audit.model.row(0).at))
    yield from dialog(main_window, "dialog-verified", Message)
    audit.action("Remove old entries").trigger()
    asked = next(
        d
        for d in QApplication.topLevelWidgets()
        if type(d) is FormDialog and d.isModal() and d.isVisible()
    )
    yield "dialog-prune", asked
    old = OldAudit(audit.model.row(0).at - timedelta(days=365), 48_211)
    window.runner.answer = lambda *_args: old
    asked.go.click()
    window.runner.answer = None
    yield from dialog(main_window, "dialog-prune-confirm", Message)
    settings_page = main_window.show_page("settings")
    settings_page.select([2])
    yield "settings", main_window
    settings_page._on_edit(settings_page.view.selected())
    yield from dialog(main_window, "dialog-setting")
    settings_page.hosts.buttons["lab-server"].click()
    yield from dialog(main_window, "dialog-backend")
    main_window.password_wanted.emit()
    yield from dialog(main_window, "dialog-password")
    main_window.close()


def dialog(
    main_window: QWidget, name: str, kind: type[QWidget] = QWidget
) -> Iterator[tuple[str, QWidget]]:
    """The dialog of a kind that is open, and close it."""
    app = QApplication.topLevelWidgets()
    opened = next(w for w in app if isinstance(w, kind) and w.isModal() and w.isVisible())
    yield name, opened
    opened.hide()
    opened.deleteLater()


def entry_pages(app: QApplication, settings: QSettings) -> Iterator[tuple[str, QWidget]]:
    """The pages before anybody is signed in."""
    main_window = MainWindow(settings, Theme(app, settings))
    main_window.resize(*SIZE)
    first = FirstRunPage(
        admin="admin",
        home=Path("/var/lib/ggnet"),
        portal="127.0.0.1:3260",
        probe=lambda _path: None,
    )
    main_window.show_entry_page(first)
    main_window.show()
    yield "first-run", main_window
    first.form.unfold()
    first.form.boxes["password"].set_raw("short")
    first.form.boxes["again"].set_raw("short")
    first.go.click()
    yield "first-run-error", main_window
    sign_in = SignInPage(server="lab-server", user="anna")
    main_window.show_entry_page(sign_in)
    sign_in.form.boxes["password"].editor.setFocus()
    sign_in.working("Signing in…")
    sign_in.failed(ConsoleError("The name or the password is wrong."))
    yield "sign-in", main_window
    main_window.show_entry_page(NewPasswordPage(person="carla"))
    yield "new-password", main_window
    main_window.show_entry_page(
        ProblemPage(
            ConsoleError(
                "The database on lab-server is newer than this console. Update the console.",
                "schema 0007, expected 0004",
            ),
            "Try again",
            lambda: None,
        )
    )
    yield "problem", main_window
    main_window.close()


def main(folder: Path) -> None:
    """Save every picture below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    translate.install(app)
    assert isinstance(app, QApplication)
    app.setFont(QFont("Inter", 10))
    with tempfile.TemporaryDirectory() as temporary:
        for mode in ("light", "dark"):
            settings = QSettings(f"{temporary}/{mode}.ini", QSettings.Format.IniFormat)
            settings.setValue("theme", mode)
            for source in (entry_pages, pages):
                for name, widget in source(app, settings):
                    pass_time(_SETTLED_MS)
                    widget.grab().save(str(folder / f"{name}-{mode}.png"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/screenshots.py FOLDER")
    main(Path(sys.argv[1]))
