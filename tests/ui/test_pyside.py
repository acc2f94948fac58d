# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed PySide6 keeps its references, and this program keeps clear of its known crashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ggnet_console

PACKAGE = Path(ggnet_console.__file__).parent

EMITS = """
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

# A thread without a name crashes here within some hundred rounds on Python 3.11.
THREADS = """
from PySide6.QtCore import QCoreApplication, QObject
from ggnet_console.workers.named_thread import NamedThread

app = QCoreApplication([])
kept = []
for number in range(1000):
    kind = type(f"Thread{number}", (NamedThread,), {"run": lambda self: None})
    threads = [kind("thread") for _ in range(4)]
    for thread in threads:
        thread.start()
    kept += [type(f"Object{number}_{of}", (QObject,), {}) for of in range(20)]
    for thread in threads:
        thread.wait()
print("alive")
"""


def survives(code: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
    return True


def test_thousands_of_emits_and_void_calls_lose_no_references():
    """6.12.0 on Python 3.11 aborts after some hundred emits."""
    assert survives(EMITS)


def test_threads_start_while_the_main_thread_makes_classes():
    assert survives(THREADS)


def test_every_thread_of_qt_has_a_name():
    own = [path for path in PACKAGE.rglob("*.py") if "QThread)" in path.read_text()]
    assert [path.name for path in own] == ["named_thread.py"]
