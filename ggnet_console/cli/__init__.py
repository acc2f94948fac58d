# SPDX-License-Identifier: GPL-3.0-or-later
"""Composition root of ``ggnet``, the command line: one file of verbs per noun.

Services and drivers are imported inside the verbs, so that ``--help`` is there at once.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..errors import ConsoleError
from ..values import NOT_UTF8
from . import (
    audit,
    boot_sessions,
    context,
    database,
    hosts,
    images,
    jobs,
    machines,
    settings,
    targets,
    users,
)
from .options import path
from .output import complain, complain_lines, exit_status, prepare_streams, put
from .verbs import Verbs

app = typer.Typer(
    name="ggnet",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit status: 0 done; 1 not done, with one sentence on standard error; 2 wrong usage; "
    "130 interrupted. Scripts sign in with GGNET_USER and GGNET_PASSWORD_FILE.",
)
app.command(epilog="Example: ggnet init --admin anna")(users.init)
app.command(epilog="Example: ggnet login anna")(users.login)
app.command()(users.logout)
app.command()(users.whoami)
for _name, _noun in (
    ("machine", machines),
    ("image", images),
    ("session", boot_sessions),
    ("target", targets),
    ("job", jobs),
    ("host", hosts),
    ("setting", settings),
    ("user", users),
    ("audit", audit),
    ("db", database),
):
    app.add_typer(_noun.app, name=_name, cls=Verbs)

_log = logging.getLogger(__name__)


def _print_version(asked: bool) -> None:
    if asked:
        put(f"ggnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", parser=path, metavar="DIR", help="Folder of the installation (GGNET_HOME)."
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url", metavar="DSN", help="A shared database server (GGNET_DATABASE_URL)."
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", parser=path, metavar="FILE", help="Configuration file (GGNET_CONFIG)."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the details of an error as well.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Rooms of diskless PCs from the command line: machines, disk images, boot sessions."""
    call = context.of(ctx)
    call.home, call.database_url = home, database_url
    call.config_file, call.verbose = config_file, verbose


def main() -> None:
    """Run one command; ends the process with the exit status the help names."""
    prepare_streams()
    # Without this, what is logged before there is a log file would go to the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    # SIGTERM unwinds like Ctrl+C: half-made uploads go, the database is left in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    call = context.Call()
    try:
        app(obj=call)
    except SystemExit as ended:
        sys.exit(exit_status(int(ended.code or 0)))
    except ConsoleError as error:
        _log.warning("%s", error.summary, extra={"details": error.details})
        complain(error.summary)
        if call.verbose:
            complain_lines(error.details)
    except UnicodeEncodeError as error:
        _log.warning("%s", NOT_UTF8, extra={"details": f"{error.encoding} at {error.start}"})
        complain(NOT_UTF8)
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is goes into the log
        file = call.start_log()
        _log.exception("a fault in ggnet")
        where = f"the report is in {file}" if file else "no log could be written"
        complain(f"This is a fault in ggnet itself ({type(error).__name__}); {where}.")
    sys.exit(1)
