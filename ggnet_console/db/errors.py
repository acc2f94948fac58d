# SPDX-License-Identifier: GPL-3.0-or-later
"""The database's errors as sentences, made once, at the edge where they arise."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc

from ..errors import (
    ConsoleError,
    FieldError,
    HinderedError,
    NotFoundError,
    RefusedError,
    Sentence,
    SignInError,
    UnreachableError,
    sentence,
)
from ..values import NOT_UTF8
from . import sentences

_DUPLICATES = {
    "uq_machines_name": ("name", sentence("Another machine already has this name.")),
    "uq_machines_mac": ("mac", sentence("Another machine already has this MAC address.")),
    "uq_machines_ip": ("ip", sentence("Another machine already has this IP address.")),
    "uq_images_name": ("name", sentence("Another image already has this name.")),
    "uq_users_name": ("name", sentence("Another user already has this name.")),
}
_TIDY = (
    "name",
    sentence("A name has composed letters (Unicode NFC) and plain spaces, none at its ends."),
)
_CHECKS = {
    "ck_machines_tidy": _TIDY,
    "ck_images_tidy": _TIDY,
    "ck_users_tidy": _TIDY,
    "ck_machines_name": ("name", sentence("A machine's name has 1 to 64 characters.")),
    "ck_machines_location": (
        "location",
        sentence("A machine's location has 200 characters at most."),
    ),
    "ck_machines_room": ("room", sentence("A machine's room has 200 characters at most.")),
    "ck_machines_asset_tag": ("asset_tag", sentence("An asset tag has 200 characters at most.")),
    "ck_machines_notes": ("notes", sentence("Notes have 4,000 characters at most.")),
    "ck_images_notes": ("notes", sentence("Notes have 4,000 characters at most.")),
    "ck_images_name": ("name", sentence("An image's name has 1 to 64 characters.")),
    "ck_users_name": ("name", sentence("A user's name has 1 to 64 printable characters.")),
    "ck_settings_value": (
        "value",
        sentence("This value is outside the range allowed for the setting."),
    ),
}
_IN_USE = {
    "fk_targets_machine_id": sentence(
        "This machine has a target; stop its session and remove the target first."
    ),
    "ck_jobs_params": sentence("This asks for too much at once; choose fewer machines or targets."),
    "uq_jobs_open_image": sentence(
        "This image has a job of this kind already; wait for it or cancel it."
    ),
    "fk_luns_image_version_id": sentence(
        "This image is served by a target; remove the target first."
    ),
}
# What passes, by SQLSTATE.
_HINDRANCES = (
    (
        "55P03|40P01",
        sentence("Somebody else has been changing the same for too long; try again in a moment."),
    ),
    ("53100", sentence("The database server's disk is full; free some space there.")),
    ("53", sentence("The database server has no memory left for this; try again in a moment.")),
    ("58030", sentence("The database server cannot read or write its disk; its log says why.")),
)
_OURS = {"GG001": ConsoleError, "GG002": NotFoundError, "GG005": SignInError}
_SIGN_IN_ENDED = sentence("The sign-in has ended or was never valid; sign in again.")

# How libpq 18, psycopg and the server say why there is no connection (there is no SQLSTATE then),
# and what that means. The server's own lines (“FATAL:”) come in its lc_messages, wanted as C.
_NO_CONNECTION: tuple[tuple[str, type[ConsoleError], Sentence], ...] = (
    (
        "SSL error: certificate verify failed",
        UnreachableError,
        sentence(
            "The certificate of {server} was not issued by the authority in the CA file, or is "
            "out of date; ask the server's administrator for the right CA file."
        ),
    ),
    (
        'root certificate file "(?P<file>.*)" does not exist',
        UnreachableError,
        sentence(
            "There is no CA file {file}, so the server's certificate cannot be checked; name the "
            "CA file that the server's administrator gives out (sslrootcert)."
        ),
    ),
    (
        'could not read root certificate file "(?P<file>.*)"',
        UnreachableError,
        sentence(
            "The CA file {file} holds no certificate; get it anew from the server's administrator."
        ),
    ),
    (
        'server certificate for "(?P<name>[^"]*)".* does not match host name "(?P<host>.*)"',
        UnreachableError,
        sentence(
            "The certificate was issued for “{name}”, not for “{host}”; use the name that stands "
            "in it, or have one issued for this name."
        ),
    ),
    (
        "server does not support SSL, but SSL was required",
        UnreachableError,
        sentence("{Server} offers no TLS; have its administrator switch it on (ssl = on)."),
    ),
    (
        "Connection refused",
        UnreachableError,
        sentence(
            "Nothing answers at {server}; check host and port, and that PostgreSQL runs there and "
            "listens to the network."
        ),
    ),
    (
        "failed to resolve host '(?P<host>.*?)'",
        UnreachableError,
        sentence("No computer named “{host}” is known in this network; check the host name."),
    ),
    (
        "timeout expired|Connection timed out|No route to host|Network is unreachable",
        UnreachableError,
        sentence(
            "{Server} did not answer in time; check host and port, the network and firewalls."
        ),
    ),
    (
        'database "(?P<name>.*)" does not exist',
        UnreachableError,
        sentence(
            "There is no database “{name}” on {server}; check its name, or make it with “ggnet db "
            "setup-server”."
        ),
    ),
    (
        "too many connections for role",
        UnreachableError,
        sentence(
            "All connections that the database allows to this role are in use; try again in a moment."
        ),
    ),
    (
        'permission denied for database "(?P<name>.*)"',
        RefusedError,
        sentence(
            "This role may not use the database “{name}”; it belongs to another installation."
        ),
    ),
    (
        '(?:password authentication failed for user|no pg_hba.conf entry for .* user|role) "ggnet_s_',
        SignInError,
        _SIGN_IN_ENDED,
    ),
    (
        '(?:password authentication failed for user|role) "(?P<name>[^"]*)"',
        UnreachableError,
        sentence(
            "{Server} does not know the role “{name}”, or its password is another one; ask the "
            "server's administrator for the password."
        ),
    ),
    (
        "no password supplied",
        UnreachableError,
        sentence(
            "{Server} wants a password and none is kept here; enter it under “Another server…” in "
            "the window, or with “ggnet db connect”."
        ),
    ),
    (
        "no pg_hba.conf entry for .*, no encryption",
        UnreachableError,
        sentence("{Server} lets nobody in without TLS; choose the TLS mode verify-full."),
    ),
    (
        "no pg_hba.conf entry for|pg_hba.conf rejects connection for",
        UnreachableError,
        sentence(
            "{Server} does not let this computer or role in; its pg_hba.conf needs the lines that "
            "“ggnet db setup-server” prints."
        ),
    ),
    (
        "session is read-only|server is in hot standby mode",
        UnreachableError,
        sentence(
            "{Server} is a standby and takes no writes; name the primary as well, with commas between."
        ),
    ),
    (
        "too many clients already|remaining connection slots are reserved",
        UnreachableError,
        sentence(
            "{Server} has no connection left; try again later, or have max_connections raised."
        ),
    ),
)


@contextlib.contextmanager
def in_sentences() -> Iterator[None]:
    """Turn errors of psycopg and SQLAlchemy raised inside into ConsoleErrors; bugs pass as they are."""
    try:
        yield
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            raise
        raise ConsoleError(NOT_UTF8) from None
    except exc.StatementError as error:
        if isinstance(error.orig, UnicodeEncodeError) and error.orig.encoding == "utf-8":
            raise ConsoleError(NOT_UTF8) from None
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise (as_console_error(error.orig) or error) from error
    except psycopg.Error as error:
        raise (as_console_error(error) or error) from error


def as_console_error(error: psycopg.Error) -> ConsoleError | None:
    """The sentence for ``error``, or None when it is a bug."""
    message = (error.diag.message_primary or str(error)).strip()
    state = error.sqlstate or ""
    constraint = error.diag.constraint_name or ""
    if state in _OURS:
        return _OURS[state](sentences.from_detail(error.diag.message_detail, message))
    if constraint in _DUPLICATES or constraint in _CHECKS:
        return FieldError(*(_DUPLICATES | _CHECKS)[constraint])
    if constraint in _IN_USE:
        return ConsoleError(_IN_USE[constraint])
    if isinstance(error, pg.InsufficientPrivilege):
        return RefusedError(sentence("Your role does not allow this; ask an admin."), message)
    if isinstance(error, pg.InvalidPassword | pg.InvalidAuthorizationSpecification):
        return SignInError(_SIGN_IN_ENDED, message)
    if state.startswith("08") or state in {"57P01", "57P02", "57P03"}:
        return UnreachableError(sentence("The connection to the database was lost."), message)
    if state == "53300":
        return _no_connection(message)
    if state == "53400":
        return ConsoleError(
            sentence("This asks the database for too much at once; ask for less."), message
        )
    for states, why in _HINDRANCES:
        if re.match(states, state):
            return HinderedError(why, message)
    if isinstance(error, psycopg.OperationalError) and not state:
        return _no_connection(message)
    if isinstance(error, psycopg.InterfaceError):
        return UnreachableError(sentence("The connection to the database was lost."), message)
    return None


def _no_connection(message: str) -> ConsoleError:
    """Why no connection was made; of several hosts, why not to the last one tried."""
    last = message.partition("\nMultiple connection attempts failed")[0]
    at = re.search(r'connection to server at "([^"]+)"(?: \([^)]*\))?, port (\d+)', last)
    where = f"{at[1]}:{at[2]}" if at else ""
    names = {
        "server": sentence("the server {where}", where=where) if at else sentence("the server"),
        "Server": sentence("The server {where}", where=where) if at else sentence("The server"),
    }
    for pattern, kind, why in _NO_CONNECTION:
        if found := re.search(pattern, last):
            return kind(why.with_values(**names, **found.groupdict()), message)
    return UnreachableError(sentence("The database cannot be reached."), message)
