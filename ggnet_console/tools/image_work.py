# SPDX-License-Identifier: GPL-3.0-or-later
"""A piece of work on one image: whom it is about, who does it, how long it may take."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_origin, get_type_hints

from ..errors import ConsoleError, sentence
from . import process
from .sandbox import Limits, Sandbox

DOES_NOT_FIT = sentence(
    "{subject} does not fit on the disk of the storage host; free some space and try again."
)
_GRACE_S = 5.0
_MOST_BYTES = 64 * 1024
"""Of an answer."""
_MOST_DIGITS = 18
_Answer = TypeVar("_Answer")


class OwnProgramError(Exception):
    """One of our own programs in the sandbox failed; ``details`` as a ConsoleError has them."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


@dataclass(frozen=True)
class ImageWork:
    """Bounds what programs do with files that are open in this process.

    ``subject`` names the work's image in error sentences. ``deadline`` (``time.monotonic()``)
    is shared by all programs, ``tick`` may cancel any of them, see ``process.run``.
    """

    subject: str
    sandbox: Sandbox
    deadline: float
    max_file_bytes: int
    tick: Callable[[], None] = lambda: None

    def go_on(self) -> None:
        """``tick``, and ConsoleError once it is too late: to be called at least every 100 ms."""
        self.tick()
        if time.monotonic() > self.deadline:
            raise ConsoleError(
                sentence("{subject} took longer than is allowed here.", subject=self.subject)
            )

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())

    def run(
        self,
        argv: Sequence[str],
        fds: Sequence[int],
        *,
        tick: Callable[[], None] | None = None,
        on_output: Callable[[bytes], None] | None = None,
    ) -> process.Completed:
        """Run a program of the sandbox until it ends or ``go_on``, or ``tick`` in its place, raises."""
        return process.run(
            argv,
            # Who is late hears it of go_on, in a sentence about the image.
            timeout_s=self.left_s + _GRACE_S,
            tick=tick or self.go_on,
            on_output=on_output,
            pass_fds=fds,
        )

    def ask(
        self,
        program: str,
        answer: type[_Answer],
        arguments: Sequence[object],
        fds: Sequence[int],
        *,
        writes: bool = False,
        on_number: Callable[[int], None] = lambda _number: None,
        most_s: float = math.inf,
    ) -> _Answer:
        """What one of our own programs (``sandboxed``) answers, and before it what it counts.

        Only with ``writes`` may its files grow. It is stopped after ``most_s`` seconds. Raises
        OwnProgramError when it fails or answers something else, ConsoleError at the deadline.
        """
        limits = Limits(
            cpu_s=math.ceil(min(self.left_s, most_s)) + 1,
            file_size_bytes=self.max_file_bytes if writes else 0,
            address_space_bytes=2**30,
        )
        ends = time.monotonic() + most_s

        def tick() -> None:
            self.go_on()
            if time.monotonic() > ends:
                raise OwnProgramError(f"{program}: {most_s:g} s")  # no text

        said = _Said(on_number)
        argv = self.sandbox.own_program(program, [str(each) for each in arguments], limits)
        done = self.run(argv, fds, tick=tick, on_output=said.add)
        if done.returncode != 0:
            raise OwnProgramError(done.details)
        try:
            return _parsed(said.last, answer)
        except (ValueError, TypeError, RecursionError) as error:
            raise OwnProgramError(f"{done.details}\n{error!r}") from error  # no text


def _parsed(line: bytes, kind: type[_Answer]) -> _Answer:
    """The dataclass ``kind`` that a program printed; whoever took it over may have printed anything."""
    fields = json.loads(line)
    hints = get_type_hints(kind)
    if not isinstance(fields, dict) or not fields.keys() <= hints.keys():
        raise TypeError(kind.__name__)
    for name, value in fields.items():
        if not _is_of(value, hints[name]):
            raise TypeError(name)
        if isinstance(value, list):
            fields[name] = tuple(value)
    return kind(**fields)


def _is_of(value: object, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, hint)


class _Said:
    """Lines as they come: numbers on the way, JSON at the end."""

    def __init__(self, on_number: Callable[[int], None]) -> None:
        self._on_number = on_number
        self.last = b""
        """The line that is not ended, or the last one that was."""

    def add(self, output: bytes) -> None:
        *lines, rest = (self.last + output).split(b"\n")
        numbers = [line for line in lines if line.isdigit()]
        if numbers:
            self._on_number(int(numbers[-1][:_MOST_DIGITS]))
        self.last = rest or (lines[-1] if lines and not lines[-1].isdigit() else b"")
        if len(self.last) > _MOST_BYTES:
            raise OwnProgramError(f"{len(self.last)} B")  # no text
