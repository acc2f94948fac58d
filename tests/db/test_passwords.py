# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of password hashes: adjustable, renewed at sign-in, told to nobody; first passwords."""

from __future__ import annotations

import pytest
from real_database import HASH, PASSWORD, RealDatabase, Server
from steps import set_setting

from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.db.installation import make_schema
from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, RefusedError, SignInError
from ggnet_console.services import users

NEW = "another password"


def stored(database: RealDatabase, name: str) -> str:
    """The hash of a user."""
    return database.value("SELECT password_hash FROM users WHERE name = %s", name)


def set_cost(database: RealDatabase, cost: int) -> None:
    """As an admin does; in tests costs start at bcrypt's own lowest."""
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, "bcrypt_cost", cost)


def stand_in(database: RealDatabase, name: str) -> str:
    """What the password of this name is checked against while nobody is called so."""
    return database.value("SELECT stand_in_hash(%s)", name)


def test_a_new_installation_hashes_with_cost_11_and_takes_10_to_15(server: Server) -> None:
    with server.bare() as database:
        make_schema(server.dsn(SUPERUSER, database.name), database.installation)
        assert database.rows(
            "SELECT value, minimum, maximum FROM settings WHERE name = 'bcrypt_cost'"
        ) == [(11, 10, 15)]


def test_every_new_password_has_the_cost_of_the_setting(database: RealDatabase) -> None:
    set_cost(database, 5)
    with database.sign_in(Role.ADMIN).begin() as session:
        ada = users.create_user(session, "ada", Role.VIEWER, PASSWORD)
    assert stored(database, "ada").startswith("$2a$05$")
    set_cost(database, 6)
    with database.sign_in(Role.ADMIN).begin() as session:
        users.reset_password(session, ada, PASSWORD)
    assert stored(database, "ada").startswith("$2a$06$")
    newcomer = database.open(database.dsn(database.log_in("ada")))
    set_cost(database, 7)
    with newcomer.begin() as session:
        users.change_password(session, PASSWORD, NEW)
    assert stored(database, "ada").startswith("$2a$07$")


def test_the_next_sign_in_renews_a_hash_of_another_cost(database: RealDatabase) -> None:
    for cost in (6, 4):
        set_cost(database, cost)
        database.log_in("viewer")
        renewed = stored(database, "viewer")
        assert renewed.startswith(f"$2a$0{cost}$")
        assert renewed != HASH
        assert users.hash_password(PASSWORD, cost) != renewed  # a salt of its own
        database.log_in("viewer")
        assert stored(database, "viewer") == renewed
    with pytest.raises(SignInError):
        database.log_in("viewer", "wrong password")


def test_a_renewed_hash_still_fits_a_password_of_any_letters(database: RealDatabase) -> None:
    password = "Žluťoučký 'kůň' \\ $2a$ %s"
    hashed = users.hash_password(password, 4)
    database.rows("UPDATE users SET password_hash = %s WHERE name = 'viewer'", hashed)
    set_cost(database, 5)
    database.log_in("viewer", password)
    assert stored(database, "viewer").startswith("$2a$05$")
    database.log_in("viewer", password)


def test_a_wrong_password_renews_nothing(database: RealDatabase) -> None:
    set_cost(database, 5)
    with pytest.raises(SignInError):
        database.log_in("viewer", "wrong password")
    assert stored(database, "viewer") == HASH


def test_a_password_that_was_reset_meanwhile_is_not_overwritten(database: RealDatabase) -> None:
    set_cost(database, 5)
    database.rows(
        "SELECT renew_hash(u, %s) FROM (SELECT (jsonb_populate_record(u, "
        '\'{"password_hash": "what it was before the reset"}\')).* FROM users u) AS u',
        PASSWORD,
    )
    assert stored(database, "viewer") == HASH


def test_a_renewed_hash_is_in_the_trail_as_a_new_cost_and_not_as_a_new_password(
    database: RealDatabase,
) -> None:
    set_cost(database, 5)
    database.log_in("viewer")
    assert database.rows(
        "SELECT user_name, changes FROM audit WHERE noun = 'user' AND object_name = 'viewer' "
        "AND verb = 'update'"
    ) == [("ggnet_console", {"bcrypt_cost": [4, 5]})]


def test_an_unknown_name_stands_in_for_one_account_always_the_same(
    database: RealDatabase,
) -> None:
    names = [f"nobody {number}" for number in range(60)]
    assert {stand_in(database, name)[:7] for name in names} == {"$2a$04$"}
    set_cost(database, 6)
    database.log_in("viewer")
    first = {name: stand_in(database, name)[:7] for name in names}
    assert set(first.values()) == {"$2a$04$", "$2a$06$"}
    assert {name: stand_in(database, name.upper())[:7] for name in names} == first
    # Of the names that stood in for others, some stand in for a new user, none move otherwise.
    database.rows("SELECT user_create('new', 'VIEWER', %s)", users.hash_password(PASSWORD, 5))
    for name, before in first.items():
        assert stand_in(database, name)[:7] in {before, "$2a$05$"}


def test_no_password_fits_what_an_unknown_name_is_checked_against(database: RealDatabase) -> None:
    hashed = stand_in(database, "nobody")
    assert database.value("SELECT crypt(%s, %s)", PASSWORD, hashed) != hashed
    assert database.value("SELECT crypt('', %s)", hashed) != hashed


@pytest.mark.parametrize("cost", ["03", "16", "31", "99"])
def test_a_hash_that_would_keep_the_server_busy_is_refused(
    database: RealDatabase, cost: str
) -> None:
    admin = database.sign_in(Role.ADMIN)
    with (
        pytest.raises(ConsoleError, match="must lie between 4 and 15"),
        admin.begin() as session,
    ):
        users.add_hashed_user(session, "ada", Role.VIEWER, HASH.replace("$04$", f"${cost}$"))


def test_an_account_that_must_change_its_password_can_do_nothing_before(
    database: RealDatabase,
) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        users.create_user(session, "ada", Role.ADMIN, PASSWORD, must_change=True)
    signed_in = database.log_in("ada")
    assert signed_in.must_change_password
    newcomer = database.open(database.dsn(signed_in))
    for statement in ("SELECT FROM machines", "SELECT FROM audit", "SELECT FROM settings"):
        with pytest.raises(RefusedError), newcomer.begin() as session:
            session.connection().exec_driver_sql(statement)
    with newcomer.begin() as session:
        users.change_password(session, PASSWORD, NEW)
    assert not database.log_in("ada", NEW).must_change_password


def test_an_account_keeps_its_password_otherwise(database: RealDatabase) -> None:
    database.rows("DELETE FROM users")
    with database.owner.begin() as session:
        users.create_user(session, "anna", Role.ADMIN, PASSWORD)
    assert not database.log_in("anna").must_change_password
