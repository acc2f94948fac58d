# SPDX-License-Identifier: GPL-3.0-or-later
"""What LIO tells of sessions in moments that last too short to be met with a real kernel."""

from __future__ import annotations

import pytest

from ggnet_console.tools import lio_configfs
from ggnet_console.tools.lio import Lio
from ggnet_console.tools.target_backend import Connection, LunTraffic

IQN = "iqn.2026-11.net.ggnet:target.525400000001"
LEFT = Connection("key", IQN, "iqn.x:pc", "", (LunTraffic(1, 0, 0, 3),), logged_in=False)


def test_a_session_on_its_way_out_is_told_as_one_that_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel counts it still, when its state has already left “logged in”."""
    monkeypatch.setattr(lio_configfs, "targets", lambda: [IQN])
    monkeypatch.setattr(lio_configfs, "accepted", lambda iqn: ("1", "1"))
    monkeypatch.setattr(lio_configfs, "connections", lambda iqn, boot: [])
    monkeypatch.setattr(lio_configfs, "logged_out", lambda iqn, boot: [LEFT])
    assert Lio([("127.0.0.1", 3260)]).activity() == (LEFT,)
