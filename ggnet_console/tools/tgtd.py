# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon ``tgtd`` of one installation: found or started, spoken to by tgtadm, ended."""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConsoleError, sentence
from ..program_call import ProgramCall
from .portals import check_free, portal_name
from .process import environment, find, run
from .target_backend import BackendDownError, Chap
from .tgt_accounts import add_account
from .tgt_output import parse_portals

_log = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 10.0
_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_SOCKET_MAX_BYTES = 107  # sun_path holds 108 bytes with the terminator (unix(7))
_LOG_TAIL_BYTES = 4096
# A machine that lost power is noticed after 5 s x 3; without this never.
_NOP = "nop_interval=5,nop_count=3"
# As root, tgtd keeps only what it uses. Without CAP_DAC_OVERRIDE it cannot even open a sealed
# (0444) image for writing, whatever a LUN's flags say at any moment.
_CAPABILITIES = "-all,+dac_read_search,+net_bind_service,+sys_resource"
_CONTROL_CHARACTERS = {chr(code) for code in (*range(32), 127)}


class CallRefusedError(ConsoleError):
    """tgtd answered a call with an error; ``answer`` is what tgtadm said."""

    def __init__(self, summary: str, details: str, answer: str = "") -> None:
        super().__init__(summary, details)
        self.answer = answer


@dataclass(frozen=True)
class Daemon:
    """A running tgtd; ``name`` tells it from every other one of this boot."""

    pid: int
    name: str


class Tgtd:
    """One tgtd on a control socket and portals of its own; it outlives this process."""

    def __init__(self, socket: Path, portals: Sequence[tuple[str, int]], log: Path) -> None:
        self._socket = socket
        self._portals = tuple(portals)
        self._log = log
        self._child: int | None = None

    @property
    def control(self) -> Path:
        """The control socket's file: tgtd appends the number of its control port."""
        return Path(f"{self._socket}.0")

    def start(self) -> tuple[Daemon, bool]:
        """The daemon, adopted or started; True when it was started.

        Raises ConsoleError when the portal is taken (by whom), or when the running tgtd is
        another user's or serves another portal.
        """
        self._reap()
        daemon = self.find()
        started = daemon is None
        if daemon is None:
            daemon = self._launch()
        self._check_portal(daemon)
        return daemon, started

    def call(self, *arguments: str) -> str:
        """What tgtadm prints for these arguments; bytes that are not UTF-8 as surrogates.

        Raises BackendDownError when no tgtd answers, CallRefusedError when it says no.
        """
        call = self.program_call(*arguments)
        done = run(call.argv, timeout_s=_CALL_TIMEOUT_S, env=call.env)
        # A tgtd that ends in the middle of a call makes tgtadm return 0, with a message.
        if done.returncode == 0 and not done.messages:
            return done.stdout.decode("utf-8", "surrogateescape")
        if self.find() is None:
            raise BackendDownError(
                sentence("The iSCSI target service tgtd does not run; the agent starts it again."),
                done.details,
            )
        raise CallRefusedError(
            sentence(
                "The iSCSI target service refused “tgtadm {arguments}”.",
                arguments=" ".join(arguments),
            ),
            done.details,
            done.messages,
        )

    def program_call(self, *arguments: str) -> ProgramCall:
        """What ``call`` runs for these arguments."""
        return ProgramCall([find("tgtadm"), "--lld", "iscsi", *arguments], self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        return {"TGT_IPC_SOCKET": str(self._socket)}

    def add_account(self, account: Chap) -> None:
        """Make a CHAP account, without its secret being seen by anybody else on this computer.

        Raises as ``call`` does. One of that name left over from before is replaced.
        """
        if add_account(self.control, account):
            self.call("--mode", "account", "--op", "delete", "--user", account.user)
            if error := add_account(self.control, account):
                answer = f"tgtd's error {error}"
                raise CallRefusedError(
                    sentence(
                        "The iSCSI target service refused the CHAP account {user}.",
                        user=account.user,
                    ),
                    answer,
                )

    def stop(self, daemon: Daemon) -> None:
        """End this daemon, whose targets have been deleted, and wait until it is gone.

        tgtd ignores SIGTERM, and refuses to end while it has targets; SIGKILL comes when it does
        not end by itself.
        """
        try:
            handle = os.pidfd_open(daemon.pid)
        except ProcessLookupError:  # it ended by itself
            return
        try:
            if self.find() != daemon:  # it ended, and its number may be another's by now
                return
            try:
                self.call("--mode", "sys", "--op", "delete")
            except ConsoleError as error:
                _log.warning("tgtd is killed: it does not end. %s %s", error, error.details)
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not _has_ended(handle):
                _log.warning("tgtd is killed: it did not end in time")
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not _has_ended(handle):
                    raise ConsoleError(
                        sentence(
                            "tgtd (process {process}) does not end, not even killed; its disk may "
                            "be stuck. Restart this computer when the disk is repaired.",
                            process=daemon.pid,
                        )
                    )
            _collect(daemon.pid)
        finally:
            os.close(handle)

    def find(self) -> Daemon | None:
        """Who answers on the control socket; None when nobody does (a file left over is stale).

        Raises ConsoleError when it is another user's or cannot be asked.
        """
        if len(os.fsencode(self.control)) > _SOCKET_MAX_BYTES:
            raise ConsoleError(
                sentence(
                    "The path {path} is too long for a socket; choose a shorter home folder.",
                    path=self.control,
                )
            )
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CALL_TIMEOUT_S)
            try:
                probe.connect(os.fspath(self.control))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except OSError as error:
                raise ConsoleError(
                    sentence(
                        "The control socket {path} of tgtd cannot be used: {error}.",
                        path=self.control,
                        error=str(error),
                    )
                ) from error
            size = struct.calcsize("3i")
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, uid, _gid = struct.unpack("3i", credentials)
        if uid != os.geteuid():
            raise ConsoleError(
                sentence(
                    "The tgtd on {path} (process {process}) belongs to another user; end it "
                    "there, or work as that user.",
                    path=self.control,
                    process=pid,
                )
            )
        try:
            status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except FileNotFoundError:  # ended since it accepted
            return None
        # proc(5): field 22 is the start time; the name in brackets, field 2, may hold spaces.
        return Daemon(pid, f"{pid}-{status.rpartition(')')[2].split()[19]}")

    def _launch(self) -> Daemon:
        names = [portal_name(*portal) for portal in self._portals]
        for portal in self._portals:
            check_free(*portal)
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # a few per machine
        argv = [find("prlimit"), f"--nofile={files}:{files}"]
        if os.geteuid() == 0:
            argv += [find("setpriv"), "--bounding-set", _CAPABILITIES]
        argv += [
            find("tgtd"),
            "-f",
            "--iscsi",
            ",".join([*(f"portal={name}" for name in names), _NOP]),
        ]
        # Not subprocess.Popen, which warns about a child that outlives its handle as this one may.
        self._child = os.posix_spawn(
            argv[0],
            argv,
            environment(**self._environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()),
            ],
            setsid=True,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        end: int | str = f"not ready after {_START_TIMEOUT_S:g} seconds"
        while time.monotonic() < deadline:
            code = self._reap()
            if code is not None:
                end = code
                break
            daemon = self.find()
            # A socket accepts connections before the portal listens.
            if daemon is not None and len(self._served()) == len(names):
                return daemon
            time.sleep(0.005)
        raise ConsoleError(
            sentence(
                "tgtd could not be started on the portal {names}; its messages are in {log}.",
                names=", ".join(names),
                log=self._log,
            ),
            ProgramCall(argv, self._environment).details(end, _tail(self._log)),
        )

    def _served(self) -> frozenset[str]:
        return parse_portals(self.call("--mode", "portal", "--op", "show"))

    def _check_portal(self, daemon: Daemon) -> None:
        wanted = {portal_name(*portal) for portal in self._portals}
        served = self._served()
        if served != wanted:
            raise ConsoleError(
                sentence(
                    "The running tgtd (process {process}) serves {served} instead of {wanted}. "
                    "Set the portal back, or stop all sessions, end that process and start again.",
                    process=daemon.pid,
                    served=", ".join(sorted(served)) or sentence("no portal"),
                    wanted=", ".join(sorted(wanted)),
                )
            )

    def _reap(self) -> int | None:
        """Collect our child when it has ended; its exit code (-N: signal N) if that was just now."""
        code = None if self._child is None else _collect(self._child)
        if code is not None:
            self._child = None
        return code


def check_path(path: Path) -> None:
    """Raise ConsoleError for a path that tgtd would misread.

    It splits its parameters at commas and has no quotes; its lists end lines at line feeds.
    """
    if "," in str(path) or any(character in _CONTROL_CHARACTERS for character in str(path)):
        raise ConsoleError(
            sentence(
                "The disk file {path} cannot be served by tgt: its path has a comma or a control "
                "character. Choose another folder or name.",
                path=path,
            )
        )


def _collect(pid: int) -> int | None:
    """Reap a process if it has ended and is ours; its exit code, None when it still runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # another process's child, or collected already
        return 0
    return os.waitstatus_to_exitcode(status) if ended else None


def _inheritable() -> list[int]:
    """Descriptors that whoever started us left open, such as the pipe of a shell that waits."""
    numbers = []
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        try:
            if number > 2 and os.get_inheritable(number):
                numbers.append(number)
        except OSError:  # another thread's, or that of this listing, closed meanwhile
            continue
    return numbers


def _has_ended(handle: int) -> bool:
    """Whether the process behind a pidfd ends in time; true of a zombie too (pidfd_open(2))."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(_STOP_TIMEOUT_S * 1000))


def _tail(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - _LOG_TAIL_BYTES))
        return log.read().decode("utf-8", "replace")
