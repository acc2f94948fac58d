# SPDX-License-Identifier: GPL-3.0-or-later
"""Composition root of the window: from the process's first line to its last.

The first frame shows before anything of the database is imported; the rest follows in the
background (Qt and this module's imports are all that stand before it).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSettings, QTimer, Signal
from PySide6.QtWidgets import QApplication

from . import __version__, config, log, paths
from .config import Config
from .errors import ConsoleError, sentence
from .ui.kit import translate
from .ui.kit.theme import Theme
from .ui.kit.tokens import State
from .ui.kit.translate import tr
from .ui.window.entry import Entry
from .ui.window.main_window import MainWindow
from .ui.window.sign_in_pages import Credentials, FirstRun
from .workers.garbage import GarbageCollector
from .workers.preload import Preload

if TYPE_CHECKING:
    from .lifecycle import Lifecycle

_log = logging.getLogger(__name__)

# What stands behind the window, in an order in which no import on the main thread takes long.
WITHOUT_QT = (
    "procrastinate",
    "ggnet_console.db.installation",
    "ggnet_console.services.agent_jobs",
    "ggnet_console.services.agent_targets",
    "ggnet_console.services.connections",
    "ggnet_console.services.hosts",
    "ggnet_console.services.images",
    "ggnet_console.services.settings",
    "ggnet_console.services.target_reports",
    "ggnet_console.services.users",
    "ggnet_console.tools.disk_images",
    "ggnet_console.tools.initiator",
    "ggnet_console.tools.lio_host",
    "ggnet_console.tools.lio_saved",
    "ggnet_console.tools.storage",
    "ggnet_console.tools.target_comparison",
    "ggnet_console.tools.target_drawing",
    "ggnet_console.tools.tgt",
)
WITH_QT = (
    "ggnet_console.ui.kit.table_view",
    "ggnet_console.ui.kit.page",
    "ggnet_console.ui.page_context",
    "ggnet_console.ui.window.server_dialog",
    "ggnet_console.signed_in",
    "ggnet_console.workers.agent.reconciler",
    "ggnet_console.workers.agent.job_runner",
    "ggnet_console.workers.agent.thread",
    "ggnet_console.lifecycle",
)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ggnet-console", description="The window of GGnet Console."
    )
    parser.add_argument("--home", help="folder of the installation (GGNET_HOME)")
    parser.add_argument("--database-url", help="a shared PostgreSQL (GGNET_DATABASE_URL)")
    parser.add_argument("--portal", help="address:port of the iSCSI targets (GGNET_PORTAL)")
    parser.add_argument("--config", type=Path, help="configuration file")
    parser.add_argument(
        "--demo", action="store_true", help="look at a made-up room; nothing is read or kept"
    )
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args(argv)
    if arguments.demo:
        _refuse_beside_demo(parser, arguments)
    return arguments


def _refuse_beside_demo(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    for name in ("home", "database_url", "portal", "config"):
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            parser.error(f"--demo shows a made-up room and no installation: leave out --{option}")


def main() -> None:
    """Open the window and run until it is closed."""
    arguments = _arguments(sys.argv[1:])
    if arguments.config is not None:
        # What is remembered later goes there, too.
        os.environ["GGNET_CONFIG"] = str(arguments.config.absolute())
    try:
        if arguments.demo:
            _require_screen()
            from .demo.window import run  # noqa: PLC0415 - nobody else needs the room

            sys.exit(run())
        settings = config.load(
            home=arguments.home,
            database_url=_without_password(arguments.database_url),
            portal=arguments.portal,
        )
        _require_connection_string(settings.database_url)
        _require_screen()
    except ConsoleError as error:
        sys.exit(f"ggnet-console: {error.summary}")  # no text: the name of the program
    app = QApplication(sys.argv[:1])
    app.setApplicationName("ggnet-console")
    app.setApplicationDisplayName("GGnet Console")  # no text
    app.setDesktopFileName("ggnet-console")
    app.setQuitOnLastWindowClosed(False)
    remembered = QSettings(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, "ggnet", "console"
    )
    console = Console(app, settings, remembered)
    console.show()
    sys.exit(console.exec())


def _without_password(database_url: str | None) -> str | None:
    if database_url is not None:
        from .db.engine import refuse_password  # noqa: PLC0415 - psycopg, before the first frame

        refuse_password(database_url)
    return database_url


def _require_connection_string(database_url: str | None) -> None:
    if database_url is not None:
        from .db.engine import parse_dsn  # noqa: PLC0415 - psycopg, before the first frame

        parse_dsn(database_url)


def _require_screen() -> None:
    """Qt aborts without a word people understand where there is no screen."""
    if not (
        os.environ.get("QT_QPA_PLATFORM")
        or os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise ConsoleError(
            sentence(
                "There is no screen to open a window on; start the console from a desktop session, "
                "or use ggnet and ggnet-agent, which need none."
            )
        )


class Console(QObject):
    """The window, and what stands behind it once its modules are imported."""

    ended = Signal()
    """Nothing stands behind the window any more: the process may end."""

    def __init__(self, app: QApplication, settings: Config, remembered: QSettings) -> None:
        super().__init__()
        self._garbage = GarbageCollector(self)
        self.app = app
        translate.install(app)
        self.theme = Theme(app, remembered)
        self.window = MainWindow(remembered, self.theme)
        self.entry = Entry(self.window, remembered, self)
        self.lifecycle: Lifecycle | None = None
        self._config = settings
        self._remembered = remembered
        self._asked: Callable[[Lifecycle], None] = lambda lifecycle: lifecycle.open()
        self._preloading: Preload | None = None
        self._closing = False
        self.window.ask_before_closing(self._may_close)
        self.entry.set_up_wanted.connect(self._on_set_up)
        self.entry.sign_in_wanted.connect(self._on_sign_in)
        self.entry.server_wanted.connect(self._on_server)
        self.entry.retry_wanted.connect(self._on_retry)

    def show(self) -> None:
        """Show the page that is most likely the right one; ``Lifecycle`` corrects it in moments."""
        self.entry.show_likely(self._config)
        self.window.installEventFilter(self)
        self.window.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Whatever takes time begins once the first frame is painted."""
        if watched is self.window and event.type() == QEvent.Type.Paint:
            self.window.removeEventFilter(self)
            QTimer.singleShot(0, self, self._preload)
        return super().eventFilter(watched, event)

    def exec(self) -> int:
        """Run Qt's loop, which is asyncio's too, until the end."""
        from .workers.loop import make_loop  # noqa: PLC0415 - the window shows before asyncio comes

        with make_loop(self.app) as loop:
            self.ended.connect(loop.stop)
            loop.run_forever()
        if self._preloading is not None:
            self._preloading.end()
        return 0

    def _may_close(self) -> bool:
        """While nothing stands behind the window yet, the process ends with it."""
        self._closing = True
        QTimer.singleShot(0, self, self.ended.emit)
        return True

    def _preload(self) -> None:
        self._preloading = Preload(WITHOUT_QT, WITH_QT, self)
        self._preloading.finished.connect(self._begin)
        self._preloading.start()

    def _begin(self) -> None:
        """The rest is imported: open the installation, or do what was asked for meanwhile."""
        if self._closing or self._preloading is None:
            return
        if (fault := self._preloading.error) is not None:
            self.entry.show_problem(
                ConsoleError(
                    tr("A part of GGnet Console cannot be loaded; install it anew."), repr(fault)
                )
            )
            return
        from .lifecycle import Lifecycle  # noqa: PLC0415

        try:
            log.start(paths.user_logs(), "ggnet-console", self._config.log_level)
        except OSError as error:
            self.window.notify(
                tr("No log is kept: {folder} cannot be written ({reason}).").format(
                    folder=paths.user_logs(), reason=error.strerror
                ),
                State.ATTENTION,
            )
        try:
            self.lifecycle = Lifecycle(
                self.window, self.entry, self._config, self._remembered, self
            )
        except ConsoleError as error:
            self.entry.show_problem(error)
            return
        self.lifecycle.ended.connect(self.ended)
        self._asked(self.lifecycle)

    # What is asked for on the pages before the workspace

    def _on_set_up(self, answer: FirstRun) -> None:
        self._when_ready(lambda lifecycle: lifecycle.set_up(answer))

    def _on_sign_in(self, answer: Credentials) -> None:
        self._when_ready(lambda lifecycle: lifecycle.sign_in(answer))

    def _on_server(self) -> None:
        if self.lifecycle is not None:
            self.lifecycle.choose_server()
        else:
            self._asked = lambda lifecycle: lifecycle.choose_server()

    def _on_retry(self) -> None:
        if self.lifecycle is not None:
            self.lifecycle.open()
        else:
            self._begin()

    def _when_ready(self, action: Callable[[Lifecycle], None]) -> None:
        """Somebody may be quicker than the imports."""
        if self.lifecycle is not None:
            action(self.lifecycle)
        else:
            self.entry.working(tr("Starting…"))
            self._asked = action


if __name__ == "__main__":
    main()
