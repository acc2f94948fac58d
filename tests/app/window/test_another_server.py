# SPDX-License-Identifier: GPL-3.0-or-later
"""From the first page to a shared server with TLS and back, by keys and clicks."""

from __future__ import annotations

import contextlib
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from patience import PATIENCE_S
from real_window import Premises, RealConsole, spin
from tls_server import Authority, TlsServer, tls_server
from window_hands import click, fill, says

from ggnet_console.db import shared_server
from ggnet_console.db.cluster import CONSOLE_ROLE
from ggnet_console.db.engine import Database, shared_dsn
from ggnet_console.db.shared_server import Prepared
from ggnet_console.enums import Role
from ggnet_console.services import users
from ggnet_console.ui.window.server_dialog import ServerDialog
from ggnet_console.ui.window.sign_in_pages import FirstRunPage, ProblemPage, SignInPage

PASSWORD = "anna's own password"


@pytest.fixture
def shared() -> Iterator[TlsServer]:
    with tls_server() as server:
        yield server


@pytest.fixture
def prepared(shared: TlsServer) -> Prepared:
    prepared = shared_server.prepare(shared_dsn(shared.dsn()), "ggnet", ["store1"])
    shared.admit(prepared.hba_line)
    owner = Database(shared_dsn(shared.dsn(dbname="ggnet")), program="tests")
    with contextlib.closing(owner), owner.begin() as session:
        users.create_user(session, "anna", Role.ADMIN, PASSWORD)
    return prepared


def test_a_console_moves_to_a_shared_server_and_back(
    open_console: Callable[[], RealConsole],
    premises: Premises,
    shared: TlsServer,
    prepared: Prepared,
) -> None:
    console = open_console()
    click(console.entry_page(FirstRunPage), "Another server…")
    dialog = console.dialog(ServerDialog)
    other = Authority(premises.folder, "other")
    fill(
        dialog.form,
        hosts="localhost",
        port=str(shared.port),
        password=prepared.passwords[CONSOLE_ROLE],
        ca_file=str(other.file),
    )
    click(dialog, "Test connection")
    spin(dialog.failure.isVisible, "the certificate is refused")
    assert "was not issued by the authority in the CA file" in dialog.failure.sentence.text()
    fill(dialog.form, ca_file=str(shared.authority.file))
    click(dialog, "Test connection")
    spin(dialog.answer.text, "the server answers")
    assert dialog.answer.text().startswith("The server answers, its certificate is right")
    click(dialog, "Use")
    page = console.entry_page(SignInPage)
    assert "GGnet Console on localhost" in says(page)
    assert [t.text for t in console.main_window._toasts if "readable by you alone" in t.text]
    console.sign_in("anna", PASSWORD)
    rows = shared.execute(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE usename LIKE 'ggnet_s_%%'"
    )
    assert rows == [(True,)]
    assert not premises.tree.cluster.exists()

    file = Path(premises.environment["GGNET_CONFIG"])
    written = tomllib.loads(file.read_text())
    assert written.pop("database_url") == (
        f"host=localhost port={shared.port} dbname=ggnet sslmode=verify-full "
        f"sslrootcert={shared.authority.file}"
    )
    [kept] = (premises.folder / "state" / "ggnet").glob("connection-*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    console.main_window.sign_out_wanted.emit()
    click(console.entry_page(SignInPage), "Another server…")
    dialog = console.dialog(ServerDialog)
    assert dialog.form.boxes["hosts"].raw() == "localhost"
    dialog.form.boxes["place"].set_raw("here")
    click(dialog, "Use")
    console.entry_page(FirstRunPage)
    assert tomllib.loads(file.read_text()) == written


def test_a_private_database_in_use_is_left_in_order(
    open_console: Callable[[], RealConsole],
    premises: Premises,
    shared: TlsServer,
    prepared: Prepared,
) -> None:
    premises.install()
    console = open_console()
    spin(premises.tgtd, "the agent of this console serves")
    click(console.entry_page(SignInPage), "Another server…")
    dialog = console.dialog(ServerDialog)
    fill(
        dialog.form,
        hosts="localhost",
        port=str(shared.port),
        password=prepared.passwords[CONSOLE_ROLE],
        ca_file=str(shared.authority.file),
    )
    click(dialog, "Use")
    spin(lambda: not premises.postmaster(), "the private server ends")
    assert premises.tgtd() is None
    spin(
        lambda: "GGnet Console on localhost" in says(console.console.entry.page),
        "the server's page",
    )
    console.sign_in("anna", PASSWORD)


def test_a_server_that_is_gone_is_not_the_end(
    open_console: Callable[[], RealConsole], premises: Premises
) -> None:
    gone = "host=127.0.0.1 port=1 dbname=ggnet"
    premises.config = replace(premises.config, database_url=gone)
    console = open_console()
    page = console.entry_page(ProblemPage)
    assert [text for text in says(page) if "Nothing answers at the server 127.0.0.1:1" in text]
    click(page, "Another server…")
    dialog = console.dialog(ServerDialog)
    dialog.form.boxes["place"].set_raw("here")
    click(dialog, "Use")
    console.entry_page(FirstRunPage)


def test_a_password_on_the_window_s_command_line_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ggnet_console.app", "--database-url", "host=db password=hunter2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "Every user of this computer can read a password" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
