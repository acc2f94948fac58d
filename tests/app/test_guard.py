# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an agent runs, connections of sign-ins that are over end by themselves."""

from __future__ import annotations

import time

import psycopg
from psycopg import sql
from real_database import RealDatabase

from ggnet_console.workers.guard import guarding


def test_an_agent_s_guard_ends_what_an_expired_sign_in_has_open(database: RealDatabase) -> None:
    with (
        psycopg.connect(database.dsn(database.log_in("admin")), autocommit=True) as expired,
        guarding(database.agent),
    ):
        expired.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.group("admin"))))
        database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() - interval '2 days'")
        deadline = time.monotonic() + 30
        pid = expired.info.backend_pid
        while database.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid):
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.05)
