# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who closes the window before anything stands behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from command_line import clean_environment
from patience import PATIENCE_S

CLOSED_AT_ONCE = """
import sys
from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication
from ggnet_console import config
from ggnet_console.app import Console

app = QApplication(sys.argv[:1])
app.setQuitOnLastWindowClosed(False)
settings = config.load()
console = Console(app, settings, QSettings(sys.argv[1], QSettings.Format.IniFormat))
console.show()
QTimer.singleShot(int(sys.argv[2]), console.window, console.window.close)
status = console.exec()
assert console.lifecycle is None
sys.exit(status)
"""


def test_the_process_ends_with_a_window_that_is_closed_while_the_rest_is_imported(
    tmp_path: Path,
) -> None:
    environment = clean_environment(tmp_path) | {
        "GGNET_HOME": str(tmp_path / "installation"),
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_AT_ONCE, tmp_path / "window.ini", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not (tmp_path / "installation").exists()
