# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and sign-ins."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, cast, func, select, text
from sqlalchemy.orm import Session

from ..db import sentences
from ..enums import Role
from ..errors import FieldError, NotFoundError, SignInError, sentence
from ..models import SignIn, User
from ..values import parse_name, tidy
from .names import is_named
from .rows import first_row, rows, rows_by

MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_BYTES = 72
"""bcrypt reads no further."""


@dataclass(frozen=True)
class PublicUser:
    """What everybody who is signed in may know of a user."""

    id: int
    name: str
    role: Role
    disabled: bool
    locked: bool


@dataclass(frozen=True)
class FailedSignIns:
    """Sign-ins with one name from one computer that failed within a day and since the last right one."""

    client_address: str | None
    """None: the server itself."""
    workstation: str
    number: int
    """0 when only their lock-out is left: whoever guessed rolled the record back."""
    last_at: datetime | None
    refused: bool
    """Even the right password is refused from there."""
    until: datetime | None
    """When a refusal ends by itself; None: not before the user is unlocked."""


@dataclass(frozen=True)
class UserRow(PublicUser):
    """A user as admins see it."""

    must_change_password: bool
    created_at: datetime
    last_sign_in_at: datetime | None
    open_sign_ins: int
    """Sign-ins that have neither ended nor expired."""
    failed: tuple[FailedSignIns, ...] = ()

    @property
    def failed_sign_ins(self) -> int:
        """How many, from whatever computer."""
        return sum(each.number for each in self.failed)

    @property
    def locked_out(self) -> bool:
        """Whether even the right password is refused from some computer."""
        return any(each.refused for each in self.failed)


@dataclass(frozen=True)
class SignInRow:
    """A sign-in: whose, from where, and how long; ``ended_at`` is None while it is open."""

    id: uuid.UUID
    user_id: int
    name: str
    program: str
    workstation: str
    client_address: str | None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class SignedIn:
    """A fresh sign-in: the short-lived PostgreSQL role to work as, and whose it is."""

    role_name: str
    secret: str = field(repr=False)
    expires_at: datetime
    user_id: int
    name: str
    role: Role
    must_change_password: bool
    """It may do nothing else before."""


@dataclass(frozen=True)
class Me:
    """Who this connection works as."""

    user_id: int
    name: str
    role: Role
    expires_at: datetime
    must_change_password: bool
    role_changed_by: str | None
    """Who changed the role last, if anybody ever did."""


def require_good_password(password: str) -> None:
    """Raise FieldError("password") for one too short, or longer than bcrypt can tell apart."""
    encoded = password.encode()
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise FieldError(
            "password",
            sentence(
                "A password needs at least {least} characters.", least=MIN_PASSWORD_CHARACTERS
            ),
        )
    if len(encoded) > MAX_PASSWORD_BYTES:
        raise FieldError(
            "password",
            sentence(
                "A password can have {most} bytes at most; this one has {bytes}.",
                most=MAX_PASSWORD_BYTES,
                bytes=len(encoded),
            ),
        )
    if "\0" in password:
        raise FieldError("password", sentence("A password cannot contain a NUL character."))


def hash_password(password: str, cost: int) -> str:
    """A bcrypt hash with the prefix ``$2a$``; pgcrypto reads ``$2b$`` silently as DES.

    ``cost`` is that of ``password_cost``. Raises FieldError as ``require_good_password``.
    """
    import bcrypt  # noqa: PLC0415 - only those who set a password pay for it

    require_good_password(password)
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost, prefix=b"2a")).decode()


def password_cost(session: Session) -> int:
    """The setting ``bcrypt_cost``: each more doubles the time of a hash."""
    cost: int = session.execute(select(func.password_cost())).scalar_one()
    return cost


def _hashed(session: Session, password: str) -> str:
    require_good_password(password)
    return hash_password(password, password_cost(session))


def sign_in(session: Session, name: str, password: str, program: str) -> SignedIn:
    """Sign in with name and password; ``session`` is the console role's.

    Raises SignInError with the reason, the same for an unknown name and a wrong password.
    """
    if "\0" in name + password:
        raise SignInError(sentence("The name or the password is wrong."))
    answer = session.execute(
        select(func.login(tidy(name), password, program, f"{_user()}@{socket.gethostname()}"))
    ).scalar_one()
    if not answer["ok"]:
        # The failure has its place in the audit trail; raising alone would roll it back.
        session.commit()
        raise SignInError(sentences.from_answer(answer))
    return SignedIn(
        role_name=answer["role_name"],
        secret=answer["secret"],
        expires_at=datetime.fromisoformat(answer["expires_at"]),
        user_id=answer["user_id"],
        name=answer["name"],
        role=Role(answer["role"]),
        must_change_password=answer["must_change_password"],
    )


def _user() -> str:
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or str(os.getuid())


def who_am_i(session: Session) -> Me:
    """The user this connection was signed in for; SignInError when the sign-in has ended."""
    found = session.execute(text("SELECT * FROM who_am_i()"))
    me = first_row(found, Me, role=lambda row: Role(row.role))
    if me is None:
        raise SignInError(sentence("The sign-in has ended; sign in again."))
    return me


def renew_sign_in(session: Session) -> datetime:
    """Extend the caller's own sign-in; returns until when it lasts."""
    until: datetime = session.execute(select(func.renew_sign_in())).scalar_one()
    return until


def renew_if_half_over(session: Session) -> None:
    """Extend the caller's own sign-in when less than half of ``sign_in_hours`` is left.

    Nothing for one who has to change the password first. SignInError when it has ended.
    """
    me = who_am_i(session)
    if me.must_change_password:
        return
    session.execute(
        text(
            "SELECT renew_sign_in() FROM settings WHERE name = 'sign_in_hours' "
            "AND :until < clock_timestamp() + make_interval(hours => value::int) / 2"
        ),
        {"until": me.expires_at},
    )


def sign_out(session: Session) -> None:
    """End the caller's own sign-in: its role can connect no more."""
    session.execute(select(func.sign_out()))


def has_users(session: Session) -> bool:
    """Whether the first admin exists; may be asked before anybody signs in."""
    return bool(session.execute(select(func.has_users())).scalar_one())


def create_user(
    session: Session, name: str, role: Role, password: str, *, must_change: bool = False
) -> int:
    """Add a user; returns its id. FieldError names what is wrong with name or password.

    With ``must_change`` it can do nothing at its first sign-in but choose another password.
    """
    password_hash = _hashed(session, password)
    return add_hashed_user(session, name, role, password_hash, must_change=must_change)


def add_hashed_user(
    session: Session, name: str, role: Role, password_hash: str, *, must_change: bool = False
) -> int:
    """Add a user whose bcrypt hash was made before; ConsoleError for another kind of hash."""
    name = parse_name(name, sentence("A user's name has 1 to 64 printable characters."))
    created: int = session.execute(
        select(func.user_create(name, cast(role, User.role.type), password_hash, must_change))
    ).scalar_one()
    return created


_SHOWN = (User.id, User.name, User.role, User.disabled, User.locked)


def list_public_users(session: Session) -> list[PublicUser]:
    """All users by name."""
    return rows(session.execute(select(*_SHOWN).order_by(func.lower(User.name))), PublicUser)


def get_user(session: Session, name: str) -> PublicUser:
    """The user called ``name``, whatever its case; NotFoundError when there is none."""
    query = select(*_SHOWN).where(is_named(User.name, name))
    row = first_row(session.execute(query), PublicUser)
    if row is None:
        raise NotFoundError(sentence("There is no user “{name}”.", name=name))
    return row


def list_users(session: Session) -> list[UserRow]:
    """All users by name with what only admins may see."""
    count = (
        select(func.count())
        .where(SignIn.user_id == User.id, *_is_open())
        .correlate(User)
        .scalar_subquery()
    )
    query = select(
        *_SHOWN,
        User.must_change_password,
        User.created_at,
        User.last_sign_in_at,
        count.label("open_sign_ins"),
    ).order_by(func.lower(User.name))
    tried = session.execute(
        text(
            "SELECT account, client_address, workstation, failures AS number, last_at, refused, "
            "until FROM failed_sign_ins()"
        )
    )
    failed = rows_by(tried, "account", FailedSignIns)
    return rows(session.execute(query), UserRow, failed=lambda row: failed.get(row.id, ()))


def list_sign_ins(
    session: Session, user_id: int | None = None, *, open_only: bool = True
) -> list[SignInRow]:
    """Sign-ins of one user or of all, newest first, at most 1,000; for admins."""
    query = (
        select(
            SignIn.id,
            SignIn.user_id,
            User.name,
            SignIn.program,
            SignIn.workstation,
            func.host(SignIn.client_address).label("client_address"),
            SignIn.created_at,
            SignIn.expires_at,
            SignIn.ended_at,
        )
        .join(User, User.id == SignIn.user_id)
        .order_by(SignIn.created_at.desc())
        .limit(1000)
    )
    if user_id is not None:
        query = query.where(SignIn.user_id == user_id)
    if open_only:
        query = query.where(*_is_open())
    return rows(session.execute(query), SignInRow)


def _is_open() -> tuple[ColumnElement[bool], ...]:
    return (SignIn.ended_at.is_(None), SignIn.expires_at > func.clock_timestamp())


def set_role(session: Session, user_id: int, role: Role) -> None:
    """Change what a user may do; holds at once, in open windows too.

    This and the next ones raise NotFoundError for a user that is gone, ConsoleError for the
    last admin. Whoever takes rights away calls ``end_stale_connections`` in a unit of work after.
    """
    _call(session, func.user_set_role, user_id, cast(role, User.role.type))


def set_locked(session: Session, user_id: int, *, locked: bool) -> None:
    """Lock a user, which ends its sign-ins; or unlock it, also after too many failed ones."""
    _call(session, func.user_set_locked, user_id, locked)


def set_disabled(session: Session, user_id: int, *, disabled: bool) -> None:
    """Take a user out of use, which ends its sign-ins; or put it back."""
    _call(session, func.user_set_disabled, user_id, disabled)


def reset_password(session: Session, user_id: int, password: str) -> None:
    """Give another user a password that it must change at the next sign-in."""
    _call(session, func.user_reset_password, user_id, _hashed(session, password))


def revoke_sign_ins(session: Session, user_id: int) -> int:
    """End all sign-ins of a user with their connections; returns how many."""
    return int(_call(session, func.user_revoke, user_id))


def revoke_sign_in(session: Session, sign_in_id: uuid.UUID) -> None:
    """End one sign-in with its connections; NotFoundError when it has ended already."""
    _call(session, func.sign_in_revoke, sign_in_id)


def end_stale_connections(session: Session) -> None:
    """End connections of sign-ins that are over.

    Revoking ends them too, but only a unit of work after its commit catches one that was opened
    in between.
    """
    _call(session, func.end_stale_connections)


def end_holders(session: Session, hidden_before: Collection[int]) -> set[int]:
    """As an agent: end connections that hold hundreds of locks, or hide; in a transaction of its own.

    Answers the backends that do not show themselves now, to be given back at the next look.
    """
    hidden = session.execute(
        text("SELECT end_holders(CAST(:before AS int[]))"), {"before": sorted(hidden_before)}
    ).scalar_one()
    return set(hidden)


def tend_sign_ins(session: Session) -> None:
    """As an agent: end connections whose sign-in is over, and those that hold up others.

    Does not wait long itself, to be called again: then what was ended is ended, but not in the trail.
    """
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    _call(session, func.tend_sign_ins)


def change_password(session: Session, present: str, new: str) -> None:
    """Change the caller's own password; the user's other sign-ins end.

    FieldError names what is wrong with which of the two.
    """
    if "\0" in present:
        raise FieldError("present_password", sentence("The present password is wrong."))
    refusal = _call(session, func.change_password, present, _hashed(session, new))
    if refusal is not None:
        # As for a sign-in: what the failure recorded stays.
        session.commit()
        raise FieldError("present_password", sentences.from_answer(refusal))


def _call(session: Session, function: Callable[..., ColumnElement[Any]], *values: object) -> Any:
    return session.execute(select(function(*values))).scalar_one()
