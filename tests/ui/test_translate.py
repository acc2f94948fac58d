# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts go through Qt's translation: none is forgotten, and all have room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unwrapped import below, in_window, unwrapped

from ggnet_console.errors import ConsoleError, sentence
from ggnet_console.ui.kit.translate import FOLDER, tr, translated

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT / "packaging"))

import translations  # noqa: E402 - beside the program, in packaging/


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 machines"),
        (1, "1 machine"),
        (2, "2 machines"),
        (10_000, "10\u202f000 machines"),
        (2**40, "1\u202f099\u202f511\u202f627\u202f776 machines"),
    ],
)
def test_a_number_chooses_its_form_and_is_grouped(qapp, n, text):
    assert tr("%n machine(s)", "", n) == text


def test_a_sentence_is_its_english_text_and_keeps_what_it_was_made_of(qapp):
    error = ConsoleError(sentence("There is no machine “{name}”.", name="PC {1}"))
    assert error.summary == "There is no machine “PC {1}”."
    assert error.summary.key == "There is no machine “{name}”."
    assert translated(error.summary) == error.summary


def test_a_sentence_in_another_is_translated_too(qapp, monkeypatch):
    words = {"Not saved: {why}": "Nicht gespeichert: {why}", "The disk is full.": "Platte voll."}
    monkeypatch.setattr("ggnet_console.ui.kit.translate.tr", words.__getitem__)
    made = sentence("Not saved: {why}", why=sentence("The disk is full."))
    assert made == "Not saved: The disk is full."
    assert translated(made) == "Nicht gespeichert: Platte voll."
    assert translated("said by a server") == "said by a server"


def test_the_shipped_plural_forms_are_those_of_the_texts(tmp_path):
    ts, qm = tmp_path / "ggnet_en.ts", tmp_path / "ggnet_en.qm"
    translations.collect(ts, plurals=True)
    translations.fill(ts)
    translations.compile_ts(ts, qm)
    advice = "run make translations"
    assert ts.read_text("utf-8") == (FOLDER / ts.name).read_text("utf-8"), advice
    assert qm.read_bytes() == (FOLDER / qm.name).read_bytes(), advice


def test_every_text_can_be_given_to_translators(tmp_path):
    ts = tmp_path / "ggnet_de.ts"
    translations.collect(ts, plurals=False)
    collected = ts.read_text("utf-8")
    for text in ("Start session", "%n machine(s)", "There is no machine “{name}”."):
        assert f"<source>{text}</source>" in collected
    assert collected.count("<source>") > 900


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('label("Add machine")', True),
        ('label(tr("Add machine"))', False),
        ('label(f"{name} runs")', True),
        ('tr(f"{name} runs")', True),
        ('tr("{name} runs").format(name=name)', False),
        ('tr("Stop " + name)', True),
        ('_log.warning("not for people: %s", name)', False),
        ('x = "#QLabel { color: red }"  # no text', False),
        ('column = Column("name", tr("Name"), lambda r: r.name)', False),
    ],
)
def test_a_literal_that_is_shown_and_not_wrapped_is_found(code, found):
    assert bool(list(in_window(code))) is found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('raise ConsoleError("The disk is full.")', True),
        ('raise ConsoleError(f"{name} is full.")', True),
        ('raise FieldError("name", f"{name} is taken.")', True),
        ('raise ConsoleError(sentence("{name} is full.", name=name), "details")', False),
        ('sentence(f"{name} is full.")', True),
        ('raise ValueError("for programmers")', False),
    ],
)
def test_a_sentence_without_a_key_is_found(code, found):
    assert bool(list(below(code))) is found


def test_no_text_is_out_of_a_translation_s_reach():
    assert [f"{path}:{line}: {text}" for path, line, text in unwrapped()] == []


@pytest.mark.slow("walks through the whole window, in a process of its own")
def test_in_a_language_nobody_speaks_nothing_is_forgotten_and_nothing_is_cut():
    done = subprocess.run(
        [sys.executable, "-m", "tests.ui.pseudo"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"unwrapped": {}, "clipped": {}}


def test_what_collects_and_compiles_comes_with_qt():
    for program in ("pyside6-lupdate", "pyside6-lrelease"):
        assert shutil.which(program, path=str(translations.BIN))
