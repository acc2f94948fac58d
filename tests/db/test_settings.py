# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: read by all, changed by admins, within their range."""

from __future__ import annotations

import pytest
from real_database import RealDatabase
from steps import set_setting

from ggnet_console.enums import Role
from ggnet_console.errors import FieldError, NotFoundError, RefusedError
from ggnet_console.services import settings

pytestmark = pytest.mark.furnished


def test_every_setting_starts_within_its_range_with_its_unit_in_its_name(
    database: RealDatabase,
) -> None:
    with database.sign_in(Role.VIEWER).begin() as session:
        rows = settings.list_settings(session)
    assert [row.name for row in rows] == sorted(row.name for row in rows)
    for row in rows:
        assert row.minimum <= row.value <= row.maximum
        assert row.name.rpartition("_")[2] in {
            "s",
            "bytes",
            "hours",
            "days",
            "minute",
            "max",
            "cost",
        }
        assert row.description


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_timeout_s", 1),
        ("session_timeout_s", 86400),
        ("max_virtual_size_bytes", 2**50),
    ],
)
def test_the_ends_of_the_range_belong_to_it(database: RealDatabase, name: str, value: int) -> None:
    admin = database.sign_in(Role.ADMIN)
    with admin.begin() as session:
        set_setting(session, name, value)
    with admin.begin() as session:
        assert settings.get_setting(session, name) == value


@pytest.mark.parametrize("value", [0, -1, 86401, 2**62])
def test_a_value_outside_is_refused_with_the_range(database: RealDatabase, value: int) -> None:
    with (
        pytest.raises(FieldError, match=f"between 1 and 86400, not {value}") as caught,
        database.sign_in(Role.ADMIN).begin() as session,
    ):
        set_setting(session, "session_timeout_s", value)
    assert caught.value.field == "value"


def test_the_database_itself_holds_the_range(database: RealDatabase) -> None:
    with (
        pytest.raises(FieldError, match="outside the range"),
        database.sign_in(Role.ADMIN).begin() as session,
    ):
        session.connection().exec_driver_sql("UPDATE settings SET value = -1")


def test_a_setting_that_is_not_there_is_named(database: RealDatabase) -> None:
    admin = database.sign_in(Role.ADMIN)
    with pytest.raises(NotFoundError, match="no setting “x”"), admin.begin() as session:
        settings.get_setting(session, "x")
    with pytest.raises(NotFoundError, match="no setting “x”"), admin.begin() as session:
        set_setting(session, "x", 1)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_admins_change_settings(database: RealDatabase, role: Role) -> None:
    with pytest.raises(RefusedError), database.sign_in(role).begin() as session:
        set_setting(session, "session_timeout_s", 60)


def test_a_changed_setting_rules_the_next_sign_in(database: RealDatabase) -> None:
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, "sign_in_hours", 1)
    signed_in = database.log_in("viewer")
    left = signed_in.expires_at - database.value("SELECT clock_timestamp()")
    assert 3500 < left.total_seconds() <= 3600
