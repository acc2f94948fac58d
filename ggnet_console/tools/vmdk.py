# SPDX-License-Identifier: GPL-3.0-or-later
"""A VMDK's descriptor: text in any encoding, where its readers know one (Virtual Disk Format 5.0)."""

from __future__ import annotations

from typing import BinaryIO

from .read_at import read_at

_AT = 512
_MOST_BYTES = 2**20
"""Where qemu looks for it, and how much of it."""
_ASCII = bytes(byte if byte < 128 else ord("?") for byte in range(256))


def descriptor_end(file: BinaryIO) -> int:
    """Offset behind a VMDK's descriptor, which zeros fill up."""
    return _AT + len(read_at(file, _AT, _MOST_BYTES).partition(b"\0")[0])


def in_ascii(data: bytes, at: int, descriptor_end: int) -> bytes:
    """Bytes of the file from offset ``at`` on, those of the descriptor without what is not ASCII."""
    end = max(descriptor_end - at, 0)
    begin = min(max(_AT - at, 0), end)
    return data[:begin] + data[begin:end].translate(_ASCII) + data[end:]
