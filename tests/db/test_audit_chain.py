# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail as a chain: what tampering it shows, and what leaves it whole."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import psycopg
import pytest
from real_database import RealDatabase
from steps import add_machines, mac, set_status

from ggnet_console.db.engine import Database
from ggnet_console.enums import MachineStatus, Role, Severity
from ggnet_console.errors import RefusedError
from ggnet_console.services import audit
from ggnet_console.services.audit import AuditFilter, AuditHead


@pytest.fixture
def admin(database: RealDatabase) -> Database:
    """Signed in as the admin, over a trail of five links."""
    operator = database.sign_in(Role.OPERATOR)
    ids = add_machines(operator, "pc-01", "pc-02", "pc-03")
    for status in (MachineStatus.MAINTENANCE, MachineStatus.RETIRED, MachineStatus.ACTIVE):
        with operator.begin() as session:
            set_status(session, ids, status)
    return database.sign_in(Role.ADMIN)


def problems(admin: Database, head: AuditHead | None = None) -> set[str]:
    """What verifying finds."""
    with admin.begin() as session:
        return {each.problem for each in audit.verify_audit(session, head)}


def head_of(admin: Database) -> AuditHead:
    """The newest link."""
    with admin.begin() as session:
        return audit.audit_head(session)


CHANGED = "Entries of this link were changed, removed or added."
MIDDLE = "(SELECT id FROM audit WHERE noun = 'machine' ORDER BY id OFFSET 4 LIMIT 1)"


def test_a_trail_nobody_touched_is_whole(database: RealDatabase, admin: Database) -> None:
    assert problems(admin) == set()
    assert problems(admin, head_of(admin)) == set()
    links, entries = database.rows(
        "SELECT count(*), sum(entries) FROM audit_links WHERE tx IS NULL"
    )[0]
    assert entries == database.value("SELECT count(*) FROM audit") > links > 3


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (f"UPDATE audit SET user_name = 'somebody else' WHERE id = {MIDDLE}", CHANGED),
        (
            f"UPDATE audit SET changes = changes || '{{}}', at = at + interval '1 us' WHERE id = {MIDDLE}",
            CHANGED,
        ),
        (f"UPDATE audit SET client_address = '10.0.0.1' WHERE id = {MIDDLE}", CHANGED),
        (f"DELETE FROM audit WHERE id = {MIDDLE}", CHANGED),
        (
            "DELETE FROM audit WHERE link = (SELECT max(link) FROM audit)",
            CHANGED,
        ),
        (
            "INSERT INTO audit (user_name, verb, noun, changes, link) "
            f"SELECT 'x', 'x', 'x', '{{}}', link FROM audit WHERE id = {MIDDLE}",
            CHANGED,
        ),
        (
            "INSERT INTO audit (user_name, verb, noun, changes, link) VALUES ('x', 'x', 'x', '{}', -1)",
            "Entries were added outside of the chain.",
        ),
        (
            "UPDATE audit_links SET digest = sha256('x') WHERE number = 3",
            "This link does not follow from the one before.",
        ),
        ("DELETE FROM audit_links WHERE number = 3", "Links before this one are missing."),
        (
            "DELETE FROM audit_links WHERE number = (SELECT max(number) FROM audit_links)",
            "The newest links are missing.",
        ),
    ],
)
def test_tampering_is_found(
    database: RealDatabase, admin: Database, tampering: str, found: str
) -> None:
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(tampering)
    assert found in problems(admin)


def test_a_trail_made_anew_from_the_middle_does_not_follow_from_an_exported_head(
    database: RealDatabase, admin: Database
) -> None:
    kept = head_of(admin)
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit SET user_name = 'viewer' WHERE user_name = 'operator'")
        owner.execute(
            """DO $$ DECLARE l record; before bytea := ''; BEGIN
            FOR l IN SELECT * FROM audit_links ORDER BY number LOOP
                UPDATE audit_links SET digest = (SELECT digest FROM audit_digests(l.id)) WHERE id = l.id;
                UPDATE audit_links SET hash = audit_link_hash(before, number, entries, digest, at)
                WHERE id = l.id RETURNING hash INTO before;
            END LOOP;
            UPDATE audit_chain SET hash = before; END $$"""
        )
    assert problems(admin) == set()
    assert problems(admin, kept) == {"The trail does not follow from the exported head."}


def test_a_trail_that_was_cut_off_does_not_follow_from_an_exported_head(
    database: RealDatabase, admin: Database
) -> None:
    kept = head_of(admin)
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM audit; DELETE FROM audit_links")
        owner.execute("UPDATE audit_chain SET number = 0, hash = ''")
    assert problems(admin) == set()
    assert problems(admin, kept) == {"The trail does not follow from the exported head."}


def test_the_trail_goes_on_from_an_exported_head(database: RealDatabase, admin: Database) -> None:
    kept = head_of(admin)
    add_machines(admin, "pc-04")
    assert head_of(admin).number == kept.number + 1
    assert problems(admin, kept) == set()


@pytest.mark.parametrize("how", ["ALL IMMEDIATE", "close_link IMMEDIATE"])
def test_nobody_breaks_the_chain_by_closing_links_early(
    database: RealDatabase, admin: Database, how: str
) -> None:
    with psycopg.connect(database.dsn(database.log_in("operator"))) as operator:
        for statement in ("SELECT 1", f"SET CONSTRAINTS {how}"):
            operator.execute(statement)
            for _ in range(2):
                operator.execute(
                    "INSERT INTO machines (name, mac) VALUES (gen_random_uuid()::text, %s)", [mac()]
                )
        operator.execute("SET CONSTRAINTS ALL DEFERRED")
        operator.execute("UPDATE machines SET notes = 'x'")
    assert problems(admin) == set()


def test_a_rolled_back_savepoint_leaves_the_chain_whole(
    database: RealDatabase, admin: Database
) -> None:
    with psycopg.connect(database.dsn(database.log_in("operator"))) as operator:
        operator.execute("SAVEPOINT s")
        operator.execute("UPDATE machines SET notes = 'x'")
        operator.execute("ROLLBACK TO SAVEPOINT s")
        operator.execute("UPDATE machines SET notes = 'y' WHERE name = 'pc-01'")
        operator.execute("SAVEPOINT s")
        operator.execute("UPDATE machines SET notes = 'z'")
        operator.execute("ROLLBACK TO SAVEPOINT s")
    assert problems(admin) == set()


WRITERS = 6
EACH = 84


def write(dsn: str, number: int, begin: str, stop: threading.Event) -> int:
    """Transactions of two statements; odd writers take what all share first, even ones last.

    Their rows alone never make a circle; with a lock on the chain from the first statement on
    they do. Answers how many were committed until ``stop``.
    """
    shared = "UPDATE machines SET notes = gen_random_uuid()::text WHERE name = 'pc-01'"
    own = "INSERT INTO machines (name, mac) VALUES (gen_random_uuid()::text, '{}')"
    done = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        while done < EACH and not stop.is_set():
            order = (shared, own.format(mac()))
            with connection.transaction():
                connection.execute(begin)
                for statement in order if number % 2 else reversed(order):
                    connection.execute(statement)
            done += 1
    return done


def test_many_writers_at_once_neither_wait_for_each_other_nor_break_the_chain(
    database: RealDatabase, admin: Database
) -> None:
    dsns = [database.dsn(database.log_in("operator")) for _ in range(WRITERS)]
    before = head_of(admin).number
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [
            pool.submit(write, dsn, number, "SELECT 1", threading.Event())
            for number, dsn in enumerate(dsns)
        ]
        assert [each.result(120) for each in done] == [EACH] * WRITERS
    assert head_of(admin).number == before + WRITERS * EACH
    assert problems(admin) == set()


def test_the_same_writers_deadlock_when_links_are_closed_by_each_statement(
    database: RealDatabase, admin: Database
) -> None:
    """Or the test above would pass whatever the chain's lock was taken for."""
    dsns = [database.dsn(database.log_in("operator")) for _ in range(WRITERS)]
    stop = threading.Event()
    begin = "SET CONSTRAINTS ALL IMMEDIATE"
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, dsn, n, begin, stop) for n, dsn in enumerate(dsns)]
        ended, _running = wait(writers, timeout=120, return_when=FIRST_EXCEPTION)
        stop.set()
    assert any(isinstance(each.exception(), psycopg.errors.DeadlockDetected) for each in ended)
    assert problems(admin) == set()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_admins_read_verify_and_prune(database: RealDatabase, role: Role) -> None:
    mine = database.sign_in(role)
    now = database.value("SELECT clock_timestamp()")
    for call in (
        audit.list_audit,
        audit.verify_audit,
        audit.audit_head,
        lambda session: audit.prune_audit(session, now),
    ):
        with pytest.raises(RefusedError), mine.begin() as session:
            call(session)


def test_pages_follow_each_other_without_gap_or_overlap(admin: Database) -> None:
    with admin.begin() as session:
        everything = audit.list_audit(session)
        seen = audit.list_audit(session, limit=5)
        while page := audit.list_audit(session, before_id=seen[-1].id, limit=5):
            seen += page
        assert seen == everything == list(audit.all_audit(session))
    ids = [row.id for row in everything]
    assert ids == sorted(ids, reverse=True)


def test_entries_are_filtered_by_each_field(database: RealDatabase, admin: Database) -> None:
    add_machines(admin, "Räum_1 100%", "Raum-1 100x")
    now = database.value("SELECT clock_timestamp()")
    add_machines(admin, "later")
    with admin.begin() as session:

        def names(**wanted: object) -> list[str]:
            rows = audit.list_audit(session, AuditFilter(**wanted))
            return sorted({row.object_name for row in rows if row.noun == "machine"})

        assert names(user_name="operator") == ["pc-01", "pc-02", "pc-03"]
        assert names(noun="machine", since=now) == ["later"]
        assert "later" not in names(until=now)
        assert names(severity=Severity.WARNING) == []
        assert names(contains="räum_1") == ["Räum_1 100%"]
        assert names(contains="100%") == ["Räum_1 100%"]
        assert names(contains="MAINTENANCE") == ["pc-01", "pc-02", "pc-03"]
        assert names(contains="\\") == []
        [row] = audit.list_audit(session, AuditFilter(noun="machine", contains="later"))
        again = AuditFilter(noun="machine", object_id=row.object_id)
        assert audit.list_audit(session, again) == [row]
        assert (row.user_name, row.verb, row.severity) == ("admin", "insert", Severity.INFO)
