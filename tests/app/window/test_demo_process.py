# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet-console --demo`` as a process: needs nothing, keeps nothing, and ends when it is asked to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import PROGRAMS, clean_environment
from patience import PATIENCE_S

VISITOR = Path(__file__).with_name("demo_visitor.py")
PAGES = (
    *("Dashboard", "Machines", "Images", "Targets", "Sessions", "Jobs"),
    *("Audit", "Users", "Settings"),
)
OFFSCREEN = "This plugin does not support propagateSizeHints()\n"
"""What Qt's platform without a screen says of windows."""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where people have their files, settings and state; nobody may write here."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    return home


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home: Path, temporary: Path, tmp_path: Path) -> dict[str, str]:
    """Of a user who has never started the program, and whom nothing that is configured helps."""
    return {
        **clean_environment(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),  # of fontconfig, whatever program draws text
        "GGNET_HOME": str(home / "installation"),
        "GGNET_CONFIG": str(home / "no such folder" / "config.toml"),
        "GGNET_DATABASE_URL": "host=nowhere.invalid",
        "QT_QPA_PLATFORM": "offscreen",
        "TMPDIR": str(temporary),
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the program with somebody at it who closes the window, or leaves it open."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, VISITOR, how],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_every_page_opens_nothing_is_written_and_closing_ends_it(
    start: Start, home: Path, temporary: Path
) -> None:
    process = start("close")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.replace(OFFSCREEN, "")) == (0, "")
    seen = json.loads(out)
    assert seen["titles"] == [f"{title} – GGnet Console – DEMO" for title in PAGES]
    assert "DEMO" in seen["sidebar"]
    assert "DEMO – nothing is kept" in seen["status"]
    assert (seen["dialogs"], seen["foreign"]) == ([], [])
    assert os.listdir(home) == os.listdir(temporary) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_started_it_in_a_terminal_can_end_it_there(
    how: signal.Signals, start: Start, temporary: Path
) -> None:
    process = start("stay")
    assert process.stdout is not None
    assert process.stdout.readline()
    assert [each.name[:11] for each in temporary.iterdir()] == ["ggnet-demo-"]
    process.send_signal(how)
    _out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.replace(OFFSCREEN, "")) == (0, "")
    assert os.listdir(temporary) == []


def test_asked_to_end_before_its_window_is_there_it_ends_too(start: Start, temporary: Path) -> None:
    process = start("early")
    _out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.replace(OFFSCREEN, "")) == (0, "")
    assert os.listdir(temporary) == []


def test_without_a_screen_it_says_so(environment: dict[str, str], home: Path) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    done = subprocess.run(
        [PROGRAMS / "ggnet-console", "--demo"],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ggnet-console: There is no screen to open a window on")
