# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that makes the pictures of docs/screenshots starts, as ``make screenshots`` starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_it_finds_all_it_needs_and_says_how_to_call_it() -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "screenshots.py"],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "usage: python tests/screenshots.py FOLDER\n"
