# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a measured figure keeps what was promised."""

from __future__ import annotations

import pytest

from bench.figures import Figure, table


@pytest.mark.parametrize(
    ("value", "unit", "limit", "baseline", "is_missed"),
    [
        (9, "s", "10 s", None, False),
        (11, "s", "10 s", None, True),
        (9, "s", "10 s, 0.01x", 1000, False),
        (9, "s", "10 s, 0.01x", 800, True),
        (99_999, "rows/s", "100,000 rows/s", None, True),
        (100_001, "rows/s", "100,000 rows/s", None, False),
        (191, "MiB", "200 MB", None, True),
        (190, "MiB", "200 MB", None, False),
        (1, "", "0", None, True),
        (5, "ms", "", None, False),
    ],
)
def test_a_missed_limit_is_marked(
    value: float, unit: str, limit: str, baseline: float | None, is_missed: bool
) -> None:
    figure = Figure("something", value, unit, limit, baseline)
    assert figure.is_missed is is_missed
    assert ("MISSED" in table([figure])) is is_missed
