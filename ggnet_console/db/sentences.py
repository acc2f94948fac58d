# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that functions of the database make (``migrations/functions/limits.sql``).

Each comes in English, with what it was made of: a template of SQL's ``format`` and its values. One
without values is its own key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ..errors import Sentence

_CONVERSION = re.compile(r"%(.?)", re.DOTALL)


def key_of(template: str) -> tuple[str, int]:
    """The key under which translators see ``template``, and how many values it takes.

    Each ``%s`` is a field: ``{0}``, ``{1}`` …. ValueError for other conversions than ``%s`` and
    ``%%``, which these sentences do not use.
    """
    conversions = _CONVERSION.findall(template)
    if not set(conversions) <= {"s", "%"}:
        raise ValueError(template)
    fields = conversions.count("s")
    # As for every sentence: where nothing is filled in, braces are braces.
    text = template.replace("{", "{{").replace("}", "}}") if fields else template
    numbers = iter(range(fields))
    key = _CONVERSION.sub(lambda found: "%" if found[1] == "%" else f"{{{next(numbers)}}}", text)
    return key, fields


def made_of(said: object, english: str) -> str:
    """``english`` with its key and values, as ``said`` tells them: {"key": template, "values": […]}.

    It comes from a server, so whatever does not make exactly this text of it counts for nothing.
    """
    match said:
        case {"key": str(template), "values": [*values]}:
            pass
        case _:
            return english
    try:
        key, fields = key_of(template)
    except ValueError:
        return english
    if len(values) != fields or not all(isinstance(value, str) for value in values):
        return english
    found = Sentence(key, *values)
    return found if found == english and _can_be_key(key) else english


def _key(english: str) -> str:
    """A sentence without values is its own key, unless Qt could not look for it."""
    return Sentence(english) if _can_be_key(english) else english


def _can_be_key(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def from_detail(detail: str | None, english: str) -> str:
    """The sentence of an error's message, of which its detail tells what it was made."""
    if detail is None:
        return _key(english)
    try:
        said = json.loads(detail)
    except (ValueError, RecursionError):
        return english
    return made_of(said, english)


def from_answer(answer: Mapping[str, object]) -> str:
    """The sentence of a function that answers it instead of raising: "reason", "key", "values"."""
    english = str(answer.get("reason", "The server does not say why."))
    return made_of(answer, english) if "key" in answer else _key(english)
