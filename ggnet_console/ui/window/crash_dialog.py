# SPDX-License-Identifier: GPL-3.0-or-later
"""Bugs: logged, and shown as a report that can be copied, while the window stays."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import traceback
from datetime import datetime
from types import TracebackType

from PySide6.QtCore import QObject, Signal, qVersion

from ... import __version__
from ...errors import ConsoleError
from ..kit.messages import Message, show_error
from ..kit.translate import tr
from ..kit.widgets import Button

_log = logging.getLogger(__name__)


def report(error: BaseException, where: str = "") -> str:
    """What a developer needs to know, without names of people or secrets."""
    return "\n".join(
        (
            f"GGnet Console {__version__}, {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}",
            f"Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
            f"Thread {where or threading.current_thread().name}",
            "",
            "".join(traceback.format_exception(error)).rstrip(),
        )
    )


class CrashReporter(QObject):
    """Takes what nobody caught, in any thread, to a dialog in the main thread.

    Made in the main thread; call ``install`` once. Only the first of many reports opens a dialog,
    later ones are logged until it is closed.
    """

    crashed = Signal(object)
    closed = Signal()
    """The dialog has been read and closed."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dialog: Message | None = None
        self.crashed.connect(self._on_crashed)

    def install(self) -> None:
        """Become the hook of the interpreter and of its threads."""
        sys.excepthook = self._hook
        threading.excepthook = lambda args: self._hook(
            args.exc_type, args.exc_value, args.exc_traceback
        )

    def _hook(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        _log.critical("uncaught", exc_info=(kind, error, trace))
        self.crashed.emit((error, report(error)))

    def _on_crashed(self, crash: tuple[BaseException, str]) -> None:
        error, text = crash
        if self._dialog is not None:
            return
        if isinstance(error, ConsoleError):
            self._dialog = show_error(None, error)
        else:
            self._dialog = Message(
                None,
                tr("Something went wrong inside GGnet Console"),
                tr(
                    "This is a fault of the program, not yours. The window stays usable. "
                    "Copy the report and hand it to whoever looks after GGnet."
                ),
                "triangle-alert",
                text,
                unfold=True,
            )
            self._dialog.add_button(Button(tr("Close")), lambda: None, safe=True)
            self._dialog.open()
        self._dialog.destroyed.connect(self._on_closed)

    def _on_closed(self) -> None:
        self._dialog = None
        self.closed.emit()
