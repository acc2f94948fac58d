# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import has found, kept beside its work: whoever found it may be killed before the end.

What is found is dealt with at once (unpacked, a footer restored or cut off), and the next attempt
would take what is left for another file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ..errors import Sentence, listed
from .verdict import Verdict


class ImportNotes:
    """What the source is, and the warnings and remarks of one import in the order they came."""

    def __init__(self, work: Path) -> None:
        """``work`` is the folder of the job, with what an attempt before has noted."""
        self._file = work / "notes"
        kept = json.loads(self._file.read_bytes()) if self._file.exists() else {}
        self._warnings = [Sentence(text) for text in kept.get("warnings", ())]
        self._remarks = [Sentence(text) for text in kept.get("remarks", ())]
        verdict = kept.get("verdict")
        self._verdict = verdict and Verdict(**{**verdict, "flaws": tuple(verdict["flaws"])})

    @property
    def verdict(self) -> Verdict | None:
        """What the unpacked source is; None until it was inspected."""
        return self._verdict

    @property
    def warning(self) -> Sentence | None:
        """All that may keep machines from booting, in one."""
        return listed(self._warnings, " ") if self._warnings else None

    @property
    def remarks(self) -> tuple[Sentence, ...]:
        """What else there is to know."""
        return tuple(self._remarks)

    def keep(self, verdict: Verdict) -> None:
        """Note what the source is, on the disk, before anything of it is changed."""
        if verdict != self._verdict:
            self._verdict = verdict
            self._write()

    def add(self, warning: Sentence | None, remarks: Iterable[Sentence] = ()) -> None:
        """Note these, on the disk, unless they have been."""
        warnings = [] if warning is None else [warning]
        more = [one for one in warnings if one not in self._warnings]
        other = [one for one in remarks if one not in self._remarks]
        if more or other:
            self._warnings += more
            self._remarks += other
            self._write()

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(
                {
                    "verdict": self._verdict and asdict(self._verdict),
                    "warnings": self._warnings,
                    "remarks": self._remarks,
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._file)
