# SPDX-License-Identifier: GPL-3.0-or-later
"""The real console on a real database with 10,000 machines: start, live updates, memory."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from ggnet_console import config
from ggnet_console.db.cluster import SUPERUSER
from ggnet_console.db.installation import Installation
from ggnet_console.enums import Role
from ggnet_console.services import users

from .figures import Figure, percentile

MACHINES = 10_000
RATE = 1_000
SECONDS = 5.0
STARTS = 7
USER, PASSWORD = "bench", "bench-password"


def run() -> list[Figure]:
    """Start, live updates and memory, in that order."""
    home = Path(tempfile.mkdtemp(prefix="ggb-", dir="/tmp"))
    home.chmod(0o711)
    settings = config.load(environ={"GGNET_HOME": str(home), "HOME": str(home)})
    try:
        with Installation(settings) as installation:
            owner = installation.owner("bench")
            with owner.begin() as session:
                users.create_user(session, USER, Role.OPERATOR, PASSWORD)
            owner.close()
            dsn = installation.cluster.dsn(SUPERUSER)
            with psycopg.connect(dsn) as connection:
                connection.execute(
                    "INSERT INTO machines (name, mac, room) SELECT 'PC-' || lpad(n::text, 5, '0'), "
                    "('525400' || lpad(to_hex(n), 6, '0'))::macaddr, 'Lab ' || n % 30 "
                    f"FROM generate_series(1, {MACHINES}) n"
                )
            return [_starts(home), *_live(home, dsn)]
    finally:
        shutil.rmtree(home)


def _child(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench.child", *arguments]


def _environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "GGNET_HOME": str(home),
        "GGNET_PORTAL": "127.0.0.1:3299",
        "GGNET_BACKEND": "tgt",
        "XDG_CONFIG_HOME": str(home),
    }


def _starts(home: Path) -> Figure:
    """Process start to first painted frame of the sign-in page, beside an empty Qt window."""
    ours, bare = [], []
    for turn in range(STARTS + 1):
        for what, times in (("frame", ours), ("bare", bare)):
            began = time.monotonic()
            painted = subprocess.run(
                _child(what), env=_environment(home), check=True, capture_output=True, text=True
            ).stdout
            if turn:  # the first is not warm
                times.append((float(painted) - began) * 1000)
    return Figure(
        "process start to first painted frame",
        statistics.median(ours),
        "ms",
        "400 ms",
        statistics.median(bare),
        "an empty Qt window",
    )


def _live(home: Path, dsn: str) -> list[Figure]:
    process = subprocess.Popen(
        _child("live", USER, PASSWORD, str(SECONDS)),
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    ready = process.stdout.readline()
    if ready.strip() != "ready":
        raise RuntimeError(f"the console said {ready!r}")
    stop = threading.Event()
    sent = [0]
    writer = threading.Thread(target=_write, args=(dsn, stop, sent))
    began = time.monotonic()
    writer.start()
    answer = json.loads(process.stdout.readline())
    stop.set()
    writer.join()
    rate = sent[0] / (time.monotonic() - began)
    process.stdin.close()
    process.wait(30)
    latencies, gaps = answer["latency_ms"], answer["gap_ms"]
    title = f"{MACHINES:,} rows, {rate:,.0f} changes/s:"
    return [
        Figure(
            f"{title} commit to cell, p99",
            percentile(latencies, 0.99),
            "ms",
            "50 ms",
            statistics.median(latencies),
            "median",
        ),
        Figure(
            f"{title} gap of the GUI thread, p99",
            percentile(gaps, 0.99),
            "ms",
            "16 ms",
            percentile(answer["idle_gap_ms"], 0.99),
            "p99 while nothing changes",
        ),
        Figure(
            f"peak memory of the console with {MACHINES:,} machines",
            answer["peak_mib"],
            "MiB",
            "200 MB",
        ),
    ]


def _write(dsn: str, stop: threading.Event, sent: list[int]) -> None:
    """Change one random machine a thousand times a second; its notes hold the time."""
    rng = random.Random(3)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        due = time.monotonic()
        while not stop.is_set():
            connection.execute(
                "UPDATE machines SET notes = %s WHERE id = %s",
                [str(time.monotonic()), rng.randint(1, MACHINES)],
            )
            sent[0] += 1
            due += 1 / RATE
            time.sleep(max(due - time.monotonic(), 0))
