# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages before the workspace, and that they need nothing of the database's libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from ggnet_console.errors import ConsoleError, FieldError
from ggnet_console.services import users
from ggnet_console.ui.kit import password_fields
from ggnet_console.ui.kit.theme import Theme
from ggnet_console.ui.window import sign_in_pages
from ggnet_console.ui.window.main_window import MainWindow
from ggnet_console.ui.window.sign_in_pages import (
    Credentials,
    FirstRun,
    FirstRunPage,
    ProblemPage,
    SignInPage,
)


def probe(folder: Path) -> None:
    if folder == Path("/nowhere"):
        raise ConsoleError("You may not write to /nowhere.")


@pytest.fixture
def first_run(qtbot) -> FirstRunPage:
    page = FirstRunPage(
        admin="anna", home=Path("/var/lib/ggnet"), portal="127.0.0.1:3260", probe=probe
    )
    qtbot.addWidget(page)
    page.show()
    return page


def fill(page, **values: str) -> None:
    for key, value in values.items():
        page.form.boxes[key].set_raw(value)


def test_name_and_password_are_all_the_first_run_asks(qtbot, first_run):
    fill(first_run, password="correct horse", again="correct horse")
    assert not first_run.form.boxes["home"].isVisible()
    with qtbot.waitSignal(first_run.submitted) as answer:
        qtbot.keyClick(first_run.form.boxes["again"].editor, Qt.Key.Key_Return)
    assert answer.args == [
        FirstRun("anna", "correct horse", Path("/var/lib/ggnet"), "127.0.0.1:3260")
    ]


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"admin": " "}, "admin", "Name is needed."),
        ({"password": "short", "again": "short"}, "password", "At least 8 characters"),
        ({"password": "ä" * 40, "again": "ä" * 40}, "password", "At most 72 bytes"),
        ({"again": "another one"}, "again", "The two passwords differ."),
        ({"home": "ggnet"}, "home", "whole path"),
        ({"home": "/nowhere"}, "home", "may not write to /nowhere"),
        ({"portal": "3260"}, "portal", "address:port"),
        ({"portal": "127.0.0.1:99999"}, "portal", "address:port"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(qtbot, first_run, values, field, sentence):
    fill(first_run, password="correct horse", again="correct horse")
    fill(first_run, **values)
    with qtbot.assertNotEmitted(first_run.submitted):
        first_run.go.click()
    assert sentence in first_run.form.boxes[field].error
    assert first_run.form.boxes[field].isVisible()


def test_passwords_may_be_as_short_and_as_long_as_the_service_takes():
    assert password_fields.PASSWORD_MIN == users.MIN_PASSWORD_CHARACTERS
    assert password_fields.PASSWORD_MAX_BYTES == users.MAX_PASSWORD_BYTES


def test_sign_in_keeps_what_was_typed_when_it_is_refused(qtbot):
    page = SignInPage(server="lab-server", user="anna")
    qtbot.addWidget(page)
    page.show()
    fill(page, password=" spaces count ")
    with qtbot.waitSignal(page.submitted) as answer:
        page.go.click()
    assert answer.args == [Credentials("anna", " spaces count ")]
    page.working("Signing in…")
    assert not page.go.isEnabled()
    page.failed(ConsoleError("The name or the password is wrong."))
    assert page.error.sentence.text() == "The name or the password is wrong."
    assert page.form.boxes["password"].raw() == " spaces count "
    assert page.go.isEnabled()
    page.failed(FieldError("user", "There is nobody of that name."))
    assert page.form.boxes["user"].error == "There is nobody of that name."


def test_a_problem_is_said_whole_with_one_thing_to_do(qtbot, qapp, settings):
    pressed = []
    theme = Theme(qapp, settings)
    main_window = MainWindow(settings, theme)
    qtbot.addWidget(main_window)
    sentence = "The database on lab-server is newer than this console. " * 3
    page = ProblemPage(ConsoleError(sentence), "Try again", lambda: pressed.append(1))
    main_window.show_entry_page(page)
    main_window.show()
    label = page.findChild(type(page.go).__mro__[0].__class__ and sign_in_pages.ErrorBox).sentence
    qtbot.waitUntil(lambda: label.height() >= label.heightForWidth(label.width()))
    qtbot.mouseClick(page.go, Qt.MouseButton.LeftButton)
    assert pressed == [1]
    theme.deleteLater()


def test_the_first_frame_needs_none_of_the_heavy_libraries():
    code = (
        "import sys, ggnet_console.ui.window.sign_in_pages, ggnet_console.ui.window.main_window, ggnet_console.ui.kit.theme;"
        "heavy = {'sqlalchemy', 'psycopg', 'alembic', 'procrastinate', 'keyring', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
