# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in: which page stands in the window before somebody is signed in.

Imported for the first frame: nothing here or below it may import the database's libraries.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable

from PySide6.QtCore import QObject, QSettings, Qt, Signal

from ...config import Config, require_usable
from ...errors import ConsoleError, SchemaError
from ..kit.translate import tr
from .main_window import MainWindow
from .sign_in_pages import EntryPage, FirstRunPage, NewPasswordPage, ProblemPage, SignInPage

_USER = "sign_in/user"


class Entry(QObject):
    """Shows one page at a time, and tells what people ask for on it."""

    set_up_wanted = Signal(object)
    """A FirstRun: make the installation and its first admin."""
    sign_in_wanted = Signal(object)
    """Credentials of somebody who wants to come in."""
    server_wanted = Signal()
    """Another database than this one is to be used."""
    retry_wanted = Signal()
    """What could not be done is to be tried again."""

    def __init__(
        self, window: MainWindow, remembered: QSettings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._window = window
        self._remembered = remembered
        self.page: EntryPage | ProblemPage | None = None
        """What is shown, or was last shown, when somebody is signed in."""

    def show_likely(self, config: Config) -> None:
        """First run or sign-in, by what lies on the disk."""
        if config.embedded and not config.tree.cluster.exists():
            self.show_first_run(config)
        else:
            self.show_sign_in(config)

    def show_first_run(self, config: Config) -> None:
        """Ask for the first admin; folder and portal are proposed."""
        page = FirstRunPage(
            admin=getpass.getuser(), home=config.home, portal=config.portal, probe=require_usable
        )
        page.submitted.connect(self.set_up_wanted)
        self._show(page)

    def show_sign_in(self, config: Config) -> None:
        """Ask who is there."""
        page = SignInPage(server=config.server, user=str(self._remembered.value(_USER, "")))
        page.submitted.connect(self.sign_in_wanted)
        self._show(page)

    def show_new_password(self, person: str, submitted: Callable[[str], None]) -> None:
        """Ask for the first password that is the person's own."""
        page = NewPasswordPage(person=person)
        page.submitted.connect(submitted)
        self._show(page)

    def show_problem(self, error: ConsoleError) -> None:
        """Say why it cannot go on, and offer to try again."""
        self._show(ProblemPage(error, tr("Try again"), self.retry_wanted.emit))

    def working(self, doing: str) -> None:
        """Say what is being done, such as “Starting the database…”; the form waits."""
        if isinstance(self.page, EntryPage):
            self.page.working(doing)

    def failed(self, error: ConsoleError) -> None:
        """Say on the page, or instead of it, what went wrong; what was typed stays."""
        if isinstance(self.page, EntryPage) and not isinstance(error, SchemaError):
            self.page.failed(error)
        else:
            self.show_problem(error)

    def remember(self, user: str) -> None:
        """Propose this person the next time."""
        self._remembered.setValue(_USER, user)

    def _show(self, page: EntryPage | ProblemPage) -> None:
        self.page = page
        page.elsewhere_wanted.connect(self.server_wanted)
        self._window.show_entry_page(page)
        page.setFocus(Qt.FocusReason.TabFocusReason)  # what is prefilled is typed over
