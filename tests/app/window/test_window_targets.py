# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody does to tgtd by hand, seen and put right in the real window: drift to undo."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE_S
from PySide6.QtTest import QTest
from real_database import PASSWORD
from real_host import LoggedIn, chap_read, read_disk
from real_window import Premises, RealConsole, spin
from window_hands import CTRL, Key, click, import_dropped, press, says

from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.messages import Message
from ggnet_console.ui.targets.dialogs import LoginDialog, SecretDialog
from ggnet_console.ui.targets.page import TargetsPage
from ggnet_console.ui.targets.plan_dialog import PlanDialog

MACHINE = "INSERT INTO machines (name, mac) VALUES ('PC-01', '52:54:00:12:34:01')"


def test_drift_made_by_hand_is_seen_planned_applied_with_a_tick_and_undone(
    console: RealConsole, installed: Premises, disks: Path
) -> None:
    console.sign_in("operator", PASSWORD)
    session = started_session(console, installed, disks / "disk.raw")
    console.shows("targets", "PC-01", state="Open".__eq__)
    with logged_in(session) as machine:
        console.shows("targets", "PC-01", state="Running".__eq__, sessions="1".__eq__)
        change_by_hand(installed, session.target_iqn)
        console.shows("targets", "PC-01", state="2 fields differ".__eq__)
        page = console.page("targets")
        assert isinstance(page, TargetsPage)
        spin(
            lambda: page.drift.text == "1 target differs from what is wanted.",
            "the page says what differs",
        )
        click(page.drift, "Plan…")
        plan = compared(console)
        [box] = plan.boxes()
        spin(lambda: "byhand" in says(box), "the plan says what is there")
        assert "Structure" in says(box)
        assert not plan.go.isEnabled()
        assert plan.go.toolTip() == "Tick first who may lose the disk"
        machine.read()

        click_tick(plan, "PC-01")
        click(plan, "Apply 1 change, cut off 1")
        spin(plan.undoing.isVisible, "it is applied")
        assert plan.sentence.text() == (
            "1 target on testhost changed. Everything runs as wanted: there is nothing to apply."
        )
    assert "byhand" not in tgtadm(installed, "--mode target --op show")
    console.shows("targets", "PC-01", state=lambda text: text in ("Open", "Running"))
    spin(lambda: console.feeds.hosts.rows[1].undoable == 1, "the host can undo it")
    spin(
        lambda: not any(row.sessions for row in console.feeds.targets.rows.values()),
        "nobody is logged in any more",
    )

    click(plan, "Undo")
    spin(lambda: plan.sentence.text().startswith("1 target on testhost as before."), "it is undone")
    assert "byhand" in tgtadm(installed, "--mode target --op show")
    spin(lambda: len(plan.boxes()) == 1, "it shows as drift again")
    click(plan, "Apply 1 change")
    spin(lambda: not plan.working and not plan.boxes(), "it is as wanted again")
    click(plan, "Close")
    assert "byhand" not in tgtadm(installed, "--mode target --op show")


def test_a_chap_secret_made_in_the_window_is_asked_for_at_the_next_login(
    console: RealConsole, installed: Premises, disks: Path, tmp_path: Path
) -> None:
    console.sign_in("operator", PASSWORD)
    session = started_session(console, installed, disks / "disk.raw")
    console.shows("targets", "PC-01", state="Open".__eq__, chap="No".__eq__)
    page = console.page("targets")
    page.select([row.id for row in page.model.rows])
    page.action("Turn CHAP on").trigger()
    click(console.dialog(Message), "Make secret")
    shown = console.dialog(SecretDialog)
    user, secret = (line.text() for line in shown.lines)
    click(shown, "Close")
    console.shows("targets", "PC-01", state="Open".__eq__, chap="Yes".__eq__)
    console.activate()
    page.action("Test login").trigger()
    tested = console.dialog(LoginDialog)
    spin(lambda: "The target works as it should." in says(tested), "the test login")
    assert "Without the CHAP secret the login is refused" in says(tested)
    click(tested, "Close")
    assert console.session_of("PC-01").status == "PENDING"
    assert read_disk(session, tmp_path / "stolen").returncode != 0
    assert chap_read(session, user, secret).returncode == 0


def started_session(console: RealConsole, premises: Premises, disk: Path) -> BootSessionRow:
    """A session that waits for its machine."""
    premises.psql(MACHINE)
    import_dropped(console.main_window, disk)
    console.shows("images", "disk", state="Ready".__eq__)
    console.shows("machines", "PC-01")
    page = console.page("machines")
    QTest.keyClick(page.view, Key.Key_A, CTRL)
    press(console.main_window, Key.Key_Return)
    dialog = console.dialog(FormDialog)
    QTest.keyClick(dialog.form.boxes["image"].editor, Key.Key_Down)
    QTest.keyClick(dialog, Key.Key_Return)
    console.form_closes()
    console.shows("sessions", "PC-01", state=lambda text: text.startswith("Waiting for boot"))
    spin(lambda: console.session_of("PC-01").ready_at, "the target is made")
    return console.session_of("PC-01")


@contextmanager
def logged_in(session: BootSessionRow) -> Iterator[LoggedIn]:
    """The machine, with its disk."""
    machine = LoggedIn(session)
    try:
        yield machine
    finally:
        machine.end()


def change_by_hand(premises: Premises, iqn: str) -> None:
    """Let everybody in, and give the disk another serial."""
    lines = tgtadm(premises, "--mode target --op show").splitlines()
    [line] = [line for line in lines if line.startswith("Target ") and line.endswith(f" {iqn}")]
    number = line.split()[1].rstrip(":")
    tgtadm(premises, f"--mode target --op bind -I ALL --tid {number}")
    serial = "--mode logicalunit --op update --lun 1 --params scsi_sn=byhand"
    tgtadm(premises, f"{serial} --tid {number}")


def tgtadm(premises: Premises, command: str) -> str:
    """What somebody does to the agent's tgtd, or reads there."""
    done = subprocess.run(
        ["tgtadm", "--lld", "iscsi", *command.split()],
        env={**os.environ, "TGT_IPC_SOCKET": str(premises.tree.tgt_socket)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return done.stdout


def compared(console: RealConsole) -> PlanDialog:
    """The plan, once it has been compared."""
    plan = console.dialog(PlanDialog)
    spin(lambda: not plan.working and bool(plan.boxes()), "the plan")
    return plan


def click_tick(plan: PlanDialog, machine: str) -> None:
    """Agree that a machine loses its disk."""
    [tick] = [box.ticks[machine] for box in plan.boxes() if machine in box.ticks]
    spin(tick.isVisible, "the tick")
    tick.click()
