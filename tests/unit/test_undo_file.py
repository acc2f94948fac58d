# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply changed is kept whole until it is undone, whatever happens to the file."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import (
    Chap,
    RunningLun,
    RunningTarget,
    WantedLun,
    WantedTarget,
)
from ggnet_console.workers.agent import undo_file
from ggnet_console.workers.agent.undo_file import PreviousState


def previous(name: str) -> PreviousState:
    lun = WantedLun(1, Path("/srv/dïsk \udcff.raw"), 512, False, "serial", True, "store")
    return PreviousState(
        WantedTarget(name, (lun,), frozenset({"iqn.a:b"}), Chap("user", "secret")),
        ("structure: x",),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "undo.json"


def test_what_is_kept_is_read_again_and_nobody_else_reads_it(file: Path) -> None:
    before = {
        "a": previous("a"),
        "b": PreviousState(None),
        "c": PreviousState(None, ("gone",), is_lost=True),
    }
    assert undo_file.read(file) == {}
    undo_file.remember(file, 1, before)
    assert undo_file.read(file) == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    undo_file.keep(file, {"a", "b"})
    assert undo_file.read(file).keys() == {"a", "b"}
    undo_file.forget(file, ["a", "b", "never there"])
    assert not file.exists()


def test_a_job_that_begins_anew_keeps_what_it_found_first(file: Path) -> None:
    undo_file.remember(file, 1, {"a": previous("a"), "b": previous("b")})
    undo_file.remember(file, 1, {"a": PreviousState(None), "c": previous("c")})
    assert undo_file.read(file) == {"a": previous("a"), "b": previous("b"), "c": previous("c")}
    undo_file.remember(file, 2, {"d": previous("d")})
    assert undo_file.read(file) == {"d": previous("d")}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"job": 1, "targets": {"a": {"newer": 1}}}', '{"iqn": null}']
)
def test_a_damaged_file_is_set_aside_and_stops_nothing(
    file: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        undo_file.forget(file, ["a"])
    assert "cannot be made out" in caplog.text
    assert undo_file.read(file) == {}
    assert file.with_name("undo.json.damaged").read_text() == content
    undo_file.remember(file, 1, {"a": previous("a")})
    assert undo_file.read(file) == {"a": previous("a")}


def test_a_disk_that_takes_nothing_refuses_the_apply_and_not_the_stop(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undo_file.remember(file, 1, {"a": previous("a"), "b": previous("b")})
    file.with_suffix(".part").mkdir()  # nothing can be written there now
    (file.with_suffix(".part") / "x").touch()
    with pytest.raises(ConsoleError, match="cannot be kept"):
        undo_file.remember(file, 2, {"c": previous("c")})
    with caplog.at_level(logging.WARNING):
        undo_file.forget(file, ["a"])
    assert "cannot be kept" in caplog.text


def test_a_secret_that_nobody_tells_comes_from_what_is_wanted_or_not_at_all(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(512))
    lun = RunningLun(1, disk, True, "serial")
    found = RunningTarget("iqn.a:t", (lun,), frozenset(), 0, Chap("user", ""))
    assert undo_file.as_wanted(found, Chap("user", "secret")).chap == Chap("user", "secret")
    for known in (None, Chap("another", "secret")):
        with pytest.raises(ConsoleError, match="secret of user, which nobody tells"):
            undo_file.as_wanted(found, known)
