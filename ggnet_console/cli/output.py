# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ggnet`` prints: JSON for programs, aligned columns for people, sentences on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..errors import ConsoleError
from ..tools.copying import shown
from ..values import format_size

_GAP = "  "
_NARROWEST = 8


class OutputError(ConsoleError):
    """What a command has to say cannot be written; what it did is done."""


class _Stdout(io.TextIOWrapper):
    """Standard output, for what is no text as well, and with a sentence when it takes nothing."""

    def write(self, text: str, /) -> int:
        with _in_sentences():
            return super().write(text)

    def flush(self) -> None:
        with _in_sentences():
            super().flush()


class _Closed(io.RawIOBase):
    """A standard stream that was closed before the program began (the shell's ``>&-``)."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@contextlib.contextmanager
def _in_sentences() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Else the interpreter tries once more at its end, and says that it could not.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None  # “| head”: nobody waits for more
        raise OutputError(
            f"The output cannot be written ({error.strerror}); what was asked for has been done.",
            str(error),
        ) from error


def prepare_streams() -> None:
    """Nothing that is printed may end in a fault: names with bytes that are no text, closed streams."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding, binary = sys.stdout.encoding, sys.stdout.detach()
    else:
        encoding, binary = "utf-8", io.BufferedWriter(_Closed())
    sys.stdout = _Stdout(binary, encoding, "backslashreplace", line_buffering=True)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    else:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def put(line: str) -> None:
    """One line on stdout as it is. OutputError when it cannot be written."""
    print(line, flush=True)  # noqa: T201


def say(text: str) -> None:
    """One line for people on stdout; control characters in it are escaped."""
    put(shown(text))


def complain(text: str) -> None:
    """One line for people on stderr; control characters in it are escaped."""
    with contextlib.suppress(OSError):  # there is nobody to tell
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
    cells = [[_heading(name) for name in columns]]
    cells += [[_text(name, getattr(row, name)) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        widths = fitted(widths, shutil.get_terminal_size().columns)
    for line in cells:
        parts = (_cut(cell, width) for cell, width in zip(line, widths, strict=True))
        put(_GAP.join(parts).rstrip())


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Widths of columns that fit into ``room``: the widest give way, none below ``_NARROWEST``."""
    found = list(widths)
    excess = sum(found) + len(_GAP) * (len(found) - 1) - room
    while excess > 0 and max(found) > _NARROWEST:
        found[found.index(max(found))] -= 1
        excess -= 1
    return found


def _cut(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else f"{cell[: width - 1]}…"


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
