# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and sessions by ``ggnet`` on a storage host at work, and what may go wrong with them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CommandLine, clean_environment, reads
from patience import PATIENCE_S
from real_host import RealHost, wait_for
from slow_uploader import SlowImport

pytestmark = pytest.mark.slow("runs dozens of commands, each a program that starts anew")


@pytest.fixture
def ggnet(served: RealHost) -> CommandLine:
    """An operator's, signed in; the host's agent works."""
    environment = {**clean_environment(served.folder), **served.environment}
    ggnet = CommandLine(environment, served.folder)
    ggnet.works("login", "anna", "--password-stdin", stdin="anna-password\n")
    return ggnet


@pytest.fixture
def pc(ggnet: CommandLine, disks: Path) -> CommandLine:
    """There is the machine PC-01 and the small image “disk”."""
    ggnet.works("machine", "add", "PC-01", "--mac", "52:54:00:12:34:01")
    ggnet.works("image", "import", str(disks / "disk.qcow2"), "--name", "disk", "--wait")
    return ggnet


def shown(ggnet: CommandLine, noun: str, name: str) -> Callable[..., bool]:
    """A condition: the object is as the keywords say."""

    def is_so(**wanted: object) -> bool:
        return wanted.items() <= ggnet.json(noun, "show", name).items()

    return is_so


def test_several_machines_start_and_stop_together(pc: CommandLine) -> None:
    pc.works("machine", "add", "PC-02", "--mac", "52:54:00:12:34:02")
    rows = pc.json("session", "start", "PC-02", "PC-01", "--image", "disk", "--wait")
    assert [(row["machine"], row["status"]) for row in rows] == [
        ("PC-02", "PENDING"),
        ("PC-01", "PENDING"),
    ]
    assert {row["id"] for row in pc.json("session", "list", "--open")} == {r["id"] for r in rows}
    sentence = pc.refused("session", "start", "PC-01", "--image", "disk")
    assert sentence == "PC-01 already has a session; stop it first."
    stopped = pc.json("session", "stop", "--all")
    assert [row["status"] for row in stopped] == ["STOPPED", "STOPPED"]
    assert pc.json("session", "stop", "--all") == []
    assert pc.json("session", "list", "--open") == []
    assert len(pc.json("session", "list", "--machine", "PC-02")) == 1


def test_a_session_nobody_came_for_ends_as_timeout(
    pc: CommandLine, served: RealHost, tmp_path: Path
) -> None:
    served.set_setting("session_timeout_s", 1)
    row = pc.json("session", "start", "PC-01", "--image", "disk", "--wait")
    assert row["status"] == "PENDING"
    wait_for(lambda: shown(pc, "session", "PC-01")(status="TIMEOUT"), "the session times out")
    assert not reads(row, tmp_path / "late")


def test_a_session_whose_target_cannot_be_made_is_an_error_with_its_sentence(
    pc: CommandLine, served: RealHost
) -> None:
    served.tree.image_file(pc.json("image", "show", "disk")["id"], 1).unlink()
    done = pc.run("session", "start", "PC-01", "--image", "disk", "--wait", "--json")
    row = json.loads(done.stdout)
    assert (done.returncode, row["status"]) == (1, "ERROR")
    assert done.stderr == f"PC-01: {row['error']}\n"
    assert row["error"]


def test_an_import_that_is_cancelled_elsewhere_fails_where_it_is_waited_for(
    ggnet: CommandLine, served: RealHost, disks: Path
) -> None:
    served.hold("convert")
    vhdx = str(disks / "hyper-v.vhdx")
    image = ggnet.json("image", "import", vhdx, "--name", "win11")
    assert image["status"] in {"PROCESSING", "UPLOADING"}
    job_id = str(image["job_id"])
    waiting = ggnet.start("job", "wait", job_id)
    served.held("convert")
    assert ggnet.json("job", "show", job_id)["status"] == "RUNNING"
    assert "was asked to stop" in ggnet.works("job", "cancel", job_id)
    _, errors = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 1
    assert errors.count("\n") == 1
    assert ggnet.json("job", "show", job_id)["status"] == "CANCELLED"
    assert ggnet.json("image", "show", "win11")["status"] == "ERROR"
    assert served.left_over() == []


def test_an_import_cancelled_while_it_is_copied_leaves_nothing_whenever_that_is(
    ggnet: CommandLine, served: RealHost, slow_import: Callable[[str], SlowImport]
) -> None:
    for moment, told in {
        "start": (1, "Cancelled.\n"),
        "middle": (1, "Cancelled.\n"),
        "end": (0, ""),  # it has done its part, and the agent ends it
    }.items():
        uploader = slow_import(moment)
        assert served.image(uploader.image_id).status == "UPLOADING"
        assert "was asked to stop" in ggnet.works("job", "cancel", str(uploader.job_id))
        assert uploader.go_on() == told, moment
        assert served.ended(uploader.job_id).status == "CANCELLED", moment
        image = ggnet.json("image", "show", "disk")
        assert (image["id"], image["status"]) == (uploader.image_id, "ERROR")
        assert "cancelled" in image["error"]
        wait_for(lambda: not served.left_over(), "nothing is left")


def test_ctrl_c_while_converting_cancels_the_import(
    ggnet: CommandLine, served: RealHost, disks: Path
) -> None:
    served.hold("convert")
    vhdx = str(disks / "hyper-v.vhdx")
    process = ggnet.start("image", "import", vhdx, "--name", "win11", "--wait")
    served.held("convert")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "Cancelling …\n")
    assert ggnet.json("image", "show", "win11")["status"] == "ERROR"
    assert served.left_over() == []


def test_a_file_that_is_no_image_it_claims_to_be_fails_with_a_sentence(
    ggnet: CommandLine, served: RealHost, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.qcow2"
    hostile = ["-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", str(victim)]
    subprocess.run(["qemu-img", "create", *hostile], check=True, capture_output=True)
    done = ggnet.run("image", "import", str(victim), "--name", "evil", "--wait", "--json")
    image = json.loads(done.stdout)
    assert (done.returncode, image["status"]) == (1, "ERROR")
    assert (done.stderr, done.stderr.count("\n")) == (f"{image['error']}\n", 1)
    assert served.left_over() == []


def test_an_entry_of_the_hosts_import_folder_is_imported_by_its_bare_name(
    ggnet: CommandLine, served: RealHost, disks: Path
) -> None:
    entry = served.import_folder / "disk.qcow2"
    entry.write_bytes((disks / "disk.qcow2").read_bytes())
    take = ("image", "import", "--host", "testhost", "--wait", "--name")
    assert ggnet.json(*take, "disk", "disk.qcow2")["status"] == "READY"
    assert "bare file name" in ggnet.refused(*take, "secret", "/etc/shadow")
    assert "There is no storage host" in ggnet.refused(
        *("image", "import", "--host", "elsewhere", "--name", "x", "disk.qcow2")
    )


def test_an_image_is_verified_exported_renamed_and_removed(
    pc: CommandLine, disks: Path, tmp_path: Path
) -> None:
    assert pc.works("image", "verify", "disk", "--wait") == "disk is as it was sealed.\n"
    output = tmp_path / "disk.vhdx"
    export = ("image", "convert", "disk", "--format", "vhdx", "--output", str(output))
    assert pc.works(*export) == f"{output}\n"
    compare = ["qemu-img", "compare", output, disks / "disk.raw"]
    assert subprocess.run(compare, check=False, capture_output=True).returncode == 0
    assert "exists already" in pc.refused(*export)
    path = pc.works("image", "convert", "disk", "--format", "QCOW2", "--wait").strip()
    compare = ["qemu-img", "compare", path, disks / "disk.raw"]
    assert subprocess.run(compare, check=False, capture_output=True).returncode == 0

    assert pc.json("image", "edit", "disk", "--name", "old", "--type", "TEMPLATE")["name"] == "old"
    assert pc.json("target", "create", "PC-01", "--image", "old")["status"] == "CLOSED"
    assert "is served to PC-01" in pc.refused("image", "remove", "old")
    assert "has a target" in pc.refused("machine", "remove", "PC-01")
    assert pc.works("target", "remove", "PC-01") == "Removed the target of PC-01.\n"
    assert pc.works("image", "remove", "old") == "Removed old.\n"
    assert pc.works("machine", "remove", "PC-01") == "Removed PC-01.\n"
    assert pc.json("image", "list") == []


def test_a_damaged_image_fails_its_check_and_the_job_can_be_tried_again(
    pc: CommandLine, served: RealHost
) -> None:
    file = served.tree.image_file(pc.json("image", "show", "disk")["id"], 1)
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.write(b"damaged")
    sentence = pc.refused("image", "verify", "disk", "--wait")
    assert "The stored file of “disk” is damaged" in sentence
    failed = pc.json("job", "list")[0]
    assert (failed["kind"], failed["status"], failed["error"]) == (
        "image.verify",
        "FAILED",
        sentence,
    )
    assert "is not ready" in pc.refused("job", "retry", str(failed["id"]))
