# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-in, the cost of the audit trail, writers at once, and the trail at a million entries."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import psycopg

from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.engine import Database
from ggnet_console.enums import Role, Severity
from ggnet_console.services import audit, users
from ggnet_console.services.audit import AuditFilter

from .audit_page import next_page_on_screen
from .figures import Figure, percentile

ENTRIES = 1_000_000
SINGLE = 100_000
MACHINES = 1000
DEFAULT_COST = 11
WRITERS = 8
TRANSACTIONS = 10_000


def run() -> list[Figure]:
    """All on one private server with fsync, as installed; its disk is that of ``/tmp``."""
    import shutil
    import tempfile

    from real_database import HOST, Cluster, Server

    from ggnet_console.paths import Home

    root = Path(tempfile.mkdtemp(prefix="ggbench", dir="/tmp"))
    root.chmod(0o711)
    try:
        with (
            Cluster(Home(root), HOST) as cluster,
            Server.of_cluster(cluster).template() as template,
            template.clone() as clone,
        ):
            return [
                _sign_in(clone),
                _guess(clone),
                _bulk_update(clone),
                *_writers(clone),
                _single_edits(clone),
                *_trail(clone),
            ]
    finally:
        shutil.rmtree(root)


def _median_ms(action: Callable[[], object], rounds: int = 9) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _sign_in(clone) -> Figure:
    salt = bcrypt.gensalt(DEFAULT_COST, prefix=b"2a")
    hashed = bcrypt.hashpw(b"correct horse", salt).decode()
    clone.rows("UPDATE users SET password_hash = %s WHERE name = 'viewer'", hashed)
    # Or the first sign-in would give it the low cost that tests have.
    clone.rows("UPDATE settings SET value = %s WHERE name = 'bcrypt_cost'", DEFAULT_COST)

    def sign_in() -> None:
        database = Database(clone.dsn(clone.log_in("viewer")), program="bench", pool_size=1)
        with database.begin() as session:
            users.who_am_i(session)
        database.close()

    return Figure(
        "sign in with the default cost, and connect as the new role",
        _median_ms(sign_in),
        "ms",
        "300 ms",
        _median_ms(lambda: bcrypt.hashpw(b"correct horse", salt), 5),
        "bcrypt alone",
    )


def _guess(clone) -> Figure:
    """A wrong password with a name that does not exist, beside one with a name that does."""
    clone.rows(
        "UPDATE settings SET value = maximum WHERE name IN "
        "('failed_sign_ins_max', 'sign_ins_per_minute')"
    )
    known, unknown = [], []
    with clone.owner.begin() as session:
        hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(DEFAULT_COST, prefix=b"2a"))
        session.connection().exec_driver_sql(
            "UPDATE users SET password_hash = %s", (hashed.decode(),)
        )
    with psycopg.connect(clone.server.dsn(CONSOLE_ROLE, clone.name), autocommit=True) as console:
        call = "SELECT login(%s, 'wrong password', 'bench', '')"
        for turn in range(25):  # by turns, so that a busy machine slows both
            known.append(_median_ms(lambda: console.execute(call, ["viewer"]), 1))
            name = f"nobody {turn}" if turn % 2 else "x" * 200 + str(turn)
            unknown.append(_median_ms(lambda name=name: console.execute(call, [name]), 1))
    return Figure(
        "a wrong password with an unknown name",
        statistics.median(unknown),
        "ms",
        "1.1x",
        statistics.median(known),
        "with a known one",
    )


def _bulk_update(clone) -> Figure:
    clone.rows(
        "INSERT INTO machines (name, mac, room) SELECT 'pc-' || n, "
        "('525400' || lpad(to_hex(n), 6, '0'))::macaddr, 'Lab 1' FROM generate_series(1, %s) AS n",
        MACHINES,
    )
    with psycopg.connect(clone.dsn(clone.log_in("operator")), autocommit=True) as operator:
        turn = iter(range(10**6))

        def update() -> None:
            operator.execute("UPDATE machines SET room = %s", [f"Lab {next(turn)}"])

        def switch(action: str) -> None:
            with clone.owner.begin() as session:
                run = session.connection().exec_driver_sql
                for verb in ("insert", "update", "delete"):
                    run(f"ALTER TABLE machines {action} TRIGGER audit_{verb}")

        audited, plain = [], []
        for _ in range(15):  # by turns, so that a busy machine slows both
            audited.append(_median_ms(update, 1))
            switch("DISABLE")
            plain.append(_median_ms(update, 1))
            switch("ENABLE")
    return Figure(
        f"update {MACHINES:,} machines in one statement",
        statistics.median(audited),
        "ms",
        "4x",
        statistics.median(plain),
        "without audit",
    )


def _writers(clone) -> list[Figure]:
    dsns = [clone.dsn(clone.log_in("operator")) for _ in range(WRITERS)]
    deadlocks = 0

    def write(number: int) -> int:
        lost = 0
        with psycopg.connect(dsns[number], autocommit=True) as connection:
            for turn in range(TRANSACTIONS // WRITERS):
                # Each takes its own machines and one that all share: half of them that first, or
                # even a chain locked by each statement would put them in order. Their rows alone
                # never make a circle.
                names = [f"pc-{10 + number}", f"pc-{100 + number}", "pc-1"]
                if number % 2:
                    names.reverse()
                try:
                    with connection.transaction():
                        for name in names:
                            connection.execute(
                                "UPDATE machines SET notes = %s WHERE name = %s", [str(turn), name]
                            )
                except psycopg.errors.DeadlockDetected:
                    lost += 1
        return lost

    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        deadlocks = sum(pool.map(write, range(WRITERS)))
    rate = TRANSACTIONS / (time.perf_counter() - began)
    title = f"{WRITERS} writers at once, {TRANSACTIONS:,} audited transactions"
    return [
        Figure(f"{title}: deadlocks", deadlocks, "", "0"),
        Figure(f"{title}: transactions", rate, "/s"),
    ]


_ENTRIES = (
    "INSERT INTO audit (at, user_name, verb, noun, object_id, object_name, changes, link) "
    "SELECT now(), 'user' || n % 20, 'update', 'machine', (n % 5000)::text, "
    "'pc-' || lpad((n % 5000)::text, 5, '0'), jsonb_build_object('room', jsonb_build_array("
    "'Lab ' || n % 40, 'Lab ' || n % 41)), l FROM generate_series({}, {}) AS n, "
    "(SELECT audit_link() AS l OFFSET 0) AS link"
)


def _single_edits(clone) -> Figure:
    """A trail of single edits, whose every entry has a link of its own, as it is verified."""
    with psycopg.connect(clone.server.dsn(SUPERUSER, clone.name), autocommit=True) as owner:
        owner.execute("SET synchronous_commit = off")
        one = _ENTRIES.format("i", "i")
        owner.execute(f"DO $$ BEGIN FOR i IN 1..{SINGLE} LOOP {one}; COMMIT; END LOOP; END $$")
        owner.execute("VACUUM ANALYZE audit")
        owner.execute("VACUUM ANALYZE audit_links")
    return _verify(clone, "audit verify, a link for each entry")


def _verify(clone, title: str) -> Figure:
    with clone.sign_in(Role.ADMIN).begin() as session:
        began = time.perf_counter()
        assert audit.verify_audit(session) == []
        took = time.perf_counter() - began
    rate = clone.value("SELECT count(*) FROM audit") / took
    return Figure(title, rate, "rows/s", "100,000 rows/s")


def _trail(clone) -> list[Figure]:
    # Then one transaction for each thousand entries, as bulk changes leave them.
    with psycopg.connect(clone.server.dsn(SUPERUSER, clone.name), autocommit=True) as owner:
        for first in range(SINGLE, ENTRIES, 1000):
            owner.execute(_ENTRIES.format(first, first + 999))
        owner.execute("VACUUM ANALYZE audit")
        owner.execute("VACUUM ANALYZE audit_links")
    admin = clone.sign_in(Role.ADMIN)
    with admin.begin() as session:
        page = audit.list_audit(session)

    def next_page() -> None:
        nonlocal page
        with admin.begin() as session:
            page = audit.list_audit(session, before_id=page[-1].id)

    pages = [_median_ms(next_page, 1) for _ in range(50)]

    def timed(wanted: AuditFilter) -> float:
        def read() -> None:
            with admin.begin() as session:
                audit.list_audit(session, wanted)

        return _median_ms(read)

    searches = {
        "in every entry": "pc-0",
        "in 1 of 5,000": "pc-04321",
        "in none": "no such thing",
        "in none, of three letters": "zqx",
    }
    figures = [
        Figure(
            f"next page of {ENTRIES:,} entries, p95, read into rows",
            percentile(pages, 0.95),
            "ms",
            "25 ms",
        ),
        next_page_on_screen(admin, ENTRIES),
    ]
    for how, part in searches.items():
        title = f"first page by a substring that is {how}"
        figures.append(Figure(title, timed(AuditFilter(contains=part)), "ms", "100 ms"))
    critical = AuditFilter(severity=Severity.CRITICAL)
    figures.append(Figure("first page of a severity that is rare", timed(critical), "ms", "100 ms"))
    figures.append(_verify(clone, "audit verify, a link for every thousand entries"))
    return figures
