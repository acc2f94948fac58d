# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed PySide6 keeps its references: 6.12.0 on Python 3.11 aborts after some hundred emits."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import sys
from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, Qt, Signal

class Emitter(QObject):
    told = Signal(object)

class Model(QAbstractTableModel):
    def rowCount(self, parent=QModelIndex()): return 1
    def columnCount(self, parent=QModelIndex()): return 1
    def data(self, index, role=0): return None

app = QCoreApplication([])
emitter, model, seen = Emitter(), Model(), []
emitter.told.connect(seen.append)
true, none = sys.getrefcount(True), sys.getrefcount(None)
for number in range(2000):
    emitter.told.emit(number)
for _ in range(20000):
    emitter.setObjectName("x")
    model.data(model.index(0, 0), Qt.ItemDataRole.DecorationRole)
    model.index(0, 0).data()
assert len(seen) == 2000
lost = max(true - sys.getrefcount(True), none - sys.getrefcount(None))
assert lost < 100, lost
print("alive")
"""


def test_thousands_of_emits_and_void_calls_lose_no_references():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
