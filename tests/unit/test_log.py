# SPDX-License-Identifier: GPL-3.0-or-later
"""The log: JSON lines with their context, in a folder of the user's own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ggnet_console import log


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's log goes; the process's own logging is as before afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(log, "_process", {})
    yield tmp_path / "state" / "logs"
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_record_is_one_json_line_with_time_level_name_and_process(folder: Path) -> None:
    before = datetime.now(UTC)
    file = log.start(folder, "ggnet-test")
    assert file == folder / "ggnet-test.jsonl"
    logging.getLogger("ggnet.part").warning("machine %s\nis “lost”", "pc-01")
    [line] = lines(file)
    assert line["message"] == "machine pc-01\nis “lost”"
    assert (line["levelname"], line["name"], line["program"]) == (
        "WARNING",
        "ggnet.part",
        "ggnet-test",
    )
    assert line["pid"] > 0
    assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)


def test_the_context_is_in_the_records_of_its_block_alone(folder: Path) -> None:
    file = log.start(folder, "ggnet-test")
    logger = logging.getLogger("ggnet.part")
    with log.context(job=7):
        with log.context(machine="pc-01"):
            logger.warning("both")
        logger.warning("outer")
    logger.warning("none")
    both, outer, none = lines(file)
    assert (both["job"], both["machine"]) == (7, "pc-01")
    assert outer["job"] == 7
    assert "machine" not in outer
    assert "job" not in none


def test_the_context_of_one_thread_is_not_another_s(folder: Path) -> None:
    file = log.start(folder, "ggnet-test")
    with log.context(job=7):
        other = threading.Thread(target=logging.getLogger("ggnet").warning, args=("other",))
        other.start()
        other.join()
    [line] = lines(file)
    assert "job" not in line


def test_who_is_signed_in_is_in_every_record(folder: Path) -> None:
    file = log.start(folder, "ggnet-test")
    log.set_process(user="ada")
    logging.getLogger("ggnet").warning("now")
    assert lines(file)[0]["user"] == "ada"


def test_an_exception_is_in_the_record_with_its_trace(folder: Path) -> None:
    file = log.start(folder, "ggnet-test")
    try:
        raise ValueError("the cause")
    except ValueError:
        logging.getLogger("ggnet").exception("it failed")
    [line] = lines(file)
    assert "ValueError: the cause" in line["exc_info"]
    assert "test_log.py" in line["exc_info"]


@pytest.mark.parametrize(("level", "kept"), [("DEBUG", 3), ("info", 2), ("WARNING", 1)])
def test_what_is_below_the_level_is_not_written(folder: Path, level: str, kept: int) -> None:
    file = log.start(folder, "ggnet-test", level)
    logger = logging.getLogger("ggnet.part")
    logger.debug("1")
    logger.info("2")
    logger.warning("3")
    assert len(lines(file)) == kept


def test_the_log_folder_is_closed_to_others(folder: Path) -> None:
    log.start(folder, "ggnet-test")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_starting_to_log_leaves_stderr_alone(tmp_path: Path) -> None:
    code = (
        "import logging, sys; from pathlib import Path; from ggnet_console import log; "
        "log.start(Path(sys.argv[1]), 'x'); logging.getLogger('a').error('quiet')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, check=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert lines(tmp_path / "x.jsonl")[0]["message"] == "quiet"


def test_a_file_that_several_processes_fill_loses_no_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import logging, sys; from pathlib import Path; from ggnet_console import log; "
        "log._MAX_BYTES = 40_000; log.start(Path(sys.argv[1]), 'x'); "
        "[logging.getLogger('a').error('%s %s', sys.argv[2], n) for n in range(300)]"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, folder, name]) for name in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    written = [line["message"] for file in folder.glob("x.jsonl*") for line in lines(file)]
    assert sorted(written) == sorted(f"{name} {n}" for name in "ab" for n in range(300))
    assert 2 <= len(list(folder.glob("x.jsonl*"))) <= 4


def test_only_three_full_files_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MAX_BYTES", 1)
    file = log.start(folder, "x")
    for n in range(9):
        logging.getLogger("a").error("%s", n)
    assert [line["message"] for line in lines(file)] == ["8"]
    assert sorted(one.name for one in folder.glob("x.jsonl.*")) == [
        *("x.jsonl.1", "x.jsonl.2", "x.jsonl.3")
    ]
    assert lines(folder / "x.jsonl.1")[0]["message"] == "7"
