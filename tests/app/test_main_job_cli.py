# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job by the installed programs alone: ``ggnet`` from init to stop, ``ggnet-agent``, a machine.

Somebody who may only look sees every step and is refused every change.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import INITIATOR, PROGRAMS, CommandLine, clean_environment, reads
from patience import PATIENCE_S
from real_host import free_port, is_running, short_folder, wait_for

from ggnet_console import config

pytestmark = pytest.mark.slow("runs dozens of commands, each a program that starts anew")

PASSWORD = "a long enough password"
RAW_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
NOT_ALLOWED = "Your role does not allow this; ask an admin."


@pytest.fixture
def anna() -> Iterator[CommandLine]:
    """Who is to become the admin, at a computer on which nothing was installed yet."""
    with short_folder() as folder:
        settings = folder / "config.toml"
        settings.write_text(
            f'home = "{folder}/home"\nhost = "testhost"\nbackend = "tgt"\n'
            f'portal = "127.0.0.1:{free_port()}"\n'
        )
        environment = {**clean_environment(folder), "GGNET_CONFIG": str(settings)}
        yield CommandLine(environment, folder)


@pytest.fixture
def agent(anna: CommandLine) -> Iterator[subprocess.Popen[bytes]]:
    """``ggnet-agent`` on the installation that anna has just made."""
    with_password = ("--password-stdin",)
    anna.works("init", "--admin", "anna", *with_password, stdin=f"{PASSWORD}\n")
    process = subprocess.Popen([PROGRAMS / "ggnet-agent"], env=anna.environment, cwd=anna.folder)
    yield process
    process.kill()
    process.wait()


def log_in(ggnet: CommandLine, name: str) -> CommandLine:
    """The command line of another person of this computer, signed in."""
    person = ggnet.with_(XDG_STATE_HOME=ggnet.folder / name)
    person.works("login", name, "--password-stdin", stdin=f"{PASSWORD}\n")
    return person


def test_from_an_empty_folder_to_a_machine_that_read_its_disk_and_was_stopped(
    anna: CommandLine, agent: subprocess.Popen[bytes], disks: Path, tmp_path: Path
) -> None:
    anna = log_in(anna, "anna")
    wait_for(lambda: [host for host in anna.json("host", "list") if host["alive"]], "an agent")
    add_user = ("user", "add", "vera", "--role", "VIEWER", "--password-stdin")
    anna.works(*add_user, stdin=f"{PASSWORD}\n")
    vera = log_in(anna, "vera")
    assert vera.json("whoami")["role"] == "VIEWER"

    add = ("machine", "add", "PC-01", "--mac", "52:54:00:12:34:01", "--ip", "10.0.2.11")
    assert vera.refused(*add) == NOT_ALLOWED
    assert vera.json("machine", "list") == []
    anna.works(*add)
    machine = vera.json("machine", "show", "PC-01")
    assert (machine["mac"], machine["ip"]) == ("52:54:00:12:34:01", "10.0.2.11")
    assert (machine["online"], machine["last_seen_at"]) == (False, None)

    vhdx = str(disks / "hyper-v.vhdx")
    bring = ("image", "import", vhdx, "--name", "win11", "--wait")
    assert vera.refused(*bring) == NOT_ALLOWED
    # The sample holds nothing that is known.
    made = anna.warned("win11: No partition table and no file system", *bring)
    image = vera.json("image", "show", "win11")
    assert image["id"] == made["id"]
    assert (image["name"], image["status"], image["type"]) == ("win11", "READY", "SYSTEM")
    assert (image["source_format"], image["virtual_size_bytes"]) == ("VHDX", 2**30)
    assert (image["sha256"], image["error"]) == (RAW_SHA256, "")
    assert image["actual_size_bytes"] < 128 * 2**20
    [job] = vera.json("job", "list")
    assert (job["kind"], job["object_name"]) == ("image.import", "win11")
    assert (job["status"], job["percent"], job["error"]) == ("SUCCEEDED", 100, "")
    checked = ("image", "import", vhdx, "--name", "same", "--sha256", image["source_sha256"])
    same = anna.warned("same: No partition table and no file system", *checked, "--wait")
    assert same["sha256"] == RAW_SHA256

    start = ("session", "start", "PC-01", "--image", "win11", "--wait")
    assert vera.refused(*start) == NOT_ALLOWED
    assert vera.json("session", "list") == []
    started = anna.json(*start)
    assert vera.json("session", "show", "PC-01").items() >= started.items()
    assert (started["machine"], started["image"]) == ("PC-01", "win11")
    assert (started["status"], started["initiator_iqn"]) == ("PENDING", INITIATOR)
    assert started["portal"] == config.load(anna.environment).portal
    assert (started["client_address"], started["bytes_read"], started["lun"]) == (None, 0, 1)
    assert vera.json("target", "show", "PC-01")["status"] == "OPEN"

    assert not reads(started, tmp_path / "stolen", "iqn.2026-11.net.ggnet:initiator.525400123402")
    assert vera.json("session", "show", "PC-01")["status"] == "PENDING"
    assert reads(started, tmp_path / "read")
    stored = config.load(anna.environment).tree.image_file(image["id"], 1)
    assert subprocess.run(["cmp", stored, tmp_path / "read"], check=False).returncode == 0
    out = {"status": "ACTIVE", "connected": False, "client_address": "127.0.0.1"}.items()
    wait_for(lambda: out <= vera.json("session", "show", "PC-01").items(), "login and logout")
    active = vera.json("session", "show", str(started["id"]))
    assert active["bytes_read"] > 0
    assert active["bytes_written"] == 0
    assert vera.json("machine", "show", "PC-01")["last_seen_at"] is not None

    assert vera.refused("session", "stop", "PC-01") == NOT_ALLOWED
    stopped = anna.json("session", "stop", "PC-01")
    assert (stopped["id"], stopped["status"]) == (started["id"], "STOPPED")
    assert stopped["bytes_read"] == active["bytes_read"]
    assert vera.json("session", "show", "PC-01")["status"] == "STOPPED"
    assert not reads(started, tmp_path / "late")
    totals = {row["status"]: row for row in vera.json("session", "stats")}
    assert (totals["STOPPED"]["sessions"], totals["PENDING"]["sessions"]) == (1, 0)
    assert totals["STOPPED"]["bytes_read"] == active["bytes_read"]

    server = int(
        (config.load(anna.environment).tree.cluster / "postmaster.pid").read_text().split()[0]
    )
    agent.terminate()
    assert agent.wait(PATIENCE_S) == 0
    wait_for(lambda: not is_running(server), "the private server ends with who used it last")
