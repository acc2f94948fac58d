# SPDX-License-Identifier: GPL-3.0-or-later
"""A running tgtd and initiators for every test of the tgt backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_initiator import RawInitiator
from storage_host import Room


@pytest.fixture
def room(folder: Path) -> Iterator[Room]:
    """A storage host whose tgtd runs, without targets."""
    room = Room(folder)
    assert room.tgt.start()
    yield room
    room.again().stop()


@pytest.fixture
def guests() -> Iterator[list[RawInitiator]]:
    """Initiators to be closed after the test."""
    guests: list[RawInitiator] = []
    yield guests
    for guest in guests:
        guest.close()
