# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table model: order, filter, differences, and what stays as it was."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from PySide6.QtCore import QPersistentModelIndex, QSettings, Qt
from PySide6.QtWidgets import QApplication

from ggnet_console.ui.kit.table_model import (
    MARK_ROLE,
    MARK_S,
    ROW_ROLE,
    Column,
    RowTableModel,
    natural,
)
from ggnet_console.ui.kit.table_view import TableView
from ggnet_console.ui.kit.tokens import State

DOWN, UP = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder


@dataclass(frozen=True, slots=True)
class Thing:
    id: int
    name: str
    size: int | None = None
    state: State = State.OFF


COLUMNS = (
    Column[Thing]("name", "Name", lambda r: r.name),
    Column[Thing]("size", "Size", lambda r: str(r.size), sort=lambda r: r.size, align="right"),
    Column[Thing]("state", "State", lambda r: r.state.name.title(), state=lambda r: r.state),
)


def things(count: int) -> list[Thing]:
    return [Thing(n, f"PC-{n}", n * 10) for n in range(1, count + 1)]


@pytest.fixture
def model(qapp, qtmodeltester) -> RowTableModel[Thing]:
    model = RowTableModel[Thing](COLUMNS, [lambda r: r.state is State.FAILED])
    qtmodeltester.check(model)
    model.sort(0, UP)
    return model


def shown(model: RowTableModel[Thing]) -> list[str]:
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_names_with_numbers_sort_as_people_count(model):
    model.set_rows([Thing(1, "PC-10"), Thing(2, "pc-2"), Thing(3, "PC-1")])
    assert shown(model) == ["PC-1", "pc-2", "PC-10"]
    assert natural("PC-2") < natural("PC-10")


def test_rows_without_a_value_come_last_in_both_directions(model):
    model.set_rows([Thing(1, "a", None), Thing(2, "b", 5), Thing(3, "c", 9)])
    model.sort(1, UP)
    assert shown(model) == ["b", "c", "a"]
    model.sort(1, DOWN)
    assert shown(model) == ["c", "b", "a"]


def test_search_wants_every_word_in_any_column_and_counts_stay_whole(model):
    model.set_rows([replace(thing, state=State.FAILED) for thing in things(3)] + [Thing(9, "X")])
    model.set_filter("FAILED pc-2")
    assert shown(model) == ["PC-2"]
    assert model.total == 4
    assert model.counts == [3]
    model.set_filter("", lambda r: r.state is State.OFF)
    assert shown(model) == ["X"]
    model.set_filter()
    assert model.rowCount() == 4


def test_a_row_that_no_longer_matches_leaves_and_one_that_does_comes(model):
    model.set_filter("", lambda r: r.state is State.FAILED)
    model.set_rows(things(3))
    assert shown(model) == []
    model.update_rows([Thing(2, "PC-2", 20, State.FAILED)])
    assert shown(model) == ["PC-2"]
    model.update_rows(things(2))
    assert shown(model) == []


def test_only_the_cells_that_differ_are_announced(model, qtbot):
    model.set_rows(things(5))
    changes: list[tuple[int, int, int, int]] = []
    model.dataChanged.connect(
        lambda a, b: changes.append((a.row(), a.column(), b.row(), b.column()))
    )
    model.set_rows([*things(2), Thing(3, "PC-3", 31, State.FAILED), *things(5)[3:]])
    assert changes == [(2, 1, 2, 2)]
    changes.clear()
    model.set_rows([*things(2), Thing(3, "PC-3", 31, State.FAILED), *things(5)[3:]])
    assert changes == []


def test_a_changed_cell_is_marked_for_a_moment_and_no_other(model, qtbot):
    model.set_rows(things(2))
    model.update_rows([Thing(1, "PC-1", 11)])
    size, name = model.index(0, 1), model.index(0, 0)
    assert size.data(MARK_ROLE) is True
    assert name.data(MARK_ROLE) is False
    qtbot.waitUntil(lambda: size.data(MARK_ROLE) is False, timeout=int(MARK_S * 3000))


def test_persistent_indexes_follow_their_rows_through_any_change(model):
    rows = things(200)
    model.set_rows(rows)
    chance = random.Random(5)
    kept = {
        model.row(row).id: QPersistentModelIndex(model.index(row, 1)) for row in range(0, 200, 7)
    }
    for _ in range(30):
        chance.shuffle(rows)
        gone = [row.id for row in rows[:3] if row.id not in kept]
        model.remove_ids(gone)
        rows = [row for row in rows if row.id not in gone]
        rows.append(Thing(1000 + chance.randrange(10**6), f"X-{chance.random()}", 5))
        rows = [replace(row, size=chance.randrange(99)) for row in rows]
        model.sort(chance.randrange(3), chance.choice([UP, DOWN]))
        model.set_rows(rows)
        assert sorted(model.row(n).id for n in range(model.rowCount())) == sorted(
            row.id for row in rows
        )
        for row_id, index in kept.items():
            assert index.data(ROW_ROLE).id == row_id


def test_the_order_shown_is_always_the_sorted_one(model):
    chance = random.Random(6)
    rows: dict[int, Thing] = {}
    model.sort(1, UP)
    for step in range(200):
        new = Thing(chance.randrange(60), f"n{step}", chance.randrange(100))
        rows[new.id] = new
        model.update_rows([new])
        if step % 3 == 0:
            rows.pop(new.id)
            model.remove_ids([new.id])
        sizes = [model.row(n).size for n in range(model.rowCount())]
        assert sizes == sorted(row.size for row in rows.values())


def test_while_held_nothing_moves_and_new_rows_come_at_the_end(model):
    model.set_rows([Thing(1, "b"), Thing(2, "d")])
    model.hold(True)
    model.update_rows([Thing(1, "z"), Thing(3, "a")])
    assert shown(model) == ["z", "d", "a"]
    model.hold(False)
    assert shown(model) == ["a", "d", "z"]


def test_an_invalid_index_has_no_data(model):
    model.set_rows(things(1))
    assert model.data(model.index(5, 0)) is None
    assert model.headerData(0, Qt.Orientation.Horizontal) == "Name"
    assert model.headerData(0, Qt.Orientation.Vertical) is None


# In a view


@pytest.fixture
def view(model, qtbot, tmp_path) -> TableView[Thing]:
    view = TableView(model, QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat), "t")
    qtbot.addWidget(view)
    view.resize(600, 400)
    with qtbot.waitExposed(view):
        view.show()
    return view


def test_selection_and_scroll_stay_through_live_changes(model, view, qtbot):
    model.set_rows(things(500))
    view.select_ids([250, 251])
    top = view.rowAt(0)
    first_id = model.row(top).id
    offset = view.rowViewportPosition(top)
    model.update_rows([Thing(9000 + n, f"AA-{n}") for n in range(20)])
    model.remove_ids([3, 4, 5])
    assert [row.id for row in view.selected()] == [250, 251]
    assert model.row(view.rowAt(0)).id == first_id
    assert view.rowViewportPosition(view.rowAt(0)) == offset


def test_at_the_top_new_rows_are_seen_at_once(model, view):
    model.set_rows(things(500))
    model.update_rows([Thing(9000, "AA")])
    assert model.row(view.rowAt(0)).id == 9000


def test_rows_under_the_pointer_stay_until_it_leaves(model, view, qtbot):
    model.set_rows(things(50))
    qtbot.mouseMove(view.viewport(), view.visualRect(model.index(3, 0)).center())
    qtbot.mouseMove(view.viewport(), view.visualRect(model.index(4, 0)).center())
    model.update_rows([Thing(9000, "AA")])
    assert model.row(0).id == 1
    QApplication.sendEvent(view, _leave())
    assert model.row(0).id == 9000


def _leave():
    from PySide6.QtCore import QEvent

    return QEvent(QEvent.Type.Leave)


def test_layout_is_remembered_by_column_and_the_defaults_survive_nonsense(model, view, tmp_path):
    settings = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    header = view.horizontalHeader()
    header.resizeSection(1, 222)
    header.moveSection(0, 2)
    view.header_menu().actions()[2].setChecked(False)
    view.sortByColumn(1, DOWN)
    second = TableView(model, settings, "t")
    again = second.horizontalHeader()
    assert again.sectionSize(1) == 222
    assert again.visualIndex(0) == 2
    assert again.isSectionHidden(2)
    assert (again.sortIndicatorSection(), again.sortIndicatorOrder()) == (1, DOWN)
    settings.setValue("tables/t", "[nonsense")
    plain = TableView(model, settings, "t")
    assert plain.horizontalHeader().sectionSize(1) == COLUMNS[1].width


def test_the_last_visible_column_cannot_be_hidden(model, view):
    for action in view.header_menu().actions()[:2]:
        action.setChecked(False)
    assert [action.isEnabled() for action in view.header_menu().actions()] == [True, True, False]


def shown_columns(view: TableView[Thing]) -> list[str]:
    header = view.horizontalHeader()
    return [c.key for n, c in enumerate(COLUMNS) if not header.isSectionHidden(n)]


def test_the_last_columns_give_way_where_there_is_no_room_and_come_back(qtbot, model, view):
    declared = [c.key for c in COLUMNS if not c.hidden]
    wide = sum(c.width for c in COLUMNS if not c.hidden)
    view.resize(wide + 60, 300)
    assert shown_columns(view) == declared
    view.resize(wide - 10, 300)
    assert shown_columns(view) == declared[:-1]
    assert [a.isChecked() for a in view.header_menu().actions()] == [not c.hidden for c in COLUMNS]
    view.resize(wide + 60, 300)
    assert shown_columns(view) == declared


def test_columns_that_somebody_chose_stay_and_scroll(qtbot, model, view):
    wide = sum(c.width for c in COLUMNS if not c.hidden)
    view.horizontalHeader().resizeSection(0, COLUMNS[0].width + 20)
    view.resize(wide - 10, 300)
    assert shown_columns(view) == [c.key for c in COLUMNS if not c.hidden]


def test_a_column_that_gave_way_is_not_remembered_as_hidden(qtbot, tmp_path, model):
    settings = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    wide = sum(c.width for c in COLUMNS if not c.hidden)
    view = TableView(model, settings, "t")
    qtbot.addWidget(view)
    view.resize(wide - 10, 300)
    view.show()
    view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    second = TableView(model, settings, "t")
    qtbot.addWidget(second)
    second.resize(wide + 60, 300)
    second.show()
    assert shown_columns(second) == [c.key for c in COLUMNS if not c.hidden]
