# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists behind the window only while somebody is signed in."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject, QSettings, Signal

from .db.installation import Installation
from .services import users
from .services.users import SignedIn
from .ui.kit.translate import translated
from .ui.window.main_window import MainWindow
from .ui.window.sign_in_renewal import SignInRenewal
from .ui.window.workspace import Workspace, make_feeds
from .workers.background import Background
from .workers.listener import Listener
from .workers.uploader import Uploader

PROGRAM = "ggnet-console"
"""What the server's activity view and the audit trail call the window."""
_PATIENCE = 2
"""Attempts to connect again before an embedded server is started: somebody may just be restarting
it."""


class WhileSignedIn(QObject):
    """One person's connection, feeds, listener and pages, from sign-in to sign-out."""

    refused = Signal(object)
    """A ConsoleError: the server refuses this sign-in from now on."""
    server_gone = Signal()
    """Connecting again has failed several times."""

    def __init__(
        self,
        window: MainWindow,
        installation: Installation,
        remembered: QSettings,
        signed_in: SignedIn,
        server: str,
        parent: QObject,
    ) -> None:
        """``server`` is the installation as people call it."""
        super().__init__(parent)
        self.database = installation.signed_in(signed_in.role_name, signed_in.secret, PROGRAM)
        self.background = Background(self.database, self)
        self.uploader = Uploader(self.database, installation.config, self)
        self.listener = Listener(self.database.dsn, self)
        self.workspace = Workspace(
            window,
            self.background,
            make_feeds(self.background, self),
            self.uploader,
            remembered,
            user_id=signed_in.user_id,
            person=signed_in.name,
            role=signed_in.role,
            server=_begun(translated(server)),
        )
        self.listener.changed.connect(self.workspace.on_changed)
        self.listener.connected.connect(self._on_connected)
        self.listener.lost.connect(self._on_lost)
        self.listener.ended.connect(self.refused)
        self._failures = 0
        SignInRenewal(window, self.background, lambda: self.uploader.active > 0, parent=self)
        self.listener.start()

    def _on_connected(self) -> None:
        self._failures = 0
        self.workspace.on_restored()

    def _on_lost(self, _reason: str) -> None:
        self.workspace.on_lost()
        self._failures += 1
        if self._failures > _PATIENCE:
            self.server_gone.emit()

    async def end(self) -> None:
        """Sign out and let go of everything."""
        self.uploader.cancel()
        while self.uploader.active:
            await asyncio.sleep(0.01)
        await self.listener.stop()
        self.background.run(users.sign_out)
        self.background.end()
        while not self.background.wait(0):
            await asyncio.sleep(0.01)
        self.workspace.deleteLater()
        self.database.close()
        self.deleteLater()


def _begun(text: str) -> str:
    """With a capital letter, as at the beginning of a sentence."""
    return text[:1].upper() + text[1:]
