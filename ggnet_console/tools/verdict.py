# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inspector's process tells the process that started it; apart, for it must load fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What the inspector found; ``why`` says in the middle of a sentence why it is not safe."""

    format: str
    """``raw qcow2 vhd vhd-fixed vhdx vmdk``, or the name of a format that is not supported."""
    virtual_size: int
    """Bytes the disk claims to have; 0 when the format does not say."""
    safe: bool
    why: str = ""
