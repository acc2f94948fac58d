# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dialog that waits: whoever asked is answered, or says that it went away."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QPushButton, QWidget
from shiboken6 import isValid

from ggnet_console.errors import ConsoleError, FaultError, FieldChange, RemovedError, StaleError
from ggnet_console.ui.kit.asking_dialog import AskingDialog
from ggnet_console.ui.kit.conflict_dialog import MINE, THEIRS, ConflictDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.machines import dialogs

from .answer_cases import CASES, NEW, Case, Held, conflict, context, machine, only, submit
from .demo import Window

UI = Path(__file__).parents[2] / "ggnet_console" / "ui"
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
