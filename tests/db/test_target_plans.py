# SPDX-License-Identifier: GPL-3.0-or-later
"""CHAP secrets that nobody reads, reports that only their agent writes, and who may ask for what."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from real_database import HOST, RealDatabase
from steps import add_image, add_machines, make_targets, start_sessions

from ggnet_console.db.engine import Database
from ggnet_console.enums import BackendChoice, Drift, FoundIn, PlanAction, Role, TargetOrigin
from ggnet_console.errors import ConsoleError, NotFoundError, RefusedError
from ggnet_console.services import (
    agent_jobs,
    agent_targets,
    hosts,
    jobs,
    machines,
    target_plans,
    target_reports,
    targets,
)
from ggnet_console.services.target_reports import FieldDrift, LunRate, Report, SeenInitiator
from ggnet_console.services.targets import ChapMade
from ggnet_console.tools.target_backend import Chap, RunningLun, RunningTarget

pytestmark = pytest.mark.furnished

FOREIGN = "iqn.2020-01.org.example:by-hand"


@pytest.fixture
def operator(database: RealDatabase) -> Database:
    return database.sign_in(Role.OPERATOR)


@pytest.fixture
def target(database: RealDatabase, operator: Database) -> targets.TargetRow:
    """The target of pc-01, prepared."""
    [machine] = add_machines(operator, "pc-01")
    with operator.begin() as session:
        targets.create_target(session, machine, add_image(database, "win11", operator))
    make_targets(database)
    with operator.begin() as session:
        return targets.get_target(session, "pc-01")


def chap_on(operator: Database, target_id: int) -> ChapMade:
    with operator.begin() as session:
        return targets.turn_chap_on(session, target_id)


def report(database: RealDatabase, *changed: Report, gone: tuple[str, ...] = ()) -> None:
    with database.agent.begin() as session:
        target_reports.write_reports(session, database.host_id, changed, gone)


def foreign(**fields: object) -> Report:
    return Report(FOREIGN, None, Drift.EXTRA, True, **fields)  # type: ignore[arg-type]


def take_up(database: RealDatabase, job_id: int) -> None:
    with database.agent.begin() as session:
        agent_jobs.take_up(session, job_id)


def adopt(database: RealDatabase, iqn: str = FOREIGN, secret: str = "s") -> int:
    disk = RunningLun(0, Path("/srv/x.raw"), False, "by-hand-1", True, "fileio/x")
    found = RunningTarget(iqn, (disk,), frozenset({"iqn.a.b:c"}), 0, Chap("u", secret))
    with database.agent.begin() as session:
        return agent_targets.adopt(session, database.host_id, found, {0: 512})


def test_a_secret_is_told_once_and_then_to_the_agent_alone(
    database: RealDatabase, operator: Database, target: targets.TargetRow
) -> None:
    first = chap_on(operator, target.id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", first.secret)
    assert re.fullmatch(r"gg[0-9a-f]{8}", first.user)
    second = chap_on(operator, target.id)
    assert first.secret != second.secret
    assert first.user != second.user
    with database.agent.begin() as session:
        [wanted] = agent_targets.list_wanted(session, database.host_id)
    assert wanted.chap == Chap(second.user, second.secret)
    assert second.secret not in repr((wanted, second))
    with operator.begin() as session:
        row = targets.get_target(session, "pc-01")
        assert (row.chap_user, row.kept) == (second.user, True)
        assert jobs.get_job(session, second.job_id).object_name == "pc-01"
        targets.turn_chap_off(session, target.id)
    with database.agent.begin() as session:
        [wanted] = agent_targets.list_wanted(session, database.host_id)
    assert wanted.chap is None
    assert database.rows("SELECT * FROM target_secrets") == []


def test_a_secret_is_in_no_row_that_anybody_reads(
    database: RealDatabase, operator: Database, target: targets.TargetRow
) -> None:
    made = chap_on(operator, target.id)
    tables = [
        name
        for (name,) in database.rows(
            "SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm') "
            "AND nspname IN ('public', 'procrastinate') AND relname <> 'target_secrets'"
        )
    ]
    assert len(tables) > 15
    for table in [*tables, "pg_stat_activity"]:
        found = f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%%' || %s || '%%'"
        # The one query that looks for it holds it.
        assert database.value(found, made.secret) <= (table == "pg_stat_activity"), table
    assert database.value("SELECT secret FROM target_secrets") == made.secret
    with database.owner.begin() as session:
        chap_user = (
            session.connection()
            .exec_driver_sql(
                "SELECT changes -> 'chap_user' FROM audit WHERE noun = 'target' AND verb = 'update' "
                "ORDER BY id DESC LIMIT 1"
            )
            .scalar()
        )
    assert chap_user == ["", made.user]


def test_the_server_s_log_shows_no_parameter_of_an_agent(database: RealDatabase) -> None:
    with database.agent.begin() as session:
        setting = session.connection().exec_driver_sql("SHOW log_parameter_max_length").scalar()
    assert setting == "0"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM target_secrets",
        "SELECT secret FROM target_secrets",
        "SELECT count(*) FROM target_secrets",
        "COPY target_secrets TO STDOUT",
        "SELECT * FROM host_secrets()",
        "UPDATE target_secrets SET secret = 'x'",
        "INSERT INTO target_secrets VALUES (1, 'x')",
        "SELECT t FROM target_secrets AS t",
        "CREATE TEMP VIEW v AS SELECT * FROM target_secrets",
        "UPDATE targets SET chap_user = ''",
        "UPDATE target_reports SET drift = 'IN_STEP'",
        "INSERT INTO target_reports (id, host_id, iqn, drift, is_foreign) VALUES (-9, 1, 'x', 'EXTRA', true)",
        "DELETE FROM target_reports",
        "UPDATE hosts SET backend_choice = 'TGT'",
        "SELECT host_compared(1, '', 0)",
        "SELECT target_adopted(1, 'iqn.a.b:c', '{}', '[]', '', '')",
        "SELECT host_job('undo', 1, '{}')",
        "SELECT target_job('test', t, '{}') FROM targets t",
        "SELECT the_target(1)",
    ],
)
def test_nobody_who_is_signed_in_gets_at_secrets_or_reports(
    database: RealDatabase, operator: Database, target: targets.TargetRow, role: Role, attack: str
) -> None:
    chap_on(operator, target.id)
    with (
        psycopg.connect(database.dsn(database.log_in(role.lower()))) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(attack)


def test_a_viewer_asks_for_no_change(database: RealDatabase, target: targets.TargetRow) -> None:
    viewer = database.sign_in(Role.VIEWER)
    host = database.host_id
    for ask in (
        lambda session: targets.turn_chap_on(session, target.id),
        lambda session: targets.turn_chap_off(session, target.id),
        lambda session: target_plans.apply_targets(session, host),
        lambda session: target_plans.repair_targets(session, host),
        lambda session: target_plans.undo_targets(session, host),
        lambda session: target_plans.test_login(session, target.id),
    ):
        with pytest.raises(RefusedError), viewer.begin() as session:
            ask(session)
    with viewer.begin() as session:
        job_id = target_plans.compare_targets(session, host)
    with viewer.begin() as session:
        assert jobs.get_job(session, job_id).object_name == HOST


def test_an_agent_reads_the_secrets_of_its_own_targets_only(
    database: RealDatabase, operator: Database, target: targets.TargetRow
) -> None:
    chap_on(operator, target.id)
    report(database, Report(target.iqn, target.id, Drift.IN_STEP, False))
    database.rows("UPDATE hosts SET agent_role = 'ggnet_agent_other'")
    with database.agent.begin() as session:
        [wanted] = agent_targets.list_wanted(session, database.host_id)
        assert wanted.chap is None
    with pytest.raises(RefusedError):
        report(database, foreign())
    with database.agent.begin() as session:
        hosts.note_compared(session, database.host_id, "lie", 7)
        session.connection().exec_driver_sql("DELETE FROM target_reports")
    assert database.rows("SELECT saved_problem, undoable FROM hosts") == [("", 0)]
    assert database.value("SELECT count(*) FROM target_reports") == 1


def test_a_report_is_shown_with_its_target_and_its_machines_by_name(
    database: RealDatabase, operator: Database, target: targets.TargetRow
) -> None:
    drift = FieldDrift("LUN 1 serial", "a", "b", FoundIn.RUNNING)
    report(
        database,
        Report(
            target.iqn,
            target.id,
            Drift.DIFFERENT,
            False,
            differences=(drift,),
            sessions=2,
            connections=(
                SeenInitiator(target.initiator_iqn, "10.0.0.7"),
                SeenInitiator("iqn.a.b:c", "::1"),
            ),
            cut_off=(target.initiator_iqn,),
            rates=(LunRate(1, 100, 20, 3),),
            portals=("127.0.0.1:3260",),
            tree="o- x",
        ),
        foreign(unsupported="is odd"),
    )
    with operator.begin() as session:
        mine, other = targets.list_targets(session)
        [plan] = target_plans.read_plans(session)
    assert (mine.id, mine.drift, mine.differences) == (target.id, Drift.DIFFERENT, (drift,))
    assert [one.machine for one in mine.logged_in] == ["pc-01", ""]
    assert (mine.cut_off, mine.bytes_per_s, mine.tree) == (("pc-01",), 120, "o- x")
    assert (other.wanted, other.origin, other.unsupported) == (
        False,
        TargetOrigin.FOREIGN,
        "is odd",
    )
    assert other.id < 0
    assert [(e.action, e.adoptable) for e in plan.entries] == [
        (PlanAction.CHANGE, False),
        (PlanAction.LEAVE, False),
    ]
    assert plan.entries[0].cut_off == ("pc-01",)
    with operator.begin() as session:
        assert targets.list_targets(session, [other.id]) == [other]
        assert targets.get_target(session, FOREIGN) == other
    report(database, gone=(FOREIGN,))
    with operator.begin() as session:
        assert [row.id for row in targets.list_targets(session)] == [target.id]


def test_a_report_of_a_target_that_was_just_released_is_left_out(database: RealDatabase) -> None:
    report(database, Report(FOREIGN, 99, Drift.IN_STEP, False))
    assert database.value("SELECT count(*) FROM target_reports") == 0


def test_only_an_admin_adopts_and_only_what_was_asked_for(database: RealDatabase) -> None:
    admin, operator = database.sign_in(Role.ADMIN), database.sign_in(Role.OPERATOR)
    report(database, foreign())
    with pytest.raises(ConsoleError, match="No admin asked"):
        adopt(database)
    with pytest.raises(RefusedError), operator.begin() as session:
        target_plans.adopt_target(session, database.host_id, FOREIGN)
    with admin.begin() as session:
        job_id = target_plans.adopt_target(session, database.host_id, FOREIGN)
    take_up(database, job_id)
    with pytest.raises(ConsoleError, match="No admin asked"):
        adopt(database, "iqn.2020-01.org.example:another")
    database.rows("UPDATE jobs SET status = 'FAILED' WHERE id = %s", job_id)
    with pytest.raises(ConsoleError, match="ask for it anew"), operator.begin() as session:
        jobs.retry_job(session, job_id)
    with pytest.raises(ConsoleError, match="No admin asked"):
        adopt(database)
    database.rows("UPDATE jobs SET status = 'RUNNING' WHERE id = %s", job_id)
    target_id = adopt(database)
    with operator.begin() as session:
        [row] = targets.list_targets(session)
    assert (row.id, row.origin, row.initiator_iqn) == (target_id, TargetOrigin.ADOPTED, "iqn.a.b:c")
    assert (row.luns[0].lun, row.luns[0].path, row.chap_user) == (0, "/srv/x.raw", "u")
    with database.agent.begin() as session:
        [wanted] = agent_targets.list_wanted(session, database.host_id)
    assert wanted.is_open
    assert wanted.chap == Chap("u", "s")
    for refused in (
        lambda session: targets.remove_target(session, target_id),
        lambda session: targets.turn_chap_on(session, target_id),
        lambda session: targets.turn_chap_off(session, target_id),
    ):
        with pytest.raises(ConsoleError, match="was adopted"), operator.begin() as session:
            refused(session)
    with pytest.raises(RefusedError), operator.begin() as session:
        target_plans.release_target(session, target_id)
    with admin.begin() as session:
        target_plans.release_target(session, target_id)
    assert database.rows("SELECT * FROM targets") == []
    assert database.rows("SELECT * FROM target_secrets") == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "There is no target"),
        (foreign(unsupported="it has two portal groups"), "it has two portal groups"),
        (Report(FOREIGN, None, Drift.EXTRA, False), "carries a name of ours"),
    ],
)
def test_what_cannot_be_adopted_is_refused_with_a_sentence(
    database: RealDatabase, found: Report | None, sentence: str
) -> None:
    if found is not None:
        report(database, found)
    with (
        pytest.raises(ConsoleError, match=sentence),
        database.sign_in(Role.ADMIN).begin() as session,
    ):
        target_plans.adopt_target(session, database.host_id, FOREIGN)


def test_machines_that_may_be_cut_off_are_named_by_name(
    database: RealDatabase, operator: Database, target: targets.TargetRow
) -> None:
    with operator.begin() as session:
        job_id = target_plans.apply_targets(
            session, database.host_id, [target.iqn], ["PC-01", "iqn.2020-01.org.example:x"]
        )
    assert database.value("SELECT params FROM jobs WHERE id = %s", job_id) == {
        "iqns": [target.iqn],
        "cut": [target.initiator_iqn, "iqn.2020-01.org.example:x"],
    }
    with pytest.raises(NotFoundError, match="no machine “pc-99”"), operator.begin() as session:
        target_plans.apply_targets(session, database.host_id, cut=["pc-99"])


def test_an_admin_chooses_the_backend_while_nobody_is_served(
    database: RealDatabase, operator: Database
) -> None:
    admin = database.sign_in(Role.ADMIN)
    with admin.begin() as session:
        hosts.choose_backend(session, database.host_id, BackendChoice.TGT)
        [row] = hosts.list_hosts(session)
    assert row.backend_choice is BackendChoice.TGT
    assert database.rows(
        "SELECT verb, object_name, changes FROM audit WHERE noun = 'host' AND user_name = 'admin'"
    ) == [("update", HOST, {"backend_choice": ["AUTO", "TGT"]})]
    with pytest.raises(RefusedError), operator.begin() as session:
        hosts.choose_backend(session, database.host_id, BackendChoice.LIO)
    report(database, foreign())
    with admin.begin() as session:
        adopting = target_plans.adopt_target(session, database.host_id, FOREIGN)
    take_up(database, adopting)
    adopted = adopt(database)
    with pytest.raises(ConsoleError, match=f"{HOST} serves {FOREIGN}"), admin.begin() as session:
        hosts.choose_backend(session, database.host_id, BackendChoice.LIO)
    with admin.begin() as session:
        target_plans.release_target(session, adopted)
    [machine] = add_machines(operator, "pc-01")
    start_sessions(operator, add_image(database, "win11", operator), machine)
    with pytest.raises(ConsoleError, match=f"{HOST} serves pc-01"), admin.begin() as session:
        hosts.choose_backend(session, database.host_id, BackendChoice.LIO)


@pytest.mark.parametrize(
    ("drift", "where", "told"),
    [
        (Drift.MISSING, FoundIn.RUNNING, Drift.MISSING),
        (Drift.DIFFERENT, FoundIn.RUNNING, Drift.DIFFERENT),
        (Drift.DIFFERENT, FoundIn.SAVED, None),
        (Drift.IN_STEP, FoundIn.RUNNING, None),
    ],
)
def test_a_machine_tells_of_its_open_target_that_does_not_run_as_wanted(
    database: RealDatabase,
    operator: Database,
    drift: Drift,
    where: FoundIn,
    told: Drift | None,
) -> None:
    start_sessions(
        operator, add_image(database, "win11", operator), *add_machines(operator, "pc-01")
    )
    make_targets(database)
    with operator.begin() as session:
        target = targets.get_target(session, "pc-01")
    differences = () if drift is Drift.IN_STEP else (FieldDrift("portals", "a", "b", where),)
    report(database, Report(target.iqn, target.id, drift, False, differences))
    with operator.begin() as session:
        assert machines.get_machine(session, "pc-01").drift is told
