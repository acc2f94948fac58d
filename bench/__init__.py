# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make bench`` measures, on what the tests make: real servers, storage hosts, windows."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "app")]
