# SPDX-License-Identifier: GPL-3.0-or-later
"""Anybody signed in can NOTIFY: no forged hint is shown as a fact, ends the listening or crashes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from PySide6.QtWidgets import QLabel
from real_database import PASSWORD
from real_window import Premises, RealConsole, spin

from ggnet_console.db.cluster import CONSOLE_ROLE

TABLES = (
    "machines",
    "images",
    "targets",
    "boot_sessions",
    "jobs",
    "hosts",
    "settings",
    "users",
    "sign_ins",
    "audit",
    "open_objects",
)
IDS = (0, -1, True, 1.5, "1", "<b>FORGED</b>", [1], {"FORGED": 1}, None, 2**31, 2**63, -(2**63) - 1)
HUGE = 7999
"""NOTIFY takes payloads below 8,000 bytes."""
PAYLOADS = (
    "",
    "FORGED",
    "<h1>FORGED</h1><img src=x onerror=alert(1)>",
    "{",
    "[" * HUGE,
    '{"table": "machines", "id": ' + "9" * 7000 + "}",
    '{"table": "machines", "id": NaN}',
    '{"table": "machines", "id": 1e999}',
    '{"table": "machines", "id": "\\u0000"}',
    '"machines"',
    "null",
    json.dumps({"table": "FORGED" * 1000, "id": 1}),
    json.dumps({"table": "machines; DROP TABLE machines", "id": 1}),
    json.dumps({"table": ["machines"], "id": 1}),
    json.dumps({"table": None, "id": 1}),
    json.dumps({"table": "machines", "id": 1, "version": 10**9, "name": "FORGED"}),
    "x" * HUGE,
    "\u202e\U0001f600" * 1000,
    *(json.dumps({"table": table, "id": one}) for table in TABLES for one in IDS),
    *(json.dumps({"table": table, "id": 10**30}) for table in TABLES),
)


@pytest.fixture
def viewer(installed: Premises, console: RealConsole) -> Iterator[psycopg.Connection]:
    """A viewer with psql, beside an operator's window that shows one machine."""
    console.sign_in("operator", PASSWORD)
    installed.psql("INSERT INTO machines (name, mac) VALUES ('PC-01', '52:54:00:12:34:01')")
    console.shows("machines", "PC-01")
    with psycopg.connect(installed.cluster.dsn(CONSOLE_ROLE)) as asking:
        row = asking.execute("SELECT login('viewer', %s, 'psql', '')", [PASSWORD]).fetchone()
    assert row is not None
    dsn = make_conninfo(installed.cluster.dsn(row[0]["role_name"]), password=row[0]["secret"])
    with psycopg.connect(dsn, autocommit=True) as viewer:
        yield viewer


def said(console: RealConsole) -> str:
    """Every word that the window shows in labels and tables."""
    labels = [label.text() for label in console.main_window.findChildren(QLabel)]
    return "\n".join([*labels, json.dumps(console.shown)])


def still_listening(console: RealConsole, viewer: psycopg.Connection, installed: Premises) -> None:
    """A change that only its own hint can show comes through on the same connection."""
    [(name,)] = installed.psql("UPDATE machines SET room = room || 'x' RETURNING room")
    console.shows("machines", "PC-01", room=name.__eq__)


def test_forged_hints_are_neither_facts_nor_the_end(
    console: RealConsole, installed: Premises, viewer: psycopg.Connection
) -> None:
    lost: list[str] = []
    assert console.lifecycle is not None
    assert console.lifecycle.signed_in is not None
    console.lifecycle.signed_in.listener.lost.connect(lost.append)
    for payload in PAYLOADS:
        viewer.execute("SELECT pg_notify('ggnet', %s)", [payload])
        assert console.crashes == [], payload[:80]
    still_listening(console, viewer, installed)
    # Once more, each with time to be read: what comes in one frame is joined.
    for payload in PAYLOADS[:20] + PAYLOADS[-len(TABLES) :]:
        viewer.execute("SELECT pg_notify('ggnet', %s)", [payload])
        still_listening(console, viewer, installed)
        assert console.crashes == [], payload[:80]
    assert "FORGED" not in said(console)
    assert [row["name"] for row in console.shown["machines"]] == ["PC-01"]
    assert lost == []
    assert not console.main_window.banner.isVisible()


def test_a_flood_of_hints_does_not_stop_the_window(
    console: RealConsole, installed: Premises, viewer: psycopg.Connection
) -> None:
    viewer.execute(
        "SELECT pg_notify('ggnet', json_build_object('table', t, 'id', n)::text) "
        "FROM generate_series(1, 1000) AS n, unnest(%s::text[]) AS t",
        [list(TABLES)],
    )
    still_listening(console, viewer, installed)
    assert [row["name"] for row in console.shown["machines"]] == ["PC-01"]


def test_a_payload_of_more_bytes_is_refused_by_the_server(
    console: RealConsole, installed: Premises, viewer: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="payload string too long"):
        viewer.execute("SELECT pg_notify('ggnet', %s)", ["x" * (HUGE + 1)])
    still_listening(console, viewer, installed)


def test_a_hint_of_a_sign_out_or_of_other_roles_is_only_looked_up(
    console: RealConsole, installed: Premises, viewer: psycopg.Connection
) -> None:
    """The window asks who it is and finds nothing changed."""
    viewer.execute("SELECT pg_notify('ggnet', %s)", ['{"table": "sign_ins"}'])
    viewer.execute("SELECT pg_notify('ggnet', %s)", ['{"table": "users"}'])
    still_listening(console, viewer, installed)
    spin(lambda: console.page("machines").action("Add machine").isEnabled(), "it is as before")
