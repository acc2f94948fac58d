# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet`` with names and texts as they come from other computers, and outputs that take nothing."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import unicodedata
from collections.abc import Iterator

import pytest
from cli_installation import PASSWORD, fresh_installation
from command_line import COMMAND, CommandLine

pytestmark = pytest.mark.xdist_group("command line texts")
LATIN_2 = b"U\xe8ionica"


@pytest.fixture(scope="module")
def ggnet() -> Iterator[CommandLine]:
    with fresh_installation() as ggnet:
        yield ggnet


def add(ggnet: CommandLine, name: str, number: int, *more: str | bytes) -> None:
    ggnet.works("machine", "add", name, "--mac", f"02:00:00:00:00:{number:02x}", *more)


def test_letters_composed_or_not_are_one_name(ggnet: CommandLine) -> None:
    name = "Žabac"
    apart = unicodedata.normalize("NFD", name)
    assert apart != name
    add(ggnet, apart, 1)
    assert json.loads(ggnet.works("machine", "show", name, "--json"))["name"] == name
    assert json.loads(ggnet.works("machine", "show", apart, "--json"))["name"] == name
    assert json.loads(ggnet.works("session", "list", "--json")) == []
    ggnet.works("user", "add", apart, "--role", "VIEWER", "--password-stdin", stdin=f"{PASSWORD}\n")
    for spelling in (name, apart):
        ggnet.works("user", "lock", spelling)
        ggnet.works("user", "unlock", spelling)
    again = ggnet.run("machine", "add", name, "--mac", "02:00:00:00:00:02")
    assert again.returncode == 1
    assert again.stderr == f"The name {name} already belongs to the machine {name}.\n"


def test_every_kind_of_space_is_a_space(ggnet: CommandLine) -> None:
    add(ggnet, "Room\u00a01\u2009PC", 3)
    assert json.loads(ggnet.works("machine", "show", "Room 1 PC", "--json"))["name"] == "Room 1 PC"


def test_a_sign_that_nobody_sees_is_named(ggnet: CommandLine) -> None:
    done = ggnet.run("machine", "add", "PC\u200f-7", "--mac", "02:00:00:00:00:07")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "A name cannot contain RIGHT-TO-LEFT MARK, which nobody sees; type it anew.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("machine", "add", "PC-8", "--mac", "02:00:00:00:00:08", "--room", LATIN_2),
        ("machine", "add", "PC-8", "--mac", "02:00:00:00:00:08", "--notes", LATIN_2),
        ("machine", "add", LATIN_2, "--mac", "02:00:00:00:00:08"),
        ("machine", "show", LATIN_2),
        ("image", "show", LATIN_2),
        ("image", "edit", LATIN_2, "--name", "x"),
        ("session", "stop", LATIN_2),
        ("target", "show", LATIN_2),
        ("user", "show", LATIN_2),
        ("setting", "set", LATIN_2, "1"),
        ("audit", "list", "--search", LATIN_2),
    ],
    ids=lambda arguments: " ".join(
        word if isinstance(word, str) else "LATIN-2" for word in arguments
    ),
)
def test_bytes_that_are_no_text_are_a_sentence(
    arguments: tuple[str | bytes, ...], ggnet: CommandLine
) -> None:
    done = ggnet.run(*arguments)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert "fault" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def shell(ggnet: CommandLine, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND],
        env=ggnet.environment,
        cwd=ggnet.folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("target", "why"), [(">&-", "Bad file"), ("> /dev/full", "No space")])
def test_an_output_that_takes_nothing_is_a_sentence_and_the_deed_is_done(
    target: str, why: str, ggnet: CommandLine
) -> None:
    name = f"PC {why}"
    mac = f"02:00:00:00:01:{len(target):02x}"
    done = shell(ggnet, f'"$@" machine add "{name}" --mac {mac} {target}')
    assert done.returncode == 1
    assert done.stderr.startswith(f"The output cannot be written ({why}")
    assert done.stderr.endswith("; what was asked for has been done.\n")
    assert json.loads(ggnet.works("machine", "show", name, "--json"))["mac"] == mac
    for verb in ("machine list", "machine list --json", "--help", "machine --help"):
        done = shell(ggnet, f'"$@" {verb} {target}')
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), verb
        assert why in done.stderr


def test_a_closed_standard_error_changes_nothing(ggnet: CommandLine) -> None:
    assert shell(ggnet, '"$@" machine list 2>&-').returncode == 0
    assert shell(ggnet, '"$@" machine show nobody 2>&-').returncode == 1


def test_a_reader_who_leaves_ends_it_quietly(ggnet: CommandLine) -> None:
    done = shell(ggnet, '"$@" machine list --json | true; echo ${PIPESTATUS[0]}')
    assert (done.stdout.strip(), done.stderr) in (("1", ""), ("0", ""))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("", "The name of the FILE is empty; name a disk image.\n"),
        ("/dev/stdin", "“/dev/stdin” is a pipe; save what comes out of it to a file, and import "
         "that.\n"),
        ("/dev/null", "“/dev/null” is a device or a terminal, not a disk image; choose a regular "
         "file.\n"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_called_by_its_name(
    file: str, sentence: str, ggnet: CommandLine
) -> None:
    done = ggnet.run("image", "import", file, "--name", "x", stdin="a disk")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


def test_a_list_fits_into_the_terminal(ggnet: CommandLine) -> None:
    add(ggnet, "A machine with a rather long name in the back of the room", 9, "--room", "R" * 90)
    parent, child = pty.openpty()
    try:
        os.set_blocking(parent, False)
        done = subprocess.run(
            [*COMMAND, "machine", "list"],
            env={**ggnet.environment, "COLUMNS": "100"},
            cwd=ggnet.folder,
            stdout=child,
            stderr=subprocess.PIPE,
            timeout=120,
            check=True,
        )
        lines = os.read(parent, 1 << 16).decode().splitlines()
    finally:
        os.close(parent)
        os.close(child)
    assert done.stderr == b""
    assert max(map(len, lines)) <= 100
    assert any("…" in line for line in lines)
    assert "R" * 90 in ggnet.works("machine", "list")  # nothing is cut for a program


def test_help_says_whole_sentences(ggnet: CommandLine) -> None:
    for noun in ("machine", "image", "session", "target", "job", "host", "user", "audit", "db"):
        said = ggnet.works(noun, "--help").partition("Commands:")[2]
        assert "..." not in said
        assert "…" not in said
