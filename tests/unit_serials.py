# SPDX-License-Identifier: GPL-3.0-or-later
"""Serials for the disks of tests; those of the console come from the database."""

from __future__ import annotations

import hashlib


def unit_serial(*identity: object) -> str:
    """A SCSI unit serial: 32 hexadecimal digits, the same for the same ids in the same order.

    It must be unique per machine and disk, or an initiator takes two disks for two paths to one
    (SPC-4 7.8.16); and stable, or a machine takes its disk for a new one.
    """
    return hashlib.sha256("\0".join(map(str, identity)).encode()).hexdigest()[:32]
