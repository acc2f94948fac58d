# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a stranger's file where it says that something lies."""

from __future__ import annotations

from typing import BinaryIO

_MOST = 2**63 - 1
"""The last offset that a file can have (lseek(2))."""


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """``length`` bytes from ``offset`` on, or what is there of them: nothing where no file goes."""
    if not 0 <= offset <= _MOST:
        return b""
    file.seek(offset)
    return file.read(length)
