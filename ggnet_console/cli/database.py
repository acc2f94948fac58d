# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet db``: the database's schema, as it is and as this program needs it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from .. import paths
from ..errors import ConsoleError, SchemaError
from . import context
from .options import AsJson, OwnerDsn, PasswordStdin, path
from .output import print_one, say

if TYPE_CHECKING:
    from ..db.shared_server import Prepared

RequiredOwnerDsn = Annotated[
    str,
    typer.Option(
        "--owner-dsn", metavar="DSN", help="How a superuser of the server connects, no password."
    ),
]
Passwords = Annotated[
    Path | None,
    typer.Option(
        "--passwords",
        parser=path,
        metavar="FILE",
        help="New file for the passwords; default: the screen.",
    ),
]

app = typer.Typer(no_args_is_help=True, help="The database and its schema.")


@app.command()
def status(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Say where the database is and whether its schema fits; needs no sign-in."""
    from ..db import fingerprint, schema
    from ..services import users

    with (
        context.of(ctx).opened() as installation,
        contextlib.closing(installation.console(context.PROGRAM)) as console,
    ):
        revision = installation.revision()
        has_admin, problem, changed = None, "", []
        try:
            installation.require_schema()
            changed = installation.changed_by_hand()
            with console.begin() as session:
                has_admin = users.has_users(session)
        except SchemaError as error:
            problem = error.summary
        embedded = installation.config.embedded
        answer = {
            "kind": "embedded" if embedded else "server",
            "server": console.server,
            "cluster": str(installation.config.tree.cluster) if embedded else None,
            "revision": revision,
            "needed_revision": schema.HEAD,
            "up_to_date": not problem,
            "problem": problem or fingerprint.warning(changed),
            "changed_by_hand": [str(each) for each in changed],
            "has_admin": has_admin,
        }
    print_one(answer, as_json=as_json)


@app.command()
def upgrade(
    ctx: typer.Context,
    owner_dsn: OwnerDsn = None,
) -> None:
    """Bring the database's schema to the one this program needs."""
    from ..db import fingerprint, schema
    from ..db.errors import in_sentences

    with (
        context.of(ctx).as_owner(owner_dsn) as owner,
        in_sentences(),
        owner.engine.connect() as connection,
    ):
        done = schema.upgrade(connection)
    if done.moved:
        say(f"The database's schema is {schema.HEAD} now.")
    elif done.mended:
        say(
            f"Functions and rights of the database are as they have to be again: {len(done.mended)} differed."
        )
    elif not done.left:
        say(f"The database's schema is {schema.HEAD} already; nothing to do.")
    if done.still_open:
        say(
            f"Everybody who connects may use {len(done.still_open)} things of the server with which one "
            "person can stop it for all; run “ggnet db setup-server” again, as its superuser."
        )
    if done.left:
        raise ConsoleError(
            f"This was changed by hand, and no upgrade mends it: {fingerprint.told(done.left)}.",
            fingerprint.details(done.left),
        )


@app.command(
    epilog="Example: ggnet db connect 'host=db.example.net dbname=ggnet sslrootcert=/etc/ggnet/ca.crt'"
)
def connect(
    ctx: typer.Context,
    dsn: Annotated[
        str, typer.Argument(metavar="DSN", help="The server's connection string, no password.")
    ],
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Use a shared server from now on; the console role's password is asked for and kept."""
    from ..db.engine import refuse_password
    from ..services import connections
    from .users import read_password

    call = context.of(ctx)
    refuse_password(dsn)
    call.start_log()
    password = read_password(from_stdin=password_stdin, new=False)
    sentence = connections.try_out(call.config, dsn, password, paths.user_state())
    where = connections.keep_password(dsn, password, paths.user_state())
    connections.remember(dsn)
    say(sentence)
    if where:
        say(f"Its password is kept in {where}.")


@app.command(
    epilog="Example: ggnet db setup-server --owner-dsn 'host=db.example.net user=postgres' --host store1"
)
def setup_server(
    ctx: typer.Context,
    owner_dsn: RequiredOwnerDsn,
    name: Annotated[
        str, typer.Option("--name", metavar="DB", help="Name of the database.")
    ] = "ggnet",
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", metavar="NAME", help="A storage host that gets an agent (repeatable)."
        ),
    ] = None,
    passwords: Passwords = None,
) -> None:
    """Prepare a shared server: database, roles, passwords; says what its administrator does next."""
    from ..db import shared_server

    context.of(ctx).start_log()
    with _password_file(passwords) as file:
        prepared = shared_server.prepare(shared_server.owner_dsn(owner_dsn), name, host or [])
        say(
            f"Made the database {prepared.database}."
            if prepared.made
            else f"The database {prepared.database} was there already; what it lacked was added."
        )
        _hand_over(prepared, file)


@app.command(
    epilog="Example: ggnet db add-host store2 --owner-dsn 'host=db.example.net user=postgres dbname=ggnet'"
)
def add_host(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The storage host's name.")],
    owner_dsn: RequiredOwnerDsn,
    passwords: Passwords = None,
) -> None:
    """Let the agent of one more storage host into a shared server's database."""
    from ..db import shared_server

    context.of(ctx).start_log()
    with _password_file(passwords) as file:
        prepared = shared_server.add_host(shared_server.owner_dsn(owner_dsn), name)
        say(f"The agent of {name} may use the database {prepared.database}.")
        _hand_over(prepared, file)


@contextlib.contextmanager
def _password_file(path: Path | None) -> Iterator[TextIO | None]:
    """A new file for this user alone, opened before there is anything to write into it."""
    if path is None:
        yield None
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConsoleError(
            f"The passwords cannot be written to {path}: {error.strerror}.", str(error)
        ) from error
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            yield file
    finally:
        if not path.stat().st_size:
            path.unlink()


def _hand_over(prepared: Prepared, file: TextIO | None) -> None:
    """Passwords in the form of libpq's password file, into ``file`` or, once, to the screen."""
    lines = [
        f"*:*:{prepared.database}:{role}:{password}"
        for role, password in prepared.passwords.items()
    ]
    if lines and file is not None:
        file.writelines(f"{line}\n" for line in lines)
        say(f"The passwords of {', '.join(prepared.passwords)} are in {file.name}.")
    elif lines:
        say("New passwords, shown this once (each line is one of a libpq password file):")
        for line in lines:
            say(f"  {line}")
    say("pg_hba.conf of the server needs this line, before more general ones:")
    say(f"  {prepared.hba_line}")
    say(
        "and this one after all such lines, so that they get into no other database; then reload it:"
    )
    say(f"  {prepared.hba_reject}")
    for remark in prepared.remarks:
        say(remark)
