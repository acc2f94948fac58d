# SPDX-License-Identifier: GPL-3.0-or-later
"""The real window over the demo room."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from PySide6.QtCore import QObject, QSettings, Qt
from PySide6.QtWidgets import QApplication

from ..services import (
    boot_sessions,
    concurrent_edits,
    hosts,
    images,
    jobs,
    machines,
    settings,
    targets,
    users,
)
from ..ui.kit import translate
from ..ui.kit.feed import Feed, Runner
from ..ui.kit.theme import Theme
from ..ui.page_context import Feeds, Uploader
from ..ui.window.main_window import MainWindow
from ..ui.window.workspace import Workspace
from .room import Room
from .runner import RoomRunner


def make_feeds(runner: Runner, parent: QObject) -> Feeds:
    """Feeds of a room, which has no more than one page of anything."""

    def feed(read: Any, table: str, others: Collection[str] = (), **how: Any) -> Feed[Any]:
        return Feed(runner, read, table, others, parent=parent, **how)

    return Feeds(
        machines=feed(machines.list_machines, "machines"),
        images=feed(images.list_images, "images", ("targets",)),
        targets=feed(targets.list_targets, "targets"),
        sessions=feed(boot_sessions.list_boot_sessions, "boot_sessions"),
        jobs=feed(jobs.list_jobs, "jobs"),
        hosts=feed(hosts.list_hosts, "hosts", by_id=False),
        opened=feed(concurrent_edits.list_open, "open_objects", by_id=False),
        users=feed(
            users.list_users,
            "users",
            ("sign_ins", "failed_sign_ins"),
            by_id=False,
            on_demand=True,
        ),
        settings=feed(settings.list_settings, "settings", by_id=False, on_demand=True),
    )


class RoomWindow:
    """The main window with a workspace, as for somebody who is signed in, over a room."""

    def __init__(
        self,
        app: QApplication,
        settings: QSettings,
        room: Room,
        runner: RoomRunner,
        uploader: Uploader,
        server: str,
        mark: str = "",
    ) -> None:
        """``server``: what the status bar calls it. ``mark``: see ``MainWindow``."""
        translate.install(app)
        self.room = room
        self.runner = runner
        self.theme = Theme(app, settings)
        self.main_window = MainWindow(settings, self.theme, mark)
        self.workspace = Workspace(
            self.main_window,
            runner,
            make_feeds(runner, self.main_window),
            uploader,
            settings,
            user_id=room.me.user_id,
            person=room.me.name,
            role=room.me.role,
            server=server,
        )
        # As NOTIFY does it: once whoever wrote has been answered.
        runner.changed.connect(self.workspace.on_changed, Qt.ConnectionType.QueuedConnection)
