# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: what a run cost, folder by folder, and which tests are slow without saying why.

docs/figures.md keeps the table.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

SLOW_S = 20.0
"""A test that needs more says why: ``@pytest.mark.slow("why")``."""


class Minutes:
    """Adds up what tests took; of several processes, in the one that the others report to."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._reasons: dict[str, object] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What a test says of its time goes with its reports, which know no marks.

        Slow tests come first, so that no process is left alone with one at the end.
        """
        for item in items:
            item.user_properties += [("slow", mark.args[0]) for mark in item.iter_markers("slow")]
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each test reports three times: what it is given, itself, and what is taken away."""
        self._seconds[report.nodeid] += report.duration
        self._reasons.update(
            (report.nodeid, why) for name, why in report.user_properties if name == "slow"
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Folders by what they cost; then each slow test with its reason."""
        folders: defaultdict[str, list[float]] = defaultdict(list)
        for test, seconds in self._seconds.items():
            folders[str(Path(test.split("::")[0]).parent)].append(seconds)
        terminalreporter.section("minutes of tests by folder")
        for folder, each in sorted(folders.items(), key=lambda entry: -sum(entry[1])):
            terminalreporter.write_line(f"{folder}: {sum(each) / 60:.1f} min for {len(each)} tests")
        for test, seconds in sorted(self._seconds.items(), key=lambda entry: -entry[1]):
            if seconds > SLOW_S:
                why = self._reasons.get(test, "DOES NOT SAY WHY")
                terminalreporter.write_line(f"{seconds:.0f} s: {test}: {why}")
