# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet init|login|logout|whoami`` and ``ggnet user``: users and sign-ins."""

from __future__ import annotations

import contextlib
import logging
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import Role
from ..errors import ConsoleError, SignInError, UnreachableError
from ..values import tidy
from . import context
from .options import AsJson, OwnerDsn, PasswordStdin, one_of
from .output import print_list, print_one, say

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ..db.installation import Installation
    from ..services.users import PublicUser
    from ..tools.secret_store import KeptSignIn

app = typer.Typer(no_args_is_help=True, help="Users.")
_log = logging.getLogger(__name__)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


def read_password(*, from_stdin: bool, new: bool) -> str:
    """The password from standard input, or asked for without echo (a new one twice)."""
    try:
        if from_stdin:
            answer = sys.stdin.readline().rstrip("\r\n")
        elif sys.stdin.isatty():
            answer = typer.prompt("Password", hide_input=True, confirmation_prompt=new, err=True)
        else:
            raise ConsoleError(
                "There is no terminal to ask for the password; use --password-stdin."
            )
        answer.encode()  # bytes that are no text come as surrogates, or as an error
    except UnicodeError:
        raise ConsoleError("The password is not UTF-8 text.") from None
    except OSError as error:
        raise ConsoleError(f"The password cannot be read ({error.strerror}).") from error
    return answer


def init(
    ctx: typer.Context,
    admin: Annotated[str, typer.Option("--admin", metavar="NAME", help="Name of the first admin.")],
    owner_dsn: OwnerDsn = None,
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Make a new installation's database and its first admin."""
    from ..db import schema
    from ..services import users

    with context.of(ctx).as_owner(owner_dsn) as owner:
        with owner.begin() as session:
            schema.require_head(schema.current(session.connection()))
            if users.has_users(session):
                raise ConsoleError(
                    "This installation has users already; sign in with "
                    "“ggnet login NAME”, or ask an admin to add you."
                )
        password = read_password(from_stdin=password_stdin, new=True)
        with owner.begin() as session:
            users.create_user(session, admin, Role.ADMIN, password)
    admin = tidy(admin)
    say(f"Made the admin {admin}; sign in with “ggnet login {admin}”.")


def login(
    ctx: typer.Context,
    name: Name,
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Sign in for the calls that follow; says where the secret is kept."""
    from ..tools.secret_store import KeptSignIn

    call = context.of(ctx)
    with call.opened() as installation:
        installation.require_schema()
        password = read_password(from_stdin=password_stdin, new=False)
        signed = context.sign_in(installation, name, password)
        kept = KeptSignIn(signed.name, signed.role_name, signed.secret)
        try:
            where = call.secrets(installation).save(kept)
        except ConsoleError:
            _sign_out(installation, kept)
            raise
    say(
        f"Signed in as {signed.name} ({signed.role}) until "
        f"{signed.expires_at.astimezone():%Y-%m-%d %H:%M}; the secret is kept in {where}."
    )
    if signed.must_change_password:
        say("This password was given to you: choose your own with “ggnet user password” first.")


def logout(ctx: typer.Context) -> None:
    """End the sign-in, here and on the server."""
    call = context.of(ctx)
    with call.opened() as installation:
        secrets = call.secrets(installation)
        try:
            kept = secrets.load()
        except ConsoleError as error:
            _log.warning("forgetting a sign-in that cannot be read: %s", error)
            kept = None
        secrets.forget()
        if kept is None:
            say("Nobody was signed in.")
            return
        _sign_out(installation, kept)
    say(f"Signed out {kept.user}.")


def _sign_out(installation: Installation, kept: KeptSignIn) -> None:
    from ..services import users

    database = installation.signed_in(kept.role_name, kept.secret, context.PROGRAM)
    with contextlib.closing(database):
        try:
            with database.begin() as session:
                users.sign_out(session)
        except SignInError as error:
            _log.info("the sign-in of %s had ended already: %s", kept.user, error)
        except UnreachableError as error:
            raise UnreachableError(
                "The sign-in is forgotten here, but the database could not be told; there it "
                "ends by itself.",
                error.details,
            ) from error


def whoami(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Say who is signed in, in which role and until when."""
    from ..services import users

    with context.of(ctx).signed_in() as database, database.begin() as session:
        me = users.who_am_i(session)
    if as_json:
        print_one(me, as_json=True)
    else:
        say(f"{me.name} ({me.role}), until {me.expires_at.astimezone():%Y-%m-%d %H:%M}")


@app.command(epilog="Example: ggnet user add anna --role OPERATOR")
def add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[
        Role,
        one_of("--role", Role, "What it may do: see, work, or manage."),
    ],
    *,
    password_stdin: PasswordStdin = False,
    must_change: Annotated[
        bool,
        typer.Option("--must-change", help="The password must be changed at the first sign-in."),
    ] = False,
) -> None:
    """Add a user. Only admins may."""
    from ..services import users

    with context.of(ctx).signed_in() as database:
        password = read_password(from_stdin=password_stdin, new=True)
        with database.begin() as session:
            users.create_user(session, name, role, password, must_change=must_change)
    then = ", who must choose a new password at the first sign-in" if must_change else ""
    say(f"Added {tidy(name)} ({role}){then}.")


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all users; admins also see last and failed sign-ins, and who is locked out."""
    from ..services import users

    columns = ["name", "role", "disabled", "locked"]
    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows: Sequence[users.PublicUser]
        if users.who_am_i(session).role is Role.ADMIN:
            rows = users.list_users(session)
            columns += ["must_change_password", "last_sign_in_at", "open_sign_ins"]
            columns += ["failed_sign_ins", "locked_out"]
        else:
            rows = users.list_public_users(session)
    print_list(rows, columns, as_json=as_json)


@app.command(epilog="Example: ggnet user role anna ADMIN")
def role(
    ctx: typer.Context,
    name: Name,
    new_role: Annotated[
        Role,
        typer.Argument(metavar="|".join(Role), case_sensitive=False, help="What it may do now."),
    ],
) -> None:
    """Change what a user may do, at once; only admins may."""
    from ..services import users

    shown = _change(ctx, name, lambda session, user: users.set_role(session, user.id, new_role))
    say(f"{shown} is {new_role} now.")


@app.command()
def reset(ctx: typer.Context, name: Name, *, password_stdin: PasswordStdin = False) -> None:
    """Give a user a password that it must change at its next sign-in; only admins may."""
    from ..services import users

    password = read_password(from_stdin=password_stdin, new=True)
    shown = _change(
        ctx, name, lambda session, user: users.reset_password(session, user.id, password)
    )
    say(f"{shown} must choose a new password at the next sign-in.")


@app.command()
def lock(ctx: typer.Context, name: Name) -> None:
    """Lock a user until it is unlocked; its sign-ins end at once."""
    from ..services import users

    shown = _change(
        ctx, name, lambda session, user: users.set_locked(session, user.id, locked=True)
    )
    say(f"Locked {shown}.")


@app.command()
def unlock(ctx: typer.Context, name: Name) -> None:
    """Unlock a user, also after too many failed sign-ins."""
    from ..services import users

    shown = _change(
        ctx, name, lambda session, user: users.set_locked(session, user.id, locked=False)
    )
    say(f"Unlocked {shown}.")


@app.command()
def disable(ctx: typer.Context, name: Name) -> None:
    """Take a user out of use; its sign-ins end at once, its name stays in the audit trail."""
    from ..services import users

    shown = _change(
        ctx, name, lambda session, user: users.set_disabled(session, user.id, disabled=True)
    )
    say(f"Disabled {shown}.")


@app.command()
def enable(ctx: typer.Context, name: Name) -> None:
    """Put a user that was disabled back into use."""
    from ..services import users

    shown = _change(
        ctx, name, lambda session, user: users.set_disabled(session, user.id, disabled=False)
    )
    say(f"Enabled {shown}.")


@app.command(name="sign-ins")
def sign_ins(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only those of this user.")
    ] = None,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who is signed in, where and until when; only admins may."""
    from ..services import users

    with context.of(ctx).signed_in() as database, database.begin() as session:
        user_id = users.get_user(session, name).id if name else None
        rows = users.list_sign_ins(session, user_id, open_only=not ended)
    columns = ("id", "name", "program", "workstation", "client_address", "created_at", "expires_at")
    print_list(rows, (*columns, "ended_at") if ended else columns, as_json=as_json)


@app.command(epilog="Example: ggnet user revoke anna")
def revoke(
    ctx: typer.Context,
    name: Name,
    sign_in: Annotated[
        uuid.UUID | None,
        typer.Option("--sign-in", metavar="ID", help="Only this one (ggnet user sign-ins)."),
    ] = None,
) -> None:
    """End a user's sign-ins, with their connections; only admins may."""
    from ..services import users

    ended = 1

    def end(session: Session, user: users.PublicUser) -> None:
        nonlocal ended
        if sign_in is None:
            ended = users.revoke_sign_ins(session, user.id)
        else:
            users.revoke_sign_in(session, sign_in)

    shown = _change(ctx, name, end)
    say(f"Ended {ended} sign-in{'' if ended == 1 else 's'} of {shown}.")


@app.command()
def password(
    ctx: typer.Context,
    *,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help="Read the present password, then the new one, a line each."
        ),
    ] = False,
) -> None:
    """Change your own password; your other sign-ins end."""
    from ..services import users

    with context.of(ctx).signed_in() as database:
        present = read_password(from_stdin=password_stdin, new=False)
        new = read_password(from_stdin=password_stdin, new=True)
        with database.begin() as session:
            users.change_password(session, present, new)
    say("Your password is changed; your other sign-ins have ended.")


def _change(ctx: typer.Context, name: str, change: Callable[[Session, PublicUser], None]) -> str:
    """Do ``change`` to the user called ``name``; returns its name as it is written."""
    from ..services import users

    with context.of(ctx).signed_in() as database:
        with database.begin() as session:
            mine = users.who_am_i(session).user_id
            user = users.get_user(session, name)
            change(session, user)
        if user.id != mine:  # whose own rights may be gone now
            with database.begin() as session:
                users.end_stale_connections(session)
    return user.name
