# SPDX-License-Identifier: GPL-3.0-or-later
"""250 targets on the real kernel target: made, looked at, planned for, removed; beside targetcli."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from ggnet_console.enums import Drift
from ggnet_console.services import boot_sessions, target_plans
from ggnet_console.services import targets as target_rows
from ggnet_console.tools.target_backend import WantedTarget
from tests.labs.bench import CHAP, MIB, Bench
from tests.labs.lab import Lab

from .figures import Figure

TARGETS = 250
BY_TARGETCLI = 10
_OURS = """
import time
from ggnet_console.tools.lio import Lio

def timed(action):
    began = time.perf_counter()
    action()
    return time.perf_counter() - began

lio = Lio(portals)
lio.start()
result = {"make": timed(lambda: [lio.apply(one) for one in targets])}
result["look"] = sorted(timed(lio.connections) for _ in range(15))[7]
result["remove"] = timed(lambda: [lio.remove(one.iqn) for one in targets])
"""


def run() -> list[Figure]:
    """All in one guest of user-mode Linux, where a system call costs ten times what it does here."""
    lab = Lab()
    try:
        lab.start()
        bench = Bench(lab)
        bench.clear()
        image = bench.disk("image.raw")
        targets = [bench.target(number, image, read_only=True) for number in range(TARGETS)]
        process = lab.process()
        ours = process.python(_OURS, timeout_s=300, targets=targets, portals=[(lab.address, 3260)])
        process.close()
        theirs = [_by_targetcli(bench, one) for one in targets[:BY_TARGETCLI]]
        bench.clear()
        agent = _by_agent(lab)
    finally:
        lab.close()
    scaled = statistics.fmean(theirs) * TARGETS
    name = f"targetcli, {BY_TARGETCLI} measured: {sum(theirs):.1f} s, scaled"
    return [
        Figure(
            f"{TARGETS} LIO targets made, with backstore, ACL, CHAP, saved",
            ours["make"],
            "s",
            "10 s, 0.01x",
            scaled,
            name,
        ),
        Figure(
            f"{TARGETS} sessions on LIO started by the agent's job", agent["start"], "s", "10 s"
        ),
        Figure(
            f"plan over {TARGETS} LIO targets, nothing to do, the agent's job",
            agent["plan"],
            "s",
            "1 s",
        ),
        Figure(f"look at the sessions of {TARGETS} LIO targets", ours["look"] * 1000, "ms"),
        Figure(f"{TARGETS} LIO targets removed, one by one", ours["remove"], "s", "10 s"),
        Figure(f"{TARGETS} sessions on LIO stopped by the agent's job", agent["stop"], "s", "10 s"),
        Figure(
            f"peak memory of ggnet-agent, {TARGETS} LIO targets",
            agent["memory"] / 1e6,
            "MB",
            "150 MB",
        ),
    ]


def _by_targetcli(bench: Bench, target: WantedTarget) -> float:
    """Seconds for the same target by the commands an admin types."""
    name = target.iqn.rpartition(".")[2]
    group = f"/iscsi/{target.iqn}/tpg1"
    (lun,) = target.luns
    (who,) = target.initiators
    path = bench.disk(f"{name}.raw")  # targetcli serves no file twice
    began = time.perf_counter()
    for line in (
        f"/backstores/fileio create {name} {path} {lun.size_bytes} write_back=false",
        f"/iscsi create {target.iqn}",
        f"{group}/luns create /backstores/fileio/{name} 1",
        f"{group} set attribute authentication=1",
        f"{group}/acls create {who}",
        f"{group}/acls/{who} set auth userid={CHAP.user} password={CHAP.secret}",
        "saveconfig",
    ):
        bench.targetcli(*line.split())
    return time.perf_counter() - began


def _by_agent(lab: Lab) -> dict[str, float]:
    """A whole agent in the guest: seconds of its jobs from click to end, and its most memory."""
    from patience import wait_for
    from real_host import blank_cluster

    from tests.labs.lio_host import LioHost

    lab.folder.chmod(0o711)
    folder = lab.folder / "host"
    folder.mkdir(mode=0o711)
    disk = lab.folder / "disk.raw"
    disk.write_bytes(bytes(range(256)) * (MIB // 256))
    with blank_cluster() as blank:
        host = LioHost(lab, folder, blank)

        def timed(verb: Callable[[], int | None]) -> float:
            began = time.perf_counter()
            job_id = verb()
            assert job_id is not None
            # Looked at as often all the time: a wait that grows would be in the figure.
            wait_for(lambda: not host.job(job_id).open, "the end", between=lambda: time.sleep(0.01))
            seconds = time.perf_counter() - began
            assert host.job(job_id).error == ""
            return seconds

        sessions: list[int] = []

        def start() -> int:
            started = host.start_sessions(machines, image.id)
            sessions.extend(started.session_ids)
            return started.job_id

        def plan() -> int:
            with host.operator.begin() as session:
                return target_plans.compare_targets(session, host.host().id)

        def stop() -> int | None:
            with host.operator.begin() as session:
                return boot_sessions.stop_boot_sessions(session, sessions)

        def all_compared() -> bool:
            with host.operator.begin() as session:
                rows = target_rows.list_targets(session)
            return len(rows) == TARGETS and all(row.drift is Drift.IN_STEP for row in rows)

        try:
            host.start()
            image = host.import_ready(disk)
            machines = [host.machine(number) for number in range(TARGETS)]
            result = {"start": timed(start)}
            wait_for(all_compared, "every target is reported")
            result["plan"] = statistics.median(timed(plan) for _ in range(5))
            result["stop"] = timed(stop)
            return result | {"memory": host.peak_memory_bytes()}
        finally:
            host.end()
