# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure beside its limit and its baseline of the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIB_IN_MB = 2**20 / 1e6


@dataclass(frozen=True)
class Figure:
    """``value`` and ``baseline`` in ``unit``; ``limit`` is what was promised.

    Such as ``10 s, 0.01x``: at most 10 s, and at most 1/100 of the baseline. A rate (``rows/s``)
    is promised to be at least that.
    """

    name: str
    value: float
    unit: str
    limit: str = ""
    baseline: float | None = None
    baseline_name: str = ""

    @property
    def ratio(self) -> str:
        """Value over baseline."""
        return f"{self.value / self.baseline:.3g}x" if self.baseline else ""

    @property
    def is_missed(self) -> bool:
        """Whether one of the limits is not kept."""
        return any(self._misses(*part.partition(" ")[::2]) for part in self._limits())

    def _limits(self) -> list[str]:
        return self.limit.split(", ") if self.limit else []

    def _misses(self, number: str, unit: str) -> bool:
        if number.endswith("x"):
            return self.baseline is not None and self.value > float(number[:-1]) * self.baseline
        promised = float(number.replace(",", ""))
        value = self.value * _MIB_IN_MB if (self.unit, unit) == ("MiB", "MB") else self.value
        return value < promised if unit.endswith("/s") else value > promised


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """All figures as a Markdown table."""
    head = ("Figure", "Measured", "Limit", "Ratio", "Baseline")
    rows = [
        (
            each.name,
            f"{each.value:,.2f} {each.unit}" + (" (MISSED)" if each.is_missed else ""),
            each.limit,
            each.ratio,
            f"{each.baseline:,.2f} {each.unit} ({each.baseline_name})" if each.baseline else "",
        )
        for each in figures
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)
