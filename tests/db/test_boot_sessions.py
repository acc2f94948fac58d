# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sessions: started for one or many machines, stopped, listed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from real_database import HOST, RealDatabase
from steps import (
    PORTAL,
    add_image,
    add_machines,
    begin_upload,
    make_targets,
    set_status,
    start_sessions,
)

from ggnet_console.db.engine import Database
from ggnet_console.enums import (
    JobKind,
    JobStatus,
    MachineStatus,
    Role,
    SessionStatus,
    SessionType,
    TargetStatus,
)
from ggnet_console.errors import ConsoleError, NotFoundError
from ggnet_console.services import agent_jobs, agent_targets, boot_sessions, jobs, machines, targets
from ggnet_console.services.boot_sessions import BootSessionTotal
from ggnet_console.values import initiator_iqn, target_iqn

pytestmark = pytest.mark.furnished


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def image(database: RealDatabase, operator: Database) -> int:
    return add_image(database, "win11", operator)


def test_starting_makes_a_pending_session_a_wanted_target_and_a_job(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    started = start_sessions(operator, image, machine)
    with operator.begin() as session:
        [row] = boot_sessions.list_boot_sessions(session, started.session_ids)
        [target] = targets.list_targets(session)
        job = jobs.get_job(session, started.job_id)
        mac = machines.get_machine(session, "pc-01").mac
    assert (row.machine, row.image, row.host, row.started_by) == (
        "pc-01",
        "win11",
        HOST,
        "operator",
    )
    assert (row.status, row.type, row.open) == (
        SessionStatus.PENDING,
        SessionType.DISKLESS_BOOT,
        True,
    )
    assert (row.target_iqn, row.initiator_iqn) == (target_iqn(mac), initiator_iqn(mac))
    assert (target.iqn, target.initiator_iqn) == (row.target_iqn, row.initiator_iqn)
    assert (target.status, target.image, target.lun, row.lun) == (
        TargetStatus.WANTED,
        "win11",
        1,
        1,
    )
    assert target.read_only
    assert (row.expires_at, row.client_address, row.bytes_read) == (None, None, 0)
    assert (job.kind, job.status, job.object_name) == (
        JobKind.TARGET_APPLY,
        JobStatus.QUEUED,
        "pc-01",
    )


def test_many_machines_start_together_with_one_job_and_serials_of_their_own(
    operator: Database, image: int
) -> None:
    ids = add_machines(operator, "a", "b", "c")
    started = start_sessions(operator, image, *ids)
    with operator.begin() as session:
        assert jobs.get_job(session, started.job_id).object_name == "3 machines"
        rows = targets.list_targets(session)
    assert len(started.session_ids) == len({row.serial for row in rows}) == 3


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (MachineStatus.MAINTENANCE, "b is in maintenance; set it to active"),
        (MachineStatus.RETIRED, "b is retired; set it to active"),
    ],
)
def test_a_machine_out_of_service_keeps_all_from_starting(
    operator: Database, image: int, status: MachineStatus, sentence: str
) -> None:
    ids = add_machines(operator, "a", "b", "c")
    with operator.begin() as session:
        set_status(session, [ids[1]], status)
    with pytest.raises(ConsoleError, match=sentence):
        start_sessions(operator, image, *ids)
    with operator.begin() as session:
        assert boot_sessions.list_boot_sessions(session) == []
        assert targets.list_targets(session) == []


def test_a_machine_with_a_session_keeps_all_from_starting(operator: Database, image: int) -> None:
    ids = add_machines(operator, "a", "b")
    start_sessions(operator, image, ids[1])
    with pytest.raises(ConsoleError, match="b already has a session; stop it first"):
        start_sessions(operator, image, *ids)
    with operator.begin() as session:
        assert len(boot_sessions.list_boot_sessions(session)) == 1


def test_a_machine_that_was_removed_keeps_all_from_starting(operator: Database, image: int) -> None:
    [machine] = add_machines(operator, "a")
    with pytest.raises(NotFoundError, match="nothing was started"):
        start_sessions(operator, image, machine, machine + 1000)
    with pytest.raises(NotFoundError, match="nothing was started"):
        start_sessions(operator, image)
    with operator.begin() as session:
        assert boot_sessions.list_boot_sessions(session) == []


def test_a_machine_named_twice_gets_one_session(operator: Database, image: int) -> None:
    [machine] = add_machines(operator, "a")
    assert len(start_sessions(operator, image, machine, machine).session_ids) == 1


def test_of_two_starts_at_the_same_moment_exactly_one_wins(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ids = add_machines(operator, *(f"pc-{n}" for n in range(8)))
    other = database.sign_in(Role.ADMIN)

    def start(who: Database, order: list[int]) -> str:
        try:
            start_sessions(who, image, *order)
        except ConsoleError as error:
            return error.summary
        return "won"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(start, [operator, other] * 2, [ids, ids[::-1]] * 2))
    assert answers.count("won") == 1
    assert all("already has a session" in answer for answer in answers if answer != "won")
    with operator.begin() as session:
        assert len(boot_sessions.list_boot_sessions(session)) == 8


def test_an_image_that_is_not_ready_is_not_given(operator: Database) -> None:
    [machine] = add_machines(operator, "a")
    upload = begin_upload(operator, "new")
    with pytest.raises(ConsoleError, match="“new” is not ready to be served"):
        start_sessions(operator, upload.image_id, machine)
    with pytest.raises(NotFoundError, match="image no longer exists"):
        start_sessions(operator, upload.image_id + 1000, machine)


def test_stopping_asks_the_host_and_the_machine_stays_until_it_is_refused(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    started = start_sessions(operator, image, machine)
    make_targets(database)
    with operator.begin() as session:
        job_id = boot_sessions.stop_boot_sessions(session, started.session_ids)
        assert job_id is not None
        job = jobs.get_job(session, job_id)
        [row] = boot_sessions.list_boot_sessions(session)
    assert (job.kind, job.object_name) == (JobKind.TARGET_REMOVE, "pc-01")
    assert (row.status, row.stop_requested) == (SessionStatus.PENDING, True)
    with pytest.raises(ConsoleError, match="already has a session"):
        start_sessions(operator, image, machine)
    with database.agent.begin() as session:
        [one] = agent_targets.list_wanted(session, database.host_id)
        assert one.session_id is None


def test_stopping_what_has_ended_does_nothing(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    started = start_sessions(operator, image, machine)
    database.rows("UPDATE boot_sessions SET status = 'TIMEOUT', ended_at = clock_timestamp()")
    with operator.begin() as session:
        assert boot_sessions.stop_boot_sessions(session, started.session_ids) is None
        assert boot_sessions.stop_boot_sessions(session, []) is None
        [row] = boot_sessions.list_boot_sessions(session)
    assert (row.status, row.stop_requested, row.open) == (SessionStatus.TIMEOUT, False, False)


def test_after_an_ended_session_the_machine_starts_again(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    first = start_sessions(operator, image, machine)
    database.rows("UPDATE boot_sessions SET status = 'STOPPED', ended_at = clock_timestamp()")
    second = start_sessions(operator, add_image(database, "linux", operator), machine)
    with operator.begin() as session:
        assert boot_sessions.get_boot_session(session, "PC-01").id == second.session_ids[0]
        assert boot_sessions.get_boot_session(session, "pc-01").image == "linux"
        old = boot_sessions.get_boot_session(session, str(first.session_ids[0]))
        assert old.image == "win11"
        [target] = targets.list_targets(session)
    assert target.image == "linux"


def test_sessions_are_listed_newest_first_in_pages(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ids = add_machines(operator, "a", "b", "c")
    sessions = start_sessions(operator, image, *ids).session_ids
    database.rows("UPDATE boot_sessions SET status = 'STOPPED' WHERE id = %s", sessions[0])

    def listed(**query) -> list[int]:
        with operator.begin() as session:
            return [row.id for row in boot_sessions.list_boot_sessions(session, **query)]

    assert listed() == sessions[::-1]
    assert listed(limit=2) == [sessions[2], sessions[1]]
    assert listed(before_id=sessions[1]) == [sessions[0]]
    assert listed(open_only=True) == [sessions[2], sessions[1]]
    assert listed(machine_id=ids[0]) == [sessions[0]]
    assert listed(ids=[sessions[1], 9999]) == [sessions[1]]


@pytest.mark.parametrize("name", ["nobody", "999999", "9" * 40, "²", ""])
def test_a_session_that_is_not_there_is_not_found(operator: Database, name: str) -> None:
    with pytest.raises(NotFoundError), operator.begin() as session:
        boot_sessions.get_boot_session(session, name)


def test_totals_count_the_sessions_of_every_status(
    database: RealDatabase, operator: Database, image: int
) -> None:
    started = start_sessions(operator, image, *add_machines(operator, "a", "b", "c"))
    database.rows(
        "UPDATE boot_sessions SET bytes_read = 5 * id, bytes_written = 3 WHERE id = ANY (%s)",
        started.session_ids,
    )
    with database.agent.begin() as session:
        agent_targets.end_sessions(session, started.session_ids[:1], SessionStatus.TIMEOUT)
    with operator.begin() as session:
        totals = {each.status: each for each in boot_sessions.boot_session_totals(session)}
    timed_out, *waiting = started.session_ids
    assert list(totals) == list(SessionStatus)
    assert totals[SessionStatus.PENDING] == BootSessionTotal(
        SessionStatus.PENDING, sessions=2, bytes_read=5 * sum(waiting), bytes_written=6
    )
    assert totals[SessionStatus.TIMEOUT] == BootSessionTotal(
        SessionStatus.TIMEOUT, sessions=1, bytes_read=5 * timed_out, bytes_written=3
    )
    assert totals[SessionStatus.ACTIVE] == BootSessionTotal(
        SessionStatus.ACTIVE, sessions=0, bytes_read=0, bytes_written=0
    )


def test_a_session_waits_as_long_as_the_setting_says_from_when_its_target_is_ready(
    database: RealDatabase, operator: Database, image: int
) -> None:
    [machine] = add_machines(operator, "pc-01")
    database.rows("UPDATE settings SET value = 90 WHERE name = 'session_timeout_s'")
    start_sessions(operator, image, machine)
    make_targets(database)
    with operator.begin() as session:
        [row] = boot_sessions.list_boot_sessions(session)
    assert row.ready_at is not None
    assert row.expires_at is not None
    assert round((row.expires_at - row.ready_at).total_seconds()) == 90
    assert (row.portal, row.status) == (PORTAL, SessionStatus.PENDING)


def ended_sessions(
    database: RealDatabase, operator: Database, image: int, *names: str
) -> list[int]:
    """Sessions of machines with these names that their storage host could not serve; their ids."""
    ids = start_sessions(operator, image, *add_machines(operator, *names)).session_ids
    with database.agent.begin() as session:
        for wanted in agent_targets.list_wanted(session, database.host_id):
            agent_targets.note_not_made(session, wanted, "The file is missing.")
    return ids


def test_starting_again_gives_each_machine_its_own_last_image(
    database: RealDatabase, operator: Database, image: int
) -> None:
    other = add_image(database, "ubuntu", operator)
    ended = [
        *ended_sessions(database, operator, image, "pc-01", "pc-03"),
        *ended_sessions(database, operator, other, "pc-02"),
    ]
    with operator.begin() as session:
        again = boot_sessions.start_boot_sessions_again(session, ended)
        rows = boot_sessions.list_boot_sessions(session, again.session_ids)
    assert {(row.machine, row.image, row.status) for row in rows} == {
        ("pc-01", "win11", SessionStatus.PENDING),
        ("pc-02", "ubuntu", SessionStatus.PENDING),
        ("pc-03", "win11", SessionStatus.PENDING),
    }
    assert again.left == ()


def test_starting_again_leaves_the_machine_whose_image_is_gone_and_names_it(
    database: RealDatabase, operator: Database, image: int
) -> None:
    other = add_image(database, "ubuntu", operator)
    ended = [
        *ended_sessions(database, operator, image, "pc-01"),
        *ended_sessions(database, operator, other, "pc-02"),
    ]
    with database.agent.begin() as session:
        agent_jobs.note_damaged(session, other, "It is not what was sealed.")
    with operator.begin() as session:
        again = boot_sessions.start_boot_sessions_again(session, ended)
        [row] = boot_sessions.list_boot_sessions(session, again.session_ids)
    assert row.machine == "pc-01"
    assert again.left == ("pc-02: its image “ubuntu” is not ready.",)
    with pytest.raises(ConsoleError) as refused, operator.begin() as session:
        boot_sessions.start_boot_sessions_again(session, ended[1:])
    assert refused.value.summary == (
        "Nothing was started again. pc-02: its image “ubuntu” is not ready."
    )


def test_starting_again_starts_all_or_none(
    database: RealDatabase, operator: Database, image: int
) -> None:
    ended = ended_sessions(database, operator, image, "pc-01", "pc-02")
    with operator.begin() as session:
        first = machines.get_machine(session, "pc-01")
        start = boot_sessions.start_boot_sessions
        start(session, [first.id], image, SessionType.TESTING)
    with pytest.raises(ConsoleError) as refused, operator.begin() as session:
        boot_sessions.start_boot_sessions_again(session, ended)
    assert refused.value.summary == "pc-01 already has a session; stop it first."
    with operator.begin() as session:
        assert machines.get_machine(session, "pc-02").session_status is SessionStatus.ERROR
