# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when a fact stood in the database, and since when each window showed it."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from PySide6.QtCore import QObject, QTimer
from real_window import Premises, spin
from second_console import LOOK_MS
from window_hands import is_shown, tables

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.ui.window.main_window import MainWindow

State = dict[str, Any]
"""What was so from ``at`` (seconds since the epoch) on: ``tables``, rows by page."""

_ALL = """
SELECT json_build_object(
    'machines', (SELECT json_agg(m) FROM machines m),
    'images', (SELECT json_agg(i) FROM images i),
    'sessions', (SELECT json_agg(s) FROM (
        SELECT s.*, m.name AS machine FROM boot_sessions s JOIN machines m ON m.id = s.machine_id
    ) s),
    'jobs', (SELECT json_agg(j) FROM (SELECT j.*, object_name AS name FROM jobs j) j)
)
"""


class Ledger:
    """What was committed and when, read over and over in a thread: no trigger has to tell it."""

    def __init__(self, premises: Premises) -> None:
        self.states: list[State] = []
        self._dsn = premises.cluster.dsn(SUPERUSER)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    @contextmanager
    def kept(self) -> Iterator[Ledger]:
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join()

    def _read(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._ended.wait(LOOK_MS / 1000):
                at = time.time()
                [found] = connection.execute(_ALL, prepare=True).fetchone() or [{}]
                note(self.states, at, found)

    def since(self, key: str, name: str, **values: Callable[[Any], bool]) -> float:
        """Wait until a row's values satisfy ``values``; when that was read first."""

        def find() -> float | None:
            for state in self.states:
                for row in state["tables"][key] or []:
                    if name in (row.get("name"), row.get("machine")) and all(
                        right(row[column]) for column, right in values.items()
                    ):
                        return float(state["at"])
            return None

        return spin(find, f"{key}: {name} with such {[*values]} in the database")


class Watch(QObject):
    """What a window of this process shows, looked at by a timer, as its twin does elsewhere."""

    def __init__(self, main_window: MainWindow) -> None:
        super().__init__(main_window)
        self.states: list[State] = []
        self._main_window = main_window
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._on_look)
        self._timer.start(LOOK_MS)

    def _on_look(self) -> None:
        note(self.states, time.time(), tables(self._main_window))


def note(states: list[State], at: float, found: dict[str, Any]) -> None:
    """Add what is so from now on, if it was not so before."""
    if not states or states[-1]["tables"] != found:
        states.append({"at": at, "tables": found})


def shown_since(
    states: list[State], since: float, key: str, where: str, **texts: Callable[[str], bool]
) -> float | None:
    """When, from ``since`` on, a row had these cells for the first time; None: not yet."""
    before = bisect.bisect_right(states, since, key=lambda state: state["at"]) - 1
    for state in states[max(before, 0) :]:
        if is_shown(state["tables"], key, where, **texts):
            return max(float(state["at"]), since)
    return None
