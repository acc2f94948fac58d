# SPDX-License-Identifier: GPL-3.0-or-later
"""What one call of ``ggnet`` was told, and the installation and sign-in its verb works with."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .. import config, log, paths
from ..errors import SignInError

if TYPE_CHECKING:
    from ..db.engine import Database
    from ..db.installation import Installation
    from ..services.users import SignedIn
    from ..tools.secret_store import SecretStore

PROGRAM = "ggnet"
_log = logging.getLogger(__name__)


class Call:
    """One call; configuration, log and database are reached for only by verbs that need them."""

    def __init__(self) -> None:
        self.home: Path | None = None
        self.database_url: str | None = None
        self.config_file: Path | None = None
        self.verbose = False
        self._log_file: Path | None = None

    @cached_property
    def config(self) -> config.Config:
        """The configuration; ConsoleError when a file it comes from is wrong."""
        if self.database_url is not None:
            from ..db.engine import refuse_password

            refuse_password(self.database_url)
        return config.load(file=self.config_file, home=self.home, database_url=self.database_url)

    def start_log(self) -> Path | None:
        """Begin to log, in this user's own folder; returns the file, None when it is closed."""
        if self._log_file is not None:
            return self._log_file
        # The configuration may be the very thing that failed.
        known = vars(self).get("config")
        level = known.log_level if known else "INFO"
        with contextlib.suppress(OSError):
            self._log_file = log.start(paths.user_logs(), PROGRAM, level)
        return self._log_file

    @contextlib.contextmanager
    def opened(self) -> Iterator[Installation]:
        """The installation, its database running, whatever schema it has."""
        from ..db.installation import Installation
        from ..services import connections

        password = connections.kept_password(self.config, paths.user_state())
        with Installation(self.config, password) as installation:
            self.start_log()
            yield installation

    @contextlib.contextmanager
    def as_owner(self, owner_dsn: str | None) -> Iterator[Database]:
        """GGnet's database as its owner: by ``owner_dsn`` on a shared server, else the embedded one.

        Raises ConsoleError when ``owner_dsn`` leads to another database.
        """
        from ..db import shared_server
        from ..db.engine import Database

        if owner_dsn is None:
            with (
                self.opened() as installation,
                contextlib.closing(installation.owner(PROGRAM)) as owner,
            ):
                yield owner
            return
        self.start_log()
        dsn = shared_server.owner_dsn(owner_dsn)
        with contextlib.closing(Database(dsn, program=PROGRAM, pool_size=1)) as owner:
            shared_server.require_ours(owner.dsn)
            yield owner

    @contextlib.contextmanager
    def signed_in(self) -> Iterator[Database]:
        """The database as the user of ``GGNET_USER``, else as the one of ``ggnet login``.

        Raises SchemaError, and SignInError when nobody is signed in.
        """
        from ..services import users

        with self.opened() as installation:
            installation.require_schema()
            if self.config.user is not None:
                with self._signed_in_for_this_call(installation) as database:
                    yield database
                return
            kept = self.secrets(installation).load()
            if kept is None:
                raise SignInError("Nobody is signed in; run “ggnet login NAME”.")
            log.set_process(user=kept.user)
            database = installation.signed_in(kept.role_name, kept.secret, PROGRAM)
            with contextlib.closing(database):
                with database.begin() as session:
                    users.renew_if_half_over(session)
                yield database

    @contextlib.contextmanager
    def _signed_in_for_this_call(self, installation: Installation) -> Iterator[Database]:
        from ..db.installation import read_password
        from ..services import users

        signed = sign_in(installation, str(self.config.user), read_password(self.config))
        log.set_process(user=signed.name)
        database = installation.signed_in(signed.role_name, signed.secret, PROGRAM)
        with contextlib.closing(database):
            try:
                yield database
            finally:
                with database.begin() as session:
                    users.sign_out(session)

    def secrets(self, installation: Installation) -> SecretStore:
        """Where the sign-in of ``ggnet login`` is kept for this installation."""
        from ..tools.secret_store import SecretStore

        return SecretStore(installation.key, paths.user_state())


def sign_in(installation: Installation, name: str, password: str) -> SignedIn:
    """Sign in with name and password; SignInError says what is wrong."""
    from ..services import users

    with (
        contextlib.closing(installation.console(PROGRAM)) as console,
        console.begin() as session,
    ):
        return users.sign_in(session, name, password, PROGRAM)


def of(context: typer.Context) -> Call:
    """The call a command belongs to."""
    call: Call = context.obj
    return call
