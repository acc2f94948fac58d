# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of tests: with short paths for sockets, that every user may pass, in memory if it fits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOMY_BYTES = 2 * 2**30


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder of the test's own, where files cost no disk writes unless memory is scarce.

    Not below pytest's own, which is closed to the users that servers and sandboxes run as.
    """
    memory = Path("/dev/shm")
    is_fit = (
        memory.is_dir()
        and shutil.disk_usage(memory).free > _ROOMY_BYTES
        and not os.statvfs(memory).f_flag & os.ST_NOEXEC  # some containers' is
    )
    folder = Path(tempfile.mkdtemp(prefix="ggnet-", dir=memory if is_fit else "/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
