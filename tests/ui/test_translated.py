# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences from below are shown in the person's language, with what stands in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QTranslator
from PySide6.QtWidgets import QApplication

from ggnet_console.errors import Sentence, listed, sentence
from ggnet_console.ui.kit.translate import translated

WORDS = {
    "{0} was adopted.": "{0} wurde übernommen.",
    "{targets} {reason}": "{reason} Es geht um {targets}.",
    "a folder": "ein Ordner",
    "{name} is away.": "{name} ist fort.",
}


class _German(QTranslator):
    def isEmpty(self) -> bool:
        return False

    def translate(
        self, context: str, text: str, comment: str | None = None, n: int = -1
    ) -> str | None:
        return WORDS.get(text)


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    translator = _German()
    qapp.installTranslator(translator)
    yield
    qapp.removeTranslator(translator)


@pytest.mark.usefixtures("german")
def test_a_sentence_is_translated_by_its_key_with_sentences_in_it() -> None:
    assert translated(Sentence("{0} was adopted.", "iqn.{0}")) == "iqn.{0} wurde übernommen."
    inner = sentence("{name} is away.", name=sentence("a folder"))
    made = sentence("{targets} {reason}", targets=listed(["a", inner]), reason=inner)
    assert made == "a, a folder is away. a folder is away."
    assert translated(made) == "ein Ordner ist fort. Es geht um a, ein Ordner ist fort.."


@pytest.mark.usefixtures("german")
def test_what_has_no_translation_and_plain_text_stay_as_they_are() -> None:
    assert translated("a folder") == "a folder"
    assert translated(sentence("{braces} as they are")) == "{braces} as they are"
    assert translated(listed([])) == ""
