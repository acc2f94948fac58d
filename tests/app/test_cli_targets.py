# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet target plan, apply, repair, undo, adopt, chap, test`` and ``ggnet host`` as scripts run them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, CommandLine, clean_environment
from real_host import RealHost, wait_for
from test_target_drift import tid

from ggnet_console.enums import Role
from ggnet_console.services import users

pytestmark = pytest.mark.slow("runs dozens of commands, each a program that starts anew")

FOREIGN = "iqn.2020-01.org.example:by-hand"


def signed_in(served: RealHost, name: str) -> CommandLine:
    folder = served.folder / name
    folder.mkdir()
    ggnet = CommandLine({**clean_environment(folder), **served.environment}, folder)
    ggnet = ggnet.with_(HOME=folder, XDG_STATE_HOME=folder, XDG_CONFIG_HOME=folder)
    ggnet.works("login", name, "--password-stdin", stdin=f"{name}-password\n")
    return ggnet


@pytest.fixture
def ggnet(served: RealHost, disks: Path) -> CommandLine:
    """An operator's, signed in; PC-01 has a session."""
    ggnet = signed_in(served, "anna")
    ggnet.works("machine", "add", "PC-01", "--mac", "52:54:00:12:34:01")
    ggnet.works("image", "import", str(disks / "disk.qcow2"), "--name", "disk", "--wait")
    ggnet.works("session", "start", "PC-01", "--image", "disk", "--wait")
    return ggnet


@pytest.fixture
def admin(served: RealHost) -> CommandLine:
    with served.owner.begin() as session:
        users.create_user(session, "ada", Role.ADMIN, "ada-password")
    return signed_in(served, "ada")


def test_drift_is_planned_repaired_and_undone(served: RealHost, ggnet: CommandLine) -> None:
    assert ggnet.works("target", "plan") == "testhost: in step.\n"
    iqn = ggnet.json("target", "show", "PC-01")["iqn"]
    served.tgtadm("--mode target --op delete --tid 1")
    [plan] = ggnet.json("target", "plan", "testhost")
    [entry] = plan["entries"]
    assert (entry["action"], entry["iqn"], entry["machine"]) == ("ADD", iqn, "PC-01")
    assert ggnet.works("target", "plan").splitlines() == [
        "testhost: 1 change.",
        f"  add     {iqn}  PC-01",
        "          target: nothing → there (running)",
    ]
    assert ggnet.works("target", "repair") == "testhost: 1 target repaired.\n"
    assert ggnet.works("target", "plan") == "testhost: in step.\n"
    assert ggnet.works("target", "undo") == "testhost: 1 target as before.\n"
    assert "nothing to undo" in ggnet.refused("target", "undo")
    assert ggnet.works("target", "apply", "PC-01") == "testhost: 1 target changed.\n"
    done = {"host": "testhost", "status": "SUCCEEDED", "error": ""}
    assert ggnet.json("target", "undo") == [{**done, "changed": 1, "not_restored": {}}]
    assert ggnet.json("target", "repair") == [{**done, "changed": 1, "left": []}]
    assert ggnet.json("target", "apply") == [{**done, "changed": 0}]
    served.tgtadm("--mode target --op bind -I ALL --tid", tid(served, iqn))
    assert ggnet.json("target", "apply") == [{**done, "changed": 1}]
    assert ggnet.works("target", "undo").splitlines() == [
        "testhost: 1 target as before.",
        f"  not as before: {iqn}",
        "          structure: it lets in the addresses ALL",
    ]
    shown = ggnet.works("target", "show", "PC-01")
    assert f"o- {iqn} " in shown
    assert "IN_STEP" in shown
    assert "no storage host “elsewhere”" in ggnet.refused("target", "plan", "elsewhere")


def test_chap_is_shown_once_and_tried(ggnet: CommandLine) -> None:
    made = ggnet.json("target", "chap", "PC-01", "on")
    assert len(made["chap_secret"]) == 16
    shown = ggnet.json("target", "show", "PC-01")
    assert shown["chap_user"] == made["chap_user"]
    assert made["chap_secret"] not in str(shown)
    steps = ggnet.json("target", "test", "PC-01")
    assert [step["ok"] for step in steps] == [True, True, True]
    with Path("/dev/full").open("w") as full:
        lost = subprocess.run(
            [*COMMAND, "target", "chap", "PC-01", "on"],
            env=ggnet.environment,
            cwd=ggnet.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert lost.returncode == 1
    assert "The secret is lost; run “ggnet target chap PC-01 on” for another one." in lost.stderr
    ggnet.works("target", "chap", "PC-01", "off")
    assert ggnet.works("target", "test", "PC-01").startswith("OK ")
    ggnet.works("session", "stop", "PC-01")
    done = ggnet.run("target", "test", "PC-01")
    assert done.returncode == 1
    assert "The test login to" in done.stderr


def test_what_was_made_by_hand_is_adopted_and_released(
    served: RealHost, ggnet: CommandLine, admin: CommandLine
) -> None:
    disk = served.folder / "disk.raw"
    disk.write_bytes(bytes(2**20))
    served.tgtadm("--mode target --op new --tid 77 --targetname", FOREIGN)
    served.tgtadm("--mode logicalunit --op new --tid 77 --lun 1 --backing-store", str(disk))
    assert f"  leave   {FOREIGN}" in ggnet.works("target", "plan")
    assert "ask an admin" in ggnet.refused("target", "adopt", FOREIGN)
    assert admin.works("target", "adopt", FOREIGN) == f"Adopted {FOREIGN}.\n"
    assert ggnet.json("target", "show", FOREIGN)["origin"] == "ADOPTED"
    assert ggnet.works("target", "plan") == "testhost: in step.\n"
    assert admin.json("target", "release", FOREIGN)["origin"] == "FOREIGN"
    assert ggnet.json("target", "show", FOREIGN)["origin"] == "FOREIGN"
    assert admin.json("target", "adopt", FOREIGN)["origin"] == "ADOPTED"


def test_an_admin_chooses_what_serves_a_host_while_nobody_is_served(
    served: RealHost, ggnet: CommandLine, admin: CommandLine
) -> None:
    assert "testhost serves PC-01" in admin.refused("host", "set", "testhost", "--backend", "tgt")
    ggnet.works("session", "stop", "PC-01")
    admin.works("host", "set", "testhost", "--backend", "lio")
    [host] = ggnet.json("host", "list")
    assert host["backend_choice"] == "LIO"
    # The configuration of this host goes first, and says so.
    wait_for(lambda: served.host().compared_at != host["compared_at"], "the agent goes on")
    assert (served.host().backend, served.host().backend_reason) == (
        "tgt",
        "this host's configuration says so",
    )
    assert "ask an admin" in ggnet.refused("host", "set", "testhost", "--backend", "auto")
