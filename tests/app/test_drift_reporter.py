# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent reports of traffic is what moved between two looks, and nothing else."""

from __future__ import annotations

from real_database import RealDatabase

from ggnet_console.enums import Drift
from ggnet_console.services import target_reports
from ggnet_console.services.target_reports import LunRate
from ggnet_console.tools.target_backend import Connection, LunTraffic
from ggnet_console.tools.target_comparison import Comparison, Finding
from ggnet_console.workers.agent.drift_reporter import DriftReporter

IQN = "iqn.2020-01.org.example:disk"
GIB = 2**30


def seen(*connections: Connection) -> Comparison:
    finding = Finding(IQN, Drift.EXTRA, None, None, None, (), (), frozenset())
    return Comparison((finding,), connections, "")


def busy(bytes_read: int, commands: int) -> Connection:
    """A session of an initiator whose counters outlive its logins, as LIO's do."""
    return Connection("acl", IQN, "iqn.a:b", "10.0.0.1", (LunTraffic(1, bytes_read, 0, commands),))


def test_whoever_comes_back_has_moved_nothing_yet(database: RealDatabase) -> None:
    reporter = DriftReporter(database.agent, database.host_id)

    def rates(*connections: Connection) -> tuple[LunRate, ...]:
        reporter.write(seen(*connections), {}, {}, 0)
        with database.agent.begin() as session:
            [report] = target_reports.list_reports(session, database.host_id)
        return report.rates

    assert rates() == ()
    assert rates(busy(50 * GIB, 13_000_000)) == (LunRate(1, 0, 0, 0),)
    assert rates() == ()
    assert rates(busy(50 * GIB, 13_000_000)) == (LunRate(1, 0, 0, 0),)
    [rate] = rates(busy(51 * GIB, 13_000_100))
    assert rate.bytes_read_per_s > 0
    assert rate.commands_per_s
