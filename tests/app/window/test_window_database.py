# SPDX-License-Identifier: GPL-3.0-or-later
"""The private server restarts or dies while two consoles are open: both say so and come back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from PySide6.QtTest import QTest
from real_database import PASSWORD
from real_window import Premises, RealConsole, spin
from window_hands import Key, fill, is_shown, press

from ggnet_console.ui.kit.form_dialog import FormDialog


def restart(premises: Premises) -> None:
    """What somebody does who administers the server by hand."""
    done = subprocess.run(
        [
            premises.cluster._binaries() / "pg_ctl",
            "restart",
            "-m",
            "fast",
            "-D",
            premises.tree.cluster,
        ],
        user=premises.cluster.server_user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr


def kill(premises: Premises) -> None:
    server = premises.postmaster()
    assert server is not None
    os.kill(server, signal.SIGKILL)


@pytest.mark.parametrize("outage", [restart, kill])
def test_both_consoles_say_that_the_database_is_away_and_come_back_with_all_that_was_typed(
    console: RealConsole,
    installed: Premises,
    outage: Callable[[Premises], None],
) -> None:
    console.sign_in("operator", PASSWORD)
    installed.psql("INSERT INTO machines (name, mac) VALUES ('PC-01', '52:54:00:12:34:01')")
    second = installed.second_console("operator", PASSWORD)
    spin(lambda: second.shown, "the second console is signed in")
    second.order("add PC-03")
    spin(lambda: second.forms, "somebody types there")
    [typed] = second.forms
    assert {"name": "PC-03", "room": "Lab 3"}.items() <= typed.items()

    page = console.page("machines")
    press(console.main_window, Key.Key_N)
    dialog = console.dialog(FormDialog)
    fill(dialog.form, name="PC-02", mac="52:54:00:12:34:02")
    QTest.keyClicks(dialog.form.boxes["room"].editor, "Lab 2")
    # A change that nobody is told of: only reading anew can show it.
    installed.quietly("UPDATE machines SET room = 'Lab 7' WHERE name = 'PC-01'")

    banners: list[str] = []
    console.lifecycle.signed_in.listener.lost.connect(lambda _reason: banners.append(banner.text))
    banner = console.main_window.banner
    add = page.action("Add machine")
    reasons: list[str] = []
    add.changed.connect(lambda: reasons.append(add.toolTip()))
    outage(installed)
    spin(lambda: banners, "the first console says so")
    assert banners[0].startswith("Connection to This computer lost")
    assert "Waiting for the connection to This computer" in reasons
    spin(lambda: not banner.isVisible(), "the first console is back")
    spin(lambda: any(state["banner"] for state in second.states), "the second console said so")
    spin(lambda: not second.banner, "the second console is back")
    console.shows("machines", "PC-01", room="Lab 7".__eq__)
    spin(
        lambda: is_shown(second.shown, "machines", "PC-01", room="Lab 7".__eq__),
        "the second console has read anew",
    )

    assert dialog.isVisible()
    assert dialog.form.raw()["name"] == "PC-02"
    assert dialog.form.raw()["room"] == "Lab 2"
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()
    console.shows("machines", "PC-02", room="Lab 2".__eq__)
    spin(lambda: is_shown(second.shown, "machines", "PC-02"), "hints come again")
    assert second.forms == [typed]
    second.order("enter")
    console.shows("machines", "PC-03", room="Lab 3".__eq__)
    spin(lambda: not second.forms, "the form has closed")
    assert add.isEnabled()
