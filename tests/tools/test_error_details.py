# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error tells of a program that failed: its command line, to be repeated, then the rest."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_bench import Bench
from patience import PATIENCE_S
from repeating import assert_fails_again, repeat
from samples import make_damaged_qcow2

from ggnet_console.errors import ConsoleError
from ggnet_console.tools import examination, initiator, lio_host, process
from ggnet_console.tools.qemu_img import Disk, QemuImg
from ggnet_console.tools.sandbox import Sandbox
from ggnet_console.tools.target_backend import Chap

CHAP = Chap("gg00000001", "abcDEF123-_45678")
IQN = "iqn.2020-01.org.example:x"


def qemu_img() -> QemuImg:
    return QemuImg("it", Sandbox.for_job(1), time.monotonic() + PATIENCE_S, 1 << 30)


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """An open file of the sandbox's user, in a folder that this user may not enter."""
    fd = os.open(path, flags)
    Sandbox.for_job(1).own(fd)
    try:
        yield fd
    finally:
        os.close(fd)


def stand_in(program: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this name that does something else, found first; also by the sandbox's user."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    program.parent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def command(details: str) -> str:
    return details.splitlines()[0]


def test_a_program_that_failed_is_told_with_what_it_said() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=PATIENCE_S)
    sh = shutil.which("sh")
    assert done.details == f"{sh} -c 'echo out; echo err >&2; exit 3'\nexit code 3\nerr"
    done = process.run(["sh", "-c", "echo out; kill -9 $$"], timeout_s=PATIENCE_S)
    assert done.details == f"{sh} -c 'echo out; kill -9 $$'\nended by signal 9 (SIGKILL)\nout"


def test_a_program_that_was_stopped_is_told_with_what_it_had_said() -> None:
    script = "echo slow >&2; exec sleep 60"
    with pytest.raises(ConsoleError, match=r"sh did not finish within 0\.5 s") as caught:
        process.run(["sh", "-c", script], timeout_s=0.5)
    assert caught.value.details == f"{shutil.which('sh')} -c '{script}'\nstopped\nslow"
    with pytest.raises(ConsoleError, match="printed more than 1000 bytes") as caught:
        process.run(["yes"], timeout_s=PATIENCE_S, output_limit_bytes=1000)
    assert caught.value.details == f"{shutil.which('yes')}\nstopped"


def test_a_failing_qemu_img_can_be_repeated_in_its_sandbox_on_the_same_file(bench: Bench) -> None:
    """The sandbox's user cannot go to the file: it gets it open, from the shell as from us."""
    damaged = bench.work / "it's damaged"
    damaged.write_bytes(b"QFI\xfb" + struct.pack(">I", 3) + bytes(504))
    with opened(damaged, os.O_RDWR) as fd, pytest.raises(ConsoleError, match="it cannot") as caught:
        qemu_img().check(Disk(fd, "qcow2"))
    details = caught.value.details
    assert command(details).startswith(f"{shutil.which('prlimit')} --as=")
    assert f"{shutil.which('qemu-img')} check -q " in command(details)
    assert "damaged" in command(details)
    assert "qemu-img: Could not open" in details
    assert_fails_again(details)


def test_an_answer_of_qemu_img_that_is_none_comes_with_its_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name that prints something else: no version that does is to be had."""
    other = bench.root / "qemu-img"
    stand_in(other, "echo '{\"neither\": 1}'", monkeypatch)
    bench.source.write_bytes(bytes(512))
    with opened(bench.source, os.O_RDWR) as fd:
        with pytest.raises(ConsoleError, match="answer cannot be read") as caught:
            qemu_img().data_bytes(Disk(fd, "raw"))
        assert f"{other} map" in command(caught.value.details)
        assert caught.value.details.endswith('\nanswered:\n{"neither": 1}')
        assert repeat(caught.value.details).stdout == '{"neither": 1}\n'


def test_an_image_that_is_refused_says_what_qemu_img_was_asked(bench: Bench) -> None:
    make_damaged_qcow2(bench.source)
    with pytest.raises(ConsoleError, match="cannot be opened; it is damaged") as caught:
        bench.make_raw()
    assert "qemu-img info --output=json" in command(caught.value.details)
    assert f"{bench.work}/source" in command(caught.value.details)
    assert caught.value.details.splitlines()[1] == "exit code 1"
    assert_fails_again(caught.value.details)


def test_a_failing_inspector_can_be_repeated(bench: Bench) -> None:
    bench.source.write_bytes(bytes(512))
    with opened(bench.source, os.O_WRONLY) as fd:
        with pytest.raises(ConsoleError, match="its format cannot be told") as caught:
            examination.inspect(fd, qemu_img())
        uid = Sandbox.for_job(1).uid or "-"
        assert f"-m ggnet_console.tools.inspector {uid} {fd}" in command(caught.value.details)
    assert caught.value.details.splitlines()[1] == "exit code 1"
    assert "Bad file descriptor" in caught.value.details


def test_a_kernel_module_that_is_not_there_is_told_with_the_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A modprobe that finds nothing: the real one is not on every computer that has no such kernel."""
    stand_in(
        folder / "modprobe", "echo 'modprobe: FATAL: Module not found.' >&2; exit 1", monkeypatch
    )
    with pytest.raises(ConsoleError, match="cannot be loaded") as caught:
        lio_host._load_module("no_such_module_of_ggnet")
    assert command(caught.value.details) == f"{folder}/modprobe no_such_module_of_ggnet"
    assert_fails_again(caught.value.details)


def test_a_portal_that_is_silent_is_told_with_the_call_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(initiator, "_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        portal = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConsoleError, match="did not finish") as caught:
            initiator.discover(portal, IQN, "iqn.2020-01.org.example:me", CHAP)
    assert command(caught.value.details) == (
        f"LIBISCSI_CHAP_USERNAME={CHAP.user} LIBISCSI_CHAP_PASSWORD='***' "
        f"{shutil.which('iscsi-ls')} -i iqn.2020-01.org.example:me iscsi://{portal}"
    )
    assert CHAP.secret not in f"{caught.value.summary}{caught.value.details}{caplog.text}"


def test_a_portal_that_nobody_serves_is_told_with_the_call_and_no_secret() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        portal = f"127.0.0.1:{taken.getsockname()[1]}"
    for chap in (None, CHAP):
        attempt = initiator.log_in(portal, IQN, 1, "iqn.2020-01.org.example:me", chap)
        assert not attempt.worked
        assert "iscsi-inq -i iqn.2020-01.org.example:me" in command(attempt.details)
        assert attempt.answer in attempt.details
        assert CHAP.secret not in repr(attempt)
        if chap is None:
            assert_fails_again(attempt.details)
