# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole storage host whose agent runs in the lab's guest and serves with the kernel's LIO."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE_S
from real_host import RealHost, initiator_options, wait_for

from ggnet_console.db.cluster import PORT, agent_role
from ggnet_console.services.boot_sessions import BootSessionRow

from .bench import command
from .lab import HOST_ADDRESS, Lab, Process

_START = """
import os, signal, sys, traceback
from ggnet_console.agent import main
agent = os.fork()
if agent == 0:
    status = 1
    try:
        os.environ.update(env)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (1, 2):
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
        sys.argv = ["ggnet-agent"]
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
"""
"""Runs the whole of ``ggnet-agent`` in a process of its own. The program would import hundreds of
modules first, which takes such a guest six seconds."""

LEFT_OPEN = """
import subprocess
open_ = subprocess.Popen(["targetcli"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
while b"/>" not in open_.stdout.read1(): pass
result = open_.pid
"""
"""Leaves an interactive targetcli open for as long as the process lives; its pid."""


class LioHost(RealHost):
    """Its database runs outside, where people are; ``folder`` lies in the lab's."""

    backend = "auto"

    def __init__(self, lab: Lab, folder: Path, blank: Path) -> None:
        self.lab = lab
        self._process: Process | None = None
        self._published = ExitStack()
        super().__init__(folder, blank)
        server = self.tree.sockets / f".s.PGSQL.{PORT}"
        self._published.enter_context(lab.publish(PORT, server))

    def choose_portal(self) -> str:
        return f"{Lab.address}:3260"

    def start(self, *, wait: bool = True, **_options: Any) -> None:
        before = self.host().compared_at
        self._process = self.lab.process("ggnet_console.agent")
        database = (
            f"host={HOST_ADDRESS} port={PORT} user={agent_role('testhost')} dbname=ggnet "
            "sslmode=disable"
        )
        self._process.python(
            _START,
            env={
                "GGNET_CONFIG": self.environment["GGNET_CONFIG"],
                "GGNET_AGENT_DATABASE_URL": database,
            },
            out=str(self.folder / "agent.out"),
        )
        if wait:
            wait_for(lambda: self.host().compared_at != before, "the agent has compared")

    def kill(self) -> None:
        assert self._process is not None
        self._process.python("os.kill(agent, signal.SIGKILL); os.waitpid(agent, 0)")
        self._process.close()
        self._process = None

    def lose_power(self) -> None:
        """The guest is gone from one moment to the next; it comes back without its agent."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self.lab.power_off()
        self.lab.start()

    def end(self) -> None:
        if self._process is not None:
            self.kill()
        super().end()
        self._published.close()

    def peak_memory_bytes(self) -> int:
        """The most memory that the agent has ever had resident (VmHWM of proc(5))."""
        assert self._process is not None
        status = self._process.python('result = open(f"/proc/{agent}/status").read()')
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def reads(
        self,
        session: BootSessionRow,
        copy: Path,
        initiator: str | None = None,
        chap: tuple[str, str] | None = None,
    ) -> bool:
        """Whether a machine on the lab's network can read the whole disk into ``copy``.

        ``chap``: the name and the secret that it has.
        """
        options = initiator_options(session, initiator)
        secret: tuple[str, ...] = ()
        if chap is not None:
            options += f",user={chap[0]},password-secret=chap"
            secret = ("--object", f"secret,id=chap,data={chap[1]}")
        argv = ("qemu-img", "convert", *secret, "-O", "raw", "--image-opts", options, copy)
        return self.lab.outside(argv, timeout_s=PATIENCE_S).returncode == 0

    @contextmanager
    def logged_in(self, session: BootSessionRow) -> Iterator[subprocess.Popen[str]]:
        """A machine that stays logged in while the block runs; qemu-io's commands go to its stdin."""
        options = initiator_options(session)
        with self.lab.background(["qemu-io", "-r", "--image-opts", options]) as machine:
            command(machine)
            yield machine
