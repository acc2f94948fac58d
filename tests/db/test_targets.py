# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets made by hand: prepared, changed, found and removed."""

from __future__ import annotations

import pytest
from real_database import HOST, RealDatabase
from steps import add_image, add_machines, make_targets, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import JobKind, Role, TargetStatus
from ggnet_console.errors import ConsoleError, NotFoundError
from ggnet_console.services import boot_sessions, jobs, machines, targets
from ggnet_console.values import initiator_iqn, target_iqn

pytestmark = pytest.mark.furnished


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def image(database: RealDatabase, operator: Database) -> int:
    return add_image(database, "win11", operator)


@pytest.fixture
def machine(operator: Database) -> int:
    return add_machines(operator, "pc-01")[0]


def test_a_prepared_target_is_kept_and_closed_until_a_session_opens_it(
    database: RealDatabase, operator: Database, machine: int, image: int
) -> None:
    with operator.begin() as session:
        job = jobs.get_job(session, targets.create_target(session, machine, image))
        mac = machines.get_machine(session, "pc-01").mac
    make_targets(database)
    with operator.begin() as session:
        row = targets.get_target(session, "PC-01")
        assert targets.get_target(session, row.iqn) == row
        assert boot_sessions.list_boot_sessions(session) == []
    assert (job.kind, job.object_name) == (JobKind.TARGET_APPLY, "pc-01")
    assert (row.iqn, row.initiator_iqn) == (target_iqn(mac), initiator_iqn(mac))
    assert (row.status, row.kept, row.image, row.host) == (
        TargetStatus.CLOSED,
        True,
        "win11",
        HOST,
    )
    start_sessions(operator, image, machine)
    make_targets(database)
    with operator.begin() as session:
        [row] = targets.list_targets(session)
    assert (row.status, row.kept) == (TargetStatus.OPEN, True)


def test_a_target_is_given_another_image_and_another_serial(
    database: RealDatabase, operator: Database, machine: int, image: int
) -> None:
    other = add_image(database, "linux", operator)
    serials = []
    for wanted in (image, other, other, image):
        with operator.begin() as session:
            targets.create_target(session, machine, wanted)
            [row] = targets.list_targets(session)
        serials.append(row.serial)
    assert row.image == "win11"
    assert serials[0] == serials[3]
    assert serials[1] == serials[2] != serials[0]


def test_a_target_in_use_is_neither_changed_nor_removed(
    database: RealDatabase, operator: Database, machine: int, image: int
) -> None:
    start_sessions(operator, image, machine)
    with operator.begin() as session:
        [row] = targets.list_targets(session)
    with pytest.raises(ConsoleError, match="stop it before changing"), operator.begin() as session:
        targets.create_target(session, machine, image)
    with pytest.raises(ConsoleError, match="stop it before removing"), operator.begin() as session:
        targets.remove_target(session, row.id)


def test_removing_a_target_is_a_job(operator: Database, machine: int, image: int) -> None:
    with operator.begin() as session:
        targets.create_target(session, machine, image)
        [row] = targets.list_targets(session)
        job = jobs.get_job(session, targets.remove_target(session, row.id))
    assert (job.kind, job.object_name, job.machine_id) == (
        JobKind.TARGET_REMOVE,
        "pc-01",
        machine,
    )


def test_what_is_not_there_is_not_found(operator: Database, machine: int, image: int) -> None:
    with pytest.raises(NotFoundError, match="no target “x”"), operator.begin() as session:
        targets.get_target(session, "x")
    with pytest.raises(NotFoundError, match="target no longer"), operator.begin() as session:
        targets.remove_target(session, 4711)
    with pytest.raises(NotFoundError, match="machine no longer"), operator.begin() as session:
        targets.create_target(session, machine + 1000, image)
    with pytest.raises(NotFoundError, match="image no longer"), operator.begin() as session:
        targets.create_target(session, machine, image + 1000)


def test_no_lun_is_ever_writable(
    database: RealDatabase, operator: Database, machine: int, image: int
) -> None:
    with operator.begin() as session:
        targets.create_target(session, machine, image)
    with pytest.raises(Exception, match="ck_luns_read_only"):
        database.rows("UPDATE luns SET read_only = false")


def test_an_image_on_another_host_needs_the_old_target_removed_first(
    database: RealDatabase, operator: Database, machine: int, image: int
) -> None:
    with operator.begin() as session:
        targets.create_target(session, machine, image)
    other = add_image(database, "linux", operator)
    database.rows(
        "WITH h AS (INSERT INTO hosts (name, agent_role) VALUES ('far', 'far') RETURNING id) "
        "UPDATE images SET host_id = h.id FROM h WHERE images.id = %s",
        other,
    )
    with pytest.raises(ConsoleError, match="another storage host"), operator.begin() as session:
        targets.create_target(session, machine, other)
