# SPDX-License-Identifier: GPL-3.0-or-later
"""Feeds: hints become reads, one at a time, and nothing hinted is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ggnet_console.errors import UnreachableError
from ggnet_console.ui.kit.feed import Feed, Older


@dataclass(frozen=True)
class Thing:
    id: int
    name: str


class SlowRunner:
    """Keeps each call until the test lets it end."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Any, Any]] = []

    def run(self, work, *args, done, failed, parent) -> None:
        self.waiting.append((args[0], lambda: done(work(None, *args)), failed))

    def end(self) -> None:
        self.waiting.pop(0)[1]()

    def fail(self) -> None:
        self.waiting.pop(0)[2](UnreachableError("gone"))


class Fixture:
    def __init__(self, count: int = 5, **options: Any) -> None:
        self.table = {n: Thing(n, f"t{n}") for n in range(1, count + 1)}
        self.runner = SlowRunner()
        self.feed: Feed[Thing] = Feed(self.runner, self.read, "things", ("others",), **options)
        self.feed.reread()
        self.runner.end()

    def read(self, _session, ids=None):
        return [row for row in self.table.values() if ids is None or row.id in ids]


@pytest.fixture
def feed(qapp) -> Fixture:
    return Fixture()


def test_a_hint_reads_only_its_row_and_a_row_that_is_gone_goes(feed):
    feed.table[2] = Thing(2, "new")
    del feed.table[3]
    updates = []
    feed.feed.updated.connect(updates.append)
    feed.feed.on_changed({"things": {2, 3}})
    assert feed.runner.waiting[0][0] == {2, 3}
    feed.runner.end()
    assert updates[0].rows == [Thing(2, "new")]
    assert updates[0].gone == {3}
    assert not updates[0].whole
    assert feed.feed.rows == feed.table


def test_hints_during_a_read_are_joined_into_the_next(feed):
    for each in range(1, 4):
        feed.feed.on_changed({"things": {each}})
    assert [ids for ids, *_ in feed.runner.waiting] == [{1}]
    feed.runner.end()
    assert [ids for ids, *_ in feed.runner.waiting] == [{2, 3}]
    feed.runner.end()
    assert feed.runner.waiting == []


def test_another_table_or_an_unknown_hint_reads_everything_but_not_too_often(feed, qtbot):
    feed.feed.on_changed({"others": {7}})
    feed.feed.on_changed({"things": None})
    feed.feed.on_changed(None)
    assert feed.runner.waiting == []
    qtbot.waitUntil(lambda: [ids for ids, *_ in feed.runner.waiting] == [None])
    feed.runner.end()
    assert feed.runner.waiting == []


def test_a_table_of_no_interest_reads_nothing(feed):
    feed.feed.on_changed({"strangers": None})
    assert feed.runner.waiting == []


def test_what_could_not_be_read_is_read_with_the_next_hint(feed):
    failures = []
    feed.feed.failed.connect(failures.append)
    feed.feed.on_changed({"things": {1}})
    feed.runner.fail()
    assert [error.summary for error in failures] == ["gone"]
    assert feed.runner.waiting == []
    feed.feed.on_changed({"things": {2}})
    assert feed.runner.waiting[0][0] == {1, 2}


# A noun that grows for ever


class Grown(Fixture):
    """Rows 1 to 20, of which the newest five are read; number 2 is open."""

    def __init__(self) -> None:
        older = Older(
            5,
            before=lambda _s, before_id: self.newest(lambda n: n < before_id)[:5],
            since=lambda _s, since_id: self.newest(lambda n: n >= since_id or n == 2),
        )
        super().__init__(20, older=older)

    def newest(self, wanted) -> list[Thing]:
        return sorted((row for row in self.table.values() if wanted(row.id)), key=lambda r: -r.id)

    def read(self, session, ids=None):
        if ids is None:
            return self.newest(lambda n: n > 15 or n == 2)
        return super().read(session, ids)

    def read_older(self) -> None:
        self.feed.read_older()
        self.runner.end()


@pytest.fixture
def grown(qapp) -> Grown:
    return Grown()


def test_older_rows_come_page_by_page_until_there_are_no_more(grown):
    assert (set(grown.feed.rows), grown.feed.more) == ({2, *range(16, 21)}, True)
    updates = []
    grown.feed.updated.connect(updates.append)
    grown.read_older()
    assert set(grown.feed.rows) == {2, *range(11, 21)}
    assert [(len(each.rows), each.older, each.whole) for each in updates] == [(5, True, False)]
    grown.read_older()
    grown.read_older()
    assert set(grown.feed.rows) == set(range(1, 21))
    assert grown.feed.more
    grown.read_older()
    assert not grown.feed.more
    grown.feed.read_older()
    assert grown.runner.waiting == []


def test_an_old_row_that_changes_leaves_no_gap_behind(grown):
    grown.feed.on_changed({"things": {4}})
    grown.runner.end()
    grown.read_older()
    assert set(grown.feed.rows) == {2, 4, *range(11, 21)}


def test_two_askings_for_older_rows_are_one_and_a_failed_one_may_be_asked_again(grown):
    grown.feed.read_older()
    grown.feed.read_older()
    assert len(grown.runner.waiting) == 1
    grown.runner.fail()
    grown.read_older()
    assert set(grown.feed.rows) == {2, *range(11, 21)}


def test_reading_everything_again_reads_as_far_back_as_before(grown):
    grown.read_older()
    del grown.table[12]
    grown.feed._read_at = 0.0
    grown.feed.reread()
    grown.runner.end()
    assert set(grown.feed.rows) == {2, *range(11, 21)} - {12}


def test_older_rows_that_come_while_everything_is_read_again_stay(grown):
    """The reading began before them, so its answer does not have them; it is asked once more."""
    updates = []
    grown.feed.updated.connect(updates.append)
    grown.feed._read_at = 0.0
    grown.feed.reread()
    grown.feed.read_older()
    grown.runner.waiting.reverse()
    grown.runner.end()
    grown.runner.end()
    assert set(grown.feed.rows) == {2, *range(11, 21)}
    assert {row.id for row in updates[-1].rows} == set(grown.feed.rows)
    assert updates[-1].whole
    grown.table[12] = Thing(12, "changed")
    grown.feed._read_at = 0.0
    grown.feed._go()
    [(floor, *_)] = grown.runner.waiting
    assert floor == 11
    grown.runner.end()
    assert grown.feed.rows[12].name == "changed"
    assert grown.runner.waiting == []


def test_older_rows_that_were_asked_for_before_a_change_are_read_again(grown):
    """Threads answer in any order: what is newer may be here first."""
    rows = grown.newest(lambda n: 11 <= n <= 15)
    grown.feed.read_older()
    ((_floor, _answer, _failed),) = grown.runner.waiting
    del grown.table[12]
    grown.table[13] = Thing(13, "changed")
    grown.feed.on_changed({"things": {12, 13}})
    grown.runner.waiting.reverse()
    grown.runner.end()
    grown.table |= {row.id: row for row in rows}  # as they were when they were asked for
    grown.runner.end()
    del grown.table[12]
    grown.table[13] = Thing(13, "changed")
    grown.runner.end()
    assert set(grown.feed.rows) == {2, *range(11, 21)} - {12}
    assert grown.feed.rows[13].name == "changed"
    assert grown.runner.waiting == []
