# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last apply changed, as it was before: a file that only the agent's own user reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ConsoleError
from ..tools.targets import Chap, RunningTarget, WantedLun, WantedTarget

Before = Mapping[str, WantedTarget | None]
"""By IQN; None: there was no such target."""


def backing_size(path: Path) -> int:
    """The bytes of a file or block device; ConsoleError when it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise ConsoleError(f"The disk file {path} cannot be opened: {error.strerror}.") from error


def as_wanted(found: RunningTarget) -> WantedTarget:
    """A target as it runs, as something that can be applied; ConsoleError when a file is gone."""
    luns = tuple(
        WantedLun(
            lun.lun,
            lun.path,
            backing_size(lun.path),
            lun.read_only,
            lun.serial,
            lun.write_back,
            lun.store,
        )
        for lun in found.luns
    )
    return WantedTarget(found.iqn, luns, found.initiators, found.chap)


def write(file: Path, before: Before) -> None:
    """Keep this instead of what was kept; nothing when it is empty. Atomic, 0600."""
    if not before:
        file.unlink(missing_ok=True)
        return
    document = {iqn: target and _plain(target) for iqn, target in before.items()}
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
        json.dump(document, stream, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(file)


def read(file: Path) -> Before:
    """What is kept; {} when nothing is. Raises ConsoleError when the file is not one of ours."""
    try:
        document = json.loads(file.read_text("utf-8", "surrogateescape"))
        return {iqn: target and _target(target) for iqn, target in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConsoleError(
            f"What the last apply changed cannot be read from {file}; remove that file.",
            repr(error),
        ) from error


def forget(file: Path, iqns: Iterable[str]) -> None:
    """These have been made otherwise for a session meanwhile: nothing is to bring them back."""
    before = read(file)
    left = {iqn: before[iqn] for iqn in before.keys() - set(iqns)}
    if len(left) != len(before):
        write(file, left)


def _plain(target: WantedTarget) -> dict[str, Any]:
    return {
        "iqn": target.iqn,
        "luns": [{**asdict(lun), "path": str(lun.path)} for lun in target.luns],
        "initiators": sorted(target.initiators),
        "chap": target.chap and asdict(target.chap),
    }


def _target(plain: dict[str, Any]) -> WantedTarget:
    return WantedTarget(
        plain["iqn"],
        tuple(WantedLun(**{**lun, "path": Path(lun["path"])}) for lun in plain["luns"]),
        frozenset(plain["initiators"]),
        plain["chap"] and Chap(**plain["chap"]),
    )
