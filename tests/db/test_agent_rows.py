# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of one storage host writes nothing that is another host's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from real_database import HOST, RealDatabase
from steps import add_image, add_machines, make_targets, start_sessions

from ggnet_console.db import bootstrap
from ggnet_console.db.cluster import SUPERUSER, agent_role
from ggnet_console.enums import Role

pytestmark = pytest.mark.furnished

FAR = f"far{secrets.token_hex(4)}"


@pytest.fixture
def far(database: RealDatabase) -> Iterator[psycopg.Connection]:
    """The agent of the storage host ``FAR``, beside a machine that runs from ``HOST``."""
    operator = database.sign_in(Role.OPERATOR)
    start_sessions(operator, add_image(database, operator=operator), *add_machines(operator, "pc"))
    make_targets(database)
    password = secrets.token_hex(8)
    role = sql.Identifier(agent_role(FAR))
    with psycopg.connect(
        database.server.dsn(SUPERUSER, database.name), autocommit=True
    ) as superuser:
        bootstrap.admit_agent(superuser, database.installation, FAR)
        superuser.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
        try:
            dsn = database.server.dsn(agent_role(FAR), database.name)
            with psycopg.connect(make_conninfo(dsn, password=password), autocommit=True) as agent:
                agent.execute("SELECT host_report(%s, '10.0.0.2:3260', 'tgt', '', '')", [FAR])
                yield agent
        finally:
            superuser.execute(sql.SQL("DROP ROLE {}").format(role))


WRITES = (
    "UPDATE jobs SET status = 'CANCELLED'",
    "UPDATE images SET status = 'ERROR'",
    "UPDATE image_versions SET verified_at = now()",
    "UPDATE targets SET status = 'ERROR'",
    "UPDATE boot_sessions SET status = 'STOPPED'",
    "UPDATE machines SET online = NOT online",
    "UPDATE procrastinate.procrastinate_jobs SET status = 'cancelled'",
    "DELETE FROM targets",
    "DELETE FROM images",
)


@pytest.mark.parametrize("statement", WRITES)
def test_an_agent_does_not_write_another_host_s_rows(
    database: RealDatabase, far: psycopg.Connection, statement: str
) -> None:
    assert far.execute(statement).rowcount == 0
    # The host's own agent does: a foreign key may object, but no policy.
    with database.agent.engine.connect() as own, own.begin() as transaction:
        raw = own.connection.driver_connection
        assert raw is not None
        try:
            assert raw.execute(statement).rowcount > 0
        except psycopg.errors.ForeignKeyViolation:
            assert statement == "DELETE FROM images"
        transaction.rollback()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "INSERT INTO image_versions (image_id, number, sha256, virtual_size_bytes, "
            "actual_size_bytes) SELECT id, 2, 'x', 1, 1 FROM images",
            "row-level security",
        ),
        (
            "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name) "
            f"VALUES ('{HOST}', 'ggnet.run')",
            "permission denied",
        ),
        ("DELETE FROM procrastinate.procrastinate_jobs", "permission denied"),
    ],
)
def test_an_agent_adds_nothing_to_another_host(
    far: psycopg.Connection, statement: str, why: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=why):
        far.execute(statement)


def test_an_agent_reads_what_concerns_all_hosts_but_not_the_other_s_queue(
    far: psycopg.Connection,
) -> None:
    for table in ("jobs", "images", "image_versions", "targets", "boot_sessions", "machines"):
        counted = far.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert counted is not None
        assert counted[0] > 0, table
    assert far.execute("SELECT count(*) FROM procrastinate.procrastinate_jobs").fetchone() == (0,)


def test_a_machine_is_its_host_s_that_it_was_started_from_last(
    database: RealDatabase, far: psycopg.Connection
) -> None:
    """Both hosts may have served it; the older one's late report must not count."""
    database.rows(
        "INSERT INTO boot_sessions (host_id, machine_id, image_name, type, status, target_iqn, "
        "initiator_iqn, lun) SELECT h.id, s.machine_id, 'x', 'TESTING', 'STOPPED', 'x', 'y', 1 "
        "FROM boot_sessions s, hosts h WHERE h.name = %s",
        FAR,
    )
    assert far.execute("UPDATE machines SET online = true").rowcount == 1
    with database.agent.begin() as session:
        done = session.connection().exec_driver_sql("UPDATE machines SET online = false")
        assert done.rowcount == 0


def test_every_table_that_agents_write_has_row_rules(database: RealDatabase) -> None:
    """A new one without them would be every agent's."""
    written = database.rows(
        "SELECT c.relname::text, c.relrowsecurity FROM pg_class c "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "AND (has_any_column_privilege(%(agents)s, c.oid, 'INSERT') "
        "  OR has_any_column_privilege(%(agents)s, c.oid, 'UPDATE') "
        "  OR has_table_privilege(%(agents)s, c.oid, 'DELETE'))".replace(
            "%(agents)s", f"'{database.group('agents')}'"
        )
    )
    assert {name for name, _ in written} >= {"jobs", "images", "targets", "boot_sessions"}
    assert [name for name, rules in written if not rules] == []
