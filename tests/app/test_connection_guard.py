# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an agent runs, connections that are over or hold up others end by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
from patience import PATIENCE_S
from psycopg import sql
from real_database import RealDatabase
from sqlalchemy import text

from ggnet_console.enums import Role
from ggnet_console.workers.agent.connection_guard import guarding_connections


def test_an_agent_s_guard_ends_what_an_expired_sign_in_has_open(database: RealDatabase) -> None:
    with (
        psycopg.connect(database.dsn(database.log_in("admin")), autocommit=True) as expired,
        guarding_connections(database.agent),
    ):
        expired.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.group("admin"))))
        database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() - interval '2 days'")
        database.wait_until_gone(expired.info.backend_pid)


def test_the_guard_is_not_held_up_by_those_who_take_turns(database: RealDatabase) -> None:
    """The place in the trail goes from one to the next, before the guard can write of the first."""
    evil = [psycopg.connect(database.dsn(database.log_in(role.lower()))) for role in Role]
    honest = database.sign_in(Role.OPERATOR)

    def hold(connection: psycopg.Connection) -> None:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute("SELECT targets_compare(%s)", [database.host_id])

    def work() -> None:
        with honest.begin() as session:
            session.execute(text("INSERT INTO machines (name, mac) VALUES ('pc', '525400000001')"))

    with ThreadPoolExecutor(4) as pool:
        hold(evil[0])
        others = [pool.submit(hold, one) for one in evil[1:]]
        database.wait_for_lock()
        with guarding_connections(database.agent):
            pool.submit(work).result(timeout=PATIENCE_S)
            for connection in evil:
                connection.close()
            for other in others:
                other.exception(timeout=PATIENCE_S)
