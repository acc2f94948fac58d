# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder with everything a disk image needs on its way from a file to a sealed image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samples import sample_bytes

from ggnet_console.tools import disk_images
from ggnet_console.tools.sandbox import Sandbox


@dataclass(frozen=True)
class Bench:
    """A folder with everything one image needs on its way."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "incoming"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def destination(self) -> Path:
        return self.root / "images" / "image.raw"

    def unpack(self, sample: str) -> Path:
        """Write a sample, sparse, as the source."""
        packed = sample_bytes(sample)
        step = 1 << 20
        with self.source.open("wb") as file:
            for offset in range(0, len(packed), step):
                block = packed[offset : offset + step]
                if block.count(0) != len(block):
                    file.seek(offset)
                    file.write(block)
            file.truncate(len(packed))
        return self.source

    def make_raw(self, **changes: Any) -> disk_images.RawImage:
        """``disk_images.make_raw`` of the source, with usual arguments."""
        return disk_images.make_raw(
            self.source,
            self.work,
            self.destination,
            **{
                "name": "win11",
                "sandbox": Sandbox.for_job(42),
                "max_virtual_size_bytes": 16 * 2**40,
                "timeout_s": 120,
                **changes,
            },
        )

    def left_over(self) -> list[str]:
        """What lies where finished images lie."""
        return sorted(os.listdir(self.destination.parent))


def own_programs() -> list[int]:
    """Pids of this process's children that are programs of ours in the sandbox."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue  # ended while we looked
        if b"ggnet_console.tools." in words and parent == os.getpid():
            found.append(int(folder.name))
    return found


def children(name: str) -> list[int]:
    """Pids of this process's children whose program is ``name``."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text().partition(" (")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        comm, _, fields = rest.rpartition(") ")
        if comm == name and int(fields.split()[1]) == os.getpid():
            found.append(int(pid))
    return found
