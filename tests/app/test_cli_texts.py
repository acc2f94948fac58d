# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet`` with names and texts as they come from other computers, and outputs that take nothing."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Iterator

import pytest
from cli_installation import PASSWORD, as_owner, fresh_installation
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


@pytest.mark.parametrize("target", ["> /dev/full", ">&-", "| true"])
def test_what_failed_is_said_whatever_becomes_of_the_output(
    target: str, ggnet: CommandLine
) -> None:
    """Some verbs print what they have found, and then say that it is not as it should be."""
    disk = ggnet.folder / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    name = f"wrong {target[-4:]}"
    script = f'"$@" image import "{disk}" --name "{name}" --sha256 {"0" * 64} --json {target}'
    done = shell(ggnet, script)
    assert "expected was 0000" in done.stderr
    assert "has been done" not in done.stderr
    if target != "| true":
        assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    ["login admin --password-stdin", "login admin", "user add bob --role VIEWER --password-stdin"],
)
def test_a_closed_standard_input_is_a_sentence(arguments: str, ggnet: CommandLine) -> None:
    done = shell(ggnet, f'"$@" {arguments} <&-')
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "fault" not in done.stderr


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
@pytest.mark.parametrize("verb", ["login admin", "user add carl --role VIEWER"])
def test_a_password_that_is_no_text_is_shown_to_nobody(
    verb: str, locale: str, ggnet: CommandLine
) -> None:
    done = shell(
        ggnet, f"printf 'geheim\\xe8mpass\\n' | LC_ALL={locale} \"$@\" {verb} --password-stdin"
    )
    assert (done.returncode, done.stderr) == (1, "The password is not UTF-8 text.\n")
    logged = b"".join(file.read_bytes() for file in ggnet.folder.rglob("*.jsonl"))
    assert b"geheim" not in logged


@pytest.mark.parametrize("option", ["--database-url", "--home"])
def test_an_installation_s_place_that_is_no_text_is_a_sentence(
    option: str, ggnet: CommandLine
) -> None:
    done = ggnet.run(option, os.fsencode(ggnet.folder) + b"/U\xe8", "db", "status")
    assert done.returncode == 1
    assert "UTF-8" in done.stderr
    assert not any(b"\xe8" in os.fsencode(file) for file in ggnet.folder.rglob("*"))


@pytest.mark.parametrize("option", ["--home", "--config"])
def test_an_empty_path_is_not_the_present_folder(option: str, ggnet: CommandLine) -> None:
    before = sorted(ggnet.folder.iterdir())
    done = ggnet.run(option, "", "whoami")
    assert done.returncode == 2
    assert "it is empty; name a file or folder" in done.stderr
    assert sorted(ggnet.folder.iterdir()) == before


def test_an_empty_checksum_of_a_script_does_not_import_unchecked(ggnet: CommandLine) -> None:
    done = ggnet.run("image", "import", "/etc/hostname", "--name", "x", "--sha256", "")
    assert done.returncode == 1
    assert done.stderr.startswith("The expected SHA-256 is empty")


@pytest.mark.parametrize(
    "arguments",
    ["job list --limit 99999999999999999999", "session list --limit 99999999999999999999",
     "audit list --limit 99999999999999999999", "audit list --since 0001-01-01",
     "audit prune --keep-days 9999999"],
)  # fmt: skip
def test_numbers_and_times_beyond_all_bounds_are_a_sentence(
    arguments: str, ggnet: CommandLine
) -> None:
    done = ggnet.run(*arguments.split())
    assert done.returncode in (1, 2)
    assert "fault" not in done.stderr


@pytest.mark.parametrize("name", ["PC-ΑΣ", "İx", "ΑΣ Β", "Straße ẞ"])
def test_a_name_is_found_again_whatever_its_letters(name: str, ggnet: CommandLine) -> None:
    add(ggnet, name, 200 + len(name) + ord(name[0]) % 7)
    assert json.loads(ggnet.works("machine", "show", name, "--json"))["name"] == name
    ggnet.works("machine", "remove", name)


def test_a_machine_keeps_an_address_that_would_be_refused_today(ggnet: CommandLine) -> None:
    add(ggnet, "PC-old", 77)
    as_owner(ggnet, "UPDATE machines SET ip = '169.254.7.7' WHERE name = 'PC-old'")
    ggnet.works("machine", "edit", "PC-old", "--room", "B12")
    again = ggnet.run("machine", "edit", "PC-old", "--ip", "169.254.7.8")
    assert "give the one at which other computers reach it, or none" in again.stderr


def test_what_is_said_is_what_is_stored(ggnet: CommandLine) -> None:
    add(ggnet, "PC-room", 78, "--room", " E\u0301cole\u00a02 ")
    assert json.loads(ggnet.works("machine", "show", "PC-room", "--json"))["room"] == "École 2"
    said = ggnet.works(
        *("user", "add", "Zo\u0301e\u00a0B", "--role", "VIEWER", "--password-stdin"),
        stdin=f"{PASSWORD}\n",
    )
    assert said == "Added Zóe B (VIEWER).\n"
    entries = json.loads(ggnet.works("audit", "list", "--contains", "Zo\u0301e", "--json"))
    assert entries


def test_a_closed_standard_error_changes_nothing(ggnet: CommandLine) -> None:
    assert shell(ggnet, '"$@" machine list 2>&-').returncode == 0
    assert shell(ggnet, '"$@" machine show nobody 2>&-').returncode == 1
    for target in ("2>&-", "2> /dev/full"):
        assert shell(ggnet, f'"$@" frobnicate {target}').returncode == 2


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


def on_terminal(ggnet: CommandLine, columns: int, *arguments: str) -> list[str]:
    """What it prints on a terminal of this width, as a shell has it: COLUMNS is not exported."""
    parent, child = pty.openpty()
    try:
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        done = subprocess.run(
            [*COMMAND, *arguments],
            env={name: value for name, value in ggnet.environment.items() if name != "COLUMNS"},
            cwd=ggnet.folder,
            stdout=child,
            stderr=subprocess.PIPE,
            timeout=120,
            check=True,
        )
        os.set_blocking(parent, False)
        lines = os.read(parent, 1 << 16).decode().splitlines()
    finally:
        os.close(parent)
        os.close(child)
    assert done.stderr == b""
    return lines


@pytest.mark.parametrize("columns", [80, 100, 132])
def test_a_list_fits_into_the_terminal(columns: int, ggnet: CommandLine) -> None:
    name = f"A machine {columns} with a rather long name in the back of the room"
    add(ggnet, name, columns, "--room", "R" * 90)
    lines = on_terminal(ggnet, columns, "machine", "list")
    assert columns - 8 < max(map(len, lines)) <= columns
    assert any("…" in line for line in lines)
    assert any(f"02:00:00:00:00:{columns:02x}" in line for line in lines), "an address stays whole"
    assert "R" * 90 in ggnet.works("machine", "list")  # nothing is cut for a program


def test_wide_letters_take_two_cells(ggnet: CommandLine) -> None:
    add(ggnet, "漢" * 20, 5, "--room", "Lab")
    line = next(line for line in on_terminal(ggnet, 100, "machine", "list") if "漢" in line)
    wide = line.count("漢")
    assert 0 < wide < 20
    assert len(line) + wide <= 100


def test_help_says_whole_sentences(ggnet: CommandLine) -> None:
    nouns = (
        "machine",
        "image",
        "session",
        "target",
        "job",
        "host",
        "user",
        "audit",
        "db",
        "setting",
    )
    for noun in ((), *((noun,) for noun in nouns)):
        said = ggnet.works(*noun, "--help").partition("Commands:")[2]
        assert "  list  " in said or "  status  " in said or "  machine  " in said
        assert "..." not in said
        assert "…" not in said
