# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and sign-ins: names, passwords, short-lived roles, and how they end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from real_database import HASH, PASSWORD, RealDatabase
from sqlalchemy import text

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, FieldError, SignInError
from ggnet_console.services import machines, users

WRONG = "The name or the password is wrong."


def roles(database: RealDatabase) -> set[str]:
    """The sign-in roles of this database that exist on the server."""
    return {
        name
        for (name,) in database.rows(
            "SELECT role_name FROM sign_ins JOIN pg_roles ON rolname = role_name"
        )
    }


def expire(database: RealDatabase) -> None:
    """Let every sign-in be over for a minute."""
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() - interval '1 minute'")


@pytest.mark.parametrize("role", list(Role))
def test_signing_in_gives_the_account_s_role_and_nothing_more(
    database: RealDatabase, role: Role
) -> None:
    signed_in = database.log_in(role.lower())
    assert (signed_in.name, signed_in.role) == (role.lower(), role)
    group = database.rows(
        "SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid "
        "JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
        signed_in.role_name,
    )
    assert group == [(database.group(role.lower()),)]
    with database.open(database.dsn(signed_in)).begin() as session:
        me = users.who_am_i(session)
        assert session.execute(text("SELECT current_user")).scalar() == signed_in.role_name
    assert (me.name, me.role, me.user_id) == (role.lower(), role, signed_in.user_id)
    assert me.expires_at == signed_in.expires_at
    hours = (me.expires_at - database.value("SELECT clock_timestamp()")) / timedelta(hours=1)
    assert 11.9 < hours <= 12


def test_where_a_sign_in_came_from_is_kept(database: RealDatabase) -> None:
    signed_in = database.log_in("viewer")
    [(program, workstation, ended)] = database.rows(
        "SELECT program, workstation, ended_at FROM sign_ins WHERE role_name = %s",
        signed_in.role_name,
    )
    assert (program, ended) == ("tests", None)
    assert "@" in workstation


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("viewer", "wrong password"),
        ("viewer", ""),
        ("viewer", PASSWORD + " "),
        ("viewer", PASSWORD.upper()),
        ("viewer", PASSWORD + "\0"),
        ("viewer\0", PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("viewer' OR true --", PASSWORD),
        ("view%", PASSWORD),
    ],
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    database: RealDatabase, name: str, password: str
) -> None:
    with pytest.raises(SignInError) as caught:
        database.log_in(name, password)
    assert caught.value.summary == WRONG
    assert database.rows("SELECT FROM sign_ins") == []


def test_the_case_of_a_name_does_not_count(database: RealDatabase) -> None:
    assert database.log_in("VieWer").name == "viewer"


def test_two_accounts_cannot_differ_by_case_alone(database: RealDatabase) -> None:
    admin = database.sign_in(Role.ADMIN)
    with pytest.raises(FieldError, match="already has this name") as caught, admin.begin() as s:
        users.add_hashed_user(s, "VIEWER", Role.ADMIN, HASH)
    assert caught.value.field == "name"


def test_a_disabled_account_is_told_so_only_with_the_right_password(
    database: RealDatabase,
) -> None:
    database.rows("UPDATE users SET disabled = true WHERE name = 'viewer'")
    with pytest.raises(SignInError, match="disabled; an admin can enable it"):
        database.log_in("viewer")
    with pytest.raises(SignInError, match=WRONG):
        database.log_in("viewer", "wrong password")


def test_a_made_account_signs_in_with_its_password_of_any_letters(database: RealDatabase) -> None:
    password = "Žluťoučký 'kůň' \\ $2a$ \" %s"
    with database.sign_in(Role.ADMIN).begin() as session:
        users.create_user(session, " Ada Lovelace ", Role.OPERATOR, password)
    signed_in = database.log_in("ada lovelace", password)
    assert (signed_in.name, signed_in.role) == ("Ada Lovelace", Role.OPERATOR)
    database.sign_in(Role.VIEWER)  # others are as they were


def test_a_password_of_72_bytes_counts_to_its_last_one(database: RealDatabase) -> None:
    password = "ä" * 36
    with database.sign_in(Role.ADMIN).begin() as session:
        users.create_user(session, "ada", Role.VIEWER, password)
    with pytest.raises(SignInError):
        database.log_in("ada", password[:-1] + "ö")
    database.log_in("ada", password)


def test_the_stored_hash_is_of_the_kind_pgcrypto_reads(database: RealDatabase) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        users.create_user(session, "ada", Role.VIEWER, PASSWORD)
    stored = database.value("SELECT password_hash FROM users WHERE name = 'ada'")
    assert stored.startswith("$2a$04$")
    assert database.value("SELECT crypt(%s, %s)", PASSWORD, stored) == stored


@pytest.mark.parametrize(
    "wrong",
    [
        HASH.replace("$2a$", "$2b$"),
        HASH[:-1],
        HASH + "a",
        HASH + "\n",
        "plain password",
        "",
    ],
    ids=["2b", "shorter", "longer", "with a line feed", "a password", "empty"],
)
def test_anything_but_such_a_hash_is_refused(database: RealDatabase, wrong: str) -> None:
    admin = database.sign_in(Role.ADMIN)
    with pytest.raises(ConsoleError, match=r"bcrypt hash of the kind \$2a\$"), admin.begin() as s:
        users.add_hashed_user(s, "ada", Role.VIEWER, wrong)


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "a\nb", "a\0b"])
def test_names_nobody_could_read_are_refused(database: RealDatabase, name: str) -> None:
    admin = database.sign_in(Role.ADMIN)
    with pytest.raises(FieldError) as caught, admin.begin() as session:
        users.add_hashed_user(session, name, Role.VIEWER, HASH)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 8 characters"),
        ("a" * 73, "72 bytes at most; this one has 73"),
        ("ä" * 37, "72 bytes at most; this one has 74"),
        ("with\0 a NUL", "NUL"),
    ],
)
def test_passwords_bcrypt_cannot_tell_apart_are_refused(password: str, reason: str) -> None:
    with pytest.raises(FieldError, match=reason) as caught:
        users.require_good_password(password)
    assert caught.value.field == "password"


def test_signing_out_ends_the_sign_in_on_all_its_connections(database: RealDatabase) -> None:
    signed_in = database.log_in("operator")
    here, there = (database.open(database.dsn(signed_in)) for _ in range(2))
    with there.begin() as session:
        machines.list_machines(session)
    with here.begin() as session:
        users.sign_out(session)
    with pytest.raises(SignInError), there.begin() as session:
        machines.list_machines(session)
    with pytest.raises(SignInError), database.open(database.dsn(signed_in)).begin() as session:
        machines.list_machines(session)
    assert database.value("SELECT ended_at IS NOT NULL FROM sign_ins")


def test_an_ended_sign_in_cannot_be_renewed(database: RealDatabase) -> None:
    database.sign_in(Role.VIEWER)
    operator = database.sign_in(Role.OPERATOR)
    with operator.begin() as session:
        users.who_am_i(session)
    expire(database)
    with pytest.raises(SignInError, match="has ended; sign in again"), operator.begin() as session:
        users.renew_sign_in(session)
    with pytest.raises(SignInError, match="has ended; sign in again"), operator.begin() as session:
        users.who_am_i(session)


def test_renewing_extends_one_s_own_sign_in_alone(database: RealDatabase) -> None:
    other = database.log_in("viewer")
    signed_in = database.log_in("operator")
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() + interval '1 minute'")
    mine = database.open(database.dsn(signed_in))
    with mine.begin() as session:
        until = users.renew_sign_in(session)
    with mine.begin() as session:
        assert users.who_am_i(session).expires_at == until
    minute = database.value("SELECT clock_timestamp()") + timedelta(minutes=2)
    assert until > minute
    for one, until_then in ((signed_in, True), (other, False)):
        assert (
            database.value("SELECT expires_at FROM sign_ins WHERE role_name = %s", one.role_name)
            > minute
        ) is until_then
    assert (
        database.value("SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", signed_in.role_name)
        == until
    )


@pytest.mark.parametrize(("left", "renewed"), [("31 minutes", False), ("29 minutes", True)])
def test_a_sign_in_in_use_is_renewed_once_half_of_it_is_over(
    database: RealDatabase, left: str, renewed: bool
) -> None:
    database.rows("UPDATE settings SET value = 1 WHERE name = 'sign_in_hours'")
    mine = database.sign_in(Role.VIEWER)
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() + %s::interval", left)
    with mine.begin() as session:
        users.renew_if_half_over(session)
    whole = "SELECT expires_at > clock_timestamp() + interval '59 minutes' FROM sign_ins"
    assert database.value(whole) is renewed


def test_a_sign_in_that_may_only_change_its_password_is_not_renewed(database: RealDatabase) -> None:
    database.rows("UPDATE users SET must_change_password = true WHERE name = 'viewer'")
    mine = database.sign_in(Role.VIEWER)
    database.rows("UPDATE sign_ins SET expires_at = clock_timestamp() + interval '1 minute'")
    with mine.begin() as session:
        users.renew_if_half_over(session)
    assert database.value("SELECT expires_at < clock_timestamp() + interval '2 min' FROM sign_ins")


def test_an_expired_role_cannot_connect(database: RealDatabase) -> None:
    signed_in = database.log_in("viewer")
    database.server.execute("ALTER ROLE {} VALID UNTIL '2020-01-01'", signed_in.role_name)
    with pytest.raises(SignInError), database.open(database.dsn(signed_in)).begin() as session:
        users.who_am_i(session)


def test_the_next_sign_in_clears_expired_roles_away(database: RealDatabase) -> None:
    old = {database.log_in("viewer").role_name, database.log_in("admin").role_name}
    signed_out = database.log_in("operator")
    with database.open(database.dsn(signed_out)).begin() as session:
        users.sign_out(session)
    assert roles(database) == {*old, signed_out.role_name}
    expire(database)
    new = database.log_in("viewer").role_name
    assert roles(database) == {new}
    assert database.value("SELECT count(*) FROM sign_ins WHERE ended_at IS NULL") == 1


def test_an_expired_role_that_owns_something_keeps_nobody_from_signing_in(
    database: RealDatabase,
) -> None:
    database.rows("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC")  # as it once was
    signed_in = database.log_in("viewer")
    with database.open(database.dsn(signed_in)).begin() as session:
        session.execute(text("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"))
        session.execute(text("SELECT lo_create(0)"))
    expire(database)
    new = database.log_in("viewer").role_name
    assert roles(database) == {new}


def test_a_role_that_cannot_be_dropped_is_left_without_rights_and_connections(
    database: RealDatabase,
) -> None:
    signed_in = database.log_in("viewer")
    held = database.open(database.dsn(signed_in))
    with held.begin() as session:
        users.who_am_i(session)
    # Something of it in another database, where a sign-in cannot clear it away.
    database.server.execute("GRANT CONNECT ON DATABASE postgres TO {}", signed_in.role_name)
    try:
        with psycopg.connect(database.server.dsn(SUPERUSER, "postgres")) as other:
            other.execute(f'SET ROLE "{signed_in.role_name}"')
            other.execute("SELECT lo_create(0)")
        expire(database)
        database.log_in("operator")
        with pytest.raises(SignInError), held.begin() as session:
            machines.list_machines(session)
    finally:
        database.server.execute("DROP OWNED BY {}", signed_in.role_name)


def test_many_sign_ins_at_once_are_all_different(database: RealDatabase) -> None:
    for _ in range(5):
        database.log_in("viewer")
    expire(database)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(database.log_in, ["viewer", "operator", "admin"] * 4))
    assert len({one.role_name for one in done}) == len({one.secret for one in done}) == 12
    assert roles(database) == {one.role_name for one in done}
    for one in done[:3]:
        with database.open(database.dsn(one)).begin() as session:
            assert users.who_am_i(session).name == one.name


def test_before_sign_in_only_the_first_admin_s_existence_is_told(database: RealDatabase) -> None:
    with database.console.begin() as session:
        assert users.has_users(session)
    database.rows("DELETE FROM users")
    with database.console.begin() as session:
        assert not users.has_users(session)


def test_accounts_are_listed_by_name_whatever_their_case(database: RealDatabase) -> None:
    admin = database.sign_in(Role.ADMIN)
    with admin.begin() as session:
        users.add_hashed_user(session, "Nina", Role.VIEWER, HASH)
        names = [row.name for row in users.list_public_users(session)]
    assert names == ["admin", "Nina", "operator", "viewer"]
