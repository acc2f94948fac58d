# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: pages of entries, whether the chain is whole, its head, retention."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, Text, func, literal_column, select, text
from sqlalchemy.orm import Session

from ..enums import Severity
from ..errors import ConsoleError, sentence
from ..models import SEARCHED, AuditEntry
from ..values import tidy
from .rows import one_row, rows

PAGE = 200


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry; ``changes`` maps a field to its value before and after."""

    id: int
    at: datetime
    severity: Severity
    user_id: int | None
    """None for what no user did: an agent, set-up, or the database's owner."""
    user_name: str
    client_address: str | None
    program: str
    verb: str
    noun: str
    object_id: str
    object_name: str
    changes: dict[str, Any]
    job_id: int | None


@dataclass(frozen=True)
class AuditFilter:
    """Which entries; what is None or "" does not matter. ``until`` is exclusive."""

    user_name: str = ""
    noun: str = ""
    object_id: str = ""
    severity: Severity | None = None
    since: datetime | None = None
    until: datetime | None = None
    contains: str = ""
    """Part of the object's name, or of a changed field's name or value, whatever its case."""


EVERYTHING = AuditFilter()


@dataclass(frozen=True)
class AuditHead:
    """The newest link of the chain; ``hash`` is hexadecimal, ``at`` None while there is no link."""

    number: int
    hash: str
    at: datetime | None


@dataclass(frozen=True)
class AuditProblem:
    """Something wrong with the chain, at link ``number`` or entry ``entry`` where there is one."""

    number: int | None
    entry: int | None
    problem: str


_PROBLEMS = {
    str(problem): problem
    for problem in (
        sentence("Links before this one are missing."),
        sentence("This link does not follow from the one before."),
        sentence("Entries of this link were changed, removed or added."),
        sentence("Entries were added outside of the chain."),
        sentence("The newest links are missing."),
        sentence("The trail does not follow from the exported head."),
    )
}
"""What ``audit_verify()`` answers."""


@dataclass(frozen=True)
class OldAudit:
    """The entries from before a time: how many there are."""

    before: datetime
    entries: int


@dataclass(frozen=True)
class Pruned:
    """How much retention removed."""

    entries: int
    sign_ins: int
    """Ended ones, which only tell of the past."""


def list_audit(
    session: Session,
    wanted: AuditFilter = EVERYTHING,
    *,
    before_id: int | None = None,
    limit: int = PAGE,
) -> list[AuditRow]:
    """A page of entries, newest first; ``before_id`` is the last id of the page before."""
    query = _wanted(wanted).order_by(AuditEntry.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return rows(session.execute(query), AuditRow)


def object_history(session: Session, noun: str, object_id: str, most: int = 50) -> list[AuditRow]:
    """The newest entries of one object, for everybody who sees it; without addresses."""
    entries = session.execute(
        text("SELECT * FROM object_history(:noun, :object_id, :most)"),
        {"noun": noun, "object_id": object_id, "most": most},
    )
    return rows(
        entries,
        AuditRow,
        severity=lambda row: Severity(row.severity),
        client_address=lambda _row: None,
        noun=lambda _row: noun,
        object_id=lambda _row: object_id,
    )


def all_audit(session: Session, wanted: AuditFilter = EVERYTHING) -> Iterator[AuditRow]:
    """Every entry that is wanted, newest first, read page by page."""
    page = list_audit(session, wanted)
    while page:
        yield from page
        page = list_audit(session, wanted, before_id=page[-1].id)


def _wanted(wanted: AuditFilter) -> Select[*tuple[Any, ...]]:
    entry = AuditEntry
    query: Select[*tuple[Any, ...]] = select(
        entry.id,
        entry.at,
        entry.severity,
        entry.user_id,
        entry.user_name,
        func.host(entry.client_address).label("client_address"),
        entry.program,
        entry.verb,
        entry.noun,
        entry.object_id,
        entry.object_name,
        entry.changes,
        entry.job_id,
    )
    if wanted.user_name:
        name = tidy(wanted.user_name)
        # As it is written now, and as it may have been written when the entry was made.
        spellings = {wanted.user_name, name, unicodedata.normalize("NFD", name)}
        query = query.where(entry.user_name.in_(spellings))
    for column, value in (
        (entry.noun, wanted.noun),
        (entry.object_id, wanted.object_id),
        (entry.severity, wanted.severity),
    ):
        if value:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(entry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(entry.at < wanted.until)
    if wanted.contains:
        composed = unicodedata.normalize("NFC", wanted.contains)
        literally = re.sub(r"([\\%_])", r"\\\1", composed)
        query = query.where(literal_column(SEARCHED, Text).ilike(f"%{literally}%"))
    return query


def verify_to_head(
    session: Session, head: AuditHead | None
) -> tuple[list[AuditProblem], AuditHead]:
    """What ``verify_audit`` finds, and the head up to which it looked."""
    return verify_audit(session, head), audit_head(session)


def audit_head(session: Session) -> AuditHead:
    """The head to keep elsewhere: later it shows whether the trail up to here was changed."""
    return one_row(session.execute(text("SELECT number, hash, at FROM audit_head()")), AuditHead)


def head_from(kept: str | bytes) -> AuditHead:
    """The head that was kept as JSON with its number and hash; ConsoleError for anything else."""
    try:
        fields = json.loads(kept)
        number, digest = fields["number"], fields["hash"]
        if type(number) is not int or not 0 <= number < 2**63:
            raise ValueError(number)
        if not re.fullmatch("([0-9a-f]{2})*", digest):
            raise ValueError(digest)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConsoleError(
            sentence("This is not a chain head; paste all that was copied.")
        ) from error
    return AuditHead(number, digest, None)


def verify_audit(session: Session, head: AuditHead | None = None) -> list[AuditProblem]:
    """What is wrong with the chain, measured by ``head`` as well; nothing when it is whole.

    ConsoleError when ``head`` is older than what ``prune_audit`` left.
    """
    found = session.execute(
        text("SELECT number, entry, problem FROM audit_verify(:number, :hash)"),
        {"number": head and head.number, "hash": head and head.hash},
    )
    return rows(found, AuditProblem, problem=lambda row: _PROBLEMS.get(row.problem, row.problem))


def old_audit(session: Session, keep_days: int) -> OldAudit:
    """What is older than so many days by the database's clock, for ``prune_audit``."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    before = now - timedelta(days=keep_days)
    count = select(func.count()).select_from(AuditEntry).where(AuditEntry.at < before)
    return OldAudit(before, session.execute(count).scalar_one())


def prune_audit(session: Session, before: datetime) -> Pruned:
    """Remove entries, links and ended sign-ins from before ``before``; the chain stays whole.

    Heads exported before then prove nothing any more. ConsoleError when ``before`` is more recent
    than the setting ``audit_keep_days`` allows.
    """
    removed = session.execute(
        text("SELECT entries, sign_ins FROM audit_prune(:before)"), {"before": before}
    )
    return one_row(removed, Pruned)
