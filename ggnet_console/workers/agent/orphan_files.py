# SPDX-License-Identifier: GPL-3.0-or-later
"""Orphan files: what a crash, a killed uploader or a cancelled job left on the host's disk."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from ...db.engine import Database
from ...paths import Home
from ...services import agent_jobs

_log = logging.getLogger(__name__)


def remove_orphan_files(database: Database, tree: Home, host_id: int) -> None:
    """Remove every orphan file: what belongs to no image and no open job.

    May be called at any time, from any thread: a row is always committed before its file appears,
    so what was listed before the rows were read and is in none of them is nobody's. Raises
    ConsoleError.
    """
    images = [file for file in tree.images.iterdir() if file.suffix == ".raw"]
    incoming = list(tree.incoming.iterdir())
    folders = list(tree.work.glob("job-*"))
    parts = list(tree.exports.glob("*.part"))
    with database.begin() as session:
        known = agent_jobs.known_files(session, host_id)
    kept_images = {tree.image_file(*version).name for version in known.versions}
    _remove(images, kept_images)
    _remove(incoming, known.uploads)
    _remove(folders, {f"job-{job}" for job in known.jobs})
    _remove(parts, {part.name for part in parts if _job_of(part) in known.jobs})


def _job_of(part: Path) -> int | None:
    """The job that writes this export, by the file's name; see ``ConvertImage``."""
    number = part.name.partition(".")[0].rpartition("-")[2]
    return int(number) if number.isdigit() else None


def _remove(found: list[Path], kept: set[str]) -> None:
    for path in found:
        if path.name in kept:
            continue
        _log.warning("removing the orphan file %s", path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
