# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports whose agent, uploader or qemu-img dies at any moment: READY or ERROR, nothing half-made."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_host import MIB, RealHost, is_running, wait_for
from slow_uploader import SlowImport
from sqlalchemy import text

VERBS = {"Checking": "check", "Converting": "convert"}


def expect_ready(host: RealHost, image_id: int) -> None:
    assert host.image(image_id).status == "READY"
    wait_for(lambda: host.left_over() == [f"images/{image_id}-1.raw"], "only the image is left")
    assert host.tree.image_file(image_id, 1).stat().st_mode & 0o777 == 0o444
    assert host.qemu_imgs() == []


def expect_error(host: RealHost, image_id: int, words: str) -> None:
    image = host.image(image_id)
    assert image.status == "ERROR"
    assert words in image.error
    wait_for(lambda: not host.left_over(), "nothing is left")
    assert host.qemu_imgs() == []


@pytest.fixture
def uploader(slow_import: Callable[[str], SlowImport]) -> SlowImport:
    """A process that imports and stands still halfway."""
    return slow_import("middle")


@pytest.mark.parametrize("phase", VERBS)
def test_an_agent_killed_in_any_phase_finishes_the_import_after_its_restart(
    phase: str, served: RealHost, disks: Path
) -> None:
    served.hold(VERBS[phase])
    image = served.import_file(disks / "disk.qcow2")
    stopped = served.held(VERBS[phase])
    assert served.image(image.image_id).status == "PROCESSING"
    served.kill()
    wait_for(lambda: not is_running(stopped), "qemu-img dies with its agent")
    served.let_go()
    served.start()
    served.succeeded(image.job_id)
    assert served.job(image.job_id).attempts == 2
    expect_ready(served, image.image_id)


def test_an_agent_killed_while_it_compares_and_hashes_finishes_the_import_after_its_restart(
    served: RealHost, disks: Path
) -> None:
    """Its file belongs to root by then, and the readers are programs of ours."""
    big = served.folder / "big.raw"
    with big.open("wb") as file:
        file.write((disks / "disk.raw").read_bytes())
        file.truncate(8 << 30)
    image = served.import_file(_as_qcow2(big))
    wait_for(lambda: _own_programs(served, "second_reader"), "it is compared")
    served.kill()
    wait_for(lambda: not _own_programs(served), "what reads dies with its agent")
    served.start()
    served.succeeded(image.job_id)
    assert served.job(image.job_id).attempts == 2
    expect_ready(served, image.image_id)


def _own_programs(host: RealHost, name: str = "") -> list[str]:
    """Programs of ours that read this host's images in the sandbox."""
    own = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue  # ended while we looked
        if f"ggnet_console.tools.{name}".encode() in words and any(
            file.startswith(str(host.tree.work)) for file in files
        ):
            own.append(folder.name)
    return own


def test_an_agent_killed_while_qemu_img_writes_finishes_the_import_after_its_restart(
    served: RealHost, disks: Path
) -> None:
    big = served.folder / "big.raw"
    with big.open("wb") as file:
        for _ in range(24):
            file.write(os.urandom(8 * MIB))
    image = served.import_file(_as_qcow2(big))
    part = served.tree.work / f"job-{image.job_id}" / "image.part"
    wait_for(lambda: part.exists() and part.stat().st_blocks, "qemu-img writes")
    served.kill()
    wait_for(lambda: not served.qemu_imgs(), "qemu-img dies with its agent")
    served.start()
    served.succeeded(image.job_id)
    assert served.job(image.job_id).attempts == 2
    expect_ready(served, image.image_id)


def _as_qcow2(raw: Path) -> Path:
    image = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, image], check=True)
    raw.unlink()
    return image


def test_a_raw_image_that_was_sealed_but_not_recorded_is_taken_up_again(
    served: RealHost, disks: Path
) -> None:
    served.hold("info")
    image = served.import_file(disks / "disk.raw")
    served.held("info")
    served.kill()
    # What a kill between the rename and the commit leaves.
    work = served.tree.work / f"job-{image.job_id}"
    sealed = served.tree.image_file(image.image_id, 1)
    (work / "source").rename(sealed)
    sealed.chmod(0o444)
    served.let_go()
    served.start()
    served.succeeded(image.job_id)
    expect_ready(served, image.image_id)


def test_an_upload_goes_on_when_the_agent_is_killed_meanwhile(
    served: RealHost, uploader: SlowImport
) -> None:
    assert served.image(uploader.image_id).status == "UPLOADING"
    served.kill()
    served.start()
    assert uploader.go_on() == (0, "")
    served.succeeded(uploader.job_id)
    expect_ready(served, uploader.image_id)


@pytest.mark.slow("an uploader is given half a minute of silence")
def test_a_killed_importer_is_noticed_and_its_file_removed(
    served: RealHost, uploader: SlowImport
) -> None:
    (half,) = served.tree.incoming.iterdir()
    assert half.stat().st_size > 0
    uploader.process.kill()
    with served.owner.begin() as session:  # as if half a minute had passed
        session.execute(text("UPDATE jobs SET heartbeat_at = now() - interval '31 s'"))
    assert served.ended(uploader.job_id).status == "FAILED"
    expect_error(served, uploader.image_id, "stopped while the file was copied; import it again")


@pytest.mark.slow("an uploader is given half a minute of silence")
def test_an_importer_that_comes_back_too_late_is_told(
    served: RealHost, uploader: SlowImport
) -> None:
    with served.owner.begin() as session:
        session.execute(text("UPDATE jobs SET heartbeat_at = now() - interval '31 s'"))
    assert served.ended(uploader.job_id).status == "FAILED"
    status, errors = uploader.go_on()
    assert status == 1
    assert errors.endswith("This upload is no longer running.\n")
    expect_error(served, uploader.image_id, "import it again")


def test_a_killed_qemu_img_is_an_error_with_a_sentence(served: RealHost, disks: Path) -> None:
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    os.kill(served.held("convert"), signal.SIGKILL)
    job = served.ended(image.job_id)
    assert job.status == "FAILED"
    assert job.error == served.image(image.image_id).error
    expect_error(served, image.image_id, "qemu-img was ended by signal 9; try again")


def test_after_three_crashes_the_import_is_given_up(served: RealHost, disks: Path) -> None:
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    for _ in range(3):
        served.held("convert")
        served.kill()
        wait_for(lambda: not served.qemu_imgs(), "qemu-img dies with its agent")
        served.start()
    job = served.ended(image.job_id)
    assert (job.status, job.error) == (
        "FAILED",
        "The work was interrupted 3 times and is given up.",
    )
    expect_error(served, image.image_id, "interrupted 3 times")


@pytest.mark.slow("the agent starts six times")
def test_stopping_the_agent_puts_the_job_back_and_is_no_attempt(
    served: RealHost, disks: Path
) -> None:
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    for _ in range(4):
        served.held("convert")
        served.stop()
        assert served.qemu_imgs() == []
        job = served.job(image.job_id)
        assert (job.status, job.attempts) == ("QUEUED", 0)
        served.start()
    served.held("convert")
    served.stop()
    served.let_go()
    served.start()
    served.succeeded(image.job_id)
    expect_ready(served, image.image_id)
