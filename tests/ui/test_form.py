# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms, messages and the crash dialog on their own."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QPushButton

from ggnet_console.demo.jobs import new_job
from ggnet_console.enums import JobKind
from ggnet_console.errors import ConsoleError, FieldError
from ggnet_console.ui.jobs import ErrorTab
from ggnet_console.ui.kit.form import Field, Form
from ggnet_console.ui.kit.messages import Details, Message, confirm, show_error
from ggnet_console.ui.kit.widgets import Value
from ggnet_console.ui.window.crash_dialog import CrashReporter, report
from ggnet_console.values import parse_ip, parse_mac

FIELDS = (
    Field("name", "Name", required=True),
    Field("mac", "MAC address", parse=parse_mac, help="In any notation."),
    Field("mode", "Mode", "choice", value="b", choices=[("a", "Letter A"), ("b", "Letter B")]),
    Field("notes", "Notes", "notes"),
    Field("ip", "IP address", parse=parse_ip, more=True),
)


@pytest.fixture
def form(qtbot) -> Form:
    form = Form(FIELDS)
    qtbot.addWidget(form)
    with qtbot.waitActive(form):
        form.show()
        form.activateWindow()
    return form


@pytest.mark.parametrize(
    "text", ["52-54-00-12-34-56", "5254.0012.3456", "525400123456", " 52:54:00:12:34:56 "]
)
def test_a_mac_in_any_usual_form_is_understood(form, text):
    form.boxes["name"].set_raw("PC-01")
    form.boxes["mac"].set_raw(text)
    assert form.submit() == {
        "name": "PC-01",
        "mac": "52:54:00:12:34:56",
        "mode": "b",
        "notes": "",
        "ip": None,
    }


def test_an_error_stands_at_its_field_in_place_of_the_help_until_it_is_touched(form, qtbot):
    mac = form.boxes["mac"]
    mac.editor.setFocus()
    qtbot.keyClicks(mac.editor, "xyz")
    assert mac.error == ""
    qtbot.keyClick(mac.editor, Qt.Key.Key_Tab)
    assert "is not a MAC address" in mac.error
    assert mac._error.isVisible()
    assert not mac._help.isVisible()
    qtbot.keyClicks(mac.editor, "0")
    assert mac.error == ""
    assert mac._help.isVisible()


def test_an_untouched_required_field_is_left_in_peace_until_submit(form, qtbot):
    name = form.boxes["name"]
    name.editor.setFocus()
    qtbot.keyClick(name.editor, Qt.Key.Key_Tab)
    assert name.error == ""
    assert form.submit() is None
    assert name.error == "Name is needed."
    assert name.editor.hasFocus()


def test_an_error_under_more_unfolds_it(form):
    form.boxes["name"].set_raw("PC-01")
    form.boxes["mac"].set_raw("52:54:00:12:34:56")
    form.boxes["ip"].set_raw("10.0.0.300")
    assert not form.boxes["ip"].isVisible()
    assert form.submit() is None
    assert form.boxes["ip"].isVisible()
    assert form.boxes["ip"].editor.hasFocus()


def test_the_form_knows_whether_anything_was_typed(form):
    assert not form.changed
    form.boxes["notes"].set_raw("x")
    assert form.changed
    form.boxes["notes"].set_raw("")
    assert not form.changed


def test_an_error_of_an_unknown_field_is_not_the_forms(form):
    assert not form.set_error("serial", "Taken.")
    assert form.set_error("name", "Taken.")
    assert form.boxes["name"].error == "Taken."


def test_a_long_value_breaks_into_lines_and_copies_whole(qtbot):
    value = Value()
    qtbot.addWidget(value)
    iqn = "iqn.2026-11.net.ggnet:target.525400000001"
    value.set_value(iqn)
    value.setFixedWidth(120)
    assert value.heightForWidth(120) > 2 * value.fontMetrics().height()
    assert value.value == iqn
    with qtbot.waitActive(value):
        value.show()
        value.activateWindow()
    value.setFocus()
    qtbot.keyClick(value, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == iqn


def test_an_error_is_shown_with_details_behind_a_fold(qtbot, form):
    show_error(form, ConsoleError("It failed.", "stderr of the tool"))
    message = next(w for w in QApplication.topLevelWidgets() if isinstance(w, Message))
    fold = next(b for b in message.findChildren(QPushButton) if b.text() == "Details")
    text = message.findChild(type(message.findChildren(QPushButton)[0].parent())).text
    assert not text.isVisible()
    qtbot.mouseClick(fold, Qt.MouseButton.LeftButton)
    assert text.isVisible()
    assert text.toPlainText() == "stderr of the tool"
    message.close()


COMMAND = "TGT_IPC_SOCKET=/srv/ggnet/tgt/control tgtadm " + "--targetname iqn.x " * 400
DETAILS = f"{COMMAND}\nexit code 22\ntgtadm: it is not there"


def test_the_command_in_the_details_is_shown_and_copied_whole(qtbot, form):
    message = show_error(form, ConsoleError("It failed.", DETAILS))
    [shown] = message.findChildren(Details)
    assert shown.text.toPlainText() == DETAILS
    copy = next(b for b in message.findChildren(QPushButton) if b.text() == "Copy")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == DETAILS
    message.close()


def test_a_failed_job_shows_the_command_in_its_details_whole(qtbot):
    tab = ErrorTab()
    qtbot.addWidget(tab)
    at = datetime(2026, 11, 29, tzinfo=UTC)
    job = new_job(1, JobKind.TARGET_APPLY, at, error="It failed.", error_details=DETAILS)
    tab.show_row(job)
    [shown] = tab.findChildren(Details)
    assert not shown.text.isHidden()
    assert shown.text.toPlainText() == DETAILS


def test_the_command_in_a_step_of_a_test_login_is_copied_whole(qtbot):
    value = Value()
    qtbot.addWidget(value)
    value.set_value(DETAILS)
    assert value.value == DETAILS
    value._copy()
    assert QApplication.clipboard().text() == DETAILS


def test_a_question_is_answered_no_by_enter_and_by_escape(qtbot, form):
    done = []
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Escape):
        confirm(form, "Delete PC-01?", "It is gone then.", "Delete PC-01", lambda: done.append(1))
        message = next(
            w for w in QApplication.topLevelWidgets() if isinstance(w, Message) and w.isVisible()
        )
        qtbot.waitUntil(message.isActiveWindow)
        qtbot.keyClick(message.focusWidget() or message, key)
        qtbot.waitUntil(
            lambda: (
                not any(
                    isinstance(w, QDialog) and w.isVisible() for w in QApplication.topLevelWidgets()
                )
            )
        )
    assert done == []


# The crash dialog


@pytest.fixture
def crashes(qapp, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    reporter = CrashReporter()
    reporter.install()
    yield reporter
    reporter.deleteLater()


def crash_dialog() -> Message | None:
    return next(
        (w for w in QApplication.topLevelWidgets() if isinstance(w, Message) and w.isVisible()),
        None,
    )


def test_a_bug_in_a_thread_becomes_a_report_that_can_be_copied(qtbot, crashes, caplog):
    def boom() -> None:
        raise ZeroDivisionError("in a thread")

    thread = threading.Thread(target=boom)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: crash_dialog() is not None)
    dialog = crash_dialog()
    copy = next(b for b in dialog.findChildren(QPushButton) if b.text() == "Copy")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    text = QApplication.clipboard().text()
    assert "GGnet Console" in text
    assert "ZeroDivisionError: in a thread" in text
    assert "boom" in text
    assert "uncaught" in caplog.text
    sys.excepthook(KeyError, KeyError("second"), None)
    assert (
        sum(isinstance(w, Message) and w.isVisible() for w in QApplication.topLevelWidgets()) == 1
    )
    dialog.close()
    qtbot.waitUntil(lambda: crashes._dialog is None)


def test_an_error_for_people_that_nobody_caught_is_no_crash(qtbot, crashes, caplog):
    error = FieldError("name", "A name is needed.")
    sys.excepthook(type(error), error, None)
    qtbot.waitUntil(lambda: crash_dialog() is not None)
    assert crash_dialog().text.text() == "A name is needed."
    crash_dialog().close()


def test_a_report_names_versions_and_the_whole_chain_of_causes():
    try:
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise RuntimeError("the effect") from cause
    except RuntimeError as error:
        text = report(error)
    assert "OSError: the cause" in text
    assert "RuntimeError: the effect" in text
    assert "Python 3." in text
