# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage host's folders: made with the right modes, and whether something fits in them."""

from __future__ import annotations

import os
from pathlib import Path

from ..config import Config
from ..errors import ConsoleError, sentence
from ..paths import Home
from ..values import format_size

_RESERVE_BYTES = 64 * 2**20
"""Left free for the database and logs that may share the disk."""


def prepare(tree: Home) -> None:
    """Make the folders of a storage host that are missing; modes of existing ones are set again."""
    modes = {
        tree.incoming: 0o700,
        # Whole disks: other users of this computer have no business with them.
        tree.images: 0o700,
        tree.exports: 0o700,
        tree.work: 0o711,
        tree.logs: 0o700,
        tree.tgt_socket.parent: 0o700,
    }
    for folder, mode in modes.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        except OSError as error:
            raise ConsoleError(
                sentence(
                    "The folder {folder} cannot be made ready: {reason}.",
                    folder=folder,
                    reason=error.strerror,
                )
            ) from error


def require_storage_host(config: Config) -> None:
    """Raise ConsoleError unless this computer holds the images of the installation."""
    if config.embedded:
        prepare(config.tree)
    elif not os.access(config.tree.incoming, os.W_OK):
        raise ConsoleError(
            sentence(
                "This computer is not the storage host, or you may not write to {folder}; import "
                "the image at the storage host.",
                folder=config.tree.incoming,
            )
        )


def require_space(folder: Path, source_fd: int) -> None:
    """Raise ConsoleError unless the data of the open file ``source_fd`` fits into ``folder``."""
    status = os.fstat(source_fd)
    needed = min(status.st_size, status.st_blocks * 512)
    free = free_bytes(folder)
    if needed > free:
        raise ConsoleError(
            sentence(
                "The file needs {needed}, but only {free} are free in {folder}; free some space "
                "there.",
                needed=format_size(needed),
                free=format_size(max(free, 0)),
                folder=folder,
            )
        )


def free_bytes(folder: Path | int) -> int:
    """Space an image may take in ``folder`` (or beside an open file): less a small reserve."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize - _RESERVE_BYTES
