# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrapper of external programs, with real programs."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from patience import wait_for

from ggnet_console.errors import CancelledError, ConsoleError
from ggnet_console.tools import process


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until_gone(pid: int) -> None:
    wait_for(lambda: not _alive(pid), f"process {pid} is gone")


def test_output_and_return_code_of_a_program_come_back() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)
    assert (done.returncode, done.stdout, done.messages) == (3, b"out\n", "err")


def test_programs_do_not_learn_how_the_agent_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGNET_AGENT_DATABASE_URL", "password=secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("KEPT", "kept")
    done = process.run(["env"], timeout_s=10, env={"ADDED": "added"})
    assert {b"LC_ALL=C", b"KEPT=kept", b"ADDED=added"} <= set(done.stdout.splitlines())
    assert b"secret" not in done.stdout


def test_output_is_handed_over_while_it_comes_and_is_not_kept() -> None:
    pieces: list[bytes] = []
    done = process.run(
        ["sh", "-c", "printf 'a\\r\\377'; printf b"], timeout_s=10, on_output=pieces.append
    )
    assert b"".join(pieces) == b"a\r\xffb"
    assert done.stdout == b""


def test_all_output_of_a_program_that_ends_quickly_is_read() -> None:
    done = process.run(["head", "-c", "3000000", "/dev/zero"], timeout_s=10)
    assert len(done.stdout) == 3_000_000


def test_a_program_that_prints_too_much_is_stopped_with_a_sentence() -> None:
    with pytest.raises(ConsoleError, match="yes printed more than 1000 bytes"):
        process.run(["yes"], timeout_s=10, output_limit_bytes=1000)


def test_only_the_end_of_long_messages_is_kept() -> None:
    done = process.run(["sh", "-c", "head -c 999999 /dev/zero >&2; echo last >&2"], timeout_s=10)
    assert len(done.stderr) == process.STDERR_KEPT_BYTES
    assert done.stderr.endswith(b"last\n")


def test_a_missing_program_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConsoleError, match="no-such-program is not on this computer"):
        process.run(["no-such-program"], timeout_s=10)
    monkeypatch.setattr(process.shutil, "which", lambda _program, path: None)
    with pytest.raises(ConsoleError, match="install the Debian package qemu-utils"):
        process.find("qemu-img")


def test_a_program_over_its_time_is_stopped_with_a_sentence() -> None:
    began = time.monotonic()
    with pytest.raises(ConsoleError, match=r"sleep did not finish within 0\.2 seconds"):
        process.run(["sleep", "60"], timeout_s=0.2)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["obedient", "deaf to SIGTERM"])
def test_cancel_ends_the_whole_process_group(
    trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    pids = tmp_path / "pids"

    def tick() -> None:
        if pids.exists() and len(pids.read_text().split()) == 2:
            raise CancelledError

    script = f"{trap}sleep 60 & echo $$ $! > {pids}; wait; wait"
    with pytest.raises(CancelledError):
        process.run(["sh", "-c", script], timeout_s=30, tick=tick)
    for pid in map(int, pids.read_text().split()):
        _wait_until_gone(pid)


def test_tick_is_called_again_and_again_while_a_program_is_silent() -> None:
    times: list[float] = []
    process.run(["sleep", "0.6"], timeout_s=10, tick=lambda: times.append(time.monotonic()))
    assert len(times) >= 4
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.5


def test_what_a_program_leaves_running_in_its_group_is_ended_and_does_not_delay_us() -> None:
    began = time.monotonic()
    done = process.run(["sh", "-c", "sleep 60 & echo $!"], timeout_s=30)
    assert time.monotonic() - began < 5
    _wait_until_gone(int(done.stdout))


def test_an_open_file_can_be_passed_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        done = process.run(["cat", f"/proc/self/fd/{fd}"], timeout_s=10, pass_fds=[fd])
    finally:
        os.close(fd)
    assert done.stdout == b"content"


def test_no_descriptor_is_left_open_whatever_happens() -> None:
    before = set(os.listdir("/proc/self/fd"))
    process.run(["true"], timeout_s=10)
    with pytest.raises(ConsoleError):
        process.run(["sleep", "60"], timeout_s=0.1)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("stream", "kept"), [("2", 64 * 1024), ("1", 4096)])
def test_a_secret_that_is_cut_is_not_shown_in_part(stream: str, kept: int) -> None:
    secret = "hunter2hunter2xyz"
    script = f'{{ printf %s "$CHAP_PASSWORD"; head -c {kept - 9} /dev/zero | tr "\\0" x; }} >&{stream}; exit 1'
    done = process.run(["sh", "-c", script], timeout_s=60, env={"CHAP_PASSWORD": secret})
    assert "xyz" not in done.details
    assert "xxx" in done.details
