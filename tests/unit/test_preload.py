# SPDX-License-Identifier: GPL-3.0-or-later
"""What is imported behind the first page: nothing of Qt in a thread, nothing slow on the main one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PySide6.QtWidgets import QApplication

from ggnet_console.app import WITH_QT, WITHOUT_QT
from ggnet_console.workers.preload import Preload

OF_QT = ("PySide6", "shiboken6", "qasync")
OF_THE_MAIN_THREAD = ("ggnet_console.ui", "ggnet_console.workers", *WITH_QT, *OF_QT)


def imported_by(*names: str, after: tuple[str, ...] = ()) -> set[str]:
    """What a Python of its own has loaded after ``names``, less what it had before."""
    code = (
        "import importlib, sys\n"
        f"for name in {after!r}: importlib.import_module(name)\n"
        "before = set(sys.modules)\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_the_thread_imports_nothing_of_qt():
    loaded = imported_by(*WITHOUT_QT)
    assert "sqlalchemy" in loaded
    assert not [module for module in loaded if within(module, OF_QT)]


def test_the_main_thread_imports_only_what_has_qt_in_it():
    loaded = imported_by(*WITH_QT, after=("ggnet_console.app", *WITHOUT_QT))
    assert WITH_QT[-1] in loaded
    assert not [module for module in loaded if not within(module, OF_THE_MAIN_THREAD)]


@pytest.mark.parametrize(
    ("without_qt", "with_qt"), [(["json", "no_such_module"], ["json"]), ([], ["no_such_module"])]
)
def test_a_module_that_cannot_be_loaded_is_an_error_and_the_end(
    qapp: QApplication, qtbot, without_qt: list[str], with_qt: list[str]
):
    preload = Preload(without_qt, with_qt)
    with qtbot.waitSignal(preload.finished):
        preload.start()
    assert isinstance(preload.error, ModuleNotFoundError)
    assert "no_such_module" in str(preload.error)
