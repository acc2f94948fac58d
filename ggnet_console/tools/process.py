# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way external programs are run: an argv list, a group of its own, a time limit, cancel."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..errors import ConsoleError, Sentence, sentence
from ..program_call import ProgramCall, open_files

TICK_S = 0.1
"""``tick`` is called at least this often while a program runs."""
GRACE_S = 2.0
"""Time between SIGTERM and SIGKILL for a program that is stopped."""
STDERR_KEPT_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_STDOUT_SHOWN_BYTES = 4096
_LONGEST_SECRET_BYTES = 1024
_PACKAGES = {
    "initdb": "postgresql",
    "iscsi-inq": "libiscsi-bin",
    "iscsi-ls": "libiscsi-bin",
    "modprobe": "kmod",
    "pg_ctl": "postgresql",
    "prlimit": "util-linux",
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "setpriv": "util-linux",
    "tgtadm": "tgt",
    "tgtd": "tgt",
}


@dataclass(frozen=True)
class Completed:
    """How a program ended; ``returncode`` is negative (-N) when signal N ended it."""

    call: ProgramCall
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def messages(self) -> str:
        """What the program said on stderr, without secrets."""
        return self.call.masked(self.stderr.decode("utf-8", "replace")).strip()

    @property
    def details(self) -> str:
        """For a ConsoleError: the command line to be repeated, how it ended, and what it said.

        That is stderr, or the end of stdout when it said nothing there.
        """
        said = self.messages
        if not said:
            end = self.stdout[-_STDOUT_SHOWN_BYTES - _LONGEST_SECRET_BYTES :]
            said = self.call.masked(end.decode("utf-8", "replace"))[-_STDOUT_SHOWN_BYTES:]
        return self.call.details(self.returncode, said)


def find(program: str) -> str:
    """The full path of ``program``, also looked for in the sbin folders.

    Raises ConsoleError that says what to install.
    """
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        package = _PACKAGES.get(Path(program).name)
        if package is None:
            raise ConsoleError(
                sentence(
                    "The program {program} is not on this computer; install it.", program=program
                )
            )
        raise ConsoleError(
            sentence(
                "The program {program} is not on this computer; install the Debian package "
                "{package}.",
                program=program,
                package=package,
            )
        )
    return found


def environment(**added: str) -> dict[str, str]:
    """This process's environment for a program, in the C locale, without what is ours alone.

    An agent's connection string may hold a password, and programs read hostile images.
    """
    ours = ("GGNET_", "PG")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**outside, "LC_ALL": "C", **added}


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    on_output: Callable[[bytes], None] | None = None,
    tick: Callable[[], None] | None = None,
    output_limit_bytes: int = 16 * 2**20,
    pass_fds: Sequence[int] = (),
    secrets: Collection[str] = (),
) -> Completed:
    """Run ``argv`` to its end and return how it ended; a bad return code is for the caller.

    ``env`` is added to ``environment()``.
    ``on_output`` gets stdout in pieces as it comes, and ``Completed.stdout`` is then empty; without
    it stdout is collected up to ``output_limit_bytes``. Of stderr the last 64 KiB are kept.
    ``pass_fds`` are open files the program finds as ``/proc/self/fd/N``. What is in ``secrets`` no
    error shows, see ``ProgramCall``.
    ``tick`` is called from this thread at least every 100 ms. Whatever it raises (CancelledError)
    goes on after the program's whole process group was stopped and reaped. Whatever the program
    left running in its group is killed when the program ends.

    Raises ConsoleError when the program is missing, exceeds ``timeout_s`` or prints too much.
    """
    found = [find(argv[0]), *argv[1:]]
    call = ProgramCall(found, env or {}, open_files(pass_fds), secrets=secrets)
    process = subprocess.Popen(
        found,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    if process.stdout is None or process.stderr is None:
        raise AssertionError("pipes were asked for")
    exited = os.pidfd_open(process.pid)
    output = _Output(call, on_output, output_limit_bytes)
    streams = {process.stdout.fileno(): output.on_stdout, process.stderr.fileno(): output.on_stderr}
    deadline = time.monotonic() + timeout_s
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(exited, selectors.EVENT_READ)
            for fd in streams:
                os.set_blocking(fd, False)
                selector.register(fd, selectors.EVENT_READ)
            running = True
            while running:
                ready = {key.fd for key, _ in selector.select(TICK_S)}
                # After the end of the program one last round empties its pipes; they are not read
                # to their end, which a daemon that inherited them would put off for ever.
                running = exited not in ready
                for fd in list(streams) if not running else ready & streams.keys():
                    if not _pump(fd, streams[fd], until_empty=not running):
                        selector.unregister(fd)
                        del streams[fd]
                if tick is not None:
                    tick()
                if time.monotonic() > deadline:
                    output.refuse(
                        sentence(
                            "{program} did not finish within {most:g} seconds and was stopped."
                        ),
                        timeout_s,
                    )
    except BaseException:
        _terminate(process, exited)
        raise
    finally:
        # The program is not reaped yet, so its group's number cannot belong to anybody else.
        _signal_group(process, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        os.close(exited)
    return Completed(call, process.returncode, bytes(output.stdout), output.kept_stderr())


class _Output:
    """Collects a program's output within bounds."""

    def __init__(
        self, call: ProgramCall, on_output: Callable[[bytes], None] | None, limit_bytes: int
    ) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._call = call
        self._on_output = on_output
        self._limit_bytes = limit_bytes

    def on_stdout(self, data: bytes) -> None:
        if self._on_output is not None:
            self._on_output(data)
            return
        self.stdout += data
        if len(self.stdout) > self._limit_bytes:
            self.refuse(
                sentence("{program} printed more than {most} bytes and was stopped."),
                self._limit_bytes,
            )

    def on_stderr(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[: -STDERR_KEPT_BYTES - _LONGEST_SECRET_BYTES]

    def kept_stderr(self) -> bytes:
        """Its end, cut after the secrets were masked: half of one would not be known for one."""
        said = self._call.masked(bytes(self.stderr).decode("utf-8", "surrogateescape"))
        return said.encode("utf-8", "surrogateescape")[-STDERR_KEPT_BYTES:]

    def refuse(self, why: Sentence, most: float) -> NoReturn:
        program = Path(self._call.argv[0]).name
        said = self.kept_stderr().decode("utf-8", "replace")
        raise ConsoleError(
            why.with_values(program=program, most=most),
            self._call.details("stopped", said),
        )


def _pump(fd: int, sink: Callable[[bytes], None], *, until_empty: bool) -> bool:
    """Hand what is in the pipe to ``sink``; False when the pipe has ended."""
    while True:
        try:
            data = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        sink(data)
        if not until_empty:
            return True


def _terminate(process: subprocess.Popen[bytes], exited: int) -> None:
    """SIGTERM to the group, then wait for its leader; the caller sends SIGKILL in any case."""
    _signal_group(process, signal.SIGTERM)
    with selectors.DefaultSelector() as selector:
        selector.register(exited, selectors.EVENT_READ)
        selector.select(GRACE_S)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # every member has ended already
