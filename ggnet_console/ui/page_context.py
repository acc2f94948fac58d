# SPDX-License-Identifier: GPL-3.0-or-later
"""What every page is given: the feeds, the runner of short work, and the few things it may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, QSettings
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from ..errors import ConsoleError
from .kit.actions import Access
from .kit.asking_dialog import Notify
from .kit.feed import Feed, Runner
from .kit.messages import show_error

if TYPE_CHECKING:
    from ..services.boot_sessions import BootSessionRow
    from ..services.concurrent_edits import OpenRow
    from ..services.hosts import HostRow
    from ..services.images import ImageRow, ImageSpec
    from ..services.jobs import JobRow
    from ..services.machines import MachineRow
    from ..services.settings import SettingRow
    from ..services.targets import TargetRow
    from ..services.users import UserRow


class Uploader(Protocol):
    """Copies a file in as an image, in a thread of its own.

    Exactly one of ``started`` (told the Upload: the image and its job exist, copying goes on) and ``failed`` is called
    in the main thread; what fails later stands in the image's and the job's row.
    """

    def start(
        self,
        source: Path,
        spec: ImageSpec,
        *,
        sha256: str | None,
        md5: str | None,
        started: Callable[[Any], None],
        failed: Callable[[ConsoleError], None],
        parent: QObject,
    ) -> None: ...


@dataclass(frozen=True)
class Feeds:
    """The rows of every noun."""

    machines: Feed[MachineRow]
    images: Feed[ImageRow]
    targets: Feed[TargetRow]
    sessions: Feed[BootSessionRow]
    jobs: Feed[JobRow]
    hosts: Feed[HostRow]
    opened: Feed[OpenRow]
    """What others have open in a form."""
    users: Feed[UserRow]
    """Read on demand, as only admins may."""
    settings: Feed[SettingRow]

    def all(self) -> tuple[Feed[Any], ...]:
        """Each of them."""
        return (
            self.machines,
            self.images,
            self.targets,
            self.sessions,
            self.jobs,
            self.hosts,
            self.opened,
            self.users,
            self.settings,
        )


@dataclass(frozen=True)
class PageContext:
    """The collaborators of a page."""

    runner: Runner
    feeds: Feeds
    uploader: Uploader
    access: Access
    settings: QSettings
    notify: Notify
    show_page: Callable[[str], QWidget]
    watched: set[int] = field(default_factory=set)
    """Jobs whose ends are told where they were asked for."""

    def do(
        self,
        parent: QWidget,
        work: Callable[..., Any],
        *args: Any,
        done: Callable[[Any], None] = lambda _value: None,
    ) -> None:
        """Run a short write in the background; an error is shown, whether ``parent`` is there or not."""
        window = parent.window()

        def answered(value: Any) -> None:
            if isValid(parent):
                done(value)

        self.runner.run(
            work,
            *args,
            done=answered,
            failed=lambda error: show_error(window, error),
            parent=window,
        )
