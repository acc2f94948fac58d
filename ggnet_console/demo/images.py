# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the demo room: ready, on their way, and refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ..enums import ImageFormat, ImageStatus, ImageType, JobKind
from ..errors import ConsoleError, FieldChange, FieldError, sentence
from ..services.images import ImageRow, ImageSpec, checked_name
from .changes import save
from .hosts import AGENT, HOST
from .times import Ago

if TYPE_CHECKING:
    from .room import Room

_GIB = 2**30
_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
_REFUSED = (
    "The disk names another file as its backing file; only self-contained images can be imported."
)
_CONTENTS = {
    1: "GPT: EFI system (FAT32), Microsoft reserved, Windows data (NTFS), Windows recovery (NTFS)",
    2: "GPT: EFI system (FAT32), Linux (ext4)",
    3: "MBR: NTFS",
}
_NO_COPY = (
    "The copy of its partition table at the end of the disk is missing or damaged: it may be cut off. "
    "Compare it with the original, or repair the table there (sgdisk -e)."
)


def make_images(ago: Ago) -> list[ImageRow]:
    """All images; what their jobs say of them is added when they are read."""
    ready, vhdx = ImageStatus.READY, ImageFormat.VHDX
    physics = "Ubuntu 26.04 LTS for the physics course"
    rows: tuple[tuple[str, ImageStatus, int | None, float | None, ImageFormat | None], ...] = (
        ("Win11-Games", ready, 80, 31.4, vhdx),
        (physics, ready, 40, 9.2, ImageFormat.QCOW2),
        ("Exam room, locked down", ready, 60, 22.8, ImageFormat.VHD),
        ("Win11-Office 2026-11", ImageStatus.PROCESSING, None, None, vhdx),
        ("Blender render node", ImageStatus.UPLOADING, None, None, None),
        ("Old accounting disk", ImageStatus.ERROR, None, None, ImageFormat.VMDK),
    )
    return [
        ImageRow(
            id=n,
            name=name,
            status=status,
            type=ImageType.SYSTEM if n != 5 else ImageType.DATA,
            notes="",
            host=HOST,
            source_name=f"{name}.{(source or ImageFormat.RAW).lower()}",
            source_format=source,
            source_size_bytes=int((actual or 20) * _GIB),
            source_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            sha256=_SHA256 if status is ready else None,
            virtual_size_bytes=virtual * _GIB if virtual else None,
            actual_size_bytes=int(actual * _GIB) if actual else None,
            version_number=1 if actual else None,
            verified_at=ago(60 * 30) if n == 1 else None,
            contents=_CONTENTS.get(n, ""),
            warning=_NO_COPY if n == 2 else "",
            remarks="",
            used_by=0,
            error=_REFUSED if status is ImageStatus.ERROR else "",
            created_at=ago(60 * 24 * (8 - n)),
            version=1,
            job_id=None,
            job_phase=None,
            percent=None,
            seconds_left=None,
        )
        for n, (name, status, virtual, actual, source) in enumerate(rows, 1)
    ]


def update_image(room: Room, read: ImageRow, spec: ImageSpec) -> tuple[FieldChange, ...]:
    """Save name, type and notes."""
    name = checked_name(spec.name)
    for row in room.images:
        if row.id != read.id and row.name.casefold() == name.casefold():
            raise FieldError("name", sentence("There is an image “{name}” already.", name=row.name))
    save(room, replace(_image(room, read.id), **asdict(spec) | {"name": name}))
    for target in [row for row in room.targets if row.image_id == read.id]:
        luns = tuple(replace(lun, image=name) for lun in target.luns)
        save(room, replace(target, image=name, luns=luns))
    return ()


def verify_image(room: Room, image_id: int) -> int:
    """Have the storage host read an image as a whole."""
    image = _image(room, image_id)
    return room.ask(
        JobKind.IMAGE_VERIFY,
        image.name,
        image_id=image_id,
        bytes_done=0,
        bytes_total=image.actual_size_bytes,
    )


def end_work(room: Room, image_id: int, kind: JobKind) -> None:
    """A job on an image came to its good end."""
    image = _image(room, image_id)
    if kind is JobKind.IMAGE_VERIFY:
        image = replace(image, verified_at=room.now)
    elif kind is JobKind.IMAGE_IMPORT:
        image = replace(
            image,
            status=ImageStatus.READY,
            sha256=_SHA256,
            virtual_size_bytes=120 * _GIB,
            actual_size_bytes=40 * _GIB,
            version_number=1,
            contents=_CONTENTS[1],
        )
    save(room, image, AGENT)


def cancel_import(room: Room, image_id: int) -> None:
    """Nothing is kept of an import that was cancelled."""
    sentence = "The import was cancelled."
    save(room, replace(_image(room, image_id), status=ImageStatus.ERROR, error=sentence), AGENT)


def _image(room: Room, image_id: int) -> ImageRow:
    image = next((row for row in room.images if row.id == image_id), None)
    if image is None:
        raise ConsoleError(sentence("This image no longer exists."))
    return image
