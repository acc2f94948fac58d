# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel, clicked on the Jobs page and on the Images page, while a file is copied or converted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from real_database import PASSWORD
from real_host import MIB
from real_window import Premises, RealConsole, spin
from window_hands import click, import_dropped, says

from ggnet_console.ui.kit.page import Page

SPEED = re.compile(r"[\d.]+ [KMG]iB/s")
LEFT = re.compile(r"\d+ (s|min|h)")
PERCENT = re.compile(r" · \d+ %")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A raw disk whose copy takes many seconds and no space: all of it is read as zeros."""
    file = tmp_path / "slow.raw"
    file.write_bytes(os.urandom(MIB))
    os.truncate(file, 64 * 2**30)
    return file


def cancel_by_button(page: Page[object]) -> None:
    """The button above the table."""
    spin(page.action("Cancel job").isEnabled, "it can be cancelled")
    click(page, "Cancel job")


def cancel_by_menu(page: Page[object]) -> None:
    """The menu of the row."""
    spin(page.action("Cancel job").isEnabled, "it can be cancelled")
    menu = page.menu()
    next(each for each in menu.actions() if each.text().startswith("Cancel job")).trigger()
    menu.deleteLater()


@pytest.mark.parametrize(
    ("key", "cancel"), [("jobs", cancel_by_button), ("images", cancel_by_menu)]
)
def test_cancel_ends_an_import_that_is_copied_and_one_that_is_converted(
    key: str,
    cancel: Callable[[Page[object]], None],
    console: RealConsole,
    installed: Premises,
    disks: Path,
    slow: Path,
) -> None:
    def cancel_row(row_id: int) -> None:
        page = console.page(key)
        page.select([row_id])
        cancel(page)

    console.sign_in("operator", PASSWORD)
    import_dropped(console.main_window, slow)
    console.shows("images", "slow", state=lambda text: text.startswith("Copying · "))
    console.shows("jobs", "Import slow", speed=SPEED.fullmatch, left=LEFT.match)
    spin(
        lambda: any(LEFT.match(text.split("  ")[-1]) for text in says(console.main_window.status)),
        "the status bar says how long it takes",
    )
    (copied,) = installed.tree.incoming.iterdir()
    cancel_row(1)
    expect_cancelled(console, installed, "slow")
    assert not copied.exists()

    installed.hold("convert")
    import_dropped(console.main_window, disks / "disk.qcow2")
    stopped = spin(lambda: installed.find_held("convert"), "it is converted")
    console.shows("images", "disk", state=PERCENT.search)  # and the time left, once it is known
    cancel_row(2)
    expect_cancelled(console, installed, "disk")
    assert stopped not in installed.qemu_imgs()


def expect_cancelled(console: RealConsole, installed: Premises, name: str) -> None:
    """The window says so, and nothing of the import is left."""
    console.shows("jobs", f"Import {name}", state="Cancelled".__eq__)
    console.shows("images", name, state=lambda text: "cancelled" in text)
    spin(lambda: not installed.left_over(), "nothing is left")
    spin(lambda: not installed.qemu_imgs(), "no qemu-img runs")
