# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences remember what they were made of, those of the database too; whatever is odd stays text."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ggnet_console.db.sentences import from_answer, from_detail, key_of
from ggnet_console.errors import CancelledError, FaultError, Sentence, listed, sentence
from ggnet_console.services.audit import _PROBLEMS

CHECKOUT = Path(__file__).parents[2]
FUNCTIONS = sorted((CHECKOUT / "migrations" / "functions").glob("*.sql"))
_spec = importlib.util.spec_from_file_location(
    "translations", CHECKOUT / "packaging" / "translations.py"
)
translations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(translations)


@pytest.mark.parametrize("reason", ["\ud800 no", "a\0b"])
def test_what_no_translation_can_be_looked_for_stays_plain_text(reason: str) -> None:
    assert type(from_answer({"reason": reason})) is str
    assert type(from_detail(None, reason)) is str
    template = {"key": f"{reason}%s", "values": [""]}
    assert type(from_answer({"reason": reason, **template})) is str
    assert from_answer({}) == "The server does not say why."


def test_a_sentence_is_its_english_text_and_says_what_it_was_made_of() -> None:
    made = sentence("{name} has {number:.1f} {{disks}}.", name="pc{0}", number=2)
    assert made == "pc{0} has 2.0 {disks}."
    assert (made.key, made.values) == (
        "{name} has {number:.1f} {{disks}}.",
        {"name": "pc{0}", "number": 2},
    )
    assert sentence("{braces} without values") == "{braces} without values"
    assert sentence("{a}, {b}").with_values(a=1, b="{a}") == "1, {a}"


def test_copies_and_pickles_remember_it_too() -> None:
    made = listed([sentence("{name}.", name="pc-01"), "pc-02"], "; ")
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == "pc-01.; pc-02"
        assert (other.key, other.numbered) == ("{0}; {1}", ("pc-01.", "pc-02"))
        assert other.numbered[0].key == "{name}."


def test_errors_that_word_themselves_are_sentences() -> None:
    assert CancelledError().summary.key == "Cancelled."
    assert FaultError(KeyError(1)).summary.key == "A fault in the program ended this."


@pytest.mark.parametrize(
    ("template", "key", "fields"),
    [
        ("This job has already ended.", "This job has already ended.", 0),
        ("%s has %s; 100%% of {it}.", "{0} has {1}; 100% of {{it}}.", 2),
        ("100%% of {it}.", "100% of {it}.", 0),
        ("%%s", "%s", 0),
        ("%%%s", "%{0}", 1),
    ],
)
def test_a_template_of_sql_becomes_a_key(template: str, key: str, fields: int) -> None:
    assert key_of(template) == (key, fields)


@given(
    st.lists(st.sampled_from(["%s", "%%", "{", "}", "{0}", " a", "“"]), max_size=8),
    st.lists(st.text(max_size=5), min_size=8, max_size=8),
)
def test_a_key_makes_of_values_what_sql_made(pieces: list[str], texts: list[str]) -> None:
    values = texts[: pieces.count("%s")]
    template = "".join(pieces)
    english = template % tuple(values)
    said = from_detail(json.dumps({"key": template, "values": values}), english)
    assert said == english
    assert isinstance(said, Sentence)
    assert list(said.numbered) == values


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "not JSON",
        "null",
        "4711",
        '"pc-01"',
        "[]",
        "{}",
        "[" * 100_000,
        "9" * 10_000,
        '{"key": "%s is gone."}',
        '{"values": ["pc-01"]}',
        '{"key": 1, "values": ["pc-01"]}',
        '{"key": "%s is gone.", "values": "pc-01"}',
        '{"key": "%s is gone.", "values": {"0": "pc-01"}}',
        '{"key": "%s is gone.", "values": [1]}',
        '{"key": "%s is gone.", "values": [null]}',
        '{"key": "%s is gone.", "values": [["pc-01"]]}',
        '{"key": "%s is gone.", "values": []}',
        '{"key": "%s is gone.", "values": ["pc-01", "pc-02"]}',
        '{"key": "%s is gone.", "values": ["pc-02"]}',
        '{"key": "%s is here.", "values": ["pc-01"]}',
        '{"key": "%1$s is gone.", "values": ["pc-01"]}',
        '{"key": "%I is gone.", "values": ["pc-01"]}',
        '{"key": "%s is gone.%", "values": ["pc-01"]}',
        '{"key": "{0} is gone.", "values": ["pc-01"]}',
        '{"key": "{0:>1000000000} is gone.", "values": ["pc-01"]}',
        '{"key": "{0.__class__} is gone.", "values": ["pc-01"]}',
        '{"key": "pc-01 is gone.", "values": ["pc-01"]}',
    ],
)
def test_a_server_that_says_otherwise_than_its_message_is_not_believed(detail: str) -> None:
    english = "pc-01 is gone."
    found = from_detail(detail, english)
    assert found == english
    assert not isinstance(found, Sentence)


def test_a_sentence_without_values_is_its_own_key() -> None:
    assert from_detail(None, "{x} is gone.").key == "{x} is gone."
    answer = {"ok": False, "reason": "The name or the password is wrong."}
    assert from_answer(answer).key == "The name or the password is wrong."


def test_an_answer_has_key_and_values_beside_its_reason() -> None:
    said = {"reason": "Wait 5 seconds.", "key": "Wait %s seconds.", "values": ["5"]}
    found = from_answer({"ok": False, **said})
    assert (found, found.key, found.numbered) == ("Wait 5 seconds.", "Wait {0} seconds.", ("5",))
    assert not isinstance(from_answer({**said, "values": [5]}), Sentence)


@pytest.mark.parametrize("file", FUNCTIONS, ids=lambda file: file.name)
def test_every_sentence_of_the_database_has_a_literal_template(file: Path) -> None:
    text = re.sub(r"--[^\n]*", "", file.read_text("utf-8"))
    assert "MESSAGE = '" not in text
    if file.name == "limits.sql":  # where it is defined how they are made
        return
    found = translations.templates(text)
    calls = re.findall(r"\b(?:refuse|refuse_as|refuse_until|sentence|sentence_until)\(", text)
    assert bool(found) is bool(calls)
    for template in found:
        key_of(template)
        assert template.endswith(".")


@pytest.mark.parametrize(
    "call",
    [
        "PERFORM refuse(message);",
        "PERFORM refuse(format('%s is gone.', name));",
        "PERFORM refuse('It is ' || state || '.');",
        "PERFORM refuse('It is ' state);",
        "PERFORM refuse_as('GG002', template);",
        "PERFORM refuse_as('GG002', 'It is ' || state);",
        "PERFORM refuse_until(again_at, 'In %s seconds.', format('In %s minutes.'));",
        "said := sentence(reason);",
    ],
)
def test_one_that_is_put_together_would_be_noticed(call: str) -> None:
    with pytest.raises(ValueError, match=r"refuse|sentence"):
        translations.templates(call)


def test_templates_are_found_in_every_way_they_are_written() -> None:
    assert translations.templates(
        "-- refuse(nothing)\n"
        "PERFORM refuse('It''s “%s”; '\n    'so be it.', name);\n"
        "PERFORM refuse_as('GG002', 'Gone.'); RETURN said || sentence('No.');\n"
        "PERFORM refuse_until(at, 'In %s s.',\n    'In %s min.');"
    ) == {"It's “%s”; so be it.", "Gone.", "No.", "In %s s.", "In %s min."}


def test_translators_see_the_keys_that_arrive_in_the_window() -> None:
    keys = translations.database_sentences()
    assert "{0} was adopted; it keeps the CHAP it was made with." in keys
    assert "The sign-in has ended; sign in again." in keys
    assert len(keys) > 70


def test_what_the_check_of_the_trail_finds_is_known_as_a_sentence() -> None:
    audit = (CHECKOUT / "migrations" / "functions" / "audit.sql").read_text("utf-8")
    _, _, body = audit.partition("RETURN QUERY\n    WITH found")
    body, _, _ = body.partition("$$;")
    assert set(re.findall(r"'([A-Z][^']+\.)'", body)) == _PROBLEMS.keys()
