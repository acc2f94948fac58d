# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers hand in, through the whole chain: refused by a sentence, nothing comes out."""

from __future__ import annotations

import bz2
import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from real_host import DATA, MIB, RealHost, wait_for

from ggnet_console.errors import ConsoleError

SECRET = b"root:$6$the-host's-own-secret-of-the-chain:"
WORDS = {
    "backing": "is based on another file",
    "huge": "claims a disk of 1.0 PiB",
    "cut": "is damaged",
    "fuzzed": "it is damaged or not a disk image",
}


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host that no image may show."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET * 1000 + bytes(-len(SECRET) * 1000 % 512))
    return file


def make_hostile(folder: Path, secret: Path, disks: Path) -> None:
    qemu_img("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", folder / "backing")
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", folder / "huge", "1P")
    cut = (disks / "disk.qcow2").read_bytes()[: 2 * MIB]
    (folder / "cut").write_bytes(cut)
    (folder / "fuzzed").write_bytes(bz2.decompress((DATA / "afl5.img.bz2").read_bytes()))


def files_with(text: bytes, folder: Path) -> list[Path]:
    """Every file below ``folder`` that holds ``text``."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    return [file for file in files if text in file.read_bytes()]


def test_hostile_images_end_as_errors_and_no_byte_of_the_host_comes_in(
    served: RealHost, disks: Path, secret: Path
) -> None:
    make_hostile(served.import_folder, secret, disks)
    begun = {
        **{name: served.import_file(served.import_folder / name, name) for name in WORDS},
        **{f"{name}-entry": served.import_entry(name, f"{name}-entry") for name in WORDS},
    }
    for name, image in begun.items():
        job = served.ended(image.job_id)
        assert job.status == "FAILED", name
        found = served.image(image.image_id)
        assert found.status == "ERROR", name
        assert found.error == job.error
        assert f"The image “{name}”" in job.error
        assert WORDS[name.removesuffix("-entry")] in job.error
    wait_for(lambda: not served.left_over(), "nothing is left")
    assert files_with(SECRET, served.tree.root) == []
    # The search itself works, and the backing file is one that qemu would follow.
    assert secret in files_with(SECRET, secret.parent)
    qemu_img("convert", "-O", "raw", served.import_folder / "backing", secret.with_name("out"))
    assert secret.with_name("out") in files_with(SECRET, secret.parent)


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
    served: RealHost, disks: Path
) -> None:
    content = (disks / "disk.raw").read_bytes()
    (served.import_folder / "disk.raw").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    right = served.import_entry("disk.raw", "right", sha256=digest)
    wrong = served.import_entry("disk.raw", "wrong", md5="0" * 32)
    served.succeeded(right.job_id)
    image = served.image(right.image_id)
    assert (image.source_name, image.source_sha256) == ("disk.raw", digest)
    assert served.ended(wrong.job_id).status == "FAILED"
    assert "expected was 0000" in served.image(wrong.image_id).error


NAMES = {
    "-rf": "-rf",
    "two\nlines": "two\\nlines",
    "'quo\"ted'": "'quo\"ted'",
    "$(touch pwned)": "$(touch pwned)",
    os.fsdecode(b"not-utf-8-\xff"): "not-utf-8-\\xff",
}


def test_a_file_may_be_called_anything(served: RealHost, disks: Path) -> None:
    for name, shown in NAMES.items():
        source = served.import_folder / name
        source.write_bytes((disks / "disk.qcow2").read_bytes())
        assert served.import_ready(source, f"by {shown}").source_name == shown
    assert not list(served.folder.rglob("pwned"))


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
