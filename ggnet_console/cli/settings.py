# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet setting``: what admins adjust for the whole installation."""

from __future__ import annotations

from typing import Annotated

import typer

from . import context
from .options import AsJson
from .output import print_list, say

app = typer.Typer(no_args_is_help=True, help="What admins adjust for the whole installation.")


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all settings with the range their values must stay in."""
    from ..services import settings

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = settings.list_settings(session)
    print_list(rows, ("name", "value", "minimum", "maximum", "description"), as_json=as_json)


@app.command(name="set", epilog="Example: ggnet setting set session_timeout_s 900")
def set_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the setting.")],
    value: Annotated[int, typer.Argument(metavar="VALUE", help="Its new value, a number.")],
) -> None:
    """Change a setting; only admins may."""
    from ..services import settings

    with context.of(ctx).signed_in() as database, database.begin() as session:
        row = settings.read_setting(session, name)
        settings.update_setting(session, row, settings.SettingSpec(value))
    say(f"{name} is {value} now.")
