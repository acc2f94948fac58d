# SPDX-License-Identifier: GPL-3.0-or-later
"""What an admin lets go of the past, and that the chain of the trail still holds afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
import pytest
from real_database import RealDatabase
from steps import add_machines, set_setting

from ggnet_console.db.engine import Database
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError
from ggnet_console.services import audit
from ggnet_console.services.audit import AuditHead, Pruned

CHANGED = "Entries of this link were changed, removed or added."


@pytest.fixture
def admin(database: RealDatabase) -> Database:
    """Signed in as the admin, over a trail of some links."""
    add_machines(database.sign_in(Role.OPERATOR), "pc-01")
    admin = database.sign_in(Role.ADMIN)
    for number in range(2, 5):
        add_machines(admin, f"pc-0{number}")
    return admin


def problems(admin: Database, head: AuditHead | None = None) -> set[str]:
    """What verifying finds."""
    with admin.begin() as session:
        return {each.problem for each in audit.verify_audit(session, head)}


def head_of(admin: Database) -> AuditHead:
    """The newest link."""
    with admin.begin() as session:
        return audit.audit_head(session)


def now(database: RealDatabase) -> datetime:
    """By the database's clock."""
    return database.value("SELECT clock_timestamp()")


def prune(database: RealDatabase, admin: Database, days: int = 400) -> Pruned:
    """Remove what is older."""
    with admin.begin() as session:
        return audit.prune_audit(session, now(database) - timedelta(days=days))


def rewrite(database: RealDatabase, change: str) -> None:
    """As the owner: change the rows ``l`` of the links, then make the chain anew from them."""
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            f"""DO $$ DECLARE l record; before bytea := ''; BEGIN
            FOR l IN SELECT * FROM audit_links ORDER BY number LOOP
                {change};
                UPDATE audit_links SET hash = audit_link_hash(before, number, entries, digest, at)
                WHERE id = l.id RETURNING hash INTO before;
            END LOOP;
            UPDATE audit_chain SET hash = before; END $$"""
        )


def grow_old(database: RealDatabase, last: int) -> None:
    """As if the links up to ``last`` were made two years ago."""
    rewrite(
        database,
        "UPDATE audit_links SET at = at - interval '2 years' "
        f"WHERE id = l.id AND number <= {last} AND at > clock_timestamp() - interval '1 year'",
    )


def test_entries_that_are_kept_for_now_cannot_be_removed(
    database: RealDatabase, admin: Database
) -> None:
    with pytest.raises(ConsoleError, match="last 365 days cannot be removed"):
        prune(database, admin, 364)
    with admin.begin() as session:
        set_setting(session, "audit_keep_days", 30)
    assert prune(database, admin, 31) == Pruned(0, 0)
    assert database.value("SELECT count(*) FROM audit WHERE verb = 'prune'") == 0


def test_old_entries_go_with_their_links_and_the_chain_goes_on(
    database: RealDatabase, admin: Database
) -> None:
    grow_old(database, 3)
    kept, third = head_of(admin), database.value("SELECT hash FROM audit_links WHERE number = 3")
    old = database.value("SELECT sum(entries) FROM audit_links WHERE number <= 3")
    assert prune(database, admin) == Pruned(old, 0)
    assert database.value("SELECT min(number) FROM audit_links") == 3
    assert (
        database.value(
            "SELECT count(*) FROM audit a JOIN audit_links l ON l.id = a.link WHERE l.number <= 3"
        )
        == 0
    )
    assert problems(admin, kept) == set()
    [(who, object_id, changes)] = database.rows(
        "SELECT user_name, object_id, changes FROM audit WHERE verb = 'prune'"
    )
    assert (who, object_id, changes["entries"]) == ("admin", "3", [old, 0])
    assert changes["hash"] == [None, bytes(third).hex()]


def test_the_trail_is_shortened_again_and_again(database: RealDatabase, admin: Database) -> None:
    grow_old(database, 2)
    prune(database, admin)
    assert prune(database, admin) == Pruned(0, 0)
    add_machines(admin, "pc-05")
    last = head_of(admin).number - 1
    with psycopg.connect(database.owner.dsn) as owner:
        # Only times grow old; the link that the chain begins with keeps its hash.
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            """DO $$ DECLARE l record; before bytea; BEGIN
            FOR l IN SELECT * FROM audit_links ORDER BY number LOOP
                IF before IS NULL THEN before := l.hash; CONTINUE; END IF;
                UPDATE audit_links SET hash = audit_link_hash(before, number, entries, digest,
                    at - interval '2 years'), at = at - interval '2 years'
                WHERE id = l.id RETURNING hash INTO before;
            END LOOP;
            UPDATE audit_chain SET hash = before; END $$"""
        )
    assert problems(admin) == set()
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "UPDATE audit_links SET at = at + interval '2 years' WHERE number > %s", [last]
        )
        owner.execute(
            "UPDATE audit_links l SET hash = audit_link_hash((SELECT b.hash FROM audit_links b "
            "WHERE b.number = l.number - 1), number, entries, digest, at) WHERE number > %s",
            [last],
        )
        owner.execute(
            "UPDATE audit_chain SET hash = (SELECT hash FROM audit_links "
            "ORDER BY number DESC LIMIT 1)"
        )
    assert problems(admin) == set()
    assert prune(database, admin).entries > 0
    assert database.value("SELECT min(number) FROM audit_links") == last
    assert problems(admin) == set()


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "DELETE FROM audit WHERE link = (SELECT id FROM audit_links WHERE number = 4)",
            CHANGED,
        ),
        (
            "DELETE FROM audit_links WHERE number = 3",
            "Links before this one are missing.",
        ),
        (
            "DELETE FROM audit_links WHERE number = 4",
            "Links before this one are missing.",
        ),
        (
            "UPDATE audit_links SET hash = sha256('x') WHERE number = 3",
            "This link does not follow from the one before.",
        ),
        (
            "UPDATE audit SET object_id = '4' WHERE verb = 'prune'",
            "Links before this one are missing.",
        ),
        (
            "INSERT INTO audit (user_name, verb, noun, changes, link) SELECT 'x', 'x', 'x', '{}', "
            "id FROM audit_links WHERE number = 3",
            CHANGED,
        ),
    ],
)
def test_tampering_with_a_shortened_trail_is_found(
    database: RealDatabase, admin: Database, tampering: str, found: str
) -> None:
    grow_old(database, 3)
    prune(database, admin)
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(tampering)
    assert found in problems(admin)


def test_a_head_older_than_what_is_left_proves_nothing_and_is_not_called_whole(
    database: RealDatabase, admin: Database
) -> None:
    grow_old(database, 3)
    old = AuditHead(
        2, bytes(database.value("SELECT hash FROM audit_links WHERE number = 2")).hex(), None
    )
    assert problems(admin, old) == set()
    prune(database, admin)
    with pytest.raises(
        ConsoleError, match=r"link 2 is older than what was removed .* up to link 3"
    ):
        problems(admin, old)


@pytest.mark.parametrize("links_go", [False, True])
def test_an_entry_that_calls_young_entries_pruned_excuses_nothing(
    database: RealDatabase, admin: Database, links_go: bool
) -> None:
    """The owner removes a link's entries and lets a rightly chained entry say that they were old."""
    kept, forged = head_of(admin), 3
    [(link, digest)] = database.rows(
        "SELECT l.id, encode(l.hash, 'hex') FROM audit_links l WHERE number = %s", forged
    )
    before = database.value("SELECT encode(hash, 'hex') FROM audit_links WHERE number = 2")
    database.rows("DELETE FROM audit WHERE link = %s", link)
    assert CHANGED in problems(admin, kept)
    if links_go:
        database.rows("DELETE FROM audit WHERE link < %s", link)
        database.rows("DELETE FROM audit_links WHERE number < %s", forged)
        # As old as it would have to be: then it is not the link of that hash any more.
        database.rows(
            "UPDATE audit_links SET at = at - interval '2 years' WHERE number = %s", forged
        )
    database.rows(
        "SELECT audit_event('prune', 'audit', %s, '', jsonb_build_object("
        "'entries', '[9, 0]'::jsonb, 'hash', jsonb_build_array(NULL, %s::text), "
        "'follows', jsonb_build_array(NULL, %s::text), "
        "'before', jsonb_build_array(NULL, clock_timestamp() - interval '1 year')))",
        str(forged),
        digest,
        before,
    )
    assert CHANGED in problems(admin, kept)
    assert CHANGED in problems(admin)


@pytest.mark.parametrize(
    "follows",
    ["", "'zz'", "repeat('ab', 32)", "NULL"],
    ids=["nothing", "no hash", "another", "null"],
)
def test_a_prune_entry_that_names_a_wrong_past_excuses_nothing(
    database: RealDatabase, admin: Database, follows: str
) -> None:
    grow_old(database, 3)
    prune(database, admin)
    assert problems(admin) == set()
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "UPDATE audit SET changes = jsonb_set(changes, '{follows}', "
            f"jsonb_build_array(NULL, {follows or chr(39) * 2}::text)) WHERE verb = 'prune'"
        )
    assert "Links before this one are missing." in problems(admin)


def test_old_sign_ins_go_but_not_those_that_are_open_or_whose_role_is_left(
    database: RealDatabase, admin: Database
) -> None:
    long_ago = "clock_timestamp() - interval '2 years'"
    gone, ended, left = (database.log_in("viewer").role_name for _ in range(3))
    for role in (gone, ended):
        database.server.execute("DROP ROLE {}", role)
    database.rows(
        f"UPDATE sign_ins SET ended_at = {long_ago}, expires_at = {long_ago} "
        "WHERE role_name IN (%s, %s)",
        gone,
        left,
    )
    database.rows(
        "UPDATE sign_ins SET ended_at = clock_timestamp(), expires_at = clock_timestamp() "
        "WHERE role_name = %s",
        ended,
    )
    before = database.value("SELECT count(*) FROM sign_ins")
    assert prune(database, admin) == Pruned(0, 1)
    found = {role for (role,) in database.rows("SELECT role_name FROM sign_ins")}
    assert len(found) == before - 1
    assert gone not in found
    assert {ended, left} <= found
    assert database.value("SELECT changes -> 'sign_ins' FROM audit WHERE verb = 'prune'") == [1, 0]
    assert problems(admin) == set()
