# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that are a sentence for the operator; everything else that is raised is a bug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class Sentence(str):
    """A sentence for people that remembers what it was made of, so that it can be translated.

    It is its own English text. ``key`` is the text with its fields, as translators see it, and
    ``values`` is what was put into them. Sentences of the database have numbered fields, ``{0}``.
    """

    key: str
    numbered: tuple[object, ...]
    values: Mapping[str, object]

    def __new__(cls, key: str, /, *numbered: object, **values: object) -> Sentence:
        """``key`` is a literal, never an f-string; fields as ``str.format`` has them."""
        made = super().__new__(cls, key.format(*numbered, **values) if numbered or values else key)
        made.key, made.numbered, made.values = key, numbered, values
        return made

    def with_values(self, **values: object) -> Sentence:
        """The sentence that a constant without values stands for: its fields filled in."""
        return Sentence(self.key, **values)


def listed(parts: Iterable[object], separator: str = ", ") -> Sentence:
    """``parts`` one after the other, each of which is translated for itself."""
    given = tuple(parts)
    return Sentence(separator.join(f"{{{number}}}" for number in range(len(given))), *given)


sentence = Sentence
"""How one is written: ``sentence("There is no machine “{name}”.", name=name)``."""


class ConsoleError(Exception):
    """What failed, on what, and what to do.

    ``summary`` is one sentence fit for the screen or stderr; ``details`` (a tool's stderr, a
    server's message) go behind a fold and into the log, never instead of the sentence.
    """

    def __init__(self, summary: str, details: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.details = details


class FieldError(ConsoleError):
    """One value of a form or command is wrong; ``field`` is its column name."""

    def __init__(self, field: str, summary: str) -> None:
        super().__init__(summary)
        self.field = field


class NotFoundError(ConsoleError):
    """The named object does not exist, or no longer."""


class RemovedError(NotFoundError):
    """Somebody else removed the object since it was read; ``at`` is None when nobody knows when."""

    def __init__(self, summary: str, name: str, who: str, at: datetime | None) -> None:
        super().__init__(summary)
        self.name = name
        self.who = who
        self.at = at


@dataclass(frozen=True)
class FieldChange:
    """A field that somebody else changed since it was read: as it was, as they and as I want it."""

    field: str
    before: Any
    theirs: Any
    mine: Any
    who: str
    at: datetime | None

    @property
    def contested(self) -> bool:
        """Whether both changed it, and not to the same."""
        return self.mine not in (self.before, self.theirs)


class StaleError(ConsoleError):
    """Somebody else changed fields that I changed too; ``now`` is the object's row as it is now.

    ``changes`` are all their changes, of which at least one is contested.
    """

    def __init__(self, summary: str, now: Any, changes: tuple[FieldChange, ...]) -> None:
        super().__init__(summary)
        self.now = now
        self.changes = changes


class RefusedError(ConsoleError):
    """The signed-in role may not do this."""


class UnreachableError(ConsoleError):
    """The database cannot be reached, or the connection to it was lost."""


class HinderedError(ConsoleError):
    """The database takes it no more just now: its disk is full, or others hold what is needed.

    Nothing was changed; the same works later.
    """


class SignInError(ConsoleError):
    """Name or password wrong, the sign-in expired, or nobody is signed in."""


class FaultError(ConsoleError):
    """A bug ended what somebody waits for; it is reported besides, this only ends the waiting."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__(sentence("A fault in the program ended this."), repr(fault))


class SchemaError(ConsoleError):
    """The database's schema is not the one this program was made for."""


class CancelledError(ConsoleError):
    """The operator cancelled the work; not shown as a failure."""

    def __init__(self, summary: str = sentence("Cancelled.")) -> None:
        super().__init__(summary)
