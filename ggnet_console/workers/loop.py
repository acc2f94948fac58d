# SPDX-License-Identifier: GPL-3.0-or-later
"""The asyncio side of the main thread: Qt's own loop, on which no fault goes unseen."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import qasync
from PySide6.QtCore import QCoreApplication

_log = logging.getLogger(__name__)


def make_loop(app: QCoreApplication) -> qasync.QEventLoop:
    """The loop of the main thread, made current; ``run_forever`` runs Qt's loop, too."""
    loop = qasync.QEventLoop(app)
    loop.set_exception_handler(on_fault)
    # For looking up host names; its own would be of QThreads without names (see NamedThread).
    loop.set_default_executor(ThreadPoolExecutor(4, "loop"))
    with warnings.catch_warnings():
        # The loop must be current for libraries that ask; the policy stays Python's own.
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop(loop)
    return loop


def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run ``coroutine`` on the main thread's loop; what it raises is a bug, shown as such."""
    task = asyncio.get_event_loop().create_task(coroutine)
    task.add_done_callback(_raise_again)
    return task


def on_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What a callback raised reaches ``sys.excepthook``, as it does from Qt's slots."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        _log.error("event loop: %s", context.get("message"))


def _raise_again(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()
