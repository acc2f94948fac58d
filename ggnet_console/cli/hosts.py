# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet host``: the storage hosts and whether their agents are alive."""

from __future__ import annotations

from typing import Annotated

import typer

from ..enums import BackendChoice
from . import context
from .options import AsJson, one_of
from .output import print_list, say

_COLUMNS = ("name", "portal", "backend", "backend_reason", "alive", "problem", "saved_problem")

app = typer.Typer(no_args_is_help=True, help="The storage hosts.")


@app.command(name="list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List the storage hosts and whether their agents are alive."""
    from ..services import hosts

    with context.of(ctx).signed_in() as database, database.begin() as session:
        rows = hosts.list_hosts(session)
    print_list(rows, _COLUMNS, as_json=as_json)


@app.command(
    name="set",
    epilog="Example: ggnet host set lab-server --backend tgt. The agent changes over within "
    "seconds; GGNET_BACKEND in its own configuration goes first.",
)
def set_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="HOST", help="Name of the storage host.")],
    backend: Annotated[
        BackendChoice,
        one_of("--backend", BackendChoice, "What serves its targets; auto: LIO where it can run."),
    ],
) -> None:
    """Choose the iSCSI target of a storage host; refused while it has sessions."""
    from ..services import hosts

    with context.of(ctx).signed_in() as database, database.begin() as session:
        hosts.choose_backend(session, hosts.get_host(session, name).id, backend)
    say(f"{name} is to be served by {backend.lower()}.")
