# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix in the docs is the one that is granted."""

from __future__ import annotations

from pathlib import Path

from rights_page import page

from ggnet_console.db.rights import INNER, MATRIX, NOBODY

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_matrix_says_now() -> None:
    assert (DOCS / "rights.md").read_text("utf-8") == page(), "make rights-page"


def test_every_object_of_the_matrix_is_on_the_page() -> None:
    text = page()
    for right in (*MATRIX, *INNER):
        for name in right.objects:
            assert f"| `{name}" in text
    for name in NOBODY:
        assert f"`{name}`" in text
