# SPDX-License-Identifier: GPL-3.0-or-later
"""Closing the window: who goes on serving, what is asked, and that nothing stays behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE_S
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from real_database import PASSWORD
from real_host import LoggedIn, initiator_options, is_running
from real_window import Premises, RealConsole, spin
from window_hands import CTRL, Key, click, dialogs, import_dropped, is_shown, says

from ggnet_console.db.installation import Installation
from ggnet_console.services.agent_jobs import SILENT_UPLOAD_S
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.window.sign_in_pages import SignInPage

Open = Callable[[], RealConsole]
LogIn = Callable[[BootSessionRow], LoggedIn]


@pytest.fixture
def window(console: RealConsole) -> RealConsole:
    """The first console, with an operator at it."""
    console.sign_in("operator", PASSWORD)
    return console


@pytest.fixture
def session(window: RealConsole, installed: Premises, disks: Path) -> BootSessionRow:
    """A machine that was started from this window."""
    installed.psql("INSERT INTO machines (name, mac) VALUES ('PC-01', '52:54:00:12:34:01')")
    window.page("images")
    import_dropped(window.main_window, disks / "disk.raw")
    window.shows("images", "disk", state="Ready".__eq__)
    window.shows("machines", "PC-01")
    page = window.page("machines")
    QTest.keyClick(page.view, Key.Key_A, CTRL)
    QTest.keyClick(page.view, Key.Key_Return, CTRL)
    dialog = window.dialog(FormDialog)
    QTest.keyClick(dialog.form.boxes["image"].editor, Key.Key_Down)
    QTest.keyClick(dialog, Key.Key_Return)
    window.form_closes()
    window.shows("sessions", "PC-01", state=lambda text: text.startswith("Waiting for boot"))
    return window.session_of("PC-01")


def reads(row: BootSessionRow) -> bool:
    """Whether this machine's initiator may log in and read."""
    return not subprocess.run(
        ["qemu-io", "-r", "-c", "read 0 1M", "--image-opts", initiator_options(row)],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    ).returncode


def is_ready(text: str) -> bool:
    return text.startswith("Ready")


def is_running_now(text: str) -> bool:
    return text.startswith("Running")


def status_of(installed: Premises, row: BootSessionRow) -> str:
    with Installation(installed.config):
        [(status,)] = installed.psql("SELECT status FROM boot_sessions WHERE id = %s", row.id)
    return str(status)


def nothing_runs(installed: Premises) -> bool:
    return not installed.agents() and installed.tgtd() is None and installed.postmaster() is None


def test_the_last_window_closes_and_nothing_stays_behind(
    window: RealConsole, installed: Premises
) -> None:
    spin(installed.tgtd, "the console serves")
    window.main_window.close()
    spin(lambda: window.has_ended, "the console ends without a question")
    assert nothing_runs(installed)


def test_a_console_ends_its_process_with_its_window(installed: Premises) -> None:
    process = installed.second_console("viewer", PASSWORD)
    spin(lambda: process.shown, "it is signed in")
    process.order("close")
    spin(process.ended, "the process ends")
    assert process.returncode == 0
    assert nothing_runs(installed)


def test_esc_leaves_the_window_open_and_the_machine_running(
    window: RealConsole, session: BootSessionRow, log_in: LogIn
) -> None:
    window.main_window.close()
    question = window.dialog(Message)
    assert question.windowTitle() == "1 machine still runs from this computer"
    QTest.keyClick(question, Key.Key_Escape)
    spin(lambda: not dialogs(Message), "the question is gone")
    assert window.main_window.isVisible()
    log_in(session)
    window.shows("sessions", "PC-01", state=is_running_now)


def test_a_command_that_runs_meanwhile_takes_nothing_over_and_the_question_is_asked(
    window: RealConsole, installed: Premises, session: BootSessionRow
) -> None:
    with Installation(installed.config):  # as each ``ggnet`` call takes part in the database
        window.main_window.close()
        question = window.dialog(Message)
        QTest.keyClick(question, Key.Key_Escape)
        spin(lambda: not dialogs(Message), "the question is closed")
    assert reads(session)


def test_stopping_the_machines_ends_their_sessions_and_everything_else(
    window: RealConsole, installed: Premises, session: BootSessionRow
) -> None:
    window.main_window.close()
    click(window.dialog(Message), "Stop 1 machine")
    spin(lambda: window.has_ended, "the console ends")
    assert nothing_runs(installed)
    assert not reads(session)
    assert status_of(installed, session) == "STOPPED"


def test_kept_machines_are_served_by_an_agent_until_the_last_session_ends(
    window: RealConsole,
    installed: Premises,
    session: BootSessionRow,
    open_console: Open,
    log_in: LogIn,
) -> None:
    window.main_window.close()
    click(window.dialog(Message), "Keep serving 1 machine")
    spin(lambda: window.has_ended, "the console ends")
    [agent] = installed.agents()
    assert installed.postmaster() is not None
    machine = log_in(session)
    assert "read 1048576" in machine.read()

    again = open_console()
    again.sign_in("operator", PASSWORD)
    again.shows("sessions", "PC-01", state=is_running_now, client_address="127.0.0.1".__eq__)
    assert installed.agents() == [agent]
    page = again.page("sessions")
    page.select([session.id])
    QTest.keyClick(page.view, Key.Key_Delete)
    click(again.dialog(Message), "Stop 1 session")
    again.shows("sessions", "PC-01", state=lambda text: text.startswith("Stopped"))
    assert not reads(session)
    spin(lambda: not is_running(agent), "the agent left behind has nothing left to do")
    again.main_window.close()
    spin(lambda: again.has_ended, "the second run ends")
    assert nothing_runs(installed)


def test_machines_of_somebody_who_signed_out_go_on_being_served(
    window: RealConsole, installed: Premises, session: BootSessionRow
) -> None:
    window.main_window.sign_out_wanted.emit()
    spin(lambda: window.lifecycle.signed_in is None, "nobody is signed in")
    window.main_window.close()
    spin(lambda: window.has_ended, "the console ends without a question")
    assert installed.agents()
    assert reads(session)


def test_with_a_second_console_open_nothing_is_asked_and_that_one_takes_over(
    window: RealConsole, installed: Premises, session: BootSessionRow, disks: Path, log_in: LogIn
) -> None:
    second = installed.second_console("operator", PASSWORD)
    spin(lambda: second.shown, "the second console is signed in")
    window.main_window.close()
    spin(lambda: window.has_ended, "the console ends")
    assert not dialogs(QWidget)
    assert installed.agents() == []
    log_in(session)
    spin(
        lambda: is_shown(second.shown, "sessions", "PC-01", state=is_running_now),
        "the second console looks after the machine",
    )
    second.order(f"import {disks / 'hyper-v.vhdx'}")
    spin(
        lambda: is_shown(second.shown, "images", "hyper-v", state=is_ready),
        "the second console works on its import",
    )


def test_after_a_console_was_killed_the_next_one_recovers(
    open_console: Open, installed: Premises, disks: Path
) -> None:
    killed = installed.second_console("operator", PASSWORD)
    spin(lambda: killed.shown, "a console is open")
    spin(installed.tgtd, "it serves")
    killed.kill()
    server = installed.postmaster()
    window = open_console()
    window.sign_in("operator", PASSWORD)
    assert installed.postmaster() == server, "the server that went on is adopted"
    import_dropped(window.main_window, disks / "disk.raw")
    window.shows("images", "disk", state="Ready".__eq__)
    window.main_window.close()
    spin(lambda: window.has_ended, "the console ends")
    assert nothing_runs(installed)


def test_signing_out_while_a_file_is_copied_in_asks_and_leaves_nothing(
    window: RealConsole, installed: Premises
) -> None:
    file = installed.folder / "endless.raw"
    with file.open("wb") as made:
        made.truncate(256 * 2**30)  # all holes: takes no room, but minutes to read
    window.page("images")
    import_dropped(window.main_window, file)
    status = "SELECT status FROM images"
    spin(lambda: installed.psql(status) == [("UPLOADING",)], "the copy has begun")
    window.main_window.sign_out_wanted.emit()
    QTest.keyClick(window.dialog(Message), Key.Key_Escape)
    spin(lambda: not dialogs(Message), "the question is gone")
    assert window.lifecycle.signed_in is not None
    window.main_window.sign_out_wanted.emit()
    click(window.dialog(Message), "Sign out and cancel the import")
    window.entry_page(SignInPage)
    assert installed.psql(status) == [("ERROR",)]
    assert list(installed.tree.incoming.iterdir()) == []


def test_a_viewer_may_keep_machines_running_and_is_not_offered_to_stop_them(
    window: RealConsole, session: BootSessionRow
) -> None:
    window.main_window.sign_out_wanted.emit()
    window.entry_page(SignInPage)
    window.sign_in("viewer", PASSWORD)
    window.main_window.close()
    question = window.dialog(Message)
    offered = [text for text in says(question) if text.startswith(("Stop", "Keep"))]
    assert [text for text in offered if text.startswith("Stop ")] == []
    assert "Keep serving 1 machine" in offered
    QTest.keyClick(question, Key.Key_Escape)
    spin(lambda: not dialogs(Message), "the question is gone")


def test_whoever_has_become_a_viewer_is_not_offered_to_stop_machines(
    window: RealConsole, session: BootSessionRow, installed: Premises
) -> None:
    installed.psql("SELECT user_set_role(id, 'VIEWER') FROM users WHERE name = 'operator'")
    spin(lambda: "operator · Viewer" in says(window.main_window.status), "the window knows")
    window.main_window.close()
    question = window.dialog(Message)
    assert [text for text in says(question) if text.startswith("Stop ")] == []
    QTest.keyClick(question, Key.Key_Escape)
    spin(lambda: not dialogs(Message), "the question is gone")


def test_a_console_killed_at_work_leaves_nothing_half_made_to_the_next_one(
    open_console: Open, installed: Premises, disks: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.raw"
    slow.touch()
    os.truncate(slow, 64 * 2**30)  # takes many seconds and no space
    installed.hold("convert")
    killed = installed.second_console("operator", PASSWORD)
    spin(lambda: killed.shown, "a console is open")
    killed.order(f"import {disks / 'disk.qcow2'}")
    stopped = spin(lambda: installed.find_held("convert"), "it converts an image")
    killed.order(f"import {slow}")
    spin(lambda: is_shown(killed.shown, "images", "slow", state=is_copied), "it copies another")
    assert any(name.endswith(".part") for name in installed.left_over())
    killed.kill()
    spin(lambda: not is_running(stopped), "qemu-img dies with the console")
    installed.let_go()

    window = open_console()
    window.sign_in("operator", PASSWORD)
    window.shows("images", "disk", state="Ready".__eq__)
    # As if it had been silent for too long.
    installed.psql(
        "UPDATE jobs SET heartbeat_at = now() - make_interval(secs => %s) WHERE status = 'RUNNING'",
        SILENT_UPLOAD_S + 1,
    )
    window.shows("images", "slow", state=lambda text: "import it again" in text)
    spin(lambda: installed.left_over() == ["images/1-1.raw"], "only the whole image is left")
    assert installed.qemu_imgs() == []
    window.main_window.close()
    spin(lambda: window.has_ended, "the console ends")
    assert nothing_runs(installed)


def is_copied(text: str) -> bool:
    return text.startswith("Copying")
