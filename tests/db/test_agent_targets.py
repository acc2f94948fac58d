# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent is to make, what it saw, and what that makes of sessions and targets."""

from __future__ import annotations

import pytest
from real_database import RealDatabase
from steps import BIG, PORTAL, add_image, add_machines, make_targets, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import Role, SessionStatus, TargetStatus
from ggnet_console.services import agent_targets, boot_sessions, machines, targets
from ggnet_console.services.agent_targets import Activity, Wanted
from ggnet_console.services.boot_sessions import BootSessionRow

pytestmark = pytest.mark.furnished


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def image(database: RealDatabase, operator: Database) -> int:
    return add_image(database, "win11", operator)


class Running:
    """One machine whose target was made for a session."""

    def __init__(self, database: RealDatabase, operator: Database, image: int) -> None:
        [self.machine] = add_machines(operator, "pc-01")
        [self.session] = start_sessions(operator, image, self.machine).session_ids
        [self.wanted] = make_targets(database)
        self._database = database

    def see(
        self, read: int, written: int = 0, *, connected: bool = True, address: str | None = None
    ) -> None:
        with self._database.agent.begin() as session:
            agent_targets.note_activity(
                session,
                [Activity(self.session, self.machine, address, connected, read, written)],
            )

    @property
    def row(self) -> BootSessionRow:
        with self._database.owner.begin() as session:
            return boot_sessions.get_boot_session(session, str(self.session))

    @property
    def machine_row(self) -> machines.MachineRow:
        with self._database.owner.begin() as session:
            return machines.list_machines(session, [self.machine])[0]


@pytest.fixture
def running(database: RealDatabase, operator: Database, image: int) -> Running:
    return Running(database, operator, image)


def wanted(database: RealDatabase, *target_ids: int) -> list[Wanted]:
    with database.agent.begin() as session:
        return agent_targets.list_wanted(session, database.host_id, target_ids or None)


def all_targets(database: RealDatabase) -> list[targets.TargetRow]:
    with database.owner.begin() as session:
        return targets.list_targets(session)


def test_what_is_wanted_tells_all_that_is_needed_to_make_it(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ids = add_machines(operator, "pc-01", "pc-02")
    [first] = start_sessions(operator, image, ids[0]).session_ids
    with operator.begin() as session:
        targets.create_target(session, ids[1], image)
    with_session, prepared = wanted(database)
    assert (with_session.session_id, prepared.session_id) == (first, None)
    assert (with_session.kept, prepared.kept) == (False, True)
    for one, machine in ((with_session, ids[0]), (prepared, ids[1])):
        [disk] = one.disks
        assert (one.machine_id, disk.image_id, disk.version_number) == (machine, image, 1)
        assert (disk.lun, disk.read_only, disk.size_bytes) == (1, True, BIG)
        assert one.iqn not in one.initiators
        assert len(one.initiators) == 1
    assert (with_session.is_open, prepared.is_open) == (True, False)
    assert with_session.disks[0].serial != prepared.disks[0].serial
    assert wanted(database, prepared.target_id) == [prepared]
    with database.agent.begin() as session:
        assert agent_targets.list_wanted(session, database.host_id + 1) == []
        assert agent_targets.list_wanted(session, database.host_id, []) == []


def test_a_made_target_is_open_and_its_session_ready(
    database: RealDatabase, running: Running
) -> None:
    assert [row.status for row in all_targets(database)] == [TargetStatus.OPEN]
    before = running.row
    assert (before.status, before.portal) == (SessionStatus.PENDING, PORTAL)
    make_targets(database)
    assert running.row == before, "making it again counts the time from the first"


def test_the_first_login_makes_a_session_active_and_its_machine_online(running: Running) -> None:
    running.see(BIG, 512, address="10.0.2.11")
    row = running.row
    assert (row.status, row.connected, row.client_address) == (
        SessionStatus.ACTIVE,
        True,
        "10.0.2.11",
    )
    assert (row.bytes_read, row.bytes_written) == (BIG, 512)
    assert row.active_at is not None
    assert running.machine_row.online
    assert running.machine_row.session_status is SessionStatus.ACTIVE
    running.see(2 * BIG, 512, address="fd00::11")
    assert running.row.active_at == row.active_at
    assert running.row.client_address == "fd00::11"


def test_after_a_logout_the_last_address_and_the_totals_stay(running: Running) -> None:
    running.see(BIG, 1, address="10.0.2.11")
    running.see(BIG, 1, connected=False)
    row = running.row
    assert (row.status, row.connected, row.client_address) == (
        SessionStatus.ACTIVE,
        False,
        "10.0.2.11",
    )
    assert (row.bytes_read, row.bytes_written) == (BIG, 1)
    assert not running.machine_row.online
    assert running.machine_row.last_seen_at is not None


def test_many_sessions_are_seen_at_once(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ids = add_machines(operator, *(f"pc-{n}" for n in range(20)))
    started = start_sessions(operator, image, *ids).session_ids
    make_targets(database)
    with database.agent.begin() as session:
        agent_targets.note_activity(
            session,
            [
                Activity(s, m, f"10.0.2.{n}", n % 2 == 0, n, 0)
                for n, (s, m) in enumerate(zip(started, ids, strict=True))
            ],
        )
        agent_targets.note_activity(session, [])
    with operator.begin() as session:
        rows = {row.id: row for row in boot_sessions.list_boot_sessions(session)}
        online = [row.online for row in machines.list_machines(session, ids)]
    assert [rows[s].bytes_read for s in started] == list(range(20))
    assert [rows[s].client_address for s in started] == [f"10.0.2.{n}" for n in range(20)]
    assert online.count(True) == 10


def test_a_session_nobody_came_for_in_time_expires_and_an_active_one_never(
    database: RealDatabase, operator: Database, image: int, running: Running
) -> None:
    def expired() -> list[int]:
        with database.agent.begin() as session:
            return agent_targets.expired_sessions(session, database.host_id)

    assert expired() == []
    database.rows("UPDATE boot_sessions SET expires_at = clock_timestamp() - interval '1 second'")
    assert expired() == [running.session]
    running.see(1)
    assert expired() == []


def test_an_ended_session_keeps_what_was_seen_and_is_not_seen_again(
    database: RealDatabase, running: Running
) -> None:
    running.see(BIG, 7, address="10.0.2.11")
    with database.agent.begin() as session:
        assert agent_targets.count_open(session, database.host_id) == 1
        agent_targets.end_sessions(session, [running.session], SessionStatus.STOPPED)
        assert agent_targets.count_open(session, database.host_id) == 0
    ended = running.row
    assert (ended.status, ended.connected, ended.bytes_read, ended.bytes_written) == (
        SessionStatus.STOPPED,
        False,
        BIG,
        7,
    )
    assert ended.ended_at is not None
    assert not running.machine_row.online
    running.see(2 * BIG)
    with database.agent.begin() as session:
        agent_targets.end_sessions(session, [running.session], SessionStatus.TIMEOUT)
    assert running.row == ended


def test_a_late_look_at_an_ended_session_does_not_put_its_machine_online(
    database: RealDatabase, running: Running
) -> None:
    with database.agent.begin() as session:
        agent_targets.end_sessions(session, [running.session], SessionStatus.STOPPED)
    running.see(1, address="10.0.2.11")
    assert not running.machine_row.online


def test_a_target_that_could_not_be_made_ends_its_session_with_the_sentence(
    database: RealDatabase, running: Running
) -> None:
    running.see(BIG, address="10.0.2.11")
    with database.agent.begin() as session:
        agent_targets.note_not_made(session, running.wanted, "The file is missing.")
    row = running.row
    assert (row.status, row.error, row.connected) == (
        SessionStatus.ERROR,
        "The file is missing.",
        False,
    )
    assert row.ended_at is not None
    assert running.machine_row.session_error == "The file is missing."
    assert not running.machine_row.online
    assert all_targets(database) == []


def test_a_kept_target_that_could_not_be_made_stays_and_says_why(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    with operator.begin() as session:
        targets.create_target(session, machine, image)
    [one] = wanted(database)
    with database.agent.begin() as session:
        agent_targets.note_not_made(session, one, "The file is missing.")
    [row] = all_targets(database)
    assert (row.status, row.error) == (TargetStatus.ERROR, "The file is missing.")
    make_targets(database)
    [row] = all_targets(database)
    assert (row.status, row.error) == (TargetStatus.CLOSED, "")


def test_a_closed_target_goes_unless_it_was_made_by_hand(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ids = add_machines(operator, "pc-01", "pc-02")
    with operator.begin() as session:
        targets.create_target(session, ids[1], image)
    started = start_sessions(operator, image, *ids)
    both = [one.target_id for one in make_targets(database)]
    with database.agent.begin() as session:
        found = agent_targets.targets_of_sessions(session, started.session_ids)
        assert sorted(found) == started.session_ids
        assert sorted(found.values()) == both
        assert agent_targets.machines_served(session, both) == ["pc-01", "pc-02"]
        agent_targets.note_closed(session, both)
        agent_targets.end_sessions(session, started.session_ids, SessionStatus.STOPPED)
        assert agent_targets.targets_of_sessions(session, started.session_ids) == {}
        assert agent_targets.machines_served(session, both) == []
    [row] = all_targets(database)
    assert (row.machine, row.status, row.kept) == ("pc-02", TargetStatus.CLOSED, True)
    with database.agent.begin() as session:
        agent_targets.forget_targets(session, [row.id])
    assert all_targets(database) == []
