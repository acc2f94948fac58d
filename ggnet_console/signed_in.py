# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists behind the window only while somebody is signed in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from .services import users
from .services.users import SignedIn
from .ui.window.sign_in_renewal import SignInRenewal
from .ui.window.workspace import Workspace, make_feeds
from .workers.background import Background
from .workers.importer import Importer
from .workers.listener import Listener

if TYPE_CHECKING:
    from .lifecycle import Desktop

PROGRAM = "ggnet-console"
"""What the server's activity view and the audit trail call the window."""
_PATIENCE = 2
"""Attempts to connect again before an embedded server is started: somebody may just be restarting
it."""


class Work(QObject):
    """Everything that exists only while somebody is signed in."""

    def __init__(self, desktop: Desktop, signed_in: SignedIn) -> None:
        super().__init__(desktop)
        self.desktop = desktop
        self.person = signed_in
        installation = desktop.installation
        self.database = installation.signed_in(signed_in.role_name, signed_in.secret, PROGRAM)
        self.background = Background(self.database, self)
        self.importer = Importer(self.database, installation.config, self)
        self.listener = Listener(self.database.dsn, self)
        self.workspace = Workspace(
            desktop.console.shell,
            self.background,
            make_feeds(self.background, self),
            self.importer,
            desktop.console.remembered,
            user_id=signed_in.user_id,
            person=signed_in.name,
            role=signed_in.role,
            server=desktop.console.server.capitalize(),
        )
        self.listener.changed.connect(self.workspace.on_changed)
        self.listener.connected.connect(self._on_connected)
        self.listener.lost.connect(self._on_lost)
        self.listener.ended.connect(desktop.on_sign_in_ended)
        self._failures = 0
        SignInRenewal(
            desktop.console.shell, self.background, lambda: self.importer.active > 0, parent=self
        )
        self.listener.start()

    def _on_connected(self) -> None:
        self._failures = 0
        self.workspace.on_restored()

    def _on_lost(self, _reason: str) -> None:
        self.workspace.on_lost()
        self._failures += 1
        if self._failures > _PATIENCE:
            self.desktop.revive()

    async def end(self) -> None:
        """Sign out and let go of everything."""
        self.importer.cancel()
        while self.importer.active:
            await asyncio.sleep(0.01)
        await self.listener.stop()
        self.background.run(users.sign_out)
        self.background.end()
        while not self.background.wait(0):
            await asyncio.sleep(0.01)
        self.workspace.deleteLater()
        self.database.close()
        self.deleteLater()
