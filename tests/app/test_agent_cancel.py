# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs cancelled at their start, in their middle and at their end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from real_host import RealHost, is_running, wait_for

from ggnet_console.enums import ImageFormat
from ggnet_console.errors import ConsoleError
from ggnet_console.services import images
from ggnet_console.services.images import Upload


def expect_cancelled(host: RealHost, image: Upload) -> None:
    job = host.ended(image.job_id)
    assert job.status == "CANCELLED"
    found = host.image(image.image_id)
    assert found.status == "ERROR"
    assert "cancelled" in found.error
    wait_for(lambda: not host.left_over(), "nothing is left")
    assert host.qemu_imgs() == []


def test_a_queued_import_is_cancelled_at_once_and_its_file_goes(
    host: RealHost, disks: Path
) -> None:
    image = host.import_file(disks / "disk.qcow2")
    assert host.job(image.job_id).status == "QUEUED"
    host.cancel(image.job_id)
    assert host.job(image.job_id).status == "CANCELLED"
    assert host.job(image.job_id).error == "Cancelled by anna."
    host.start()
    expect_cancelled(host, image)


def test_an_import_cancelled_while_its_agent_works_on_others_leaves_nothing(
    served: RealHost, disks: Path
) -> None:
    served.hold("convert")
    others = [served.import_file(disks / "disk.qcow2", f"other-{n}") for n in range(3)]
    wait_for(lambda: len(served.qemu_imgs()) == 3, "three jobs run")
    waiting = served.import_file(disks / "disk.qcow2")
    served.cancel(waiting.job_id)
    assert served.job(waiting.job_id).status == "CANCELLED"
    incoming = served.tree.incoming / str(waiting.upload_id)
    wait_for(lambda: not incoming.exists(), "the file is removed")
    served.let_go()
    for other in others:
        served.succeeded(other.job_id)


@pytest.mark.parametrize("verb", ["info", "check", "convert"])
def test_a_running_import_is_cancelled_and_its_qemu_img_dies(
    verb: str, served: RealHost, disks: Path
) -> None:
    served.hold(verb)
    image = served.import_file(disks / "disk.qcow2")
    stopped = served.held(verb)
    served.cancel(image.job_id)
    expect_cancelled(served, image)
    assert not is_running(stopped)


def test_a_cancel_is_not_forgotten_when_the_agent_dies_before_it_hears_of_it(
    served: RealHost, disks: Path
) -> None:
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    served.held("convert")
    assert served.agent is not None
    served.agent.send_signal(signal.SIGSTOP)
    served.cancel(image.job_id)
    assert served.job(image.job_id).status == "RUNNING"
    served.kill()
    wait_for(lambda: not served.qemu_imgs(), "qemu-img dies with its agent")
    served.start()
    expect_cancelled(served, image)


def test_an_import_that_has_ended_cannot_be_cancelled(served: RealHost, disks: Path) -> None:
    image = served.import_file(disks / "disk.raw")
    served.succeeded(image.job_id)
    with pytest.raises(ConsoleError, match="already ended"):
        served.cancel(image.job_id)
    assert served.image(image.image_id).status == "READY"


def test_a_cancelled_export_leaves_nothing_and_the_image_ready(
    served: RealHost, disks: Path
) -> None:
    image = served.import_ready(disks / "disk.raw")
    served.hold("convert")
    with served.operator.begin() as session:
        job_id = images.convert_image(session, image.id, ImageFormat.VHDX)
    served.held("convert")
    assert any(name.endswith(".part") for name in served.left_over())
    served.cancel(job_id)
    assert served.ended(job_id).status == "CANCELLED"
    wait_for(lambda: served.left_over() == [f"images/{image.id}-1.raw"], "nothing is left")
    assert served.image(image.id).status == "READY"


def test_an_export_whose_agent_died_and_that_is_cancelled_then_leaves_nothing(
    served: RealHost, disks: Path
) -> None:
    image = served.import_ready(disks / "disk.raw")
    served.hold("convert")
    with served.operator.begin() as session:
        job_id = images.convert_image(session, image.id, ImageFormat.QCOW2)
    served.held("convert")
    served.kill()
    served.cancel(job_id)
    served.start()
    assert served.ended(job_id).status == "CANCELLED"
    wait_for(lambda: served.left_over() == [f"images/{image.id}-1.raw"], "nothing is left")
