# SPDX-License-Identifier: GPL-3.0-or-later
"""The main window: sign-in first, then navigation, lazily made pages, banner, status and toasts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ...enums import Role
from ..kit import format as fmt
from ..kit.notices import Banner, Notice, Toast
from ..kit.progress import Progress
from ..kit.theme import MODES, Mode, Theme
from ..kit.tokens import L, S, State
from ..kit.translate import tr
from ..kit.widgets import hairline
from .sidebar import NAME, Sidebar
from .status_bar import StatusBar

_DIRECT = Qt.FindChildOption.FindDirectChildrenOnly


@dataclass(frozen=True)
class PageSpec:
    """A page of the window; ``build`` is called when it is first shown."""

    key: str
    title: str
    icon: str
    build: Callable[[], QWidget]
    needs: Role = Role.VIEWER
    """Shown to those who have this role."""


class MainWindow(QMainWindow):
    """Holds either an entry page (first run, sign-in) or the workspace with its pages."""

    file_dropped = Signal(object)
    """The Path of a file that may be an image."""
    sign_out_wanted = Signal()
    password_wanted = Signal()
    page_shown = Signal(str)

    def __init__(self, settings: QSettings, theme: Theme, mark: str = "") -> None:
        """``mark``: a word that stands with the program's name, in the title and over the pages."""
        super().__init__()
        self._settings = settings
        self._theme = theme
        self._mark = mark
        self._name = f"{NAME} – {mark}" if mark else NAME
        self._pages: dict[str, QWidget] = {}
        self._allowed: Set[str] = frozenset()
        self._specs: dict[str, PageSpec] = {}
        self._workspace: QWidget | None = None
        self._toasts: list[Toast] = []
        self._may_close: Callable[[], bool] = lambda: True
        self.setWindowTitle(self._name)
        self.setMinimumSize(880, 540)
        self._stack = QStackedWidget()
        self.setCentralWidget(self._stack)
        geometry = settings.value("window/geometry")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            self.resize(1280, 720)

    # Entry page and workspace

    def show_entry_page(self, entry_page: QWidget) -> None:
        """Show a page that fills the window; what was there before is let go."""
        self._drop_workspace()
        self._stack.addWidget(entry_page)
        self._stack.setCurrentWidget(entry_page)
        self.setAcceptDrops(False)

    def show_workspace(self, pages: Sequence[PageSpec], first: str, server: str) -> None:
        """Show navigation and pages to a signed-in person; ``server`` as shown in the bar.

        Which pages, and the person's name, follow with ``show_person``.
        """
        self._drop_workspace()
        self._specs = {page.key: page for page in pages}
        second = next((page.key for page in pages if page.needs is Role.ADMIN), "")
        self.sidebar = Sidebar(
            [(page.key, page.title, page.icon) for page in pages], second, self._mark
        )
        self.sidebar.chosen.connect(self.show_page)
        self.banner = Banner()
        self.notice = Notice()
        self.status = StatusBar(server, self._user_menu())
        self._page_stack = QStackedWidget()
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.banner)
        right.addWidget(self.notice)
        right.addWidget(self._page_stack, 1)
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.sidebar)
        middle.addWidget(hairline(vertical=True))
        middle.addLayout(right, 1)
        self._workspace = QWidget()
        column = QVBoxLayout(self._workspace)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(middle, 1)
        column.addWidget(hairline())
        column.addWidget(self.status)
        for number, page in enumerate(pages[:9], 1):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), self._workspace)
            shortcut.activated.connect(lambda key=page.key: self._on_key(key))
        self._stack.addWidget(self._workspace)
        self._stack.setCurrentWidget(self._workspace)
        self.setAcceptDrops(True)
        # The first frame shows the frame of the window; the page's modules are imported after it.
        QTimer.singleShot(0, self._workspace, lambda: self._show_first(first))

    def show_person(self, text: str, allowed: Set[str]) -> None:
        """Say who is signed in, and keep only the pages with these keys."""
        self.status.set_person(text)
        self._allowed = allowed
        self.sidebar.show_only(allowed)
        for key in self._pages.keys() - allowed:
            page = self._pages.pop(key)
            if self._page_stack.currentWidget() is page:
                self.show_page(next(each for each in self._specs if each in allowed))
            self._page_stack.removeWidget(page)
            page.deleteLater()

    def _drop_workspace(self) -> None:
        while (widget := self._stack.widget(0)) is not None:
            self._stack.removeWidget(widget)
            widget.deleteLater()
        for dialog in self.findChildren(QDialog, options=_DIRECT):
            dialog.deleteLater()  # what it asks for can no longer be done
        for toast in list(self._toasts):
            toast.leave()
        self._pages.clear()
        self._workspace = None

    def _user_menu(self) -> QMenu:
        menu = QMenu(self)
        words: dict[Mode, str] = {
            "system": tr("As the system"),
            "light": tr("Light"),
            "dark": tr("Dark"),
        }
        look = menu.addMenu(tr("Look", "light or dark"))
        group = QActionGroup(look)
        for mode in MODES:
            action = look.addAction(words[mode])
            action.setCheckable(True)
            action.setChecked(mode == self._theme.mode)
            action.triggered.connect(lambda _on, chosen=mode: self._theme.set_mode(chosen))
            group.addAction(action)
        menu.addSeparator()
        menu.addAction(tr("Change password…")).triggered.connect(self.password_wanted)
        menu.addAction(tr("Sign out")).triggered.connect(self.sign_out_wanted)
        return menu

    # Pages

    def _show_first(self, key: str) -> None:
        if not self._pages:
            self.show_page(key if key in self._allowed else next(iter(self._specs)))

    def _on_key(self, key: str) -> None:
        if key in self._allowed:
            self.show_page(key)

    def show_page(self, key: str) -> QWidget:
        """Open a page, making it when it is opened for the first time."""
        page = self._pages.get(key)
        if page is None:
            page = self._specs[key].build()
            self._pages[key] = page
            self._page_stack.addWidget(page)
        if self._page_stack.currentWidget() is not page or page.isHidden():
            self._page_stack.setCurrentWidget(page)
        self.sidebar.set_current(key)
        self.setWindowTitle(f"{self._specs[key].title} – {self._name}")
        self.page_shown.emit(key)
        return page

    # What the window says about the world

    def connection_lost(self, server: str) -> None:
        """Show the banner; what is on screen stays readable."""
        self.banner.lost(server)
        self.status.set_connected(False)

    def connection_restored(self) -> None:
        """Take the banner away; say so once if it was there."""
        if self.banner.restored():
            self.notify(
                tr("Connected again. Everything on screen has been read anew."), State.RUNNING
            )
        self.status.set_connected(True)

    def set_work(self, work: Sequence[Progress]) -> None:
        """The running work, the most telling first."""
        self.status.set_work(work)

    def notify(
        self,
        text: str,
        state: State,
        action: str = "",
        handler: Callable[[], None] | None = None,
    ) -> None:
        """Say once, quietly, that something ended; failures stay until they are closed."""
        toast = Toast(self, text, state, action, handler)
        toast.closed.connect(lambda: self._drop_toast(toast))
        self._toasts.append(toast)
        toast.show()
        toast.raise_()
        self._place_toasts()

    def _drop_toast(self, toast: Toast) -> None:
        self._toasts.remove(toast)
        self._place_toasts()

    def _place_toasts(self) -> None:
        bottom = self.height() - (self.status.height() if self._workspace else 0) - L
        for toast in reversed(self._toasts):
            bottom -= toast.height()
            toast.move(self.width() - toast.width() - L, bottom)
            bottom -= S

    # Window

    def ask_before_closing(self, may_close: Callable[[], bool]) -> None:
        """``may_close`` is asked on closing; it may say no, open a question and close later."""
        self._may_close = may_close

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_toasts()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._settings.setValue("window/geometry", self.saveGeometry())
        if self._may_close():
            event.accept()
        else:
            event.ignore()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _dropped(event)
        if path is not None:
            event.acceptProposedAction()
            name = fmt.legible(str(path))
            if name == str(path):
                self.file_dropped.emit(path)
            else:  # a field could not hold it
                self.notify(
                    tr(
                        "The name of “{name}” is not UTF-8; rename the file, or use "
                        "“ggnet image import”."
                    ).format(name=name),
                    State.FAILED,
                )


def ask_what_to_do_with_machines(
    window: MainWindow, running: int, keep: Callable[[], None], stop: Callable[[], None] | None
) -> None:
    """Closing the last window while machines run: keep serving them, stop them, or stay.

    Without ``stop`` for somebody who may not.
    """
    from ..kit.messages import choose  # noqa: PLC0415 - not needed for the first frame

    choices = [(tr("Keep serving %n machine(s)", "", running), False, keep)]
    explained = [tr("Keep serving: the work goes on in the background without a window.")]
    if stop is not None:
        choices.insert(0, (tr("Stop %n machine(s)", "", running), True, stop))
        explained.append(
            tr("Stop: their disks go away at once, and what they have not saved is lost.")
        )
    choose(
        window,
        tr("%n machine(s) still (runs|run) from this computer", "", running),
        " ".join(explained),
        choices,
    )


def _dropped(event: QDropEvent) -> Path | None:
    """The one local file of a drop, by the bytes of its name, whatever they spell."""
    urls = event.mimeData().urls()
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    encoded = urls[0].path(QUrl.ComponentFormattingOption.FullyEncoded).encode()
    return Path(os.fsdecode(bytes(QByteArray.fromPercentEncoding(encoded).data())))
