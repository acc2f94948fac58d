# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dialog that waits, filled in and handed to somebody who has not answered yet."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid

from ggnet_console.enums import TlsMode
from ggnet_console.errors import ConsoleError, FieldChange, StaleError
from ggnet_console.services.audit import AuditHead, OldAudit
from ggnet_console.services.boot_sessions import Started
from ggnet_console.services.connections import ServerSpec
from ggnet_console.services.images import Upload
from ggnet_console.ui import hosts
from ggnet_console.ui.audit import prune_dialog, verify_dialog
from ggnet_console.ui.boot_sessions.start_dialog import start_sessions
from ggnet_console.ui.images.import_dialog import import_image
from ggnet_console.ui.kit.asking_dialog import AskingDialog
from ggnet_console.ui.kit.conflict_dialog import MINE, ConflictDialog
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.machines import dialogs
from ggnet_console.ui.page_context import PageContext
from ggnet_console.ui.targets.dialogs import new_target, test_login
from ggnet_console.ui.targets.plan_dialog import PlanDialog
from ggnet_console.ui.users import password_dialog
from ggnet_console.ui.window.server_dialog import ServerDialog

from .demo import Window

test_login.__test__ = False


class Held:
    """Takes the next call and keeps its answer until the test gives it."""

    def __init__(self, window: Window) -> None:
        self.waiting: tuple[Callable, Callable, QObject] | None = None
        run, start = window.runner.run, window.uploader.start
        self._armed = False

        def held_run(work, *args, done, failed, parent):
            if self._armed:
                self.keep(done, failed, parent)
            else:
                run(work, *args, done=done, failed=failed, parent=parent)

        def held_start(source, spec, **rest):
            if self._armed:
                self.keep(rest["started"], rest["failed"], rest["parent"])
            else:
                start(source, spec, **rest)

        window.runner.run, window.uploader.start = held_run, held_start

    def arm(self) -> None:
        self._armed = True

    def keep(self, done: Callable, failed: Callable, parent: QObject) -> None:
        self._armed = False
        self.waiting = done, failed, parent

    def answer(self, value: object) -> None:
        """As the real ones do: nobody is told once the parent is gone."""
        assert self.waiting is not None, "nothing was asked for"
        done, failed, parent = self.waiting
        self.waiting = None
        if isValid(parent):
            (failed if isinstance(value, ConsoleError) else done)(value)


@dataclass(frozen=True)
class Case:
    """A dialog: how it is opened, what it asks for, and a good answer."""

    name: str
    where: str
    open: Callable[[Window, Held], AskingDialog]
    well: object = None
    typed: str = ""
    """Part of what a late refusal gives back."""
    stays: bool = False
    """Shows what came of it instead of closing."""
    freely: bool = False
    """Closes without a question, and a late good answer interests nobody."""


def context(window: Window) -> PageContext:
    return window.workspace.context


def only(kind: type) -> Any:
    [found] = [w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()]
    return found


def submit(dialog: FormDialog, held: Held, **values: object) -> FormDialog:
    for key, value in values.items():
        dialog.form.boxes[key].tick()
        dialog.form.boxes[key].set_raw(value)
    held.arm()
    dialog.go.click()
    return dialog


def by_action(page: str, ids: list[int], action: str, **values: object) -> Callable:
    def opened(window: Window, held: Held) -> FormDialog:
        shown = window.main_window.show_page(page)
        if ids:
            shown.select(ids)
        shown.action(action).trigger()
        return submit(only(FormDialog), held, **values)

    return opened


def by_function(page: str, function: Callable, **values: object) -> Callable:
    def opened(window: Window, held: Held) -> FormDialog:
        function(window.main_window.show_page(page), window)
        return submit(only(FormDialog), held, **values)

    return opened


def machine(window: Window, number: int = 1):
    return context(window).feeds.machines.rows[number]


def host(window: Window):
    return replace(next(iter(context(window).feeds.hosts.rows.values())), name="elsewhere")


def conflict(window: Window, held: Held) -> ConflictDialog:
    page, row = window.main_window.show_page("machines"), machine(window)
    form = dialogs.edit_machine(page, context(window), row)
    submit(form, held, room="Lab 9")
    change = FieldChange("room", row.room, "Lab 3", "Lab 9", "ben", window.room.now)
    held.answer(StaleError("Changed.", replace(row, room="Lab 3"), (change,)))
    dialog = only(ConflictDialog)
    dialog.choose("room", MINE)
    held.arm()
    dialog.go.click()
    return dialog


def connection(window: Window, held: Held, *, tried: bool) -> ServerDialog:
    def work(_spec: object, done: Callable, failed: Callable) -> None:
        held.keep(done, failed, window.main_window)

    dialog = ServerDialog(
        window.main_window,
        window.main_window.notify,
        ServerSpec("db.example.net", "5432", "ggnet", "", TlsMode.REQUIRE, "secret horse"),
        embedded=True,
        try_out=work,
        use=work,
    )
    dialog.open()
    (dialog.test if tried else dialog.go).click()
    return dialog


def plan(window: Window, held: Held) -> PlanDialog:
    dialog = PlanDialog(window.main_window.show_page("targets"), context(window))
    dialog.open()
    held.arm()
    dialog.compare()
    return dialog


def login(window: Window, held: Held) -> AskingDialog:
    row = next(iter(context(window).feeds.targets.rows.values()))
    held.arm()
    return test_login(window.main_window.show_page("targets"), context(window), row)


HEAD = AuditHead(7, "ab" * 32, None)
NEW = {"password": "long enough", "again": "long enough"}
CASES = [
    Case(
        "add machine",
        "machines/dialogs",
        by_action(
            "machines",
            [],
            "Add machine",
            name="PC-99",
            mac="52:54:00:12:34:99",
            notes="By the door",
        ),
        7,
        "Notes: By the door",
    ),
    Case(
        "edit machine",
        "machines/dialogs",
        by_function(
            "machines",
            lambda p, w: dialogs.edit_machine(p, context(w), machine(w)),
            room="Lab 9",
        ),
        (),
        "Room: Lab 9",
    ),
    Case(
        "change machines",
        "machines/dialogs",
        by_function(
            "machines",
            lambda p, w: dialogs.change_machines(p, context(w), [machine(w, 1), machine(w, 2)]),
            room="Lab 9",
        ),
        [],
        "Room: Lab 9",
    ),
    Case(
        "start sessions",
        "boot_sessions/start_dialog",
        by_function("machines", lambda p, w: start_sessions(p, context(w), [machine(w, 5)])),
        Started([1], 1),
        "Image: ",
    ),
    Case(
        "import image",
        "images/import_dialog",
        by_function(
            "images",
            lambda p, w: import_image(p, context(w), Path("/disks/new.vhdx"), lambda _id: None),
        ),
        Upload(1, 1, uuid.uuid4()),
        "File: /disks/new.vhdx",
    ),
    Case(
        "edit image",
        "images/page",
        by_action("images", [1], "Edit", notes="Sealed in May"),
        (),
        "Notes: Sealed in May",
    ),
    Case("export image", "images/page", by_action("images", [1], "Export"), 7, "Format: "),
    Case("edit setting", "settings", by_action("settings", [1], "Edit"), (), "Value"),
    Case(
        "choose backend",
        "hosts",
        by_function("settings", lambda p, w: hosts.choose_backend(p, context(w), host(w))),
        None,
        "Served by: ",
    ),
    Case(
        "add user",
        "users/page",
        by_action("users", [], "Add user", name="dora", **NEW),
        7,
        "Name: dora",
    ),
    Case("change role", "users/page", by_action("users", [3], "Change role"), None, "Role: "),
    Case("reset password", "users/page", by_action("users", [3], "Reset password", **NEW)),
    Case(
        "change password",
        "users/password_dialog",
        by_function(
            "machines",
            lambda _p, w: password_dialog.change_password(w.main_window, context(w)),
            present_password="old horse",
            **NEW,
        ),
    ),
    Case(
        "verify the trail",
        "audit/verify_dialog",
        by_function(
            "audit",
            lambda p, w: verify_dialog.verify_audit(p, context(w)),
            head=verify_dialog.head_text(HEAD),
        ),
        ([], HEAD),
        "Chain head",
        freely=True,
    ),
    Case(
        "remove old entries",
        "audit/prune_dialog",
        by_function(
            "audit", lambda p, w: prune_dialog.remove_old_entries(p, context(w), lambda: None)
        ),
        OldAudit(datetime(2026, 1, 1, tzinfo=UTC), 5),
        "Days to keep: ",
        freely=True,
    ),
    Case(
        "prepare target",
        "targets/dialogs",
        by_function("targets", lambda p, w: new_target(p, context(w))),
        7,
        "Machine: ",
    ),
    Case(
        "use a server",
        "window/server_dialog",
        lambda w, h: connection(w, h, tried=False),
        None,
        "Host: db.example.net",
    ),
    Case(
        "try a server",
        "window/server_dialog",
        lambda w, h: connection(w, h, tried=True),
        "The server answers.",
        "Host: db.example.net",
        stays=True,
        freely=True,
    ),
    Case("settle a conflict", "edit_dialog", conflict, (), "Room: Lab 9"),
    Case("plan", "targets/plan_dialog", plan, [9999], stays=True, freely=True),
    Case("test login", "targets/dialogs", login, [9999], stays=True, freely=True),
]
