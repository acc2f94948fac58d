# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports the heavy modules in a thread while the first page is already on screen."""

from __future__ import annotations

import importlib

from PySide6.QtCore import QThread


class Preload(QThread):
    """Imports ``module``; connect to ``finished`` and import it again, which then costs nothing."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._module = module
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            importlib.import_module(self._module)
        except Exception as error:  # noqa: BLE001 - raised again on the main thread
            self.error = error
