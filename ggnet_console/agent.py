# SPDX-License-Identifier: GPL-3.0-or-later
"""Composition root of ``ggnet-agent``: the console's workers without a window."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from PySide6.QtCore import QCoreApplication, QSocketNotifier

from . import __version__, config, log
from .db.installation import Installation
from .errors import ConsoleError
from .workers.agent.thread import AgentThread

_log = logging.getLogger(__name__)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ggnet-agent",
        description="Serve this storage host: run its jobs, keep its iSCSI targets, watch sessions.",
    )
    parser.add_argument("--home", help="folder of the installation (GGNET_HOME)")
    parser.add_argument("--portal", help="address:port of the iSCSI targets (GGNET_PORTAL)")
    parser.add_argument("--config", type=Path, help="configuration file")
    parser.add_argument(
        "--until-idle",
        action="store_true",
        help="end when no session is open any more (what a closing console leaves behind)",
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args()


def main() -> None:
    """Run until SIGTERM or SIGINT; exits 1 with a sentence when it cannot."""
    arguments = _arguments()
    try:
        settings = config.load(file=arguments.config, home=arguments.home, portal=arguments.portal)
        installation = Installation(settings)
        with installation:
            log.start(settings.tree.logs, "ggnet-agent", settings.log_level)
            installation.require_schema(installation.agent_dsn())
            status = _run(installation, until_idle=arguments.until_idle)
    except ConsoleError as error:
        print(f"ggnet-agent: {error.summary}", file=sys.stderr)  # noqa: T201
        if error.details:
            print(error.details, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    sys.exit(status)


def _run(installation: Installation, *, until_idle: bool) -> int:
    app = QCoreApplication(sys.argv[:1])
    agent = AgentThread(installation, until_idle=until_idle)
    wake = _signals_wake(app)
    agent.finished.connect(app.quit)
    agent.start()
    _log.info("agent of %s, process started", installation.config.host)
    status = app.exec()
    wake.setEnabled(False)
    agent.stop()
    agent.wait()
    return status


def _signals_wake(app: QCoreApplication) -> QSocketNotifier:
    """Quit on SIGTERM and SIGINT: Python runs handlers only when Qt's loop is woken."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())

    def ignore(number: int, frame: FrameType | None) -> None:
        del number, frame

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ignore)
    notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(app.quit)
    # The sockets live as long as the notifier.
    notifier.setProperty("sockets", (reader, writer))
    return notifier


if __name__ == "__main__":
    main()
