# SPDX-License-Identifier: GPL-3.0-or-later
"""The window's LISTEN connection: no hint is lost, whatever it is doing when hints come."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest
from real_database import RealDatabase

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.workers import listener
from ggnet_console.workers.listener import CHANNEL, Listener

BEAT_S = 0.2
HINTS = """SELECT pg_notify(%s, format('{"table": "machines", "id": %%s, "version": 1}', n))
FROM generate_series(1, 50) n"""


async def heard_after_a_busy_moment(dsn: str) -> set[int]:
    """Ids that a listener tells of when its thread was busy while they and a heartbeat came."""
    listening = Listener(dsn)
    ids: set[int] = set()
    connected, heard = asyncio.Event(), asyncio.Event()

    def on_changed(changes: dict[str, set[int] | None]) -> None:
        ids.update(changes.get("machines") or ())
        heard.set()

    listening.connected.connect(connected.set)
    listening.changed.connect(on_changed)
    listening.start()
    await connected.wait()
    with psycopg.connect(dsn) as connection:
        connection.execute(HINTS, [CHANNEL])
    time.sleep(2 * BEAT_S)
    await asyncio.wait_for(heard.wait(), 30)
    await listening.stop()
    return ids


def test_hints_that_wait_when_the_heartbeat_is_due_are_all_told(
    database: RealDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEARTBEAT_S", BEAT_S)
    dsn = database.server.dsn(SUPERUSER, database.name)
    assert asyncio.run(heard_after_a_busy_moment(dsn)) == set(range(1, 51))
