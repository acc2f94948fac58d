# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on screen, read from the database in the background and kept true by change hints.

A hint only says what to read again; hints that arrive while a read runs are joined into the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from ...errors import ConsoleError
from .page import Page
from .table_model import R

WHOLE_GAP_S = 0.25
"""Shortest time between two readings of everything."""

Changes = Mapping[str, Collection[int] | None]
"""Changed ids by table; None: anything in it."""


class Runner(Protocol):
    """Runs ``work(session, *args)`` in a thread and answers in the main thread, one way or the other.

    Nothing is delivered once ``parent`` is gone.
    """

    def run(
        self,
        work: Callable[..., Any],
        *args: Any,
        done: Callable[[Any], object],
        failed: Callable[[ConsoleError], object],
        parent: QObject,
    ) -> None: ...


class Read(Protocol):
    """A service's list function."""

    def __call__(self, session: Any, ids: Iterable[int] | None = None) -> list[Any]: ...


@dataclass(frozen=True)
class Older:
    """How a noun that grows for ever is read: its newest page, and page by page what is older."""

    page: int
    before: Callable[[Any, int], list[Any]]
    """``before(session, id)``: the page of rows with smaller ids."""
    since: Callable[[Any, int], list[Any]]
    """``since(session, id)``: everything that is read from then on, down to this id."""


@dataclass(frozen=True)
class Update(Generic[R]):
    """Rows that came or changed, ids that are gone; ``whole``: ``rows`` are all there are.

    ``older``: they are nothing new, but were only read now.
    """

    rows: list[R]
    gone: set[int] = field(default_factory=set)
    whole: bool = False
    older: bool = False


class Feed(QObject, Generic[R]):
    """All rows of one noun; lives in the main thread."""

    updated = Signal(object)
    failed = Signal(object)

    def __init__(
        self,
        runner: Runner,
        read: Read,
        table: str,
        others: Collection[str] = (),
        *,
        by_id: bool = True,
        on_demand: bool = False,
        older: Older | None = None,
        parent: QObject | None = None,
    ) -> None:
        """``table`` changes row by row (if ``read`` can); one of ``others``: all is read again.

        ``older``: ``read`` answers the newest page alone (and whatever is open).
        ``on_demand``: nothing is read but for a page that shows it (not everybody may read it).
        """
        super().__init__(parent)
        self._runner, self._read = runner, read
        self._table, self._others, self._by_id = table, frozenset(others), by_id
        self.rows: dict[int, R] = {}
        self.loaded = False
        self._older = older
        self._floor: int | None = None
        """Every row from this id on is here; None: as far as the newest page goes."""
        self.more = False
        """Whether there are older rows than those that were read."""
        self._reading_older = False
        self._readings = 0
        """How often rows were read anew."""
        self._ids: set[int] = set()
        self._whole = False
        self._reading = False
        self._read_at = 0.0
        self.on_demand = self._asleep = on_demand
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go)

    def on_changed(self, changes: Changes | None) -> None:
        """Hints came in; None: anything may have changed, as after a reconnect."""
        if changes is None or self._others & changes.keys():
            self.reread()
        elif self._table in changes:
            ids = changes[self._table]
            self.reread(None if not self._by_id else ids)

    def reread(self, ids: Collection[int] | None = None) -> None:
        """Read rows again, all of them when ``ids`` is None."""
        if ids is None:
            self._whole = True
        else:
            self._ids |= set(ids)
        self._go()

    def attach(self, page: Page[R]) -> None:
        """Show the rows on a page from now on; its F5 reads them again."""

        def show(update: Update[R]) -> None:
            if update.whole:
                page.set_rows(update.rows)
            else:
                page.model.update_rows(update.rows)
                page.model.remove_ids(update.gone)
            page.set_more(self.more)

        if self.loaded:
            page.set_rows(self.rows.values())
            page.set_more(self.more)
        page.older_wanted.connect(self.read_older)
        self._showing = self.updated.connect(show)
        page.reread.connect(self.reread)
        if self.on_demand:
            self._asleep = False
            page.destroyed.connect(self._on_page_gone)
            self.reread()

    def read_older(self) -> None:
        """One more page, of the rows before the oldest that were read page by page."""
        if self._older is None or self._floor is None or self._reading_older or not self.more:
            return
        self._reading_older = True
        page = self._older.page
        begun, reading = self._readings, self._reading

        def done(rows: list[R]) -> None:
            self._reading_older = False
            self.more = len(rows) == page
            self._floor = min((_id(row) for row in rows), default=self._floor)
            self.rows |= {_id(row): row for row in rows}
            self.updated.emit(Update(rows, older=True))
            if reading or begun != self._readings:
                # Something changed meanwhile, and this page may be from before.
                self.reread({_id(row) for row in rows})

        def failed(error: ConsoleError) -> None:
            self._reading_older = False
            self.failed.emit(error)

        self._runner.run(self._older.before, self._floor, done=done, failed=failed, parent=self)

    def _read_whole(self) -> tuple[Callable[..., Any], object]:
        """What reads everything again, and its argument: also what was read page by page."""
        if self._older is None or self._floor is None:
            return self._read, None
        return self._older.since, self._floor

    def _on_page_gone(self) -> None:
        self._asleep = True
        self.loaded = False
        self.updated.disconnect(self._showing)

    def _go(self) -> None:
        if self._asleep or self._reading or not (self._whole or self._ids):
            return
        if self._whole:
            wait = self._read_at + WHOLE_GAP_S - time.monotonic()
            if wait > 0:
                self._timer.start(int(wait * 1000) + 1)
                return
            self._read_at = time.monotonic()
        ids = None if self._whole else frozenset(self._ids)
        self._whole, self._ids, self._reading = False, set(), True
        self._readings += 1
        floor = self._floor
        work, what = self._read_whole() if ids is None else (self._read, ids)
        self._runner.run(
            work,
            what,
            done=lambda rows: self._on_read(ids, rows, floor),
            failed=lambda error: self._on_failed(ids, error),
            parent=self,
        )

    def _on_read(self, ids: frozenset[int] | None, rows: list[R], floor: int | None) -> None:
        """``floor``: how far back was read when the reading began."""
        self._reading = False
        self.loaded = True
        found = {_id(row): row for row in rows}
        if ids is None:
            if floor is not None and self._floor is not None and self._floor < floor:
                # Older rows came meanwhile; they are kept, and all is read again as far as they go.
                found |= {i: row for i, row in self.rows.items() if self._floor <= i < floor}
                rows, self._whole = list(found.values()), True
            self.rows = found
            if self._older is not None and self._floor is None:
                # Open rows may be older than the newest page, but none of it is missing.
                newest = sorted(found, reverse=True)[: self._older.page]
                self.more = len(newest) == self._older.page
                self._floor = newest[-1] if self.more else None
            self.updated.emit(Update(rows, whole=True))
        else:
            gone = set(ids) - found.keys()
            for each in gone:
                self.rows.pop(each, None)
            self.rows |= found
            self.updated.emit(Update(rows, gone))
        self._go()

    def _on_failed(self, ids: frozenset[int] | None, error: ConsoleError) -> None:
        """What could not be read is read with the next hint; after a lost connection one comes."""
        self._reading = False
        if ids is None:
            self._whole = True
        else:
            self._ids |= ids
        self.failed.emit(error)


def _id(row: Any) -> int:
    return int(row.id)
