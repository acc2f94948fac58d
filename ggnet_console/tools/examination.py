# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger's file is: its format, on which all agree, its disk's size, whether it is safe."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NoReturn

from ..enums import ImageFormat
from ..errors import ConsoleError, sentence
from ..values import format_size
from . import storage, vhd
from .file_kinds import PACKED, REFUSED
from .image_work import ImageWork, OwnProgramError
from .import_notes import ImportNotes
from .qemu_img import Disk, Info, LogToReplayError, QemuImg
from .unpacking import MOST_LAYERS
from .verdict import Flaw, Verdict

_INSPECTOR_TIMEOUT_S = 300
_SECTOR_BYTES = 512
_RESTORED = sentence(
    "One of the VHD's two footers was damaged and has been restored from the other."
)
_FLAWS = {
    Flaw.FIRST_FOOTER_DAMAGED: _RESTORED,
    Flaw.LAST_FOOTER_DAMAGED: _RESTORED,
    Flaw.ONLY_FOOTER_DAMAGED: sentence(
        "The VHD's only footer is damaged; all before it was taken for the disk."
    ),
    Flaw.LONGER: sentence(
        "The VHD's file goes on behind what its footer describes; that was left out."
    ),
}


CUT_OFF = sentence(
    "Its file ends within a sector or within its last data: it was probably cut off on the way. Compare "
    "its checksum, or copy it again."
)


@dataclass(frozen=True)
class DiskFormat:
    """A format as the three programs that name it: we, the inspector's verdict, qemu's probe."""

    name: ImageFormat
    driver: str
    compressible: bool = False


FORMATS = {
    "raw": DiskFormat(ImageFormat.RAW, "raw"),
    "qcow2": DiskFormat(ImageFormat.QCOW2, "qcow2", compressible=True),
    "vhdx": DiskFormat(ImageFormat.VHDX, "vhdx"),
    "vhd": DiskFormat(ImageFormat.VHD, "vpc"),
    # A raw disk with a footer behind it, which qemu's probe does not look at either.
    "vhd-fixed": DiskFormat(ImageFormat.VHD, "raw"),
    "vmdk": DiskFormat(ImageFormat.VMDK, "vmdk", compressible=True),
}


@dataclass(frozen=True)
class Examined:
    """A file that is safe to read as a disk."""

    format: DiskFormat
    disk: Disk
    size_bytes: int
    """Of the disk, in whole sectors."""
    by_geometry: bool
    """A VHD whose disk ends before the size its footer names, see ``vhd.Footer``."""


def inspect(fd: int, work: ImageWork) -> Verdict:
    """The sandboxed inspector's verdict on an open file."""
    try:
        found = work.ask("inspector", Verdict, [fd], [fd], most_s=_INSPECTOR_TIMEOUT_S)
        return replace(found, flaws=tuple(Flaw(flaw) for flaw in found.flaws))
    except (OwnProgramError, ValueError) as error:
        raise ConsoleError(
            sentence(
                "{subject} is refused: its format cannot be told. It may be damaged; fetch it "
                "again.",
                subject=work.subject,
            ),
            error.details if isinstance(error, OwnProgramError) else repr(error),
        ) from error


def note_flaws(verdict: Verdict, notes: ImportNotes) -> None:
    """Say what is wrong with a file whose disk can be read; before ``examine`` mends it."""
    notes.add(
        CUT_OFF if Flaw.ODD_LENGTH in verdict.flaws else None,
        (_FLAWS[Flaw(flaw)] for flaw in verdict.flaws if flaw in _FLAWS),
    )


def examine(fd: int, verdict: Verdict, qemu: QemuImg, max_virtual_size_bytes: int) -> Examined:
    """What all agree on; ConsoleError for what is not safe to read, or no disk.

    What a file holds twice is repaired in it: a VHD's footers, a VHDX by its log.
    """
    image_format = FORMATS.get(verdict.format)
    if verdict.format in PACKED:
        raise ConsoleError(
            sentence(
                "{subject} is packed in more than {layers} layers; unpack it, and import the disk "
                "image in it.",
                subject=qemu.subject,
                layers=MOST_LAYERS,
            )
        )
    if (kind := REFUSED.get(verdict.format)) is not None:
        raise ConsoleError(
            sentence(
                "{subject} is refused: it is {what}. {advice}",
                subject=qemu.subject,
                what=kind.name,
                advice=kind.advice,
            )
        )
    if image_format is None and verdict.format.isalnum():
        _refuse_format(qemu.subject, verdict.format)
    if verdict.damaged:
        raise ConsoleError(
            sentence(
                "{subject} is refused: {why}. Copy it again, or repair it where it came from.",
                subject=qemu.subject,
                why=verdict.why,
            )
        )
    if image_format is None or not verdict.safe:
        raise ConsoleError(
            sentence(
                "{subject} is refused: {why}. Import a disk image that is complete in one file.",
                subject=qemu.subject,
                why=verdict.why,
            )
        )
    require_size(verdict.virtual_size, max_virtual_size_bytes, qemu.subject)
    if verdict.format == "vhd" and verdict.flaws:
        vhd.restore_footers(
            fd, verdict.last_footer_at, from_first=Flaw.LAST_FOOTER_DAMAGED in verdict.flaws
        )
    info = _probe(fd, image_format, qemu)
    if info.driver != image_format.driver:
        if info.driver not in {known.driver for known in FORMATS.values()}:
            _refuse_format(qemu.subject, info.driver)
        raise ConsoleError(
            sentence(
                "{subject} is refused: it could be {one} or {other}. Import a disk image of one "
                "clear format.",
                subject=qemu.subject,
                one=verdict.format,
                other=info.driver,
            )
        )
    if info.encrypted:
        raise ConsoleError(
            sentence("{subject} is encrypted; decrypt it before the import.", subject=qemu.subject)
        )
    if info.backing_file:
        raise ConsoleError(
            sentence(
                "{subject} is refused: it is based on another file. Import a disk image that is "
                "complete in one file.",
                subject=qemu.subject,
            )
        )
    # Of a VHD qemu goes by the geometry whenever it does not know who wrote it.
    is_vhd = image_format.name is ImageFormat.VHD
    size_bytes = verdict.virtual_size if is_vhd else info.virtual_size_bytes
    require_size(size_bytes, max_virtual_size_bytes, qemu.subject)
    size_calc = ""
    if image_format.driver == "vpc":
        size_calc = "chs" if verdict.by_geometry else "current_size"
    disk = Disk(fd, image_format.driver, size_calc)
    if image_format.driver != "raw":
        qemu.check(disk)
    return Examined(
        image_format,
        disk,
        size_bytes + -size_bytes % _SECTOR_BYTES,
        verdict.by_geometry,
    )


def require_space(examined: Examined, qemu: QemuImg) -> int:
    """The bytes of data really in the image, which must fit: a thin disk needs far less than its size."""
    needed = qemu.data_bytes(examined.disk)
    if not examined.format.compressible:
        # qemu does not tell a VHDX's holes, but without compression there is no more than this.
        needed = min(needed, os.fstat(examined.disk.fd).st_blocks * 512)
    free = max(0, storage.free_bytes(examined.disk.fd))
    if needed > free:
        raise ConsoleError(
            sentence(
                "{subject} holds {needed} of data, and only {free} are free on the disk of the "
                "storage host; free some space and try again.",
                subject=qemu.subject,
                needed=format_size(needed),
                free=format_size(free),
            )
        )
    return needed


def require_size(size_bytes: int, max_bytes: int, subject: str) -> None:
    """ConsoleError for a disk of nothing, or of more than ``max_bytes``."""
    if size_bytes <= 0:
        raise ConsoleError(
            sentence("{subject} is empty; choose a file with a disk in it.", subject=subject)
        )
    if size_bytes > max_bytes:
        raise ConsoleError(
            sentence(
                "{subject} claims a disk of {size}; at most {most} are allowed here.",
                subject=subject,
                size=format_size(size_bytes),
                most=format_size(max_bytes),
            )
        )


def _probe(fd: int, image_format: DiskFormat, qemu: QemuImg) -> Info:
    try:
        return qemu.info(fd)
    except LogToReplayError:
        if image_format.name is not ImageFormat.VHDX:
            raise
    qemu.replay_log(Disk(fd, image_format.driver))
    return qemu.info(fd)


def _refuse_format(subject: str, found: str) -> NoReturn:
    known = ", ".join(ImageFormat)
    raise ConsoleError(
        sentence(
            "{subject} is of the format {format}, which is not supported; convert it to one of "
            "{known} first.",
            subject=subject,
            format=found.upper(),
            known=known,
        )
    )
