# SPDX-License-Identifier: GPL-3.0-or-later
"""Composition root of the window: from the process's first line to its last.

The first frame shows before anything of the database is imported; the rest follows in the
background (Qt and this module's imports are all that stand before it).
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSettings, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication

from . import __version__, config, log, paths
from .config import Config
from .errors import ConsoleError
from .ui.kit.theme import Theme
from .ui.kit.tokens import State
from .ui.window.main_window import MainWindow
from .ui.window.sign_in_pages import (
    Credentials,
    EntryPage,
    FirstRun,
    FirstRunPage,
    NewPasswordPage,
    ProblemPage,
    SignInPage,
)
from .workers.garbage import GarbageCollector
from .workers.preload import Preload

if TYPE_CHECKING:
    from .lifecycle import Desktop

_log = logging.getLogger(__name__)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ggnet-console", description="The window of GGnet Console."
    )
    parser.add_argument("--home", help="folder of the installation (GGNET_HOME)")
    parser.add_argument("--database-url", help="a shared PostgreSQL (GGNET_DATABASE_URL)")
    parser.add_argument("--portal", help="address:port of the iSCSI targets (GGNET_PORTAL)")
    parser.add_argument("--config", type=Path, help="configuration file")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(argv)


def main() -> None:
    """Open the window and run until it is closed."""
    arguments = _arguments(sys.argv[1:])
    if arguments.config is not None:
        # What is remembered later goes there, too.
        os.environ["GGNET_CONFIG"] = str(arguments.config.absolute())
    try:
        settings = config.load(
            home=arguments.home,
            database_url=_without_password(arguments.database_url),
            portal=arguments.portal,
        )
        _require_connection_string(settings.database_url)
        _require_screen()
    except ConsoleError as error:
        sys.exit(f"ggnet-console: {error.summary}")
    app = QApplication(sys.argv[:1])
    app.setApplicationName("ggnet-console")
    app.setApplicationDisplayName("GGnet Console")
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
            "There is no screen to open a window on; start the console from a desktop session, "
            "or use ggnet and ggnet-agent, which need none."
        )


class Console(QObject):
    """The window, and what stands behind it once its modules are imported."""

    ended = Signal()
    """Nothing stands behind the window any more: the process may end."""

    def __init__(self, app: QApplication, settings: Config, remembered: QSettings) -> None:
        super().__init__()
        self._garbage = GarbageCollector(self)
        self.app = app
        self.config = settings
        self.remembered = remembered
        self.theme = Theme(app, remembered)
        self.shell = MainWindow(remembered, self.theme)
        self._desktop: Desktop | None = None
        self._waiting: Callable[[Desktop], None] | None = None

    def show(self) -> None:
        """Show the page that is most likely the right one; ``Desktop`` corrects it in moments."""
        self.show_likely_page()
        self.shell.installEventFilter(self)
        self.shell.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Whatever takes time begins once the first frame is painted."""
        if watched is self.shell and event.type() == QEvent.Type.Paint:
            self.shell.removeEventFilter(self)
            QTimer.singleShot(0, self, self._preload)
        return super().eventFilter(watched, event)

    def exec(self) -> int:
        """Run Qt's loop, which is asyncio's too, until the end."""
        from .workers.loop import make_loop  # noqa: PLC0415 - the window shows before asyncio comes

        with make_loop(self.app) as loop:
            self.ended.connect(loop.stop)
            loop.run_forever()
        return 0

    # Pages before the workspace

    def show_likely_page(self) -> None:
        """First run or sign-in, by what lies on the disk."""
        if self.config.embedded and not self.config.tree.cluster.exists():
            self.show_first_run()
        else:
            self.show_sign_in()

    def show_first_run(self) -> None:
        """Ask for the first admin."""
        page = FirstRunPage(
            admin=getpass.getuser(),
            home=self.config.home,
            portal=self.config.portal,
            probe=_probe,
        )
        page.submitted.connect(self._on_first_run)
        self._show_entry_page(page)

    def show_sign_in(self) -> None:
        """Ask who is there."""
        page = SignInPage(server=self.server, user=str(self.remembered.value("sign_in/user", "")))
        page.submitted.connect(self._on_sign_in)
        self._show_entry_page(page)

    def show_new_password(self, person: str, submitted: Callable[[str], None]) -> None:
        """Ask for the first password that is the person's own."""
        page = NewPasswordPage(person=person)
        page.submitted.connect(submitted)
        self._show_entry_page(page)

    def show_problem(self, error: ConsoleError) -> None:
        """Say why it cannot go on, and offer to try again."""
        page = ProblemPage(error, "Try again", self._try_again)
        self._show_entry_page(page)

    @property
    def server(self) -> str:
        """The installation, as people call it."""
        if self.config.database_url is None:
            return "this computer"
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

        return str(conninfo_to_dict(self.config.database_url).get("host") or "this computer")

    def _show_entry_page(self, page: EntryPage | ProblemPage) -> None:
        self.entry_page = page
        page.elsewhere_wanted.connect(self._on_elsewhere)
        self.shell.show_entry_page(page)
        page.setFocus(Qt.FocusReason.TabFocusReason)  # what is prefilled is typed over

    # What stands behind it

    def _preload(self) -> None:
        self._preloading = Preload("ggnet_console.lifecycle")
        self._preloading.finished.connect(self._begin)
        self._preloading.start()

    def _begin(self) -> None:
        """The rest is imported: open the installation."""
        if (fault := self._preloading.error) is not None:
            self.show_problem(
                ConsoleError(
                    "A part of GGnet Console cannot be loaded; install it anew.", repr(fault)
                )
            )
            return
        from .lifecycle import Desktop  # noqa: PLC0415

        try:
            log.start(paths.user_logs(), "ggnet-console", self.config.log_level)
        except OSError as error:
            self.shell.notify(
                f"No log is kept: {paths.user_logs()} cannot be written ({error.strerror}).",
                State.ATTENTION,
            )
        try:
            self._desktop = Desktop(self)
        except ConsoleError as error:
            self.show_problem(error)
            return
        if self._waiting is not None:
            self._waiting(self._desktop)
        else:
            self._desktop.open()

    def _try_again(self) -> None:
        if self._desktop is not None:
            self._desktop.open()
        else:
            self._begin()

    def _on_first_run(self, answer: FirstRun) -> None:
        self._when_ready(lambda desktop: desktop.set_up(answer))

    def _on_sign_in(self, answer: Credentials) -> None:
        self._when_ready(lambda desktop: desktop.sign_in(answer))

    def _on_elsewhere(self) -> None:
        if self._desktop is not None:
            self._desktop.choose_server()
        else:
            self._waiting = lambda desktop: desktop.choose_server()

    def _when_ready(self, action: Callable[[Desktop], None]) -> None:
        """Somebody may be quicker than the imports."""
        if self._desktop is not None:
            action(self._desktop)
        elif not isinstance(self.entry_page, ProblemPage):
            self.entry_page.working("Starting…")
            self._waiting = action

    def settle(self, answer: FirstRun) -> None:
        """Use the folder and portal of the first-run page, and remember them when they differ."""
        chosen = replace(self.config, home=answer.home, portal=answer.portal)
        if chosen != self.config:
            self.config = chosen
            config.remember(home=str(answer.home), portal=answer.portal)


def _probe(folder: Path) -> None:
    """Raise ConsoleError when ``folder`` cannot hold an installation, without making anything."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise ConsoleError(f"{existing} is a file; choose another folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConsoleError(f"You may not write to {existing}; choose another folder.")


if __name__ == "__main__":
    main()
