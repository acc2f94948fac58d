# SPDX-License-Identifier: GPL-3.0-or-later
"""A user-mode Linux with the real kernel target (LIO), and a network to log in to it from outside.

The guest runs on this host's own file tree with this checkout and its Python; ``Lab.folder`` is the
one place that both can write, under the same path. Everything of a lab is its own (network
namespace, process group, folder), so that several run beside each other. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, TypeVar

from patience import PATIENCE_S

from .guest import ADDRESS, ADDRESS6, PORT

HOST_ADDRESS = "10.199.7.1"
"""This side of the lab's network: what the guest reaches us at."""
BLOCK_DEVICE_BYTES = 16 * 2**20
_HOST_ADDRESS6 = "fd00:199:7::1"
_CLONE_NEWNET = 0x40000000
_T = TypeVar("_T")


class LabError(Exception):
    """The lab cannot be started, or what ran in it did not answer."""


class Process:
    """A process in the guest that runs Python; its names live as long as it does."""

    def __init__(
        self, connection: Connection, modules: Sequence[str], console: Callable[[], str]
    ) -> None:
        """``console``: what the guest has printed, told with an error and when it does not answer any more."""
        self._connection, self._console = connection, console
        connection.send(list(modules))

    def python(self, source: str, *, timeout_s: float = PATIENCE_S, **variables: object) -> Any:
        """Run ``source`` with these variables and return its ``result``; it raises what it raised.

        Raises EOFError or ConnectionResetError when the process ended in the middle.
        """
        self._connection.send((source, variables))
        if not self._connection.poll(timeout_s):
            raise LabError(f"No answer from the guest within {timeout_s:g} s to:\n{source}")
        try:
            error, result = self._connection.recv()
        except (EOFError, ConnectionResetError) as ended:
            ended.add_note(f"the guest has printed:\n{self._console()[-4000:]}")
            raise
        if error is None:
            return result
        kind, arguments, attributes = error
        raised = kind.__new__(kind, *arguments)
        raised.__dict__.update(attributes)
        raised.add_note(f"in the guest:\n{result}\nit has printed:\n{self._console()[-4000:]}")
        raise raised

    def close(self) -> None:
        """End the process."""
        self._connection.close()


class Lab:
    """One guest and its network; ``start()`` may be called again after ``power_off()``."""

    address = ADDRESS
    address6 = ADDRESS6

    def __init__(self, *, memory: str = "384M") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ggnet-lab-", dir="/dev/shm"))
        self.etc = self.folder / "etc"
        """The guest's ``/etc/rtslib-fb-target``."""
        self.etc.mkdir()
        self._disk = self.folder / "disk"
        """The guest's block device ``/dev/ubda``."""
        with self._disk.open("wb") as disk:
            disk.truncate(BLOCK_DEVICE_BYTES)
        self._console = self.folder / "console"
        self._namespace = self.folder.name
        self._memory = memory
        self._guest: subprocess.Popen[bytes] | None = None
        self._has_network = False

    def start(self) -> None:
        """Boot the guest. Raises LabError, with what it printed, when it does not come up."""
        for program in ("linux.uml", "tcc", "ip", "targetcli", "dbus-daemon", "iscsi-inq"):
            if shutil.which(program) is None:
                raise LabError(f"The lab needs {program}; packaging/install-system.sh installs it.")
        if not self._has_network:
            self._make_network()
        argv = [
            *self._inside(),
            *("env", f"LD_PRELOAD={self._xstate()}"),
            "linux.uml",
            f"umid={self._namespace}",
            f"uml_dir={self.folder}/",
            f"mem={self._memory}",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"),
            *("con=null", "con0=null,fd:1"),
            f"ubd0={self._disk}",
            "vec0:transport=tap,ifname=lab0,depth=64,gro=1",
            f"GGNET_LAB={self.folder}",
            f"init={sys.executable}",
            "--",
            str(Path(__file__).with_name("guest.py")),
        ]
        with self._console.open("wb") as console:
            self._guest = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": "/dev/shm"},
            )
        deadline = time.monotonic() + PATIENCE_S
        while "guest is up" not in self.console:
            if self._guest.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"The guest did not come up; it printed:\n{self.console}")
            time.sleep(0.02)

    @property
    def console(self) -> str:
        """What the guest's kernel and process 1 have printed since the last start."""
        return self._console.read_text("utf-8", "replace")

    def power_off(self) -> None:
        """Cut the power: nothing in the guest gets a chance to clean up."""
        if self._guest is None:
            return
        # Killing the main process alone leaves helpers that hold the network device.
        with suppress(ProcessLookupError):
            os.killpg(self._guest.pid, signal.SIGKILL)
        self._guest.wait()
        self._guest = None

    def close(self) -> None:
        """End the guest and remove everything of this lab."""
        self.power_off()
        if self._has_network:
            subprocess.run(["ip", "netns", "del", self._namespace], check=True, timeout=PATIENCE_S)
        shutil.rmtree(self.folder)

    def process(self, *modules: str) -> Process:
        """A new process in the guest; it has these modules, which are imported once per boot."""
        client = self._in_network(lambda: Client((ADDRESS, PORT)))
        return Process(client, modules, lambda: self.console)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout_s: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run any program in the guest, such as ``targetcli`` or ``ggnet-agent``, to its end."""
        process = self.process()
        try:
            done: subprocess.CompletedProcess[str] = process.python(
                "import os, subprocess\n"
                "result = subprocess.run(argv, env=os.environ | env, input=stdin, text=True,"
                " capture_output=True, timeout=limit)",
                timeout_s=timeout_s + 10,
                argv=[str(each) for each in argv],
                env=dict(env or {}),
                stdin=stdin,
                limit=timeout_s,
            )
        finally:
            process.close()
        return done

    def outside(
        self, argv: Sequence[str | Path], *, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this host, such as an initiator, on the lab's network."""
        return subprocess.run(
            [*self._inside(), *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    @contextmanager
    def background(self, argv: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
        """As ``outside``, while the block runs; then it is killed."""
        with subprocess.Popen(
            [*self._inside(), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def publish(self, port: int, server: Path) -> Iterator[None]:
        """Let the guest reach a server's unix socket of this host at ``HOST_ADDRESS:port``.

        hostfs carries no sockets, so this is how a guest's program comes to our PostgreSQL.
        """
        listening = self._in_network(lambda: socket.create_server((HOST_ADDRESS, port)))
        threads: list[threading.Thread] = []

        def relay(client: socket.socket) -> None:
            with client, socket.socket(socket.AF_UNIX) as backend:
                backend.connect(str(server))
                with selectors.DefaultSelector() as selector, suppress(ConnectionError):
                    selector.register(client, selectors.EVENT_READ, backend)
                    selector.register(backend, selectors.EVENT_READ, client)
                    while True:
                        for key, _ in selector.select():
                            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                            if not data:
                                return
                            key.data.sendall(data)

        def accept() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:  # shut down below
                    return
                threads.append(threading.Thread(target=relay, args=(client,)))
                threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            for thread in threads:
                thread.join()

    def _xstate(self) -> Path:
        """The library with which the guest's kernel runs on CPUs newer than itself; see its source."""
        library = self.folder / "xstate.so"
        source = Path(__file__).with_name("xstate.c")
        subprocess.run(
            ["tcc", "-shared", "-nostdlib", "-o", library, source], check=True, timeout=PATIENCE_S
        )
        return library

    def _inside(self) -> list[str]:
        return ["ip", "netns", "exec", self._namespace]

    def _make_network(self) -> None:
        subprocess.run(["ip", "netns", "add", self._namespace], check=True, timeout=PATIENCE_S)
        self._has_network = True
        for line in (
            "ip link set lo up",
            "ip tuntap add dev lab0 mode tap",
            f"ip addr add {HOST_ADDRESS}/30 dev lab0",
            f"ip addr add {_HOST_ADDRESS6}/64 dev lab0 nodad",
            "ip link set lab0 up",
        ):
            subprocess.run([*self._inside(), *line.split()], check=True, timeout=PATIENCE_S)

    def _in_network(self, action: Callable[[], _T]) -> _T:
        """What ``action`` returns in a thread that has entered the lab's network namespace.

        A socket belongs to the namespace of the thread that made it, whoever uses it.
        """
        results: list[_T | BaseException] = []

        def work() -> None:
            try:
                with open(f"/run/netns/{self._namespace}") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                results.append(action())
            except BaseException as error:
                results.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]
