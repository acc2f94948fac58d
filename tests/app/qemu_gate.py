# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to a storage host's qemu-img: stop it where they want, find it, see what is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from patience import wait_for

from ggnet_console.paths import Home

# Stands before qemu-img in the agent's PATH: stops before it becomes the real one when asked to.
GATE = """#!/bin/sh
[ -e {folder}/hold-$1 ] && kill -STOP $$
exec {program} "$@"
"""


def is_running(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


class QemuGate:
    """Of an installation whose agent finds ``folder`` first in its PATH."""

    folder: Path
    tree: Home

    def make_gate(self) -> None:
        real = shutil.which("qemu-img")
        assert real is not None
        gate = self.folder / "qemu-img"
        gate.write_text(GATE.format(folder=self.folder, program=real))
        gate.chmod(0o755)

    def hold(self, verb: str) -> None:
        """From now on ``qemu-img VERB`` stops before it begins, until ``let_go``."""
        (self.folder / f"hold-{verb}").touch()

    def let_go(self) -> None:
        """Hold nothing any more; what stands still goes on."""
        for hold in self.folder.glob("hold-*"):
            hold.unlink()
        for pid in self.qemu_imgs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def held(self, verb: str) -> int:
        """Wait for the process that ``hold`` stopped; its pid."""
        return wait_for(lambda: self.find_held(verb), f"qemu-img {verb}") or 0

    def find_held(self, verb: str) -> int | None:
        """The process that ``hold`` stopped, None while there is none."""
        for pid in self.qemu_imgs():
            try:
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                status = Path(f"/proc/{pid}/stat").read_text()
            except OSError:  # ended meanwhile
                continue
            if status.rpartition(") ")[2].startswith("T") and arguments[2] == verb.encode():
                return pid
        return None

    def qemu_imgs(self) -> list[int]:
        """Every qemu-img that has a file of this host open."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text() != "qemu-img\n":
                    continue
                files = [os.readlink(fd) for fd in (process / "fd").iterdir()]
            except OSError:  # ended meanwhile, or another user's
                continue
            if any(file.startswith(f"{self.tree.root}/") for file in files):
                found.append(int(process.name))
        return found

    def left_over(self) -> list[str]:
        """What lies in the folders in which only images and exports may stay."""
        folders = (self.tree.incoming, self.tree.work, self.tree.images, self.tree.exports)
        files = [file for folder in folders for file in folder.rglob("*")]
        return sorted(str(file.relative_to(self.tree.root)) for file in files)
