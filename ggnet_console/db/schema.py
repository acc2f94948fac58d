# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema's revision: what this program needs, what a database has, and how to get there."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from .. import __version__
from ..errors import ConsoleError, SchemaError, sentence
from ..paths import MIGRATIONS
from . import bootstrap, definitions, everybody, fingerprint
from .bootstrap import group_role
from .fingerprint import Change, Difference

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0004"
"""The newest revision in ``migrations/versions``; a constant, since loading alembic takes 280 ms."""
_LOCK_TIMEOUT_S = 30.0


def require(connection: psycopg.Connection) -> None:
    """Raise SchemaError unless the database has the tables and functions this program needs."""
    require_head(read_revision(connection))
    stored = fingerprint.stored_sources(connection)
    _require_no_newer(stored)
    if stored != definitions.sources():
        raise SchemaError(
            sentence(
                "The database's functions or rights are not those this program needs; run “ggnet "
                "db upgrade” as its owner."
            )
        )


def require_head(found: str | None) -> None:
    """Raise SchemaError unless ``found`` is the revision this program was made for."""
    if found == HEAD:
        return
    if found is None:
        raise SchemaError(sentence("The database has no GGnet schema yet; run “ggnet db upgrade”."))
    if found < HEAD:
        raise SchemaError(
            sentence(
                "The database's schema is {found}, this program needs {needed}; run “ggnet db "
                "upgrade” as its owner.",
                found=found,
                needed=HEAD,
            )
        )
    raise SchemaError(
        sentence(
            "The database's schema is {found}, newer than the {needed} this program knows; "
            "install the newer GGnet Console.",
            found=found,
            needed=HEAD,
        )
    )


def _require_no_newer(stored: dict[str, str]) -> None:
    made_by = stored.get(definitions.VERSION, "0")
    if _order(made_by) > _order(__version__):
        raise SchemaError(
            sentence(
                "The database was upgraded by GGnet Console {version}, this is {this}; install "
                "the newer one.",
                version=made_by,
                this=__version__,
            )
        )


def _order(version: str) -> list[int]:
    release = re.match(r"[\d.]*", version)
    return [int(number) for number in re.findall(r"\d+", release[0] if release else "")]


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade has done: a new revision, changes by hand ``mended``, and those ``left``.

    ``still_open``: what everybody may use and should not, which only a superuser takes away.
    """

    moved: bool
    mended: list[Difference]
    left: list[Difference]
    still_open: list[str]


def upgrade(connection: Connection, revision: str = "head") -> Upgraded:
    """Bring the schema to ``revision``, and what is defined on it to what this program defines.

    In one transaction. ``connection`` is a superuser's, or of a role that may become owner and
    broker. Tables and what belongs to them, changed by hand, are left as they are. Raises
    ConsoleError, and then nothing is changed, when those are in the way of a new revision, or what
    others have made on top of ours, or whoever uses the tables for 30 s.
    """
    differs: list[Difference] = []
    with _explained(differs):
        done = _upgrade(connection, revision, differs)
        connection.commit()
    return done


def _upgrade(connection: Connection, revision: str, found: list[Difference]) -> Upgraded:
    from alembic import command  # noqa: PLC0415 - 280 ms that only upgrades should pay
    from alembic.config import Config  # noqa: PLC0415

    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    fingerprint.settle(driver)
    installation = connection.exec_driver_sql("SELECT public.installation_id()").scalar_one()
    _take_turns(driver)
    before = current(connection)
    if before is not None and before > HEAD:
        require_head(before)
    _require_whole(driver, installation, before)
    stored = {} if before is None else fingerprint.stored_sources(driver)
    _require_no_newer(stored)
    if driver.info.parameter_status("is_superuser") == "on":
        bootstrap.bound_everybody(driver, installation)
    still_open = everybody.still_open(driver)
    found += fingerprint.differences(driver) if stored else []
    if before == HEAD and stored and not found:
        return Upgraded(moved=False, mended=[], left=[], still_open=still_open)
    _lock_tables(driver, group_role("owner", installation))
    moves = not stored or before != HEAD
    blocking = None if moves else fingerprint.IN_THE_WAY
    _require_nothing_lost(
        [
            each
            for each in found
            if each.kind not in fingerprint.MADE_ANEW
            and each.change is not Change.ADDED
            and (blocking is None or (each.kind in blocking and each.change is Change.MISSING))
        ]
    )
    connection.exec_driver_sql(f'SET LOCAL ROLE "{group_role("owner", installation)}"')
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    # What rows that were changed have still to do at the end, such as the audit trail's link: the
    # triggers that do it are made anew below.
    connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    connection.exec_driver_sql("RESET ROLE")
    if revision != "head":
        return Upgraded(moves, [], found, still_open)
    definitions.make(driver, installation)
    fingerprint.store(driver, found)
    left = fingerprint.differences(driver)
    still = {(each.kind, each.name) for each in left}
    mended = [each for each in found if (each.kind, each.name) not in still]
    return Upgraded(moves, mended, left, still_open)


_OURS = """
    SELECT string_agg(oid::regclass::text, ', ' ORDER BY oid), array_agg(oid) FROM pg_class
    WHERE relkind IN ('r', 'p') AND relowner::regrole::text = %s
"""
_VACUUMS = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE backend_type = 'autovacuum worker' AND relation = ANY (%s)
"""
_ALONE = 0x67676E66


def _take_turns(connection: psycopg.Connection) -> None:
    """One upgrade at a time; the second then sees what the first has done."""
    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S:g}s'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ALONE])


def _require_whole(connection: psycopg.Connection, installation: str, before: str | None) -> None:
    """Raise ConsoleError for what is missing from a database that was restored in part."""
    owner = group_role("owner", installation)
    row = connection.execute(
        "SELECT datname, datdba::regrole::text, to_regclass('public.schema_objects') IS NULL "
        "FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    if row is None:
        return
    database, belongs_to, lacks = row
    if belongs_to != owner:
        raise ConsoleError(
            sentence(
                "The database {database} belongs to {holder}, so it cannot be upgraded; as a "
                "superuser: ALTER DATABASE {database} OWNER TO {owner}.",
                database=database,
                holder=belongs_to,
                owner=owner,
            )
        )
    if before == HEAD and lacks:
        raise ConsoleError(
            sentence(
                "The database lacks the table schema_objects, which no upgrade makes anew; "
                "restore it from a backup."
            )
        )


def _lock_tables(connection: psycopg.Connection, owner: str) -> None:
    """All tables or none, in short attempts: so nobody waits for us who keeps us waiting."""
    row = connection.execute(_OURS, [owner]).fetchone()
    if row is None or row[0] is None:
        return
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '200ms'")  # deadlock_timeout is 1 s
                connection.execute(f"LOCK TABLE {row[0]} IN ACCESS EXCLUSIVE MODE")
            break
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
            # It gives way by itself only to those who wait for a second.
            with (
                contextlib.suppress(psycopg.errors.InsufficientPrivilege),
                connection.transaction(),
            ):
                connection.execute(_VACUUMS, [row[1]])
            time.sleep(0.05)
    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S:g}s'")


@contextlib.contextmanager
def _explained(differs: list[Difference]) -> Iterator[None]:
    """What stands in the way of an upgrade, as a sentence; a bug where nothing ``differs``."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        match cause:
            case psycopg.errors.DependentObjectsStillExist():
                why = sentence(
                    "The database cannot be upgraded: something that others have made in it uses "
                    "ggnet's functions; drop that, upgrade, and make it again."
                )
            case psycopg.errors.LockNotAvailable() | psycopg.errors.DeadlockDetected():
                why = sentence(
                    "The database cannot be upgraded while others use its tables for so long (a "
                    "backup, an open transaction; pg_stat_activity names them). Nothing was "
                    "changed; try again when they have ended."
                )
            case psycopg.errors.InsufficientPrivilege():
                why = sentence(
                    "The database cannot be upgraded by this role: that takes a superuser, or a "
                    "member of the owner's role to whom all of ggnet's tables belong."
                )
            case psycopg.errors.ProgrammingError() if any(
                each.kind != "source" for each in differs
            ):
                why = sentence(
                    "The database cannot be upgraded: something in it was changed by hand that "
                    "ggnet needs as it was. Nothing was changed; the server's answer says what."
                )
            case _:
                raise
        details = "\n".join(filter(None, (str(cause), cause.diag.message_detail)))
        raise ConsoleError(why, details) from error


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
    return str(row[0]) if row and row[0] else None


def _require_nothing_lost(lost: list[Difference]) -> None:
    if lost:
        raise ConsoleError(
            sentence(
                "The database was changed by hand and cannot be upgraded like this: {changes}; "
                "make that again as it was, then upgrade.",
                changes=fingerprint.told(lost),
            ),
            fingerprint.details(lost),
        )
