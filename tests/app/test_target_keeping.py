# SPDX-License-Identifier: GPL-3.0-or-later
"""What must never take a disk away: a lock, an old job, what is wanted, the agent's end, a damaged file."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from real_host import LoggedIn, RealHost, read_disk, wait_for
from sqlalchemy import text
from test_target_drift import FOREIGN, INITIATOR, another_serial, listing, make_foreign, plan, tid

from ggnet_console.db.engine import Database
from ggnet_console.enums import Drift, PlanAction, SessionStatus
from ggnet_console.errors import ConsoleError
from ggnet_console.services import jobs, target_plans, targets
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.tools.target_backend import LockedError
from ggnet_console.tools.tgt import Tgt
from ggnet_console.workers.agent.job import JobInterruptedError
from ggnet_console.workers.agent.reconciler import Reconciler
from ggnet_console.workers.agent.target_keeper import TargetKeeper

LogIn = Callable[[BootSessionRow], LoggedIn]
LOCKED = "Nothing was changed: the kernel's targets are locked by “targetcli” (process 1)."


class LockedTgt(Tgt):
    """tgtd behind a lock such as only LIO has, whose kernel is not that of this computer."""

    locked = False
    asked = 0
    takes_s = 0.0
    """What each target takes to be made, as it can on a busy host."""

    def _check(self) -> None:
        if self.locked:
            self.asked += 1
            raise LockedError(LOCKED)

    def apply(self, *arguments: Any, **options: Any) -> None:
        self._check()
        time.sleep(self.takes_s)
        super().apply(*arguments, **options)

    def remove(self, *arguments: Any, **options: Any) -> None:
        self._check()
        super().remove(*arguments, **options)


class Kept:
    """A target keeper in this process, in place of the agent's."""

    def __init__(self, host: RealHost) -> None:
        self.database = Database(host.installation.agent_dsn(), program="tests")
        self.backend = LockedTgt(
            host.tree.tgt_socket, host.config.portals, host.tree.logs / "tgtd.log"
        )
        self.keeper = TargetKeeper(
            self.database, self.backend, host.tree, host.host().id, host.portal
        )
        self.reconciler = Reconciler(
            self.database, self.keeper, host.tree, host.host().id, host.portal
        )


@pytest.fixture
def keep() -> Iterator[Callable[[RealHost], Kept]]:
    """Ends the agent, and keeps its targets from here on."""
    with contextlib.ExitStack() as stack:

        def keep(host: RealHost) -> Kept:
            host.stop()
            kept = Kept(host)
            stack.callback(kept.database.close)
            return kept

        yield keep


@pytest.fixture
def image(served: RealHost, disks: Path) -> int:
    return served.import_ready(disks / "disk.raw").id


def target_id(host: RealHost, session: BootSessionRow) -> int:
    row = host.target(session.target_iqn)
    assert row is not None
    return row.id


def test_a_held_lock_at_the_agents_start_ends_no_session_and_is_waited_for_once(
    served: RealHost, image: int, log_in: LogIn, keep: Callable[[RealHost], Kept], tmp_path: Path
) -> None:
    sessions = [served.open_session(image, number) for number in (1, 2, 3)]
    machine = log_in(sessions[0])
    wait_for(lambda: served.session(sessions[0].id).status == "ACTIVE", "the login is seen")
    kept = keep(served)
    for session in sessions[1:]:
        served.tgtadm("--mode target --op delete --tid", tid(served, session.target_iqn))
    kept.backend.locked = True
    with pytest.raises(LockedError, match="locked by “targetcli”"):
        kept.keeper.recover()
    assert kept.backend.asked == 1
    assert kept.keeper.answers
    assert "read 1048576" in machine.read("1M")
    machine.log_out()
    kept.keeper.observer.look()
    assert [served.session(one.id).status for one in sessions] == ["ACTIVE", "PENDING", "PENDING"]
    assert not served.session(sessions[0].id).connected  # it is watched all the same

    kept.backend.locked = False
    kept.keeper.recover()
    for session in sessions:
        assert read_disk(session, tmp_path / "read").returncode == 0


def test_a_held_lock_fails_the_job_and_not_the_machine(
    served: RealHost, image: int, log_in: LogIn, keep: Callable[[RealHost], Kept]
) -> None:
    running, waiting = (served.open_session(image, number) for number in (1, 2))
    machine = log_in(running)
    wait_for(lambda: served.session(running.id).status == "ACTIVE", "the login is seen")
    kept = keep(served)
    kept.keeper.recover()
    kept.backend.locked = True
    with pytest.raises(LockedError):
        kept.keeper.apply([target_id(served, running)])
    with pytest.raises(LockedError):
        kept.keeper.close([running.id], SessionStatus.STOPPED)
    with served.owner.begin() as opened:
        opened.execute(text("UPDATE boot_sessions SET expires_at = now() WHERE NOT connected"))
    with pytest.raises(LockedError):
        kept.keeper.expire()
    with pytest.raises(ConsoleError, match="PC-2 has a session"):
        kept.keeper.remove([target_id(served, waiting)])
    assert [served.session(one.id).status for one in (running, waiting)] == ["ACTIVE", "PENDING"]
    assert "read 1048576" in machine.read("1M")
    kept.backend.locked = False
    kept.keeper.expire()
    assert served.session(waiting.id).status == "TIMEOUT"


def test_a_short_login_is_seen_while_many_targets_are_made(
    served: RealHost, image: int, log_in: LogIn, keep: Callable[[RealHost], Kept]
) -> None:
    first = served.open_session(image)
    kept = keep(served)
    kept.keeper.recover()
    machines = [served.machine(number) for number in range(2, 22)]
    started = served.start_sessions(machines, image)
    others = [target_id(served, served.session(one)) for one in started.session_ids]
    kept.backend.takes_s = 0.1
    making = threading.Thread(target=kept.keeper.apply, args=[others])
    making.start()
    try:
        machine = log_in(first)
        wait_for(lambda: served.session(first.id).status == "ACTIVE", "the login is seen")
        assert making.is_alive()
        machine.log_out()
    finally:
        making.join()
    assert all(served.session(one).ready_at for one in started.session_ids)


def test_an_old_stop_leaves_the_next_session_its_disk(
    served: RealHost, image: int, log_in: LogIn, keep: Callable[[RealHost], Kept]
) -> None:
    old = served.open_session(image)
    served.stop_session(old.id)
    started = served.start_sessions([old.machine_id], image)
    served.succeeded(started.job_id)
    new = served.session(started.session_ids[0])
    assert new.target_iqn == old.target_iqn
    machine = log_in(new)
    kept = keep(served)
    kept.keeper.recover()
    kept.keeper.close([old.id], SessionStatus.STOPPED)
    assert "read 1048576" in machine.read("1M")
    assert served.target(new.target_iqn) is not None
    assert served.session(new.id).ended_at is None


def test_an_old_removal_leaves_the_session_that_was_started_since(
    served: RealHost, image: int, log_in: LogIn, keep: Callable[[RealHost], Kept]
) -> None:
    with served.operator.begin() as opened:
        made = targets.create_target(opened, served.machine(), image)
    served.succeeded(made)
    [row] = [one for one in _rows(served) if one.machine == "PC-1"]
    started = served.start_sessions([row.machine_id], image)
    served.succeeded(started.job_id)
    session = served.session(started.session_ids[0])
    machine = log_in(session)
    kept = keep(served)
    kept.keeper.recover()
    with pytest.raises(ConsoleError, match="PC-1 has a session; stop it before"):
        kept.keeper.remove([row.id])
    assert "read 1048576" in machine.read("1M")


def _rows(host: RealHost) -> list[targets.TargetRow]:
    with host.operator.begin() as session:
        return targets.list_targets(session)


def test_a_wanted_change_that_would_cut_a_machine_off_is_not_applied(
    served: RealHost, image: int, log_in: LogIn
) -> None:
    session = served.open_session(image)
    machine = log_in(session)
    another_serial(served, session.target_iqn)
    with served.operator.begin() as opened:
        made = targets.turn_chap_on(opened, target_id(served, session))
    job = served.ended(made.job_id)
    assert job.status == "FAILED"
    assert "would cut off" in job.error
    assert "read 1048576" in machine.read("1M")
    wait_for(lambda: served.session(session.id).status == "ACTIVE", "the session goes on")
    [entry] = plan(served)
    assert (entry.action, entry.cut_off) == (PlanAction.CHANGE, ("PC-1",))


def test_what_others_made_and_use_outlives_the_agent_and_its_targets(served: RealHost) -> None:
    made = make_foreign(served, served.folder)
    options = (
        f"driver=iscsi,transport=tcp,portal={served.portal},target={FOREIGN},lun=1,"
        f"initiator-name={INITIATOR}"
    )
    guest = subprocess.Popen(
        ["qemu-io", "-r", "--image-opts", options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: "Session: " in served.tgtadm("--mode conn --op show --tid 77"), "a login")
        tgtd = served.tgtd_pid()
        served.stop()
        assert served.tgtd_pid() == tgtd
        assert listing_of(made) == listing_of(listing(served, FOREIGN))
        out, _ = guest.communicate("read 0 1M\n", timeout=PATIENCE_S)
        assert "read 1048576" in out
    finally:
        guest.kill()
        guest.communicate()


def listing_of(text: str) -> str:
    """A target's listing without who is logged in."""
    return text.partition("I_T nexus information:")[0] + text.partition("LUN information:")[2]


def test_a_damaged_undo_file_hides_no_drift_and_blocks_no_stop(
    served: RealHost, image: int, tmp_path: Path
) -> None:
    session = served.open_session(image)
    served.wait_for_drift(session.target_iqn, Drift.IN_STEP)
    served.tree.undo.write_text('{"iqn.2020-01.org.example:x": {"of": "a newer version"}}')
    another_serial(served, session.target_iqn)
    served.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    assert served.stop_session(session.id).error == ""
    assert read_disk(session, tmp_path / "no").returncode != 0
    assert served.tree.undo.with_name("undo.json.damaged").exists()
    again = served.ask(target_plans.undo_targets, served.host().id)
    assert "nothing to undo" in again.error


def test_what_cannot_be_adopted_says_so_before_anybody_tries(served: RealHost) -> None:
    make_foreign(served, served.folder)
    served.wait_for_drift(FOREIGN, Drift.EXTRA)
    served.tgtadm("--mode account --op new --user by-hand --password secret-by-hand")
    served.tgtadm("--mode account --op bind --user by-hand --tid 77")
    wait_for(lambda: not plan(served)[0].adoptable, "the refusal is reported")
    [entry] = plan(served)
    assert entry.unsupported == (
        "it asks for the CHAP secret of by-hand, which nobody tells. Take that account away first"
    )


def test_an_apply_that_is_interrupted_can_be_undone_as_a_whole(
    served: RealHost, image: int, keep: Callable[[RealHost], Kept]
) -> None:
    iqns = sorted(served.open_session(image, number).target_iqn for number in (1, 2))
    kept = keep(served)
    kept.keeper.recover()
    for iqn in iqns:
        another_serial(served, iqn)

    def interrupt(done: int, _total: int) -> None:
        if done == 1:
            raise JobInterruptedError

    def wrong() -> list[str]:
        found = kept.reconciler.compare().findings
        return [one.iqn for one in found if one.drift is not Drift.IN_STEP]

    with pytest.raises(JobInterruptedError):
        kept.reconciler.reconcile(7, None, frozenset(), interrupt)
    assert wrong() == iqns[1:]
    assert served.host().undoable == 1
    assert kept.reconciler.reconcile(7, None, frozenset()) == 1
    assert wrong() == []
    assert served.host().undoable == 2
    assert kept.reconciler.undo(frozenset()) == (2, {})
    assert wrong() == iqns
    assert served.host().undoable == 0


def test_the_job_says_how_many_targets_are_made(served: RealHost, image: int) -> None:
    started = served.start_sessions([served.machine(number) for number in (1, 2, 3)], image)
    job = served.succeeded(started.job_id)
    assert job.phase.startswith("Making targets ")
    assert job.phase.endswith(" of 3")
    assert job.bytes_total is None


def test_a_failed_job_on_targets_is_asked_for_anew(
    served: RealHost, image: int, log_in: LogIn
) -> None:
    session = served.open_session(image)
    log_in(session)
    another_serial(served, session.target_iqn)
    served.wait_for_drift(session.target_iqn, Drift.DIFFERENT)
    job = served.ask(target_plans.apply_targets, served.host().id)
    assert job.status == "FAILED"
    with pytest.raises(ConsoleError, match="ask for it anew"), served.operator.begin() as opened:
        jobs.retry_job(opened, job.id)
