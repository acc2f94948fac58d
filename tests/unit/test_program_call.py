# SPDX-License-Identifier: GPL-3.0-or-later
"""A program's call as an error shows it: one line that a shell takes, and no secret in it."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeating import repeat

from ggnet_console.program_call import MASK, ProgramCall, open_files

SECRET = "abcDEF123-_45678"
WORDS = st.lists(
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"])
        | st.sampled_from("'\"\\$`*!#~ \n\t;&|<>(){}[]\udcff\udc80"),
        max_size=20,
    ),
    max_size=5,
)


@given(WORDS)
def test_a_shell_takes_the_line_for_the_very_same_words(words: Sequence[str]) -> None:
    line = str(ProgramCall(["printf", r"%s\0", "", *words]))
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout == b"\0" + b"".join(os.fsencode(word) + b"\0" for word in words)


def test_variables_files_and_input_are_part_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "it's\n\udcff").write_text("content")
    fd = os.open(tmp_path / "it's\n\udcff", os.O_RDONLY)
    try:
        command = f'echo "$NAME"; cat /proc/self/fd/{fd}; cat'
        files = open_files([fd])
    finally:
        os.close(fd)
    call = ProgramCall(["sh", "-c", command], {"NAME": "a b"}, files, "line 1\nline 2\n")
    assert str(call).startswith("NAME='a b' sh -c ")
    assert repeat(str(call)).stdout == "a b\ncontentline 1\nline 2\n"


def test_a_file_that_is_written_to_is_opened_for_writing_and_not_emptied(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_text("content")
    fd = os.open(file, os.O_RDWR)
    try:
        assert open_files([fd]) == {fd: f"<>{file}"}
    finally:
        os.close(fd)
    read, write = os.pipe()
    try:
        assert open_files([read, write]) == {}
    finally:
        os.close(read)
        os.close(write)


def test_no_input_is_not_waited_for() -> None:
    assert str(ProgramCall(["tee", "/x"], stdin="")) == "tee /x </dev/null"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (0, "exit code 0"),
        (22, "exit code 22"),
        (-9, "ended by signal 9 (SIGKILL)"),
        (-40, "ended by signal 40"),
        ("stopped", "stopped"),
    ],
)
def test_details_are_the_line_the_end_and_what_was_said(end: int | str, words: str) -> None:
    call = ProgramCall(["a", "b c"])
    assert call.details(end, " said\nmore\n") == f"a 'b c'\n{words}\nsaid\nmore"
    assert call.details(end, "") == f"a 'b c'\n{words}"


@pytest.mark.parametrize(
    "call",
    [
        ProgramCall(["tgtadm", "--user", "anna", "--password", SECRET]),
        ProgramCall(["tgtadm", "--user", "anna", f"--password={SECRET}"]),
        ProgramCall(["tool", f"user=anna,password={SECRET}"]),
        ProgramCall(["iscsi-ls", f"iscsi://anna%{SECRET}@10.0.0.1:3260/iqn.2020-01.a:b/1"]),
        ProgramCall(["psql", f"postgresql://anna:{SECRET}@db.example/ggnet"]),
        ProgramCall(["psql", f"host=db password='{SECRET}' user=anna"]),
        ProgramCall(["psql", f"host=db password={SECRET} user=anna"]),
        ProgramCall(["iscsi-ls"], {"A": "anna", "LIBISCSI_CHAP_PASSWORD": SECRET}),
        ProgramCall(["tool", f"anna:x{SECRET}y"], secrets=["", SECRET]),
        ProgramCall(["tool", "anna"], {"VALUE": SECRET}, secrets=[SECRET[:5], SECRET]),
        ProgramCall(["tool", "anna"], stdin=f"{SECRET}\n", secrets=[SECRET]),
    ],
    ids=lambda call: call.argv[-1].replace(SECRET, "SECRET"),
)
def test_a_secret_is_in_no_line_no_details_no_log(
    call: ProgramCall, caplog: pytest.LogCaptureFixture
) -> None:
    said = "\n".join((*call.argv, *call.env.values()))
    with caplog.at_level(logging.INFO):
        logging.info("%s %r %s", call, call, call.details(1, said))
    shown = f"{call} {call!r} {call.details(1, call.argv[-1])} {caplog.text}"
    assert MASK in str(call)
    assert SECRET[5:] not in shown
    assert "anna" in str(call)


@pytest.mark.parametrize("piece", ["://:", "://a", "password='", "password='\\", "secret=a,"])
def test_what_a_hostile_image_has_a_program_say_is_searched_in_no_time(piece: str) -> None:
    begun = time.process_time()
    ProgramCall(["a"]).masked(piece * (2**16 // len(piece)))
    assert time.process_time() - begun < 2


def test_an_address_without_a_secret_is_shown_whole() -> None:
    words = ["iscsi://[fd00::1]:3260/iqn.2020-01.a:b/1", "postgresql://anna@db:5432/x?y=z", "a=b"]
    assert str(ProgramCall(words)) == shlex.join(words)


@pytest.mark.parametrize(
    "word",
    [
        f"host=x password = '{SECRET} and more'",
        f"host=x password={SECRET}\\ more",
        f"postgresql://user:{SECRET * 20}@host/database",
        f"SECRET = {SECRET}",
    ],
)
def test_a_secret_is_known_by_its_place_however_it_is_written(word: str) -> None:
    assert SECRET[:8] not in str(ProgramCall(["program", word]))
    assert SECRET[:8] not in ProgramCall(["program"]).masked(f"refused: {word}")


def test_what_spells_no_letter_can_be_written_down() -> None:
    said = b"alias \xff\xfe".decode("utf-8", "surrogateescape")
    assert ProgramCall(["tgtadm"]).details("answered:", said).encode("utf-8").startswith(b"tgtadm")


def test_a_file_that_is_gone_is_not_told_to_be_opened(tmp_path: Path) -> None:
    file = tmp_path / "gone"
    file.write_text("content")
    fd = os.open(file, os.O_RDONLY)
    try:
        file.unlink()
        assert open_files([fd]) == {}
        file.write_text("another")
        assert open_files([fd]) == {}
    finally:
        os.close(fd)
