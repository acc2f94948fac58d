# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema's revision: what this program needs, what a database has, and how to get there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SchemaError
from ..paths import MIGRATIONS
from .bootstrap import group_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0012"
"""The newest revision in ``migrations/versions``; a constant, since loading alembic takes 280 ms."""


def require_head(found: str | None) -> None:
    """Raise SchemaError unless ``found`` is the revision this program was made for."""
    if found == HEAD:
        return
    if found is None:
        raise SchemaError("The database has no GGnet schema yet; run “ggnet db upgrade”.")
    if found < HEAD:
        raise SchemaError(
            f"The database's schema is {found}, this program needs {HEAD}; "
            "run “ggnet db upgrade” as its owner."
        )
    raise SchemaError(
        f"The database's schema is {found}, newer than the {HEAD} this program knows; "
        "install the newer GGnet Console."
    )


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to ``revision``, up or down, in one transaction, as the owner role.

    ``connection`` is a superuser's, or of a role that may become owner and broker.
    """
    from alembic import command  # noqa: PLC0415 - 280 ms that only upgrades should pay
    from alembic.config import Config  # noqa: PLC0415

    installation = connection.exec_driver_sql("SELECT public.installation_id()").scalar_one()
    connection.exec_driver_sql(f'SET ROLE "{group_role("owner", installation)}"')
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    goes_down = revision == "base" or (
        revision != "head" and revision < (current(connection) or "")
    )
    (command.downgrade if goes_down else command.upgrade)(config, revision)
    connection.commit()
    connection.exec_driver_sql("RESET ROLE")


def current(connection: Connection) -> str | None:
    """The revision the database has, None when it has none; needs rights on the tables."""
    if connection.exec_driver_sql("SELECT to_regclass('public.alembic_version')").scalar() is None:
        return None
    found: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM public.alembic_version"
    ).scalar()
    return found
