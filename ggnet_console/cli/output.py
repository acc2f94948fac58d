# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ggnet`` prints: JSON for programs, aligned columns for people, sentences on stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..values import format_size, shown

_GAP = "  "
_SHORT = 17
"""Cells of a MAC address: what is no longer says little when it is cut."""
_FEW = 8
"""Cells in which a text can still be told from another."""
_NARROWEST = 3


class _Output(io.TextIOWrapper):
    """A standard output, for what is no text as well; what it does not take any more is let go.

    The command goes on: what it does is not undone for want of a reader, and what fails later is
    still told. ``exit_status`` says at its end that something was lost.
    """

    lost: OSError | None = None
    """Why nothing is written any more."""

    def write(self, text: str, /) -> int:
        if self.lost is None:
            try:
                return super().write(text)
            except OSError as error:
                self.lost = error
        return len(text)

    def flush(self) -> None:
        if self.lost is None:
            try:
                super().flush()
            except OSError as error:
                self.lost = error


class _Closed(io.RawIOBase):
    """A standard stream that was closed before the program began (the shell's ``>&-``)."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def prepare_streams() -> None:
    """Nothing that is read or printed may end in a fault: bytes that are no text, closed streams."""
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)
    # By this name the size of the terminal is asked for.
    sys.__stdout__ = sys.stdout  # type: ignore[misc]
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115


def _prepared(stream: object) -> _Output:
    if isinstance(stream, io.TextIOWrapper):
        encoding, binary = stream.encoding, stream.detach()
    else:
        encoding, binary = "utf-8", io.BufferedWriter(_Closed())
    return _Output(binary, encoding, "backslashreplace", line_buffering=True)


def is_read() -> bool:
    """Whether standard output still takes what is printed; if not, more of it helps nobody."""
    return not isinstance(sys.stdout, _Output) or sys.stdout.lost is None


def exit_status(status: int) -> int:
    """How a command ends that has done what it was asked for, or (not 0) has said why not.

    It failed when somebody misses some of its output; not that a reader left (``| head``) is told.
    """
    lost = sys.stdout.lost if isinstance(sys.stdout, _Output) else None
    if lost is None or status != 0:
        return status
    if not isinstance(lost, BrokenPipeError):
        complain(
            f"The output cannot be written ({lost.strerror}); what was asked for has been done."
        )
    return 1


def put(line: str) -> None:
    """One line on stdout as it is."""
    print(line, flush=True)  # noqa: T201


def say(text: str) -> None:
    """One line for people on stdout; control characters in it are escaped."""
    put(shown(text))


def complain(text: str) -> None:
    """One line for people on stderr; control characters in it are escaped."""
    print(shown(text), file=sys.stderr, flush=True)  # noqa: T201


def complain_lines(text: str) -> None:
    """Several lines on stderr, such as what a tool said."""
    for line in text.splitlines():
        complain(line)


def print_json(value: object) -> None:
    """``value`` made of rows, lists and mappings; ASCII only, so a terminal cannot be led astray."""
    put(json.dumps(value, default=_plain, indent=2))


def print_list(rows: Sequence[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Rows (dataclasses): as a JSON array with all fields, or ``columns`` of them for people."""
    if as_json:
        print_json(rows)
        return
    heading = [_heading(name) for name in columns]
    cells = [[_text(name, getattr(row, name)) for name in columns] for row in rows]
    needed = [
        max((_cells(line[index]) for line in cells), default=0) for index in range(len(columns))
    ]
    widths = [max(_cells(name), need) for name, need in zip(heading, needed, strict=True)]
    if sys.stdout.isatty():
        widths = fitted(widths, needed, shutil.get_terminal_size().columns)
    for line in (heading, *cells):
        parts = (_cut(cell, width) for cell, width in zip(line, widths, strict=True))
        put(_GAP.join(parts).rstrip())


def fitted(widths: Sequence[int], needed: Sequence[int], room: int) -> list[int]:
    """Widths of columns that fit into ``room``; their cells without the heading are ``needed``.

    First long texts give way, of which the beginning says most, then headings, then all. Of those
    that give way the widest does.
    """
    found = list(widths)
    excess = sum(found) + len(_GAP) * (len(found) - 1) - room
    for floors in (
        [_SHORT if need > _SHORT else width for need, width in zip(needed, widths, strict=True)],
        [max(min(need, _SHORT), _NARROWEST) for need in needed],
        [_FEW if need > _SHORT else max(need, _NARROWEST) for need in needed],
        [_NARROWEST] * len(found),
    ):
        while excess > 0:
            over = [index for index, width in enumerate(found) if width > floors[index]]
            if not over:
                break
            found[max(over, key=found.__getitem__)] -= 1
            excess -= 1
    return found


def _cells(text: str) -> int:
    """How many cells of a terminal it takes (Unicode Standard Annex 11)."""
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(cell: str, width: int) -> str:
    """``cell`` in ``width`` cells of a terminal, with a mark where something is missing."""
    missing = _cells(cell) > width
    if missing:
        mark = "…" if sys.stdout.encoding.lower().startswith("utf") else "~"
        while _cells(cell) >= width and cell:
            cell = cell[:-1]
        cell += mark
    return cell + " " * (width - _cells(cell))


def print_one(row: Any, *, as_json: bool) -> None:
    """A row (dataclass) or mapping: as a JSON object, or one field per line for people."""
    if as_json:
        print_json(row)
        return
    fields = row if isinstance(row, Mapping) else asdict(row)
    width = max(map(len, fields))
    for name, value in fields.items():
        put(f"{name.ljust(width)}{_GAP}{_text(name, value)}")


def print_one_or_list(
    rows: Sequence[Any], columns: Sequence[str], *, named: int, as_json: bool
) -> None:
    """For verbs that take several names: with JSON, one object when exactly one was named."""
    if as_json and named == 1:
        print_json(rows[0])
    else:
        print_list(rows, columns, as_json=as_json)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID):
        return str(value)
    return asdict(value)


def _heading(name: str) -> str:
    return name.removesuffix("_bytes").removesuffix("_at").replace("_", " ").upper()


def _text(name: str, value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
        case int() if name.endswith("_bytes") or name.startswith("bytes_"):
            return format_size(value)
        case float():
            return f"{value:.0f} %" if name == "percent" else f"{value:g}"
        case list() if all(isinstance(each, str) for each in value):
            return shown("; ".join(value)) or "-"
        case dict() | list():
            return json.dumps(value)
    return shown(str(value))
