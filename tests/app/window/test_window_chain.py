# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job through the window, by keys, clicks and a dropped file, on real parts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from PySide6.QtTest import QTest
from real_database import CHEAP, HASH, PASSWORD
from real_host import initiator_options
from real_window import Premises, RealConsole, SecondConsole, spin
from window_hands import CTRL, Key, click, fill, import_dropped, is_shown, press, says

from ggnet_console.enums import Role
from ggnet_console.ui.dialogs import FormDialog
from ggnet_console.ui.messages import Message
from ggnet_console.ui.signin import FirstRunPage

RAW_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
ANNA = "correct horse battery"
MACS = {"PC-01": "52:54:00:12:34:01", "PC-02": "52:54:00:12:34:02"}
FOLLOWS_S = 1.0


def test_the_main_job_by_hand_while_a_second_console_follows(
    open_console: Callable[[], RealConsole], premises: Premises, disks: Path, tmp_path: Path
) -> None:
    console = open_console()
    set_up(console)
    premises.psql(CHEAP)
    premises.psql("SELECT user_create(%s, %s, %s)", "viewer", Role.VIEWER, HASH)
    second = premises.second_console("viewer", PASSWORD)

    def both(key: str, where: str, **texts: Callable[[str], bool]) -> None:
        """This window shows it by itself, and the other one within a second."""
        console.shows(key, where, **texts)
        follows(second, key, where, **texts)

    add_machines(console)
    spin(lambda: second.shown, "the second console is signed in")
    for name, mac in MACS.items():
        both("machines", name, mac=mac.__eq__, state="Off".__eq__)

    premises.psql("UPDATE machines SET room = 'Lab 9' WHERE name = 'PC-02'")
    both("machines", "PC-02", room="Lab 9".__eq__)

    seen: list[str] = []
    console.feeds.images.updated.connect(lambda update: seen.extend(r.status for r in update.rows))
    import_dropped(console.shell, disks / "hyper-v.vhdx")
    both("images", "hyper-v", state="Ready".__eq__, sha256=RAW_SHA256.__eq__)
    order = list(dict.fromkeys(seen))
    assert order == ["UPLOADING", "PROCESSING", "READY"]
    others = [rows[0]["state"] for state in second.states if (rows := state["tables"]["images"])]
    assert any("%" in text for text in others), others
    both("jobs", "Import hyper-v", state=lambda text: text.startswith("Done"))

    start_sessions(console)
    for name in MACS:
        both("sessions", name, state=lambda text: text.startswith("Waiting for boot"))
        both("machines", name, state=lambda text: text.startswith("Waiting for boot"))

    first, other = (console.session_of(name) for name in MACS)
    stored = premises.tree.image_file(1, 1)
    options = initiator_options(first)
    assert not reads(initiator_options(first, other.initiator_iqn), tmp_path / "stolen")
    assert console.session_of("PC-01").status == "PENDING"
    assert reads(options, tmp_path / "read")
    assert subprocess.run(["cmp", stored, tmp_path / "read"], check=False).returncode == 0
    both(
        "sessions",
        "PC-01",
        state=lambda text: text.startswith("Disconnected"),
        client_address="127.0.0.1".__eq__,
        bytes_read=lambda text: text.endswith(("MiB", "GiB")),
    )
    assert console.session_of("PC-01").status == "ACTIVE"
    assert console.session_of("PC-02").status == "PENDING"

    stop_sessions(console)
    for name in MACS:
        both("sessions", name, state=lambda text: text.startswith("Stopped"))
        both("machines", name, state="Off".__eq__)
    assert not reads(options, tmp_path / "late")
    assert console.session_of("PC-01").bytes_read > 0


def follows(second: SecondConsole, key: str, where: str, **texts: Callable[[str], bool]) -> None:
    spin(
        lambda: is_shown(second.shown, key, where, **texts),
        f"the second console shows {where}: {second.shown.get(key)}",
        FOLLOWS_S,
    )


def reads(options: str, target: Path) -> bool:
    """Whether this initiator may log in and read the whole disk; the window lives meanwhile."""
    process = subprocess.Popen(
        ["qemu-img", "convert", "-O", "raw", "--image-opts", options, str(target)],
        stderr=subprocess.PIPE,
    )
    spin(lambda: process.poll() is not None, "qemu-img ends", 60)
    process.communicate()
    return process.returncode == 0


def set_up(console: RealConsole) -> None:
    """The first-run page asks for a name and a password, and nothing else."""
    gate = console.gate(FirstRunPage)
    fill(gate.form, admin="anna", password=ANNA, again="another one")
    click(gate, "Set up")
    assert gate.form.boxes["again"].error == "The two passwords differ."
    fill(gate.form, again=ANNA)
    QTest.keyClick(gate.form.boxes["again"].editor, Key.Key_Return)
    console.open_pages()
    assert "anna · Admin" in says(console.shell.status)


def add_machines(console: RealConsole) -> None:
    """Ctrl+N twice; what is wrong is said at its field and can be mended there."""
    console.page("machines")
    press(console.shell, Key.Key_N)
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

    press(console.shell, Key.Key_N)
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
    image = dialog.form.boxes["image"]
    assert image.raw() is None  # neither has had one yet
    QTest.keyClick(image.editor, Key.Key_Down)
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()


def stop_sessions(console: RealConsole) -> None:
    page = console.page("sessions")
    QTest.keyClick(page.view, Key.Key_A, CTRL)
    QTest.keyClick(page.view, Key.Key_Delete)
    click(console.dialog(Message), "Stop 2 sessions")
