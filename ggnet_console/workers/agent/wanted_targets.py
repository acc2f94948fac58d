# SPDX-License-Identifier: GPL-3.0-or-later
"""The desired state of a target: what the database wants, in the words of a backend."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConsoleError, sentence
from ...paths import Home
from ...services.agent_targets import Wanted, WantedDisk
from ...tools.target_backend import WantedLun, WantedTarget


def wanted_target(tree: Home, one: Wanted, *, is_open: bool | None = None) -> WantedTarget:
    """The target with the files of this host; ``is_open`` False: it refuses everybody."""
    let_in = one.is_open if is_open is None else is_open
    return WantedTarget(
        one.iqn,
        tuple(
            WantedLun(
                disk.lun,
                _file(tree, disk),
                disk.size_bytes,
                disk.read_only,
                disk.serial,
                disk.write_back,
                disk.store,
            )
            for disk in one.disks
        ),
        one.initiators if let_in else frozenset(),
        one.chap,
    )


def _file(tree: Home, disk: WantedDisk) -> Path:
    if disk.path is not None:
        return Path(disk.path)
    if disk.image_id is None or disk.version_number is None:
        raise ConsoleError(sentence("LUN {lun} has neither an image nor a file.", lun=disk.lun))
    return tree.image_file(disk.image_id, disk.version_number)
