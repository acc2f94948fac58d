# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored images: verified, exported, removed, and a storage host that has no room for them."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_host import MIB, OwnDiskHost, RealHost, real_host, wait_for
from samples import sample_bytes

from ggnet_console.enums import ImageFormat
from ggnet_console.errors import ConsoleError
from ggnet_console.services import images

AS_ROOT = os.geteuid() == 0


def verify(host: RealHost, image_id: int) -> int:
    with host.operator.begin() as session:
        return images.verify_image(session, image_id)


def test_verifying_finds_one_flipped_bit(served: RealHost, disks: Path) -> None:
    image = served.import_ready(disks / "disk.raw")
    served.succeeded(verify(served, image.id))
    assert served.image(image.id).verified_at is not None
    file = served.tree.image_file(image.id, 1)
    file.chmod(0o600)
    with file.open("r+b") as disk:
        (byte,) = disk.read(1)
        disk.seek(0)
        disk.write(bytes([byte ^ 1]))
    job = served.ended(verify(served, image.id))
    damaged = served.image(image.id)
    assert (job.status, damaged.status) == ("FAILED", "ERROR")
    assert damaged.error == job.error
    assert "The stored file of “disk” is damaged" in job.error
    with pytest.raises(ConsoleError, match="is not ready to be served"):
        served.start_sessions([served.machine()], image.id)


@pytest.fixture(scope="module")
def stored(blank: Path, disks: Path) -> Iterator[tuple[RealHost, int]]:
    """A storage host with an image that nobody changes."""
    with real_host(blank) as host:
        host.start()
        yield host, host.import_ready(disks / "disk.raw").id


@pytest.mark.xdist_group("exports")
@pytest.mark.parametrize("image_format", [ImageFormat.QCOW2, ImageFormat.VHDX, ImageFormat.VHD])
def test_an_export_holds_the_same_disk(
    image_format: ImageFormat, stored: tuple[RealHost, int], disks: Path, tmp_path: Path
) -> None:
    host, image_id = stored
    with host.operator.begin() as session:
        job_id = images.convert_image(session, image_id, image_format)
    result = host.succeeded(job_id).result
    file = host.tree.exports / result["file"]
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (result["size_bytes"], 0o600)
    driver = {"VHD": "vpc"}.get(image_format, image_format.lower())
    subprocess.run(
        ["qemu-img", "convert", "-f", driver, "-O", "raw", file, tmp_path / "back"], check=True
    )
    assert (tmp_path / "back").read_bytes() == (disks / "disk.raw").read_bytes()


def test_a_removed_image_and_its_file_are_gone(served: RealHost, disks: Path) -> None:
    image = served.import_ready(disks / "disk.raw")
    with served.operator.begin() as session:
        job_id = images.remove_image(session, image.id)
    served.succeeded(job_id)
    assert served.left_over() == []
    with served.operator.begin() as session:
        assert images.list_images(session) == []


def test_an_image_larger_than_a_file_may_be_is_an_error_and_leaves_nothing(
    served: RealHost, disks: Path
) -> None:
    assert served.agent is not None
    resource.prlimit(served.agent.pid, resource.RLIMIT_FSIZE, (6 * MIB, 6 * MIB))
    image = served.import_file(disks / "disk.qcow2")
    assert served.ended(image.job_id).status == "FAILED"
    assert "does not fit on the disk of the storage host" in served.image(image.image_id).error
    wait_for(lambda: not served.left_over(), "nothing is left")


if AS_ROOT:  # an ordinary user cannot mount a small disk

    class SmallDiskHost(OwnDiskHost):
        """Everything but the database lies on that disk."""

        disk_mib = 104

        def prepare(self, blank: Path) -> None:
            self.mount()
            subprocess.run(["cp", "-a", blank, self.folder / "cluster"], check=True)
            self.tree.cluster.symlink_to(self.folder / "cluster")

    @pytest.fixture
    def small(blank: Path) -> Iterator[RealHost]:
        with real_host(blank, SmallDiskHost) as host:
            host.start()
            yield host

    def test_a_disk_that_runs_full_while_qemu_img_writes_is_an_error_and_leaves_nothing(
        small: RealHost, disks: Path
    ) -> None:
        small.hold("convert")
        image = small.import_file(disks / "disk.qcow2")
        small.held("convert")
        space = os.statvfs(small.tree.root)
        filler = small.tree.root / "filler"
        filler.write_bytes(b"x" * (space.f_bavail * space.f_frsize - 2 * MIB))
        small.let_go()
        assert small.ended(image.job_id).status == "FAILED"
        error = small.image(image.image_id).error
        assert error == (
            "The image “disk” does not fit on the disk of the storage host; "
            "free some space and try again."
        )
        wait_for(lambda: not small.left_over(), "nothing is left")
        filler.unlink()
        assert small.import_ready(disks / "disk.qcow2").status == "READY"

    def test_a_file_that_cannot_fit_is_refused_before_it_is_copied(
        small: RealHost, tmp_path: Path
    ) -> None:
        (tmp_path / "big").write_bytes(b"x" * (60 * MIB))
        with pytest.raises(ConsoleError, match=r"needs 60\.0 MiB, but only .* are free"):
            small.import_file(tmp_path / "big")
        assert small.left_over() == []


def test_a_packed_disk_says_what_is_on_it_and_what_is_wrong(
    served: RealHost, tmp_path: Path
) -> None:
    """Sectors of 4096 bytes: no PC finds the partitions, and that is said on the image."""
    packed = tmp_path / "lab.raw.gz"
    packed.write_bytes(gzip.compress(sample_bytes("disk-4kn.raw")))
    image = served.import_ready(packed)
    assert (image.contents, image.source_name) == ("GPT: Windows data", "lab.raw.gz")
    assert image.warning.startswith(
        "Its partitions are those of a disk with sectors of 4096 bytes."
    )
    assert image.sha256 == hashlib.sha256(sample_bytes("disk-4kn.raw")).hexdigest()
    assert served.left_over() == [f"images/{image.id}-1.raw"]
