# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit entries as CSV or as JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC
from pathlib import Path
from typing import TextIO

from sqlalchemy.orm import Session

from ..errors import ConsoleError, sentence
from .audit import EVERYTHING, AuditFilter, AuditRow, all_audit

_NAMES = [field.name for field in fields(AuditRow)]


def write_audit(rows: Iterable[AuditRow], file: TextIO, *, as_csv: bool) -> int:
    """Write entries with their times in UTC, one JSON object a line or CSV; returns how many."""
    writer = csv.writer(file)
    if as_csv:
        writer.writerow(_NAMES)
    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - the last one is the answer
        values = asdict(row) | {"at": row.at.astimezone(UTC).isoformat()}
        if as_csv:
            values["changes"] = json.dumps(row.changes)
            writer.writerow([_cell(values[name]) for name in _NAMES])
        else:
            file.write(json.dumps(values) + "\n")
    return number


def _cell(value: object) -> object:
    """Text that a spreadsheet takes as text, whatever was put into a name."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def export_audit(session: Session, path: Path, wanted: AuditFilter = EVERYTHING) -> int:
    """Write what is wanted to a file, CSV if it is named so, else JSON lines; returns how many.

    The file appears whole or not at all. ConsoleError when it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            number = write_audit(
                all_audit(session, wanted), file, as_csv=path.suffix.lower() == ".csv"
            )
        part.replace(path)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The audit trail could not be written to {path}: {reason}. Choose another folder.",
                path=path,
                reason=error.strerror,
            ),
            str(error),
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return number
