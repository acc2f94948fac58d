# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation without an agent, for the tests of ``ggnet``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from command_line import CommandLine, clean_environment
from places import short_folder
from sqlalchemy import text

from ggnet_console import config
from ggnet_console.db.installation import Installation

PASSWORD = "a long enough password"
HOST = "clihost"


@contextmanager
def fresh_installation() -> Iterator[CommandLine]:
    """``ggnet init`` in an empty folder, and its admin signed in."""
    with short_folder() as folder:
        environment = {"GGNET_HOME": str(folder / "home"), "GGNET_HOST": HOST}
        ggnet = CommandLine({**clean_environment(folder), **environment}, folder)
        ggnet.works("init", "--admin", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
        # Held open, so that not every call has to start and stop the server.
        with Installation(config.load(environment)):
            ggnet.works("login", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
            yield ggnet


def home(ggnet: CommandLine) -> Path:
    return Path(ggnet.environment["GGNET_HOME"])


def log_of(ggnet: CommandLine) -> Path:
    return Path(ggnet.environment["XDG_STATE_HOME"], "ggnet", "logs", "ggnet.jsonl")


def installation(ggnet: CommandLine) -> Installation:
    return Installation(config.load(ggnet.environment))


def as_owner(ggnet: CommandLine, statement: str) -> list[tuple[object, ...]]:
    with (
        installation(ggnet) as opened,
        closing(opened.owner("test")) as owner,
        owner.begin() as session,
    ):
        result = session.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []
