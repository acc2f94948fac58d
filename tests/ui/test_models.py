# SPDX-License-Identifier: GPL-3.0-or-later
"""The model behind every page under Qt's own model tester, with rows of a whole room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt

from .demo import Window

PAGES = ("machines", "images", "targets", "sessions", "jobs", "users", "settings")


@pytest.mark.parametrize("key", PAGES)
def test_the_model_of_every_page_stays_sound_whatever_happens_to_its_rows(
    key: str, admin: Window, qtmodeltester
) -> None:
    model = admin.main_window.show_page(key).model
    qtmodeltester.check(model)  # from now on at every change
    rows = list(model.rows)
    assert len(rows) > 2
    for number in range(model.columnCount()):
        for role in Qt.ItemDataRole:
            model.headerData(number, Qt.Orientation.Horizontal, role)
            for position in range(model.rowCount()):
                model.index(position, number).data(role)
        for order in Qt.SortOrder:
            model.sort(number, order)
    some = {row.id for row in rows[: len(rows) // 2]}
    model.set_filter("", lambda row: row.id in some)
    assert model.rowCount() == len(some)
    model.set_filter()
    model.remove_ids(some)
    assert model.rowCount() == len(rows) - len(some)
    model.update_rows(rows)
    model.hold(True)
    model.update_rows([replace(row, id=row.id + 1000) for row in rows])
    model.hold(False)
    assert model.rowCount() == 2 * len(rows)
    model.tick()
    model.set_rows(reversed(rows[1:]))
    assert {row.id for row in model.rows} == {row.id for row in rows[1:]}
    model.set_rows([])
    assert model.rowCount() == 0
