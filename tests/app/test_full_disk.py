# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that takes nothing for a while: no work waits for ever, none stays half-made."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import wait_for
from real_host import MIB, OwnDiskHost, RealHost, real_host
from sqlalchemy import text

from ggnet_console.cli import job_waiter
from ggnet_console.errors import ConsoleError
from ggnet_console.services import images


@pytest.fixture
def impatient(host: RealHost) -> RealHost:
    """A storage host whose agent hears at once that it cannot write, as on a full disk."""
    with host.owner.begin() as session:
        session.execute(text("ALTER ROLE ggnet_agent_testhost SET lock_timeout = '300ms'"))
    host.start()
    return host


@contextmanager
def refusing(host: RealHost, table: str) -> Iterator[None]:
    """While the block runs, the agent can write nothing into ``table``."""
    with host.owner.engine.connect() as other:
        other.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        try:
            yield
        finally:
            other.rollback()


def queue_rows(host: RealHost, status: str) -> int:
    with host.owner.begin() as session:
        query = text("SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status = :status")
        return session.execute(query, {"status": status}).scalar_one()


@pytest.mark.parametrize("ends", ["FAILED", "SUCCEEDED"])
def test_how_an_import_ended_is_recorded_once_the_database_takes_it(
    impatient: RealHost, disks: Path, ends: str
) -> None:
    impatient.hold("convert")
    image = impatient.import_file(disks / "disk.qcow2")
    convert = impatient.held("convert")
    with refusing(impatient, "jobs"):
        if ends == "FAILED":
            os.kill(convert, 9)
        impatient.let_go()
        wait_for(lambda: not impatient.qemu_imgs(), "the conversion has ended")
        time.sleep(2)
        assert impatient.job(image.job_id).status == "RUNNING"
        assert not list(impatient.tree.work.glob("*/image.part")), "its disk may be the full one"
    assert impatient.ended(image.job_id).status == ends
    assert impatient.image(image.image_id).status == ("READY" if ends == "SUCCEEDED" else "ERROR")
    file = impatient.tree.image_file(image.image_id, 1).relative_to(impatient.tree.root)
    sealed = [str(file)] if ends == "SUCCEEDED" else []
    wait_for(
        lambda: impatient.left_over() == sealed, f"nothing else is left: {impatient.left_over()}"
    )


def test_a_job_whose_end_the_queue_did_not_take_holds_up_nobody_for_long(
    served: RealHost, disks: Path
) -> None:
    image = served.import_ready(disks / "disk.qcow2")
    with served.owner.begin() as session:
        session.execute(text("SET LOCAL search_path = procrastinate"))
        session.execute(
            text(
                "UPDATE procrastinate.procrastinate_jobs SET status = 'doing' WHERE id = "
                "(SELECT max(id) FROM procrastinate.procrastinate_jobs)"
            )
        )
    job = served.ask(images.verify_image, image.id)
    assert served.ended(job.id).status == "SUCCEEDED"
    assert queue_rows(served, "doing") == 0


def test_whoever_waits_for_a_job_that_stands_still_is_told(
    served: RealHost, disks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(job_waiter, "STILL_S", 1.0)
    served.hold("convert")
    image = served.import_file(disks / "disk.qcow2")
    served.held("convert")
    with pytest.raises(ConsoleError, match="is still RUNNING after 4 s"):
        job_waiter.ended_job(served.operator, image.job_id, 4)
    said = capsys.readouterr().err
    assert f"Job {image.job_id} on testhost has not moved for 1 s" in said
    served.let_go()
    assert served.ended(image.job_id).status == "SUCCEEDED"


if os.geteuid() == 0:

    @pytest.fixture
    def one_disk(blank: Path) -> Iterator[RealHost]:
        """Images and the database lie on one disk."""
        with real_host(blank, OwnDiskHost) as host:
            host.start()
            yield host

    def fill(root: Path) -> Path:
        """A file that takes all there is, to the last block."""
        filler = root / "filler"
        with filler.open("wb") as file:
            at, step = 0, 64 * MIB
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), at, step)
                    at += step
                except OSError:
                    step //= 2
        return filler

    @pytest.mark.slow("the disk stays full for ten seconds, and the database may have to recover")
    def test_the_disk_of_database_and_images_full_for_a_while_ends_the_import_and_nothing_stays(
        one_disk: RealHost, tmp_path: Path, disks: Path
    ) -> None:
        (tmp_path / "big.raw").write_bytes(os.urandom(60 * MIB))
        source = tmp_path / "big.qcow2"
        subprocess.run(
            ["qemu-img", "convert", "-O", "qcow2", tmp_path / "big.raw", source], check=True
        )
        one_disk.hold("convert")
        image = one_disk.import_file(source)
        one_disk.held("convert")
        filler = fill(one_disk.tree.root)
        one_disk.let_go()
        time.sleep(10)
        filler.unlink()
        job = job_waiter.ended_job(one_disk.operator, image.job_id, 100)
        assert (job.status, job.error) == (
            "FAILED",
            "The image “disk” does not fit on the disk of the storage host; "
            "free some space and try again.",
        )
        assert one_disk.image(image.image_id).status == "ERROR"
        wait_for(lambda: not one_disk.left_over(), "nothing is left")
        assert one_disk.import_ready(disks / "disk.qcow2").status == "READY"
