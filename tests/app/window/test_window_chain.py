# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job through the window, by keys, clicks and a dropped file, on real parts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from operator import not_
from pathlib import Path

import pytest
from following import Ledger, Watch, shown_since
from PySide6.QtTest import QTest
from real_database import CHEAP, HASH, PASSWORD
from real_host import MIB, LoggedIn, initiator_options
from real_window import Premises, RealConsole, spin
from window_hands import CTRL, Key, click, fill, import_dropped, press, says

from ggnet_console.enums import Role
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.window.sign_in_pages import FirstRunPage

RAW_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
ANNA = "correct horse battery"
MACS = {"PC-01": "52:54:00:12:34:01", "PC-02": "52:54:00:12:34:02"}
FOLLOWS_S = 1.0


@pytest.mark.slow("the whole main job, in two windows")
def test_the_main_job_by_hand_while_a_second_console_follows(
    open_console: Callable[[], RealConsole],
    premises: Premises,
    disks: Path,
    tmp_path: Path,
    log_in: Callable[[BootSessionRow], LoggedIn],
) -> None:
    console = open_console()
    set_up(console)
    premises.psql(CHEAP)
    premises.psql("SELECT user_create(%s, %s, %s)", "viewer", Role.VIEWER, HASH)
    second = premises.second_console("viewer", PASSWORD)
    spin(lambda: second.shown, "the second console is signed in")
    watch = Watch(console.main_window)

    def both(since: float, key: str, where: str, **texts: Callable[[str], bool]) -> None:
        """Within a second both windows show by themselves what is so since then."""
        for window, states in ("this window", watch.states), ("the second", second.states):
            at = spin(
                lambda states=states: shown_since(states, since, key, where, **texts),
                f"{window} shows {where} as wanted: {states[-1]['tables'].get(key)}",
            )
            assert at - since <= FOLLOWS_S, f"{window} showed {where} after {at - since:.1f} s"

    with Ledger(premises).kept() as ledger:
        since = ledger.since
        add_machines(console)
        for name, mac in MACS.items():
            added = since("machines", name)
            both(added, "machines", name, mac=mac.__eq__, state="Off".__eq__)

        premises.psql("UPDATE machines SET room = 'Lab 9' WHERE name = 'PC-02'")
        changed = since("machines", "PC-02", room="Lab 9".__eq__)
        both(changed, "machines", "PC-02", room="Lab 9".__eq__)

        seen: list[str] = []
        console.feeds.images.updated.connect(lambda new: seen.extend(r.status for r in new.rows))
        import_dropped(console.main_window, disks / "hyper-v.vhdx")
        both(since("images", "hyper-v"), "images", "hyper-v")
        sealed = since("images", "hyper-v", status="READY".__eq__)
        both(
            sealed,
            "images",
            "hyper-v",
            state=begins("Ready · No partition"),
            sha256=RAW_SHA256.__eq__,
        )
        assert list(dict.fromkeys(seen)) == ["UPLOADING", "PROCESSING", "READY"]
        others = [
            rows[0]["state"] for state in second.states if (rows := state["tables"]["images"])
        ]
        assert any("%" in text for text in others), others
        done = since("jobs", "hyper-v", status="SUCCEEDED".__eq__)
        both(done, "jobs", "Import hyper-v", state=begins("Done"))

        start_sessions(console)
        for name in MACS:
            started = since("sessions", name, status="PENDING".__eq__)
            both(started, "machines", name, state=begins("Waiting for boot"))
            ready = since("sessions", name, ready_at=bool)
            both(ready, "sessions", name, state=begins("Waiting for boot"))

        first, other = (console.session_of(name) for name in MACS)
        stored = premises.tree.image_file(1, 1)
        options = initiator_options(first)
        assert not reads(initiator_options(first, other.initiator_iqn), tmp_path / "stolen")
        assert console.session_of("PC-01").status == "PENDING"

        # Counted from what the machine did, not from when the agent had seen it.
        machine = log_in(first)
        logged_in = time.time()
        both(logged_in, "sessions", "PC-01", state=begins("Running"), client_address=bool)
        both(logged_in, "machines", "PC-01", state=begins("Running"))
        machine.log_out()
        logged_out = time.time()
        both(
            logged_out,
            "sessions",
            "PC-01",
            state=begins("Disconnected"),
            client_address="127.0.0.1".__eq__,
        )
        both(logged_out, "machines", "PC-01", state=begins("Disconnected"))

        assert reads(options, tmp_path / "read")
        read = since("sessions", "PC-01", connected=not_, bytes_read=(100 * MIB).__le__)
        both(
            read,
            "sessions",
            "PC-01",
            state=begins("Disconnected"),
            bytes_read=lambda text: text.endswith(("MiB", "GiB")),
        )
        assert succeeds("cmp", stored, tmp_path / "read")
        assert console.session_of("PC-01").status == "ACTIVE"
        assert console.session_of("PC-02").status == "PENDING"

        stop_sessions(console)
        for name in MACS:
            stopped = since("sessions", name, status="STOPPED".__eq__)
            both(stopped, "sessions", name, state=begins("Stopped"))
            both(stopped, "machines", name, state="Off".__eq__)
        assert not reads(options, tmp_path / "late")
        assert console.session_of("PC-01").bytes_read > 0


def begins(words: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(words)


def reads(options: str, target: Path) -> bool:
    """Whether this initiator may log in and read the whole disk."""
    return succeeds("qemu-img", "convert", "-O", "raw", "--image-opts", options, target)


def succeeds(*argv: str | Path) -> bool:
    """Whether a program ends well; the window lives meanwhile."""
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    spin(lambda: process.poll() is not None, f"{argv[0]} ends")
    process.communicate()
    return process.returncode == 0


def set_up(console: RealConsole) -> None:
    """The first-run page asks for a name and a password, and nothing else."""
    entry_page = console.entry_page(FirstRunPage)
    fill(entry_page.form, admin="anna", password=ANNA, again="another one")
    click(entry_page, "Set up")
    assert entry_page.form.boxes["again"].error == "The two passwords differ."
    fill(entry_page.form, again=ANNA)
    QTest.keyClick(entry_page.form.boxes["again"].editor, Key.Key_Return)
    console.open_pages()
    assert "anna · Admin" in says(console.main_window.status)


def add_machines(console: RealConsole) -> None:
    """Ctrl+N twice; what is wrong is said at its field and can be mended there."""
    console.page("machines")
    press(console.main_window, Key.Key_N)
    dialog = console.dialog(FormDialog)
    fill(dialog.form, name="PC-01", mac="52:54:00:12:34")
    assert dialog.form.boxes["mac"].error
    fill(dialog.form, mac="5254.0012.3401", ip="10.0.2.300")
    assert dialog.form.boxes["mac"].error == ""
    assert dialog.form.boxes["ip"].error
    fill(dialog.form, ip="10.0.2.11")
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()
    console.shows("machines", "PC-01")

    press(console.main_window, Key.Key_N)
    dialog = console.dialog(FormDialog)
    fill(dialog.form, name="PC-02", mac=MACS["PC-01"])
    QTest.keyClick(dialog, Key.Key_Return)
    sentence = f"The MAC address {MACS['PC-01']} already belongs to the machine PC-01."
    spin(lambda: dialog.form.boxes["mac"].error == sentence, "the duplicate is said at its field")
    fill(dialog.form, mac=MACS["PC-02"])
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()


def start_sessions(console: RealConsole) -> None:
    page = console.page("machines")
    QTest.keyClick(page.view, Key.Key_A, CTRL)
    QTest.keyClick(page.view, Key.Key_Return, CTRL)
    dialog = console.dialog(FormDialog)
    assert any(text.startswith("For PC-01 and PC-02.") for text in says(dialog))
    assert dialog.form.boxes["image"].raw() is not None  # the only one there is
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()


def stop_sessions(console: RealConsole) -> None:
    page = console.page("sessions")
    QTest.keyClick(page.view, Key.Key_A, CTRL)
    QTest.keyClick(page.view, Key.Key_Delete)
    click(console.dialog(Message), "Stop 2 sessions")
