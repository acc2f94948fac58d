# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage hosts: as their agents report them."""

from __future__ import annotations

import pytest
from real_database import HOST, RealDatabase

from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, RefusedError
from ggnet_console.services import hosts


def test_a_host_counts_as_gone_until_its_agent_reports(database: RealDatabase) -> None:
    viewer = database.sign_in(Role.VIEWER)
    with viewer.begin() as session:
        [row] = hosts.list_hosts(session)
    assert (row.name, row.alive, row.heartbeat_at) == (HOST, False, None)
    with database.agent.begin() as session:
        assert hosts.report_host(session, HOST, "[::1]:3260", "tgt", "chosen", "") == row.id
    with viewer.begin() as session:
        [row] = hosts.list_hosts(session)
    assert (row.portal, row.backend, row.problem, row.alive) == ("[::1]:3260", "tgt", "", True)


def test_an_agent_that_fell_silent_counts_as_gone(database: RealDatabase) -> None:
    with database.agent.begin() as session:
        hosts.report_host(session, HOST, "127.0.0.1:3260", "tgt", "chosen", "")
    for age, alive in ((hosts.ALIVE_S - 2, True), (hosts.ALIVE_S + 1, False)):
        database.rows(
            "UPDATE hosts SET heartbeat_at = clock_timestamp() - make_interval(secs => %s)", age
        )
        with database.sign_in(Role.VIEWER).begin() as session:
            assert hosts.list_hosts(session)[0].alive is alive


def test_a_problem_of_the_host_is_told(database: RealDatabase) -> None:
    with database.agent.begin() as session:
        hosts.report_host(
            session, HOST, "127.0.0.1:3260", "tgt", "chosen", "The port is taken by nginx."
        )
    with database.sign_in(Role.VIEWER).begin() as session:
        assert hosts.list_hosts(session)[0].problem == "The port is taken by nginx."


def test_an_agent_announces_a_new_host(database: RealDatabase) -> None:
    database.rows("DELETE FROM hosts")
    with database.agent.begin() as session:
        hosts.report_host(session, HOST, "127.0.0.1:3260", "tgt", "chosen", "")
    assert database.value("SELECT agent_role FROM hosts") == f"ggnet_agent_{HOST}"


def test_another_agent_s_host_is_not_taken_over(database: RealDatabase) -> None:
    database.rows("INSERT INTO hosts (name, agent_role) VALUES ('far', 'ggnet_agent_far')")
    with (
        pytest.raises(ConsoleError, match="far belongs to another agent"),
        database.agent.begin() as session,
    ):
        hosts.report_host(session, "far", "10.0.0.1:3260", "tgt", "chosen", "")


def test_people_do_not_report_hosts(database: RealDatabase) -> None:
    with pytest.raises(RefusedError), database.sign_in(Role.ADMIN).begin() as session:
        hosts.report_host(session, HOST, "10.0.0.1:3260", "tgt", "chosen", "")
