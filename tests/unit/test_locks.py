# SPDX-License-Identifier: GPL-3.0-or-later
"""FileLock: real flock(2) between holders and between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.locks import FileLock

HOLDER = """
import sys
from pathlib import Path
from ggnet_console.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.try_exclusive()
print("held", flush=True)
sys.stdin.read()
"""


def test_an_exclusive_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_exclusive()
    assert not second.try_exclusive()
    first.release()
    assert second.try_exclusive()
    second.release()


def test_only_the_last_shared_holder_becomes_exclusive(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    first.shared(0)
    second.shared(0)
    assert not first.try_exclusive()
    first.release()
    assert second.try_exclusive()
    second.release()


def test_waiting_too_long_is_a_sentence_that_names_the_file(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    first.exclusive(0)
    with pytest.raises(ConsoleError, match=str(tmp_path / "lock")):
        second.exclusive(0.05)
    with pytest.raises(ConsoleError, match=str(tmp_path / "lock")):
        second.shared(0.05)
    first.release()
    second.exclusive(0)
    second.release()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        mine = FileLock(file)
        assert not mine.try_exclusive()
        holder.kill()
        mine.exclusive(10)
        mine.release()


def test_a_started_program_does_not_keep_the_lock(tmp_path: Path) -> None:
    mine, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    mine.exclusive(0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        mine.release()
        assert other.try_exclusive()
    other.release()


def test_releasing_what_is_not_held_is_harmless(tmp_path: Path) -> None:
    FileLock(tmp_path / "lock").release()
