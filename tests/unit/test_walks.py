# SPDX-License-Identifier: GPL-3.0-or-later
"""The walks through the code name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "docs" / "walks.md").read_text("utf-8")
STEP = re.compile(r"`([\w/]+\.(?:py|sql))`(?:\s+`(\w+)`)?")
STEPS = sorted(set(STEP.findall(TEXT)))


@pytest.mark.parametrize(("file", "name"), STEPS, ids=lambda part: part or "-")
def test_each_step_of_a_walk_is_where_the_walk_says(file: str, name: str) -> None:
    code = (CHECKOUT / file).read_text("utf-8")
    assert re.search(rf"\b(def|class|FUNCTION) {name}\b", code) if name else code


def test_every_file_that_is_named_is_checked() -> None:
    assert len(re.findall(r"\.(?:py|sql)`", TEXT)) == len(STEP.findall(TEXT)) > 30


def test_there_are_five_walks_and_at_most_fifteen_words() -> None:
    assert TEXT.count("\n## ") == 6
    assert TEXT.count("\n| **") <= 15
