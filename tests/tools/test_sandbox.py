# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program in the sandbox is and may do, seen from inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("program", ["inspector", "unpacker", "second_reader", "disk_contents"])
def test_our_own_programs_begin_by_giving_up_their_rights(program: str) -> None:
    """All they do is what ``answer`` does once the rights are given up."""
    name = f"ggnet_console.tools.{program}"
    code = (
        "import runpy\n"
        "from ggnet_console.tools import sandboxed\n"
        "given = []\n"
        "sandboxed.answer = given.append\n"
        f"done = runpy.run_module({name!r}, run_name='__main__')\n"
        "assert given == [done['main']], given\n"
    )
    done = process.run([sys.executable, "-I", "-c", code], timeout_s=30)
    assert done.returncode == 0, done.messages


def test_what_answers_has_given_up_its_rights() -> None:
    sandbox = Sandbox.for_job(5)
    code = (
        "import dataclasses, pathlib\n"
        "from ggnet_console.tools import sandboxed\n"
        "Told = dataclasses.make_dataclass('Told', ['status'])\n"
        "sandboxed.answer(lambda: Told(pathlib.Path('/proc/self/status').read_text()))\n"
    )
    argv = [sys.executable, "-I", "-c", code, str(sandbox.uid or "-")]
    status = json.loads(process.run(argv, timeout_s=30).stdout)["status"]
    assert _uids(status) == {sandbox.uid if sandbox.uid is not None else os.geteuid()}
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status


_THREADS = """
import ctypes, threading
def write():
    while True:
        os.pwrite(fd, b"late", 0)
        time.sleep(0.001)
threading.Thread(target=write).start()
time.sleep(0.2)
ctypes.CDLL(None).syscall(60, 0)  # exit(2) of the first thread alone
"""
_IN_FLIGHT = """
import socket
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [fd])
os.close(fd)
time.sleep(0.3)
fd = socket.recv_fds(other, 1, 1)[1][0]
while True:
    os.pwrite(fd, b"late", 0)
    time.sleep(0.001)
"""

GROUPS = next(
    (
        Path(fields[1])
        for fields in (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
        if (fields[2] == "cgroup2" or (fields[2] == "cgroup" and fields[3].endswith("pids")))
        and os.access(f"{fields[1]}/cgroup.procs", os.W_OK)
    ),
    None,
)
"""Where control groups can be made; nowhere in some containers."""

if ROOT and GROUPS is not None:

    def test_a_service_with_the_same_number_lives_on(tmp_path: Path) -> None:
        """systemd gives its dynamic users numbers of the same range, and a control group each."""
        assert GROUPS is not None
        sandbox = Sandbox.for_job(7)
        fd = sandbox.new_file(tmp_path / "image.part")
        group = GROUPS / f"ggnet-test-{os.getpid()}"
        group.mkdir()
        pid = tmp_path / "pid"
        script = (
            f"echo $$ > {group}/cgroup.procs; setsid setpriv --reuid {sandbox.uid} "
            f"--regid {sandbox.uid} --clear-groups sleep 60 > /dev/null 2>&1 & echo $! > {pid}"
        )
        subprocess.run(["sh", "-c", script], check=True)
        service = int(pid.read_text())
        try:
            wait_for(
                lambda: Path(f"/proc/{service}").stat().st_uid == sandbox.uid, "it is that user's"
            )
            os.close(sandbox.lend(fd))
            assert Path(f"/proc/{service}/stat").read_text().rpartition(") ")[2][0] == "S"
        finally:
            os.kill(service, signal.SIGKILL)
            wait_for(lambda: not (group / "cgroup.procs").read_text(), "it has ended")
            group.rmdir()
            os.close(fd)


if ROOT:

    @pytest.mark.parametrize("how", ["fd", "mmap", "in flight", "threads"])
    def test_who_escaped_from_its_group_does_not_write_into_what_is_proved(
        how: str, tmp_path: Path
    ) -> None:
        """A second fork in a session of its own outlives the program that was taken over."""
        sandbox = Sandbox.for_job(6)
        fd = sandbox.new_file(tmp_path / "image.part")
        os.ftruncate(fd, 4096)
        code = (
            "import mmap, os, sys, time\n"
            f"fd = {fd}\n"
            "if os.fork(): os._exit(0)\n"
            "os.setsid()\n"
            "if os.fork(): os._exit(0)\n"
            "for n in (1, 2): os.close(n)\n"
            "view = mmap.mmap(fd, 4096)\n"
            + ("os.close(fd)\n" if how == "mmap" else "")
            + ("view[:4] = b'late'\nview.close()\n" + _IN_FLIGHT if how == "in flight" else "")
            + (_THREADS if how == "threads" else "")
            + "while True:\n    view[:4] = b'late'\n    time.sleep(0.001)\n"
        )
        argv = sandbox.wrap([sys.executable, "-c", code], LIMITS)
        subprocess.run(argv, pass_fds=[fd], check=True)
        wait_for(lambda: os.pread(fd, 4, 0) == b"late", "it writes")
        lent = sandbox.lend(fd)
        os.pwrite(fd, b"done", 0)
        time.sleep(0.5)
        assert os.pread(lent, 4, 0) == b"done"
        again = f"/proc/self/fd/{lent}"
        done = process.run(
            sandbox.wrap(["sh", "-c", f"cat {again} >&2; echo x > {again}"], LIMITS),
            timeout_s=10,
            pass_fds=[lent],
        )
        assert "done" in done.messages  # it may be read
        assert done.returncode != 0
        assert os.pread(lent, 4, 0) == b"done"
        os.close(lent)
        os.close(fd)

    def test_who_escaped_to_this_process_itself_is_ended_too(tmp_path: Path) -> None:
        """As process 1 of a container, or with systemd's Delegate, it is the next reaper itself."""
        code = f"""
import ctypes, os, subprocess, time
from pathlib import Path
from ggnet_console.tools.sandbox import Limits, Sandbox
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
sandbox = Sandbox.for_job(8)
fd = sandbox.new_file(Path({str(tmp_path / "image.part")!r}))
escape = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)\\n"
escape += f"while True: os.pwrite({{fd}}, b'late', 0); time.sleep(0.001)"
argv = sandbox.wrap(["{sys.executable}", "-c", escape], Limits(10, 1 << 20))
subprocess.run(argv, pass_fds=[fd], check=True, stdout=subprocess.DEVNULL)
while os.pread(fd, 4, 0) != b"late": time.sleep(0.01)
lent = sandbox.lend(fd)
os.pwrite(fd, b"done", 0)
time.sleep(0.3)
assert os.pread(lent, 4, 0) == b"done"
"""
        done = process.run([sys.executable, "-c", code], timeout_s=60)
        assert done.returncode == 0, done.messages
