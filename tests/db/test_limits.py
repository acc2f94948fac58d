# SPDX-License-Identifier: GPL-3.0-or-later
"""How often one account may do what costs everybody: sign-ins, jobs."""

from __future__ import annotations

import pytest
from real_database import RealDatabase
from steps import add_image, begin_upload, set_setting

from ggnet_console.enums import Role
from ggnet_console.errors import ConsoleError, SignInError
from ggnet_console.services import images


def limit(database: RealDatabase, name: str, value: int) -> None:
    """Set a limit, as an admin does."""
    with database.sign_in(Role.ADMIN).begin() as session:
        set_setting(session, name, value)


def test_an_account_signs_in_so_often_a_minute_and_is_told_when_again(
    database: RealDatabase,
) -> None:
    limit(database, "user_sign_ins_per_minute", 3)
    for _ in range(3):
        database.log_in("viewer")
    with pytest.raises(
        SignInError, match=r"signed in too often within a minute; try again in \d+ seconds\.$"
    ):
        database.log_in("viewer")
    database.log_in("operator")
    database.rows("UPDATE sign_ins SET created_at = created_at - interval '61 s'")
    database.log_in("viewer")


def test_an_account_starts_so_many_jobs_a_minute_and_is_told_when_again(
    database: RealDatabase,
) -> None:
    operator = database.sign_in(Role.OPERATOR)
    image = add_image(database, operator=operator)
    database.rows("UPDATE jobs SET created_at = created_at - interval '61 s'")
    limit(database, "user_jobs_per_minute", 2)

    def verify() -> None:
        with operator.begin() as session:
            images.verify_image(session, image)
        # One at a time of a kind, which is not what this is about.
        database.rows("UPDATE jobs SET status = 'SUCCEEDED' WHERE kind = 'image.verify'")

    for _ in range(2):
        verify()
    with pytest.raises(
        ConsoleError, match=r"too many jobs within a minute; try again in \d+ seconds\.$"
    ):
        verify()
    assert database.value("SELECT count(*) FROM jobs WHERE kind = 'image.verify'") == 2
    begin_upload(database.sign_in(Role.ADMIN), "another")
    database.rows("UPDATE jobs SET created_at = created_at - interval '61 s'")
    verify()
