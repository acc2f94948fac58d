# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several verbs of ``ggnet`` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo


class OnOff(StrEnum):
    """A switch."""

    ON = "on"
    OFF = "off"


AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON; the keys are the columns' names.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")]
OwnerDsn = Annotated[
    str | None,
    typer.Option("--owner-dsn", metavar="DSN", help="On a shared server: how its owner connects."),
]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input's first line."),
]


MOST_ROWS = 10**6
"""Of a list at once."""


def path(text: str) -> Path:
    """The parser of options that name a file or folder: an empty one would be the present folder."""
    if not text:
        raise typer.BadParameter("it is empty; name a file or folder.")
    return Path(text)


def one_of(name: str, values: type[StrEnum], help_text: str) -> OptionInfo:
    """An option that takes one of ``values``, in capitals or not."""
    info: OptionInfo = typer.Option(
        name, case_sensitive=False, metavar="|".join(values), help=help_text
    )
    return info
