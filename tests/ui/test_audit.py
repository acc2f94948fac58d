# SPDX-License-Identifier: GPL-3.0-or-later
"""The Audit page and the History tabs: pages of entries, filters, export, verification."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from ggnet_console.demo.targets import LOCKED
from ggnet_console.enums import Severity
from ggnet_console.errors import ConsoleError
from ggnet_console.models import Base
from ggnet_console.services import audit
from ggnet_console.services.audit import AuditHead, AuditProblem, AuditRow, OldAudit, Pruned
from ggnet_console.services.audit_export import export_audit
from ggnet_console.ui.audit.page import TYPING_MS, AuditPage
from ggnet_console.ui.audit.verify_dialog import head_text
from ggnet_console.ui.audit_words import FIELDS, NOUNS, action_of, changes_of, object_of, who_of
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message

from .demo import Window

FUNCTIONS = Path(__file__).parents[2] / "migrations" / "functions"


@pytest.fixture
def page(admin: Window) -> AuditPage:
    page = admin.main_window.show_page("audit")
    assert isinstance(page, AuditPage)
    return page


def shown(page: AuditPage) -> list[int]:
    return [page.model.row(n).id for n in range(page.model.rowCount())]


def open_dialog(kind):
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def test_the_newest_entries_come_first_and_the_rest_while_scrolling(qtbot, page):
    assert shown(page) == list(range(450, 250, -1))
    bar = page.view.verticalScrollBar()

    def at_the_end() -> bool:
        bar.setValue(bar.maximum())
        return page.model.rowCount() == 450

    assert not at_the_end()
    assert page.model.rowCount() == 400
    qtbot.waitUntil(at_the_end)
    assert shown(page) == list(range(450, 0, -1))
    assert not page.model.canFetchMore()


def test_the_paged_table_is_a_sound_model(page, qtmodeltester):
    qtmodeltester.check(page.model)


def test_each_filter_is_asked_of_the_database(page):
    page.people.setCurrentIndex(page.people.findData("boss"))
    assert {page.model.row(n).user_name for n in range(page.model.rowCount())} == {"boss"}
    page.nouns.setCurrentIndex(page.nouns.findData("setting"))
    assert {page.model.row(n).noun for n in range(page.model.rowCount())} == {"setting"}
    assert page.model.rowCount() == 50
    page.show_chip("Critical")
    assert page._nothing_text.text() == "No entry fits these filters"
    assert page._left.currentIndex() == 1
    page._on_clear()
    assert page.model.rowCount() == 200
    page.show_chip("Critical")
    assert {page.model.row(n).severity for n in range(page.model.rowCount())} == {Severity.CRITICAL}


def test_typing_searches_after_a_moment(qtbot, page):
    page.search.setText("LAB 3")
    assert page.model.rowCount() == 200
    qtbot.waitUntil(lambda: page.model.rowCount() == 100)
    page.search.setText("no such thing")
    qtbot.waitUntil(lambda: page.model.rowCount() == 0)
    assert page._nothing_text.text() == "No entry contains “no such thing”"


def test_a_search_begins_with_three_characters_and_says_so(qtbot, page):
    page.search.setText("zq")
    assert page._number.text() == "Type 3 characters to search"
    qtbot.wait(TYPING_MS + 50)
    assert page.model.rowCount() == 200
    assert page.wanted().contains == ""
    page.search.setText("zqx")
    assert page._number.text() == ""
    qtbot.waitUntil(lambda: page.model.rowCount() == 0)


def test_times_are_filtered_by_span_and_between_two_of_them(page):
    page.times.setCurrentIndex(1)
    page._on_time()
    hour_ago = datetime.now(UTC) - timedelta(hours=1, seconds=10)
    assert all(page.model.row(n).at > hour_ago for n in range(page.model.rowCount()))
    assert 0 < page.model.rowCount() < 20
    page.times.setCurrentIndex(page.times.count() - 1)
    page._on_time()
    dialog = open_dialog(FormDialog)
    dialog.form.boxes["since"].set_raw("yesterday")
    dialog.go.click()
    assert dialog.form.boxes["since"].error.startswith("Give it as date and time")
    since = datetime.now().astimezone() - timedelta(hours=5)
    until = since + timedelta(hours=2)
    dialog.form.boxes["since"].set_raw(f"{since:%Y-%m-%d %H:%M}")
    dialog.form.boxes["until"].set_raw(f"{until:%Y-%m-%d %H:%M}")
    dialog.go.click()
    assert page.wanted().since == since.replace(second=0, microsecond=0)
    assert page.model.rowCount() in (17, 18)


def test_one_object_or_one_person_can_be_followed_from_a_row(page):
    page.select([450])
    page.action("Only this object").trigger()
    assert {page.model.row(n).object_name for n in range(page.model.rowCount())} == {"PC-07"}
    assert page._only.isVisible()
    assert page._only.text() == "Machine PC-07"
    page._only.click()
    assert page.model.rowCount() == 200
    page.select([449])
    page.action("Only this person").trigger()
    assert page.people.currentData() == "boss"


def test_before_and_after_stand_field_by_field_in_the_details(page):
    page.select([449])
    labels = [each.text() for each in page.detail._overview.findChildren(QLabel)]
    assert "Viewer → Operator" in labels
    assert "changed" in labels
    assert "(hidden)" not in " ".join(labels)


def test_entries_are_said_in_words(admin):
    said = {action_of(row): row for row in admin.room.audit[:9]}
    assert list(said) == [
        "Machine changed",
        "User changed",
        "Sign-in failed",
        "Machine added",
        "Setting changed",
        "Session changed",
        "Image changed",
        "Machine removed",
    ]
    assert ("Boot mode", "UEFI") in changes_of(said["Machine added"])
    assert changes_of(said["Machine removed"]) == [("IP address", "10.0.2.51"), ("Name", "PC-41")]
    session = said["Session changed"]
    assert who_of(session) == "Agent of lab-server"
    assert changes_of(session) == [
        ("Error", f"– → {LOCKED}"),
        ("Status", "Waiting for boot → Failed"),
    ]


def test_new_entries_come_in_above_and_move_nothing(qtbot, admin, page):
    page.view.scrollTo(page.model.index(100, 0))
    page.select([400])
    newest = admin.room.audit[0]
    admin.room.audit.insert(0, type(newest)(**{**_fields(newest), "id": 451}))
    page._ask_newer()
    assert shown(page)[:2] == [451, 450]
    assert [row.id for row in page.view.selected()] == [400]


def _fields(row) -> dict:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def test_an_answer_that_was_overtaken_by_another_question_is_ignored(page):
    asked = page._asked
    page.people.setCurrentIndex(page.people.findData("boss"))
    before = shown(page)
    page._read(None, asked)
    assert shown(page) == before


def test_export_hands_what_is_filtered_to_the_background(admin, page, tmp_path):
    page.people.setCurrentIndex(page.people.findData("boss"))
    admin.runner.answer = lambda *_args: 1204
    page.export(tmp_path / "audit.csv")
    work, (path, wanted) = admin.runner.calls[-1]
    assert work is export_audit
    assert (path, wanted.user_name) == (tmp_path / "audit.csv", "boss")
    said = [toast.text for toast in admin.main_window._toasts]
    assert said == [f"1\u202f204 entries written to {path}."]


def test_the_chain_head_goes_to_the_clipboard_and_comes_back_from_it(admin, page):
    head = AuditHead(12, "ab" * 32, datetime.now(UTC))
    admin.runner.answer = lambda *_args: head
    page.action("Copy chain head").trigger()
    copied = QGuiApplication.clipboard().text()
    assert copied == head_text(head)
    back = audit.head_from(copied)
    assert (back.number, back.hash) == (head.number, head.hash)


def verify(page: AuditPage, admin: Window, problems: list[AuditProblem], head: str = "") -> Message:
    admin.runner.answer = lambda *_args: (problems, AuditHead(12, "ab" * 32, datetime.now(UTC)))
    page.action("Verify").trigger()
    dialog = open_dialog(FormDialog)
    dialog.form.boxes["head"].set_raw(head)
    dialog.go.click()
    return open_dialog(Message)


def test_verify_says_in_a_sentence_that_the_trail_is_whole(admin, page):
    kept = head_text(AuditHead(3, "cd" * 32, None))
    text = verify(page, admin, [], kept).text.text()
    assert text.startswith("No entry was changed, removed or put in, up to link no. 12, made 20")
    assert admin.runner.calls[-1][1] == (AuditHead(3, "cd" * 32, None),)


def test_verify_says_what_is_wrong(admin, page):
    message = verify(
        page, admin, [AuditProblem(7, 31, "Entries of this link were changed, removed or added.")]
    )
    assert message.text.text().startswith(
        "The audit trail was tampered with: Entries of this link were changed, removed or added."
    )


def test_what_is_no_chain_head_is_refused_at_the_field(admin, page):
    page.action("Verify").trigger()
    dialog = open_dialog(FormDialog)
    dialog.form.boxes["head"].set_raw('{"number": 1, "hash": "not hexadecimal"}')
    dialog.go.click()
    assert dialog.form.boxes["head"].error == (
        "This is not a chain head; paste all that was copied."
    )


# History of one object


@pytest.mark.parametrize("who", ["viewer", "window", "admin"])
def test_every_noun_has_a_history_tab_for_everybody_who_sees_it(request, who):
    opened = request.getfixturevalue(who)
    pages = [("machines", 7), ("images", 1), ("targets", 1), ("sessions", 5), ("jobs", 5)]
    if who == "admin":
        pages += [("users", 4), ("settings", 2)]
    for key, row_id in pages:
        page = opened.main_window.show_page(key)
        page.select([row_id])
        tab = page.detail._bar.count() - 1
        assert page.detail._bar.tabText(tab) == "History"
        page.detail._bar.setCurrentIndex(tab)
        said = [each.text() for each in page.detail._tabs[-1].findChildren(QLabel)]
        if key in ("targets", "jobs"):
            assert said == ["Nothing has been done to it since the audit trail began."]
        else:
            assert any(" changed by " in text for text in said), key


def test_a_storage_host_has_its_history_behind_a_button(admin):
    first = admin.room.audit[0]
    chosen = {"backend_choice": ["AUTO", "LIO"]}
    admin.room.audit.append(replace(first, noun="host", object_id="1", changes=chosen))
    admin.main_window.show_page("settings").hosts.histories["lab-server"].click()
    [dialog] = [w for w in QApplication.topLevelWidgets() if w.windowTitle().startswith("History")]
    said = [each.text() for each in dialog.findChildren(QLabel)]
    assert "History of lab-server" in said
    assert any(text.startswith("Storage host ") for text in said)
    assert any("Served by" in text for text in said)
    dialog.accept()


def test_every_noun_of_the_trail_has_words(admin):
    """What is tracked, is tracked under a noun that the filter of the page offers."""
    nouns = {noun for _table, noun, _observed in tracked()}
    assert {"machine", "image version", "setting"} <= nouns <= NOUNS.keys()


def tracked() -> list[tuple[str, str, str]]:
    """Tables whose changes enter the trail, the noun of each, and which columns do not count."""
    changes = (FUNCTIONS / "changes.sql").read_text("utf-8")
    return re.findall(r"^        \('(\w+)', '([^']+)',\s+'([^']*)'", changes, re.MULTILINE)


def test_every_column_of_the_trail_has_a_word_of_its_own():
    tables = {mapper.local_table.name: mapper.local_table for mapper in Base.registry.mappers}
    columns = {
        (noun, column.name)
        for table, noun, observed in tracked()
        for column in tables[table].columns
        if column.name not in (*observed.split(","), "version")
    }
    assert {("machine", "asset_tag"), ("lun", "serial"), ("session", "ready_at")} <= columns
    shown = {
        (noun, name)
        for noun, name in columns
        if changes_of(entry(noun=noun, changes={name: ["before", "after"]}))
    }
    assert ("machine", "id") not in shown
    assert sorted((noun, name) for noun, name in shown if name not in FIELDS) == []


def test_what_else_an_entry_of_the_database_tells_has_words_too():
    sources = "".join(path.read_text("utf-8") for path in FUNCTIONS.glob("*.sql"))
    told = set(re.findall(r"'(\w+)'+, jsonb_build_array\(", sources))
    assert {"reason", "not_recorded", "entries", "bcrypt_cost"} <= told <= FIELDS.keys()


def test_the_service_is_asked_for_the_object_alone_and_again_after_a_failure(window):
    asked = []

    def refuse(noun, object_id):
        asked.append((noun, object_id))
        raise ConsoleError("The connection is lost.")

    del window.runner.reads[audit.object_history]
    window.runner.answer = refuse
    page = window.main_window.show_page("machines")
    page.select([7])
    page.detail._bar.setCurrentIndex(2)
    said = [each.text() for each in page.detail._tabs[-1].findChildren(QLabel)]
    assert said == ["The connection is lost."]
    page._on_tick()
    assert asked == [("machine", "7")] * 2


# What set-up did


def entry(**values) -> AuditRow:
    given = {
        "id": 1,
        "at": datetime.now(UTC),
        "severity": Severity.WARNING,
        "user_id": None,
        "user_name": "ggnet_dba",
        "client_address": None,
        "program": "ggnet setup",
        "verb": "insert",
        "noun": "setting",
        "object_id": "5",
        "object_name": "lock_out_s",
        "changes": {},
        "job_id": None,
    }
    return AuditRow(**given | values)


def test_what_set_up_did_is_said_without_roles_and_keys():
    row = entry(
        changes={
            "id": [None, 5],
            "name": [None, "lock_out_s"],
            "value": [None, 900],
            "minimum": [None, 0],
            "maximum": [None, 604800],
        }
    )
    assert who_of(row) == "Set-up"
    assert (action_of(row), object_of(row)) == ("Setting added", "Lock-out lasts")
    assert changes_of(row) == [
        ("At least", "0 s"),
        ("At most", "7 d"),
        ("Value", "15 min"),
    ]
    account = entry(
        noun="user",
        object_name="anna",
        changes={
            "id": [None, 1],
            "name": [None, "anna"],
            "role": [None, "ADMIN"],
            "locked": [None, False],
            "created_at": [None, "2026-11-23T08:02:22+00:00"],
        },
    )
    assert changes_of(account) == [("Name", "anna"), ("Role", "Admin")]


def test_the_owner_of_the_database_at_work_by_hand_is_not_called_set_up():
    assert who_of(entry(program="psql")) == "Database owner"
    assert who_of(entry(user_id=1, user_name="ggnet_dba", program="psql")) == "ggnet_dba"


def test_an_account_is_told_from_a_role_and_a_failed_sign_in_is_nobody_s():
    assert who_of(entry(user_id=3, user_name="anna")) == "anna"
    assert who_of(entry(user_name="", noun="sign-in", verb="fail")) == "–"


# Retention


def test_old_entries_go_after_a_question_that_says_what_goes(admin, page):
    before = datetime(2025, 11, 23, 8, 0, tzinfo=UTC)
    page.action("Remove old entries").trigger()
    dialog = open_dialog(FormDialog)
    box = dialog.form.boxes["days"]
    assert box.raw() == "365"
    box.set_raw("30")
    dialog.go.click()
    assert box.error == ("The last 365 days cannot be removed (setting “Audit trail is kept”).")
    box.set_raw("400")
    admin.runner.answer = lambda *_args: OldAudit(before, 0)
    dialog.go.click()
    assert box.error.startswith("No entry is older than 2025-11-23")
    admin.runner.answer = lambda *_args: OldAudit(before, 1204)
    dialog.go.click()
    assert (audit.prune_audit, (before,)) not in admin.runner.calls
    message = open_dialog(Message)
    assert message.windowTitle() == "Remove 1\u202f204 entries of the audit trail?"
    assert "becomes an entry itself" in message.text.text()
    admin.runner.answer = lambda *_args: Pruned(1200, 3)
    remove = next(b for b in message.findChildren(QPushButton) if b.text().startswith("Remove"))
    remove.click()
    assert admin.runner.calls[-1] == (audit.prune_audit, (before,))
    said = [toast.text for toast in admin.main_window._toasts]
    assert said == ["1\u202f200 entries removed from the audit trail."]


def test_another_filter_leaves_the_table_as_wide_as_its_window(qtbot, page):
    page.select([449])
    page.view.clearSelection()
    page._on_object(page.model.rows[:1])
    header = page.view.horizontalHeader()
    qtbot.waitUntil(lambda: header.length() == page.view.viewport().width())
    assert page.view.horizontalScrollBar().maximum() == 0
