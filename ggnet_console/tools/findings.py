# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second reader finds of a conversion, and what is found on a disk: its partition tables."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..enums import ImageFormat
from ..errors import ConsoleError, Sentence, sentence
from ..values import format_size
from .disk_contents import Contents
from .examination import CUT_OFF
from .image_work import ImageWork, OwnProgramError
from .partition_tables import Fault
from .qemu_img import Disk, QemuImg
from .second_reader import Reading

_log = logging.getLogger(__name__)

_MOST_SUMMARY = 2000
"""Characters: a disk has at most 128 partitions."""
_FAULTS = {
    Fault.CUT_OFF: sentence(
        "What is on it needs a disk of {needed}, and it has {size}: it was cut off, or copied from a "
        "larger disk. Copy the whole disk, and import that."
    ),
    Fault.NO_COPY: sentence(
        "The copy of its partition table at the end of the disk is missing or damaged: it may be "
        "cut off. Compare it with the original, or repair the table there (sgdisk -e)."
    ),
    Fault.ONLY_COPY: sentence(
        "Its partition table is damaged, only the copy at the end of the disk is right. Repair it "
        "on the original (sgdisk), and import that."
    ),
    Fault.DAMAGED: sentence(
        "Its partition table (GPT) is damaged. Repair it on the original, and import that."
    ),
    Fault.UNPROTECTED: sentence(
        "Its partition table (GPT) has no protective MBR, so PCs will not find it. Repair it on the "
        "original (sgdisk), and import that."
    ),
    Fault.LARGE_SECTORS: sentence(
        "Its partitions are those of a disk with sectors of 4096 bytes. PCs are served sectors of "
        "512 bytes, and will find none: copy its system to a disk that has those."
    ),
    Fault.NOTHING: sentence(
        "No partition table and no file system were found on it. Make sure that it is a disk image."
    ),
}


@dataclass(frozen=True)
class Findings:
    """What is on the disk, what is wrong with it, and what else the operator should know."""

    contents: str = ""
    warning: Sentence | None = None
    remarks: tuple[Sentence, ...] = ()


def compare(
    image_format: ImageFormat,
    container: Disk,
    raw: Disk,
    size_bytes: int,
    qemu: QemuImg,
    *,
    advice: Sentence,
    by_geometry: bool = False,
) -> Findings:
    """Compare a container with its raw disk by a reader that shares nothing with qemu.

    ``advice`` is a sentence that says what to do when they differ, which is a ConsoleError.
    ``by_geometry``: the container is a VHD whose disk is smaller than it says, see ``vhd.Footer``.
    A remark says that that reader cannot read the container; then qemu has compared. A warning,
    that some of the data lies behind its end.
    """
    try:
        reading = qemu.ask(
            "second_reader",
            Reading,
            [image_format.lower(), container.fd, raw.fd],
            [container.fd, raw.fd],
        )
    except OwnProgramError as error:
        _log.warning("%s: second reader: %s", qemu.subject, error.details)
        qemu.compare(container, raw)
        return Findings(
            remarks=(
                sentence(
                    "A second program could not read the file it was made from, so only one proved "
                    "the conversion."
                ),
            )
        )
    same_size = reading.size_bytes == size_bytes or (
        by_geometry and reading.size_bytes > size_bytes
    )
    if not same_size or reading.differs_at is not None:
        details = f"{reading}; raw disk of {size_bytes} bytes"  # no text
        raise ConsoleError(
            sentence(
                "{subject} is read differently by two programs, so nobody can say what is right. "
                "{advice}",
                subject=qemu.subject,
                advice=advice,
            ),
            details,
        )
    return Findings(warning=CUT_OFF if reading.ends_early else None)


def look_at(raw_fd: int, size_bytes: int, work: ImageWork) -> Findings:
    """Name what is on the raw disk, and what is wrong with its partition tables."""
    try:
        found = work.ask("disk_contents", Contents, [raw_fd, size_bytes], [raw_fd])
        warning = _FAULTS[Fault(found.fault)] if found.fault else None
        needed, size = format_size(found.needed_bytes), format_size(size_bytes)
    except (OwnProgramError, ValueError) as error:
        _log.warning("%s: %s", work.subject, error)
        return Findings(
            "",
            remarks=(sentence("What is on the disk could not be told; try it on one PC first."),),
        )
    return Findings(
        found.summary[:_MOST_SUMMARY], warning and warning.with_values(needed=needed, size=size)
    )
