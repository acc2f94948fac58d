# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers hand in, through the whole chain: refused by a sentence, nothing comes out."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_images import SECRET, STORIES
from real_host import RealHost, real_host, wait_for
from samples import sample_bytes

from ggnet_console.errors import ConsoleError

pytestmark = pytest.mark.xdist_group("hostile")

THROUGH_THE_CHAIN = (
    "a backing file",
    "a json: name",
    "an external data-file",
    "a VMDK extent",
    "a VMDK extent behind a header",
    "a VMDK parent",
    "a raw disk with a qcow2 header",
    "two formats at once",
    "1 PiB",
    "a cut off QCOW2",
    "a cut off VHDX",
)
FUZZED = "a fuzzed image"


def qemu(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def write_secret(folder: Path) -> Path:
    """A file of the host that no image may show, although every user of the host may read it."""
    folder.mkdir()
    file = folder / "secret"
    file.write_bytes(SECRET * 1000 + bytes(-len(SECRET) * 1000 % 512))
    return file


@pytest.fixture(scope="module")
def host(blank: Path) -> Iterator[RealHost]:
    """One storage host for all that refuse, after whom nothing is left."""
    with real_host(blank) as host:
        host.start()
        yield host


@pytest.fixture
def served(host: RealHost) -> RealHost:
    return host


@pytest.fixture
def own(blank: Path) -> Iterator[RealHost]:
    """A storage host for a test that lets something in."""
    with real_host(blank) as host:
        host.start()
        yield host


@pytest.fixture
def secret(host: RealHost, request: pytest.FixtureRequest) -> Path:
    return write_secret(host.folder / request.node.name)


def files_with(text: bytes, folder: Path) -> list[Path]:
    """Every file below ``folder`` that holds ``text``."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    return [file for file in files if text in file.read_bytes()]


def test_hostile_images_end_as_errors_and_no_byte_of_the_host_comes_in(
    served: RealHost, secret: Path
) -> None:
    words = {FUZZED: "it is damaged"}
    (served.import_folder / FUZZED).write_bytes(sample_bytes("afl5.img"))
    for number, name in enumerate(THROUGH_THE_CHAIN):
        make, sentence = STORIES[name]
        make(served.import_folder / name, write_secret(served.folder / f"victim-{number}"), qemu)
        words[name] = sentence.partition(";")[0]  # the rest is about a limit of another test
    begun = {
        **{name: served.import_file(served.import_folder / name, name) for name in words},
        **{f"{name}, entry": served.import_entry(name, f"{name}, entry") for name in words},
    }
    for name, image in begun.items():
        job = served.ended(image.job_id)
        assert job.status == "FAILED", name
        found = served.image(image.image_id)
        assert found.status == "ERROR", name
        assert found.error == job.error
        assert SECRET.decode() not in job.error + job.error_details
        assert f"The image “{name}”" in job.error
        assert re.search(words[name.removesuffix(", entry")], job.error), job.error
    wait_for(lambda: not served.left_over(), "nothing is left")
    assert served.qemu_imgs() == []
    assert files_with(SECRET, served.tree.root) == []
    # The search itself works, and the backing file is one that qemu would follow.
    assert secret in files_with(SECRET, secret.parent)
    backing, out = served.import_folder / "a backing file", secret.with_name("out")
    qemu("qemu-img", "convert", "-O", "raw", backing, out)
    assert out in files_with(SECRET, secret.parent)


@pytest.mark.parametrize("entry", ["/etc/passwd", "../secret", "..", ".", "", "sub/disk"])
def test_a_path_is_not_an_entry_of_the_import_folder(entry: str, host: RealHost) -> None:
    with pytest.raises(ConsoleError, match="a bare file name, without a path"):
        host.import_entry(entry)


def test_entries_that_are_no_plain_file_end_as_errors(served: RealHost, secret: Path) -> None:
    (served.import_folder / "link").symlink_to(secret)
    os.mkfifo(served.import_folder / "pipe")
    (served.import_folder / "folder").mkdir()
    for entry, words in {
        "link": "is a symbolic link",
        "pipe": "is a pipe",
        "folder": "is a folder",
        "missing": "does not exist",
    }.items():
        image = served.import_entry(entry, entry)
        assert served.ended(image.job_id).status == "FAILED"
        assert words in served.image(image.image_id).error
    wait_for(lambda: not served.left_over(), "nothing is left")
    assert files_with(SECRET, served.tree.root) == []


def keep_private(file: Path) -> None:
    """Another user's file for that user alone; without root there are only own ones."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(file, nobody.pw_uid, nobody.pw_gid)
        file.chmod(0o600)
    else:
        file.chmod(0)


def test_a_file_of_the_host_that_others_may_not_read_is_not_imported(
    served: RealHost, secret: Path
) -> None:
    private, linked = served.import_folder / "private", served.import_folder / "linked"
    shutil.copy(secret, private)
    keep_private(private)
    os.link(private, linked)  # lies in the folder, too, and is the same file
    for entry in ("private", "linked"):
        image = served.import_entry(entry, entry)
        assert served.ended(image.job_id).status == "FAILED"
        assert served.image(image.image_id).error == (
            f"You may not read “{entry}”; ask its owner for access or a copy."
        )
    wait_for(lambda: not served.left_over(), "nothing is left")
    assert files_with(SECRET, served.tree.root) == []


def test_an_entry_is_imported_by_its_name_and_its_checksum_must_match(
    own: RealHost, disks: Path
) -> None:
    content = (disks / "disk.raw").read_bytes()
    (own.import_folder / "disk.raw").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    right = own.import_entry("disk.raw", "right", sha256=digest)
    wrong = own.import_entry("disk.raw", "wrong", md5="0" * 32)
    own.succeeded(right.job_id)
    image = own.image(right.image_id)
    assert (image.source_name, image.source_sha256) == ("disk.raw", digest)
    assert own.ended(wrong.job_id).status == "FAILED"
    assert "expected was 0000" in own.image(wrong.image_id).error


NAMES = {
    "-rf": "-rf",
    "two\nlines": "two\\nlines",
    "'quo\"ted'": "'quo\"ted'",
    "$(touch pwned)": "$(touch pwned)",
    os.fsdecode(b"not-utf-8-\xff"): "not-utf-8-\\xff",
}


def test_a_file_may_be_called_anything(own: RealHost, disks: Path) -> None:
    for name, shown in NAMES.items():
        source = own.import_folder / name
        source.write_bytes((disks / "disk.qcow2").read_bytes())
        assert own.import_ready(source, f"by {shown}").source_name == shown
    assert not list(own.folder.rglob("pwned"))


def test_a_symlink_a_pipe_and_a_folder_are_refused_by_the_importer(
    host: RealHost, secret: Path
) -> None:
    link, pipe = secret.with_name("link"), secret.with_name("pipe")
    link.symlink_to(secret)
    os.mkfifo(pipe)
    for source, words in (link, "symbolic link"), (pipe, "a pipe"), (secret.parent, "a folder"):
        with pytest.raises(ConsoleError, match=words):
            host.import_file(source)
    assert host.left_over() == []


if os.geteuid() != 0:  # root may read everything

    def test_a_file_the_importer_may_not_read_is_refused(host: RealHost, secret: Path) -> None:
        secret.chmod(0)
        with pytest.raises(ConsoleError, match="You may not read"):
            host.import_file(secret)
        assert host.left_over() == []
