# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program in the sandbox is and may do, seen from inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from patience import wait_for

from ggnet_console.tools import process
from ggnet_console.tools.sandbox import Limits, Sandbox

LIMITS = Limits(cpu_s=10, file_size_bytes=1 << 20)
ROOT = os.geteuid() == 0


def _inside(*argv: str) -> process.Completed:
    return process.run(Sandbox.for_job(5).wrap(argv, LIMITS), timeout_s=10)


def _uids(status: str) -> set[int]:
    (line,) = [line for line in status.splitlines() if line.startswith("Uid:")]
    return set(map(int, line.split()[1:]))


def test_a_sandboxed_program_is_not_root_and_cannot_get_new_rights() -> None:
    status = _inside("cat", "/proc/self/status").stdout.decode()
    assert _uids(status) == {61189 if ROOT else os.geteuid()}
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    if ROOT:
        assert "Groups:\t \n" in status


def test_jobs_get_users_of_their_own_within_the_range_of_dynamic_users() -> None:
    uids = {Sandbox.for_job(number).uid for number in range(10_000)}
    assert uids == (set(range(61184, 65184)) if ROOT else {None})


def test_a_sandboxed_program_cannot_read_what_belongs_to_others(tmp_path: Path) -> None:
    secret = Path("/etc/shadow")
    done = _inside("cat", str(secret))
    assert done.returncode != 0
    assert "Permission denied" in done.messages


def test_a_sandboxed_program_has_its_limits() -> None:
    limits = _inside("cat", "/proc/self/limits").stdout.decode()
    found = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()[1:]}
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max file size"] == [str(1 << 20)] * 2
    assert found["Max cpu time"] == ["10", "10"]
    assert found["Max open files"] == ["64", "64"]
    assert found["Max address space"] == [str(4 << 30)] * 2


def test_a_sandboxed_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    pid_file.touch()
    pid_file.chmod(0o666)
    program = f"""
import os
from ggnet_console.tools import process
from ggnet_console.tools.sandbox import Limits, Sandbox
fd = os.open({str(pid_file)!r}, os.O_WRONLY)
argv = ["sh", "-c", f"echo $$ >&{{fd}}; exec sleep 600"]
process.run(Sandbox.for_job(5).wrap(argv, Limits(10, 1 << 20)), timeout_s=600, pass_fds=[fd])
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    wait_for(lambda: pid_file.read_text().endswith("\n"), "the program runs")
    parent.kill()
    parent.wait()
    sleeper = Path("/proc", pid_file.read_text().strip())
    wait_for(
        lambda: not sleeper.exists() or "State:\tZ" in (sleeper / "status").read_text(),
        "the program ends with the process that started it",
    )


def test_the_inspector_gives_up_its_rights_before_it_reads() -> None:
    uid = Sandbox.for_job(5).uid
    program = (
        "from ggnet_console.tools import inspector;"
        f"inspector._drop_privileges({uid});"
        "print(open('/proc/self/status').read())"
    )
    status = process.run([sys.executable, "-I", "-c", program], timeout_s=30).stdout.decode()
    assert _uids(status) == {uid if uid is not None else os.geteuid()}
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
