# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else who takes part in an embedded cluster: another process, or another user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import wait_for
from places import short_folder

from ggnet_console.paths import Home

CHECKOUT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0

# Takes part until its input ends; run by other processes and other users.
PARTICIPANT = """
import resource, sys
from pathlib import Path
from ggnet_console.db.cluster import SUPERUSER, Cluster
from ggnet_console.errors import ConsoleError
from ggnet_console.paths import Home
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with Cluster(Home(Path(sys.argv[1])), "room-12") as cluster:
        print("made" if cluster.created else "found", flush=True)
        print(cluster.dsn(SUPERUSER, "postgres"), flush=True)
        sys.stdin.read()
    print("left", flush=True)
except ConsoleError as error:
    print(error.summary, flush=True)
    print("DETAILS", error.details, flush=True)
"""


def postmaster(home: Home) -> int | None:
    """The pid of the running server of ``home``, None when there is none."""
    try:
        pid = int((home.cluster / "postmaster.pid").read_text().split("\n")[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return None
    return pid if os.fsencode(home.cluster) in command.split(b"\0") else None


def kill_server(home: Home) -> None:
    pid = postmaster(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: postmaster(home) is None, "the server has ended")


@contextmanager
def temporary_home() -> Iterator[Home]:
    with short_folder() as folder:
        home = Home(folder / "home")
        try:
            yield home
        finally:
            if postmaster(home) is not None:
                kill_server(home)


def take_part(home: Home, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [options.pop("python", sys.executable), "-c", PARTICIPANT, str(home.root), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=options.pop("cwd", CHECKOUT),
        **options,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
