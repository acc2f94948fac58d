# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema's revision: what this program needs, what a database has, and how to get there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from ..errors import ConsoleError, SchemaError
from ..paths import MIGRATIONS
from . import definitions, fingerprint
from .bootstrap import group_role
from .fingerprint import Change, Difference

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0001"
"""The newest revision in ``migrations/versions``; a constant, since loading alembic takes 280 ms."""
_LOCK_TIMEOUT = "30s"


def require(connection: psycopg.Connection) -> None:
    """Raise SchemaError unless the database has the tables and functions this program needs."""
    require_head(read_revision(connection))
    if fingerprint.stored_sources(connection) != definitions.sources():
        raise SchemaError(
            "The database's functions or rights are not those this program needs; "
            "run “ggnet db upgrade” as its owner."
        )


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


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade has done: a new revision, changes by hand ``mended``, and those ``left``."""

    moved: bool
    mended: list[Difference]
    left: list[Difference]


def upgrade(connection: Connection, revision: str = "head") -> Upgraded:
    """Bring the schema to ``revision``, and what is defined on it to what this program defines.

    In one transaction. ``connection`` is a superuser's, or of a role that may become owner and
    broker. Tables and what belongs to them, changed by hand, are left as they are. Raises
    ConsoleError, and then nothing is changed, when those are in the way of a new revision, or what
    others have made on top of ours, or whoever uses the tables for 30 s.
    """
    with _explained():
        done = _upgrade(connection, revision)
        connection.commit()
    return done


def _upgrade(connection: Connection, revision: str) -> Upgraded:
    from alembic import command  # noqa: PLC0415 - 280 ms that only upgrades should pay
    from alembic.config import Config  # noqa: PLC0415

    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    installation = connection.exec_driver_sql("SELECT public.installation_id()").scalar_one()
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    before = current(connection)
    if before is not None:  # one upgrade at a time; then read what the other one has done
        connection.exec_driver_sql("LOCK TABLE public.alembic_version IN EXCLUSIVE MODE")
        before = current(connection)
    first = before is None or not fingerprint.stored_sources(driver)
    found = [] if first else fingerprint.differences(driver)
    of_tables = [each for each in found if each.kind not in fingerprint.MADE_ANEW]
    moves = first or before != HEAD
    if not moves and not found:
        return Upgraded(moved=False, mended=[], left=[])
    if moves:
        _require_nothing_lost(of_tables)
    connection.exec_driver_sql(f'SET LOCAL ROLE "{group_role("owner", installation)}"')
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.exec_driver_sql("RESET ROLE")
    left = found
    if revision == "head":
        definitions.make(driver, installation)
        fingerprint.store(driver, whole=moves, but=of_tables)
        left = fingerprint.differences(driver)
    return Upgraded(moves, [each for each in found if each not in left], left)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What stands in the way of an upgrade, as a sentence."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        match cause:
            case psycopg.errors.DependentObjectsStillExist():
                sentence = (
                    "The database cannot be upgraded: something that others have made in it uses "
                    "ggnet's functions; drop that, upgrade, and make it again."
                )
            case psycopg.errors.LockNotAvailable() | psycopg.errors.DeadlockDetected():
                sentence = (
                    "The database cannot be upgraded while others use its tables for so long; "
                    "nothing was changed. End what they do (pg_stat_activity names them), or try "
                    "again later."
                )
            case _:
                raise
        raise ConsoleError(sentence, cause.diag.message_detail or str(cause)) from error


def current(connection: Connection) -> str | None:
    """The revision the database has, None when it has none; needs rights on the tables."""
    if connection.exec_driver_sql("SELECT to_regclass('public.alembic_version')").scalar() is None:
        return None
    found: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM public.alembic_version"
    ).scalar()
    return found


def read_revision(connection: psycopg.Connection) -> str | None:
    """The same, as the console or an agent may ask."""
    try:
        row = connection.execute("SELECT public.schema_revision()").fetchone()
    except psycopg.errors.UndefinedFunction:
        connection.rollback()
        return None
    return str(row[0]) if row else None


def _require_nothing_lost(changed: list[Difference]) -> None:
    lost = [each for each in changed if each.change is not Change.ADDED]
    if lost:
        raise ConsoleError(
            f"The database was changed by hand and cannot be upgraded like this: "
            f"{fingerprint.told(lost)}; make that again as it was, then upgrade.",
            fingerprint.details(lost),
        )
