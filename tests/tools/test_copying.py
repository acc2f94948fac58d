# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a file in: sparse, hashed, and nothing but regular files."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ggnet_console.errors import CancelledError, ConsoleError, NotFoundError
from ggnet_console.tools import copying

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB + 5)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "incoming"


@pytest.fixture
def small_files() -> Iterator[None]:
    """This process may write no file over 1 MiB: for a program the same as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_has_the_same_bytes_and_their_checksum(source: Path, target: Path) -> None:
    seen: list[tuple[int, int]] = []
    copied = copying.copy_in(source, target, progress=lambda *now: seen.append(now))
    assert copied == copying.Copied(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o7777 == 0o600
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_holes_and_zeros_take_no_space_in_the_copy(source: Path, target: Path) -> None:
    with source.open("wb") as file:
        file.write(b"begin" + bytes(8 * MIB))  # written zeros
        file.seek(64 * MIB + 3)
        file.write(b"middle")
        file.truncate(100 * MIB + 7)
    copied = copying.copy_in(source, target)
    expected = source.read_bytes()
    assert target.read_bytes() == expected
    assert copied.sha256 == hashlib.sha256(expected).hexdigest()
    assert target.stat().st_blocks * 512 <= 512 * 1024


def test_an_empty_file_is_copied_as_such(source: Path, target: Path) -> None:
    source.write_bytes(b"")
    assert copying.copy_in(source, target).sha256 == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_checksum_that_was_given_must_match(kind: str, source: Path, target: Path) -> None:
    right = hashlib.new(kind, CONTENT).hexdigest()
    copying.copy_in(source, target, **{f"expected_{kind}": f" {right.upper()}\n"})
    target.unlink()
    wrong = "0" * len(right)
    with pytest.raises(ConsoleError, match=f"{right}, expected was {wrong}"):
        copying.copy_in(source, target, **{f"expected_{kind}": wrong})
    assert not target.exists()


def test_a_source_that_changes_meanwhile_is_told_and_nothing_is_left(
    source: Path, target: Path
) -> None:
    def grow(done: int, total: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with pytest.raises(ConsoleError, match="was changed by another program"):
        copying.copy_in(source, target, progress=grow)
    assert not target.exists()


def test_a_source_that_shrinks_meanwhile_is_told(source: Path, target: Path) -> None:
    with pytest.raises(ConsoleError, match="was changed by another program"):
        copying.copy_in(source, target, progress=lambda *_: os.truncate(source, MIB))
    assert not target.exists()


def test_cancel_leaves_nothing(source: Path, target: Path) -> None:
    def progress(done: int, total: int) -> None:
        if done > MIB:
            raise CancelledError

    with pytest.raises(CancelledError):
        copying.copy_in(source, target, progress=progress)
    assert not target.exists()


def test_a_full_disk_is_a_sentence_and_nothing_is_left(
    source: Path, target: Path, small_files: None
) -> None:
    with pytest.raises(ConsoleError, match="does not fit on the disk"):
        copying.copy_in(source, target)
    assert not target.exists()


def test_a_target_that_exists_is_never_overwritten(source: Path, target: Path) -> None:
    target.write_text("somebody's")
    with pytest.raises(FileExistsError):
        copying.copy_in(source, target)
    assert target.read_text() == "somebody's"


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_symlink, "is a symbolic link"),
        (os.mkfifo, "is a pipe"),
        (Path.mkdir, "is a folder"),
        (_socket, "is a socket"),
        (lambda path: None, "does not exist"),
    ],
    ids=["symlink", "FIFO", "folder", "socket", "nothing"],
)
def test_only_regular_files_are_taken(
    make: Callable[[Path], None], sentence: str, folder: Path
) -> None:
    make(folder / "x")
    with pytest.raises(ConsoleError, match=sentence):
        copying.copy_in(folder / "x", folder / "target")
    assert not (folder / "target").exists()


def test_a_device_is_not_a_disk_image(target: Path) -> None:
    with pytest.raises(ConsoleError, match="is a device"):
        copying.copy_in(Path("/dev/zero"), target)


def test_a_file_that_may_not_be_read_is_told(folder: Path) -> None:
    source = folder / "closed"
    source.write_text("x")
    source.chmod(0)
    folder.chmod(0o777)
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from ggnet_console.tools import copying\n"
        "if os.geteuid() == 0: os.setresuid(61184, 61184, 61184)\n"
        f"copying.copy_in(Path({str(source)!r}), Path({str(folder / 'target')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert "ConsoleError: You may not read" in done.stderr


HOSTILE_NAMES = [
    b"-rf",
    b"--help",
    b"two\nlines.img",
    b'it\'s "quoted".img',
    b"$(touch pwned) `touch pwned`.img",
    b"json:{}",
    b"nbd:host:1",
    b"caf\xe9 \xff\xfe.img",
    b"\x1b[31mred\x07.img",
    b"%s%n.img",
    b"n" * 255,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_a_strange_file_name_works_and_is_shown_safely(name: bytes, folder: Path) -> None:
    source = folder / os.fsdecode(name)
    source.write_bytes(b"data")
    assert copying.copy_in(source, folder / "t1").size_bytes == 4
    fd = copying.open_entry(folder, os.fsdecode(name))
    try:
        assert copying.copy_in(fd, folder / "t2").size_bytes == 4
    finally:
        os.close(fd)
    with pytest.raises(ConsoleError) as caught:
        copying.copy_in(source, folder / "t3", expected_sha256="0" * 64)
    assert caught.value.summary.isprintable()
    assert caught.value.summary.encode()  # no lone surrogate either
    assert sorted(os.listdir(folder)) == sorted([source.name, "t1", "t2"])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/passwd", "a\0b"], ids=repr)
def test_an_entry_is_named_without_a_folder(name: str, folder: Path) -> None:
    with pytest.raises(ConsoleError, match="is not the bare name of a file"):
        copying.open_entry(folder, name)


def test_an_entry_that_is_a_symlink_is_refused(folder: Path) -> None:
    _symlink(folder / "x")
    with pytest.raises(ConsoleError, match="is a symbolic link"):
        copying.open_entry(folder, "x")


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_an_entry_that_others_may_not_read_is_not_offered_even_by_root(
    folder: Path, mode: int
) -> None:
    file = folder / "disk"
    file.write_bytes(b"x")
    os.close(copying.open_offered(folder, "disk"))
    file.chmod(mode)
    if os.geteuid() == 0:
        with pytest.raises(ConsoleError, match="You may not read “disk”"):
            copying.open_offered(folder, "disk")
    else:  # the user's own
        os.close(copying.open_offered(folder, "disk"))


@pytest.mark.parametrize("upload_id", ["/etc/passwd", "../0123456789", "", "UPPER", "01234567\n"])
def test_only_ids_of_uploads_are_opened(upload_id: str, folder: Path) -> None:
    with pytest.raises(ConsoleError, match="is not the id of an upload"):
        copying.open_incoming(folder, upload_id)


def test_an_upload_is_opened_by_its_id(folder: Path) -> None:
    upload_id = "5a4f8f0e-3f7b-4c53-9b6f-0d8d2f5c7a11"
    with pytest.raises(NotFoundError):
        copying.open_incoming(folder, upload_id)
    (folder / upload_id).write_bytes(b"data")
    fd = copying.open_incoming(folder, upload_id)
    try:
        assert os.read(fd, 9) == b"data"
    finally:
        os.close(fd)
