# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dialog that waits: whoever asked is answered, or says that it went away."""

from __future__ import annotations

import ast
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QPushButton, QWidget
from shiboken6 import isValid

from ggnet_console.enums import TlsMode
from ggnet_console.errors import ConsoleError, FaultError, FieldChange, RemovedError, StaleError
from ggnet_console.services.audit import AuditHead, OldAudit
from ggnet_console.services.boot_sessions import Started
from ggnet_console.services.connections import ServerSpec
from ggnet_console.services.images import Upload
from ggnet_console.ui import hosts
from ggnet_console.ui.audit import prune_dialog, verify_dialog
from ggnet_console.ui.boot_sessions.start_dialog import start_sessions
from ggnet_console.ui.images.import_dialog import import_image
from ggnet_console.ui.kit.asking_dialog import AskingDialog
from ggnet_console.ui.kit.conflict_dialog import MINE, THEIRS, ConflictDialog
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.machines import dialogs
from ggnet_console.ui.page_context import PageContext
from ggnet_console.ui.targets.dialogs import new_target, test_login
from ggnet_console.ui.targets.plan_dialog import PlanDialog
from ggnet_console.ui.users import password_dialog
from ggnet_console.ui.window.server_dialog import ServerDialog

from .demo import Window

UI = Path(__file__).parents[2] / "ggnet_console" / "ui"
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
WITHOUT_WAITING = {"audit/page"}
"""Its form of two times is answered at once, by the window itself."""
REFUSALS = [ConsoleError("The storage host says no."), FaultError(RuntimeError("a bug"))]


@pytest.fixture
def opened(admin: Window, case: Case) -> tuple[AskingDialog, Held]:
    held = Held(admin)
    dialog = case.open(admin, held)
    assert held.waiting is not None
    assert dialog.asking
    return dialog, held


every_dialog = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))


def texts(widget: QWidget) -> list[str]:
    return [each.text() for each in widget.findChildren(QLabel) if each.isVisibleTo(widget)]


def toasts(window: Window) -> list[str]:
    return [toast.text for toast in window.main_window._toasts]


def press(parent: QWidget, text: str) -> None:
    next(b for b in parent.findChildren(QPushButton) if b.text() == text).click()


def is_open(dialog: QWidget) -> bool:
    return isValid(dialog) and dialog.isVisible()


def close_meanwhile(dialog: AskingDialog, *, freely: bool = False) -> None:
    """As a person does with Esc; says yes if there is a question."""
    dialog.reject()
    if not freely:
        question = only(Message)
        assert any(text.endswith(". Close?") for text in texts(question))
        assert any(text.startswith("It may still be ") for text in texts(question))
        press(question, "Close")
    assert not is_open(dialog)
    QApplication.processEvents()


@every_dialog
def test_a_good_answer_closes_it(qtbot, opened, case: Case) -> None:
    dialog, held = opened
    held.answer(case.well)
    assert is_open(dialog) is case.stays


@every_dialog
@pytest.mark.parametrize("refusal", REFUSALS, ids=["refusal", "fault"])
def test_a_refusal_is_said_in_it_and_what_was_typed_stays(
    admin: Window, opened, case: Case, refusal: ConsoleError
) -> None:
    dialog, held = opened
    typed = dialog.typed()
    held.answer(refusal)
    assert is_open(dialog)
    assert refusal.summary in texts(dialog)
    assert dialog.typed() == typed
    assert case.typed in typed
    assert not dialog.asking
    assert toasts(admin) == []


@every_dialog
def test_closed_meanwhile_and_answered_well(admin: Window, opened, case: Case) -> None:
    dialog, held = opened
    title, words = dialog.subject(), dialog.words
    close_meanwhile(dialog, freely=case.freely)
    held.answer(case.well)
    assert toasts(admin)[:1] == ([] if case.freely else [words.after_all.format(subject=title)])


@every_dialog
@pytest.mark.parametrize("refusal", REFUSALS, ids=["refusal", "fault"])
def test_closed_meanwhile_and_refused_is_a_notice_with_what_was_typed(
    admin: Window, opened, case: Case, refusal: ConsoleError
) -> None:
    dialog, held = opened
    title, typed = dialog.subject(), dialog.typed()
    close_meanwhile(dialog, freely=case.freely)
    held.answer(refusal)
    assert toasts(admin) == [f"{title}: {refusal.summary}"]
    [toast] = admin.main_window._toasts
    assert bool(typed) is bool(case.typed)
    if typed:
        press(toast, "What you typed")
        message = only(Message)
        assert refusal.summary in texts(message)
        [kept] = [each.toPlainText() for each in message.findChildren(QPlainTextEdit)]
        assert case.typed in kept
        assert not any(secret in kept for secret in (*NEW.values(), "horse"))
        message.close()


@every_dialog
def test_an_answer_takes_the_question_away(opened, case: Case) -> None:
    dialog, held = opened
    if case.freely:
        return
    dialog.reject()
    dialog.close()  # once more: one question is enough
    question = only(Message)
    held.answer(ConsoleError("The storage host says no."))
    QApplication.processEvents()
    assert not is_open(question)
    assert is_open(dialog)
    assert "The storage host says no." in texts(dialog)


@every_dialog
def test_whoever_keeps_waiting_is_answered(opened, case: Case) -> None:
    dialog, held = opened
    if case.freely:
        return
    dialog.reject()
    press(only(Message), "Keep waiting")
    assert is_open(dialog)
    assert dialog.asking
    held.answer(ConsoleError("The storage host says no."))
    assert "The storage host says no." in texts(dialog)


def test_a_conflict_that_comes_late_is_a_notice_like_any_other(admin: Window) -> None:
    held = Held(admin)
    row = machine(admin)
    page = admin.main_window.show_page("machines")
    form = submit(dialogs.edit_machine(page, context(admin), row), held, room="Lab 9")
    close_meanwhile(form)
    change = FieldChange("room", row.room, "Lab 3", "Lab 9", "ben", admin.room.now)
    held.answer(StaleError("PC-01 was changed meanwhile.", row, (change,)))
    assert toasts(admin) == [f"Edit {row.name}: PC-01 was changed meanwhile."]


def test_what_was_removed_while_a_conflict_is_settled_can_be_added_again(admin: Window) -> None:
    held = Held(admin)
    dialog = conflict(admin, held)
    held.answer(RemovedError("Removed.", "PC-01", "ben", None))
    assert not is_open(dialog)
    form = only(dialogs.EditDialog)
    message = only(Message)
    held.arm()
    press(message, "Add again")
    assert form.asking
    held.answer(8)
    assert not is_open(form)


def test_what_was_decided_in_a_conflict_stays_so_when_another_one_comes(admin: Window) -> None:
    held = Held(admin)
    row = machine(admin)
    specs: list[Any] = []
    answer = held.keep

    def keep(done: Callable, failed: Callable, parent: QObject) -> None:
        answer(done, failed, parent)

    held.keep = keep
    page = admin.main_window.show_page("machines")
    form = submit(dialogs.edit_machine(page, context(admin), row), held, room="Lab 9", notes="mine")
    now = replace(row, room="Lab 3")
    change = FieldChange("room", row.room, "Lab 3", "Lab 9", "ben", admin.room.now)
    held.answer(StaleError("Changed.", now, (change,)))
    dialog = only(ConflictDialog)
    dialog.choose("room", THEIRS)
    held.arm()
    dialog.go.click()
    specs.append(form._wanted)
    again = FieldChange("notes", row.notes, "bens", "mine", "ben", admin.room.now)
    held.answer(StaleError("Changed.", replace(now, notes="bens"), (again,)))
    dialog.choose("notes", MINE)
    held.arm()
    dialog.go.click()
    assert (form._wanted.room, form._wanted.notes) == ("Lab 3", "mine")
    assert specs[0].room == "Lab 3"
    held.answer(RemovedError("Removed.", "PC-01", "ben", None))
    assert any(
        "Room: Lab 3" in each.toPlainText() for each in only(Message).findChildren(QPlainTextEdit)
    )


def test_closing_a_conflict_that_is_saved_closes_its_form(admin: Window) -> None:
    held = Held(admin)
    dialog = conflict(admin, held)
    form = only(dialogs.EditDialog)
    close_meanwhile(dialog)
    assert not is_open(form)
    held.answer(())
    assert toasts(admin) == [f"Edit {machine(admin).name}: saved after all."]


def test_a_conflict_is_saved_once(admin: Window) -> None:
    held = Held(admin)
    dialog = conflict(admin, held)
    dialog.choose_all(THEIRS)
    assert not dialog.go.isEnabled()


def test_the_focus_comes_back_with_a_refusal(admin: Window, qtbot) -> None:
    held = Held(admin)
    page = admin.main_window.show_page("machines")
    form = dialogs.edit_machine(page, context(admin), machine(admin))
    notes = form.form.boxes["room"].editor
    notes.setFocus()
    submit(form, held, room="Lab 9")
    held.answer(ConsoleError("The storage host says no."))
    assert form.focusWidget() is notes


def file_of(file: Path) -> str:
    return file.relative_to(UI).with_suffix("").as_posix()


def test_no_dialog_is_missing_here() -> None:
    """Every form, and every kind of dialog that asks, stands in the table above."""
    made: Counter[str] = Counter()
    for file in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made[file_of(file)] += node.func.id in {
                    "FormDialog",
                    "EditDialog",
                    "ConflictDialog",
                }
    assert {where for where, number in made.items() if number} - WITHOUT_WAITING <= {
        case.where for case in CASES
    }
    for where in ("machines/dialogs", "images/page"):
        assert made[where] == sum(case.where == where for case in CASES)
    plain = [
        f"{file_of(file)}.{node.name}"
        for file in UI.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "QDialog" for base in node.bases)
    ]
    assert sorted(plain) == ["kit/asking_dialog.AskingDialog", "kit/messages.Message"]


@every_dialog
@pytest.mark.parametrize("well", [True, False], ids=["well", "refusal"])
def test_an_answer_comes_though_the_page_has_gone(
    admin: Window, opened, case: Case, well: bool
) -> None:
    """As when the role that sees the page is taken away while its dialog waits."""
    dialog, held = opened
    admin.main_window.show_person("anna · Viewer", {"dashboard"})
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert set(admin.main_window._pages) == {"dashboard"}
    held.answer(case.well if well else ConsoleError("The storage host says no."))
    if well:
        assert is_open(dialog) is case.stays
    else:
        assert "The storage host says no." in texts(dialog)
