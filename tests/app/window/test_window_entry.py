# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may come in, who is shown out, and what the window says when it cannot go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton
from real_database import PASSWORD
from real_window import Premises, RealConsole, spin
from window_hands import Key, click, dialogs, fill, press, says

from ggnet_console.db.installation import Installation
from ggnet_console.db.schema import HEAD
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.window.sign_in_pages import ProblemPage, SignInPage

Open = Callable[[], RealConsole]


def test_a_wrong_password_is_refused_with_a_sentence_and_the_name_stays(
    console: RealConsole,
) -> None:
    entry_page = console.entry_page(SignInPage)
    password = entry_page.form.boxes["password"].editor
    fill(entry_page.form, user="operator")
    QTest.keyClicks(password, "wrong horse")
    QTest.keyClick(password, Key.Key_Return)
    spin(lambda: "The name or the password is wrong." in says(entry_page), "the refusal")
    assert entry_page.form.raw()["user"] == "operator"
    assert password.hasFocus()
    QTest.keyClicks(password, PASSWORD)
    QTest.keyClick(password, Key.Key_Return)
    console.open_pages()


def test_after_signing_out_somebody_else_can_sign_in(
    console: RealConsole, installed: Premises
) -> None:
    console.sign_in("viewer", PASSWORD)
    assert "viewer · Viewer" in says(console.main_window.status)
    assert console.page("machines").action("Add machine").toolTip() == "Needs the role Operator"
    (person,) = console.main_window.status.findChildren(QToolButton)
    next(each for each in person.menu().actions() if each.text() == "Sign out").trigger()
    entry_page = console.entry_page(SignInPage)
    assert entry_page.form.raw()["user"] == "viewer"
    assert installed.psql("SELECT count(*) FROM sign_ins WHERE ended_at IS NULL") == [(0,)]
    console.sign_in("operator", PASSWORD)
    assert "operator · Operator" in says(console.main_window.status)
    assert console.page("machines").action("Add machine").isEnabled()


def test_a_revoked_sign_in_leads_back_to_the_sign_in_page_which_says_so(
    console: RealConsole, installed: Premises
) -> None:
    console.sign_in("operator", PASSWORD)
    console.page("machines")
    press(console.main_window, Key.Key_N)
    fill(console.dialog(FormDialog).form, name="PC-01")
    [(role,)] = installed.psql("SELECT role_name FROM sign_ins WHERE ended_at IS NULL")
    installed.psql(f'ALTER ROLE "{role}" NOLOGIN')
    installed.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role
    )
    entry_page = console.entry_page(SignInPage)
    sentence = "The sign-in has ended or was never valid; sign in again."
    spin(lambda: sentence in says(entry_page), "the sentence")
    spin(lambda: not dialogs(FormDialog), "what can no longer be saved is closed")
    console.sign_in("operator", PASSWORD)


def test_a_schema_of_another_version_is_said_and_can_be_tried_again(
    open_console: Open, installed: Premises
) -> None:
    with Installation(installed.config):
        installed.set_revision("0000")
    console = open_console()
    problem = console.entry_page(ProblemPage)
    (sentence,) = [text for text in says(problem) if "ggnet db upgrade" in text]
    assert "0000" in sentence
    installed.set_revision(HEAD)
    click(problem, "Try again")
    console.entry_page(SignInPage)
    console.sign_in("viewer", PASSWORD)


def test_a_database_changed_by_hand_is_said_to_whoever_signs_in(
    open_console: Open, installed: Premises
) -> None:
    with Installation(installed.config):
        installed.psql("DROP INDEX uq_jobs_open_image")
    console = open_console()
    console.sign_in("operator", PASSWORD)
    (toast,) = console.main_window._toasts
    assert "changed by hand since its last upgrade: index uq_jobs_open_image" in toast.text


@pytest.mark.slow("an agent waits before it tries a taken portal again")
def test_a_taken_portal_is_said_on_every_page_with_by_whom_until_it_is_free(
    open_console: Open, installed: Premises
) -> None:
    [(address, port)] = installed.config.portals
    with socket.create_server((address, port)):
        console = open_console()
        console.sign_in("operator", PASSWORD)
        notice = console.main_window.notice
        spin(notice.isVisible, "the window says that the portal is taken")
        assert f"The portal {installed.portal} is taken by" in notice.text
        assert f"(process {os.getpid()})" in notice.text
        console.turn_to("dashboard")
        assert any(notice.text in text for text in says(console.main_window))
        assert console.main_window.sidebar.count("dashboard") == 1
    spin(lambda: not notice.isVisible(), "it is served as soon as the portal is free")
    assert installed.tgtd() is not None


def test_a_storage_host_whose_agent_is_silent_is_said(
    console: RealConsole, installed: Premises
) -> None:
    console.sign_in("viewer", PASSWORD)
    assert not console.main_window.notice.isVisible()
    installed.psql(
        "INSERT INTO hosts (name, agent_role, portal, backend, problem, heartbeat_at) "
        "VALUES ('cellar', 'ggnet_agent_cellar', '10.0.2.2:3260', 'tgt', '', now() - '1 min'::interval)"
    )
    spin(console.main_window.notice.isVisible, "the window says that the host is silent")
    assert console.main_window.notice.text.startswith(
        "The storage host cellar does not answer (last heard 1 min ago)"
    )
    installed.psql("UPDATE hosts SET heartbeat_at = now() WHERE name = 'cellar'")
    spin(lambda: not console.main_window.notice.isVisible(), "the host has been heard")


def test_a_console_that_cannot_even_begin_says_why_and_can_try_again(
    open_console: Open, installed: Premises
) -> None:
    fitting = installed.config
    installed.config = replace(fitting, host="no such name")
    console = open_console()
    page = console.entry_page(ProblemPage)
    assert [text for text in says(page) if "cannot be the name of a storage host" in text]
    console.console._config = installed.config = fitting
    click(page, "Try again")
    console.sign_in("operator", PASSWORD)
