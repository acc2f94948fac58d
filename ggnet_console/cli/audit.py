# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet audit``: read the audit trail, prove that nobody changed it, remove what is old."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import Severity
from ..errors import ConsoleError
from . import context
from .options import MOST_ROWS, AsJson, one_of, path
from .output import is_read, print_json, print_list, say

if TYPE_CHECKING:
    from ..services.audit import AuditFilter, AuditHead

app = typer.Typer(no_args_is_help=True, help="Who changed what; for admins.")

User = Annotated[str, typer.Option("--user", metavar="NAME", help="Only what this user did.")]
Noun = Annotated[
    str, typer.Option("--noun", metavar="NOUN", help="Only of this kind: machine, image, user …")
]
Object = Annotated[
    str, typer.Option("--object", metavar="ID", help="Only of the object with this number.")
]
Contains = Annotated[
    str,
    typer.Option(
        "--contains",
        metavar="TEXT",
        help="Only with this in the object's name or in what was changed.",
    ),
]
Weight = Annotated[Severity | None, one_of("--severity", Severity, "Only of this weight.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only from this local time on.")]
Until = Annotated[datetime | None, typer.Option("--until", help="Only before this local time.")]


class Format(StrEnum):
    """What an export is written as."""

    JSON = "json"
    CSV = "csv"


def _filter(
    user: str,
    noun: str,
    object_id: str,
    contains: str,
    severity: Severity | None,
    since: datetime | None,
    until: datetime | None,
) -> AuditFilter:
    from ..services.audit import AuditFilter

    return AuditFilter(
        user_name=user,
        noun=noun,
        object_id=object_id,
        contains=contains,
        severity=severity,
        since=_moment(since),
        until=_moment(until),
    )


def _moment(local: datetime | None) -> datetime | None:
    try:
        return local and local.astimezone()
    except (ValueError, OverflowError):
        raise ConsoleError(f"{local} is outside of what a calendar here knows.") from None


@app.command(name="list", epilog="Example: ggnet audit list --user anna --noun machine")
def list_(
    ctx: typer.Context,
    user: User = "",
    noun: Noun = "",
    object_id: Object = "",
    contains: Contains = "",
    severity: Weight = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=MOST_ROWS, metavar="N", help="At most so many."),
    ] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first."""
    from ..services import audit

    wanted = _filter(user, noun, object_id, contains, severity, since, until)
    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = list(itertools.islice(audit.all_audit(session, wanted), limit))
    columns = ("at", "severity", "user_name", "verb", "noun", "object_name", "changes")
    print_list(rows, columns, as_json=as_json)


@app.command(epilog="Example: ggnet audit export --format csv > audit.csv")
def export(
    ctx: typer.Context,
    user: User = "",
    noun: Noun = "",
    object_id: Object = "",
    contains: Contains = "",
    severity: Weight = None,
    since: Since = None,
    until: Until = None,
    form: Annotated[Format, one_of("--format", Format, "One JSON object a line, or CSV.")] = (
        Format.JSON
    ),
) -> None:
    """Write all entries to standard output, newest first."""
    from ..services import audit
    from ..services.audit_export import write_audit

    wanted = _filter(user, noun, object_id, contains, severity, since, until)
    with context.of(ctx).signed_in() as database, database.begin() as session:
        entries = itertools.takewhile(lambda _: is_read(), audit.all_audit(session, wanted))
        write_audit(entries, sys.stdout, as_csv=form is Format.CSV)


@app.command(epilog="Example: ggnet audit head > /mnt/elsewhere/head.json")
def head(ctx: typer.Context) -> None:
    """Print the newest link of the chain as JSON, to be kept where nobody here can change it."""
    from ..services import audit

    with context.of(ctx).signed_in() as database, database.begin() as session:
        print_json(audit.audit_head(session))


@app.command(epilog="Example: ggnet audit verify --head /mnt/elsewhere/head.json")
def verify(
    ctx: typer.Context,
    head_file: Annotated[
        Path | None,
        typer.Option(
            "--head", parser=path, metavar="FILE", help="What “ggnet audit head” printed before."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Prove that no entry was changed, removed or put in; exit status 1 when one was."""
    from ..services import audit

    kept = _read_head(head_file) if head_file else None
    with context.of(ctx).signed_in() as database, database.begin() as session:
        problems = audit.verify_audit(session, kept)
        newest = audit.audit_head(session)
    if problems or as_json:
        print_list(problems, ("number", "entry", "problem"), as_json=as_json)
    if problems:
        raise ConsoleError("The audit trail was tampered with.")
    if not as_json:
        say(f"The audit trail is whole up to link {newest.number}.")


def _read_head(file: Path) -> AuditHead:
    from ..services import audit

    try:
        return audit.head_from(file.read_bytes())
    except OSError as error:
        raise ConsoleError(f"{file} cannot be read: {error.strerror}.") from error
    except ConsoleError as error:
        raise ConsoleError(f"{file} is not what “ggnet audit head” printed.") from error


@app.command(epilog="Example: ggnet audit prune --keep-days 730")
def prune(
    ctx: typer.Context,
    keep_days: Annotated[
        int,
        typer.Option("--keep-days", min=1, max=36_500, metavar="DAYS", help="Keep this many days."),
    ],
) -> None:
    """Remove old entries, and sign-ins that ended before; the trail says so, and still verifies."""
    from ..services import audit

    with context.of(ctx).signed_in() as database, database.begin() as session:
        removed = audit.prune_audit(session, audit.old_audit(session, keep_days).before)
    say(
        f"Removed {removed.entries} entr{'y' if removed.entries == 1 else 'ies'} of the audit trail "
        f"and {removed.sign_ins} ended sign-in{'' if removed.sign_ins == 1 else 's'}."
    )
