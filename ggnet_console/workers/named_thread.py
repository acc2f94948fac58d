# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of every QThread here: a thread that starts with a name."""

from __future__ import annotations

from PySide6.QtCore import QThread


class NamedThread(QThread):
    """A QThread whose name the system shows (15 characters of it: ``ps -L``, ``top -H``).

    The name is no ornament. A QThread without one asks its Python class for a name while it starts,
    in the new thread and without the interpreter's lock. Up to Python 3.11 PySide6 looks that up in
    a map to which the main thread may be adding a class just then: the process ends with a
    segmentation fault, once in some thousand starts.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def start(self, priority: QThread.Priority = QThread.Priority.InheritPriority) -> None:
        """Start ``run`` in a new thread; Qt forgets the name with every start."""
        self.setObjectName(self._name)
        super().start(priority)
