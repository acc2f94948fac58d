# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that asks which database to use."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from ggnet_console.enums import TlsMode
from ggnet_console.errors import UnreachableError
from ggnet_console.services.connections import ServerSpec, spec_of
from ggnet_console.ui.window.server_dialog import ServerDialog

SPEC = ServerSpec("db.example.net", "5432", "ggnet", "/etc/ggnet/ca.crt", TlsMode.VERIFY_FULL, "pw")


class Calls:
    """What the dialog asked for, and how it is to be answered."""

    def __init__(self) -> None:
        self.asked = []
        self.answer = "The server answers."
        self.error = None

    def __call__(self, spec, done, failed) -> None:
        self.asked.append(spec)
        if self.error is None:
            done(self.answer)
        else:
            failed(self.error)


@pytest.fixture
def opened(qtbot):
    """Makes an open dialog with what it calls."""
    window = QWidget()
    qtbot.addWidget(window)
    window.show()

    def opened(dsn=None, *, embedded=True):
        try_out, use = Calls(), Calls()
        dialog = ServerDialog(
            window, lambda *_: None, spec_of(dsn), embedded=embedded, try_out=try_out, use=use
        )
        dialog.open()
        return dialog, try_out, use

    return opened


def fill(dialog, **values) -> None:
    for key, value in values.items():
        dialog.form.boxes[key].set_raw(value)


SERVER = {"hosts": "db.example.net", "ca_file": "/etc/ggnet/ca.crt", "password": "pw"}


def test_the_strictest_mode_is_chosen_before_anybody_chooses(opened):
    dialog, _, use = opened()
    assert dialog.form.boxes["tls"].raw() == "verify-full"
    assert dialog.given_up == ""
    fill(dialog, **SERVER)
    dialog.go.click()
    assert use.asked == [SPEC]
    assert not dialog.isVisible()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (TlsMode.VERIFY_CA, "with a certificate of this authority can pose as the server"),
        (TlsMode.REQUIRE, "on the way can pose as the server and read every password"),
    ],
)
def test_a_weaker_mode_says_what_it_gives_up(opened, mode, words):
    dialog, _, _ = opened()
    fill(dialog, tls=mode)
    assert words in dialog.given_up
    assert dialog._given_up.isVisible()
    fill(dialog, tls=TlsMode.VERIFY_FULL)
    assert not dialog._given_up.isVisible()


def test_a_test_says_the_sentence_and_changes_nothing(opened):
    dialog, try_out, use = opened()
    fill(dialog, **SERVER)
    dialog.test.click()
    assert (try_out.asked, use.asked) == ([SPEC], [])
    assert dialog.answer.text() == "The server answers."
    assert dialog.isVisible()
    assert dialog.test.isEnabled()
    fill(dialog, port="5433")
    assert dialog.answer.text() == "", "it was said of another server"


@pytest.mark.parametrize("button", ["test", "go"])
def test_a_refusal_is_said_and_nothing_typed_is_lost(opened, button):
    dialog, *works = opened()
    for work in works:
        work.error = UnreachableError("The certificate was issued for “a”.", "details")
    fill(dialog, **SERVER)
    getattr(dialog, button).click()
    assert dialog.failure.sentence.text() == "The certificate was issued for “a”."
    assert dialog.form.boxes["password"].raw() == "pw"
    assert dialog.isVisible()
    assert dialog.go.isEnabled()
    assert dialog.test.isEnabled()


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"hosts": " "}, "hosts", "Host is needed."),
        ({"hosts": "/run/postgresql"}, "hosts", "host name, not a folder"),
        ({"database": ""}, "database", "Database is needed."),
        ({"port": "0"}, "port", "1 to 65535"),
        ({"port": "5432,x"}, "port", "1 to 65535"),
        ({"ca_file": "ca.crt"}, "ca_file", "whole path"),
    ],
)
@pytest.mark.parametrize("button", ["test", "go"])
def test_what_is_wrong_is_said_at_its_field(opened, values, field, sentence, button):
    dialog, try_out, use = opened()
    fill(dialog, **(SERVER | values))
    getattr(dialog, button).click()
    assert sentence in dialog.form.boxes[field].error
    assert (try_out.asked, use.asked) == ([], [])
    assert dialog.go.isEnabled()


def test_the_server_used_now_is_filled_in_without_its_password(opened):
    dialog, _, use = opened(
        "host=a,b port=1,2 dbname=lab sslmode=verify-ca sslrootcert=/ca.crt password=secret",
        embedded=False,
    )
    assert dialog.form.raw() == {
        "place": "server",
        "hosts": "a,b",
        "port": "1,2",
        "database": "lab",
        "ca_file": "/ca.crt",
        "tls": "verify-ca",
        "password": "",
    }
    dialog.go.click()
    [spec] = use.asked
    assert "sslmode=verify-ca" in spec.dsn
    assert "host=a,b" in spec.dsn


def test_this_computer_asks_for_nothing_else(qtbot, opened):
    dialog, _, use = opened("host=db", embedded=False)
    fill(dialog, port="nonsense", place="here")
    visible = [key for key, box in dialog.form.boxes.items() if box.isVisible()]
    assert visible == ["place"]
    assert not dialog.test.isVisible()
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    assert use.asked == [None]


def test_this_computer_chosen_where_it_is_used_already_changes_nothing(opened):
    dialog, _, use = opened(embedded=True)
    fill(dialog, place="here")
    dialog.go.click()
    assert use.asked == []
    assert not dialog.isVisible()


def test_a_connection_string_never_holds_the_password_nor_does_a_log():
    assert "pw" not in SPEC.dsn
    assert "pw" not in repr(SPEC)
