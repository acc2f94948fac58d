# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ggnet`` prints: JSON for programs, aligned columns for people, sentences on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..tools.copying import shown
from ..values import format_size


def say(text: str) -> None:
    """One line for people on stdout; control characters in it are escaped."""
    print(shown(text), flush=True)  # noqa: T201


def complain(text: str) -> None:
    """One line for people on stderr; control characters in it are escaped."""
    print(shown(text), file=sys.stderr, flush=True)  # noqa: T201


def complain_lines(text: str) -> None:
    """Several lines on stderr, such as what a tool said."""
    for line in text.splitlines():
        complain(line)


def print_json(value: object) -> None:
    """``value`` made of rows, lists and mappings; ASCII only, so a terminal cannot be led astray."""
    print(json.dumps(value, default=_plain, indent=2), flush=True)  # noqa: T201


def print_list(rows: Sequence[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Rows (dataclasses): as a JSON array with all fields, or ``columns`` of them for people."""
    if as_json:
        print_json(rows)
        return
    cells = [[_heading(name) for name in columns]]
    cells += [[_text(name, getattr(row, name)) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(text.rstrip(), flush=True)  # noqa: T201


def print_one(row: Any, *, as_json: bool) -> None:
    """A row (dataclass) or mapping: as a JSON object, or one field per line for people."""
    if as_json:
        print_json(row)
        return
    fields = row if isinstance(row, Mapping) else asdict(row)
    width = max(map(len, fields))
    for name, value in fields.items():
        print(f"{name.ljust(width)}  {_text(name, value)}", flush=True)  # noqa: T201


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
