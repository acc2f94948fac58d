# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of a storage host are closed to the other users of that computer."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ggnet_console.paths import Home
from ggnet_console.tools import storage


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_gets_at_images_exports_or_what_is_handed_over(
    folder: Path, umask: int
) -> None:
    tree = Home(folder)
    tree.images.mkdir(mode=0o755)  # of an older version
    before = os.umask(umask)
    try:
        storage.prepare(tree)
    finally:
        os.umask(before)
    for closed in (tree.images, tree.exports, tree.incoming, tree.logs, tree.tgt_socket.parent):
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700, closed
