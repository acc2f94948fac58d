# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import has to say, kept beside its work: whoever found it may be killed before the end.

What is found is mended at once (a footer, an odd length), and the next attempt would see nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import Sentence, listed


class ImportNotes:
    """Warnings and remarks of one import, in the order in which they came."""

    def __init__(self, work: Path) -> None:
        """``work`` is the folder of the job, with what an attempt before has noted."""
        self._file = work / "notes"
        kept = json.loads(self._file.read_bytes()) if self._file.exists() else [[], []]
        self._warnings, self._remarks = ([Sentence(text) for text in texts] for texts in kept)

    @property
    def warning(self) -> Sentence | None:
        """All that may keep machines from booting, in one."""
        return listed(self._warnings, " ") if self._warnings else None

    @property
    def remarks(self) -> tuple[Sentence, ...]:
        """What else there is to know."""
        return tuple(self._remarks)

    def add(self, warning: Sentence | None, remarks: Iterable[Sentence] = ()) -> None:
        """Note these, on the disk, unless they have been."""
        warnings = [] if warning is None else [warning]
        more = [one for one in warnings if one not in self._warnings]
        other = [one for one in remarks if one not in self._remarks]
        if not more and not other:
            return
        self._warnings += more
        self._remarks += other
        part = self._file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump([self._warnings, self._remarks], file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._file)
