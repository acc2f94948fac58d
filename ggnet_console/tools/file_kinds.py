# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are not a disk as they lie: their magic numbers, their names, and what to do.

A file that is none of these and no disk image of a known format is taken for a raw disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from ..errors import Sentence, sentence
from .read_at import read_at


class Packed(StrEnum):
    """Packed files whose one disk image is unpacked on the way in."""

    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"
    OVA = "ova"


PACKED: frozenset[str] = frozenset(Packed)
"""The words of ``Packed``."""

_UNPACK = sentence("Unpack it, and import the disk image in it.")
_CONVERT = sentence("Convert it with “qemu-img convert -O qcow2 FILE DISK.qcow2”, and import that.")
_RESTORE = sentence("Restore it to a disk with the program that made it, and import that disk.")
_WHOLE = sentence(
    "Merge it with what it is based on, or export the whole machine, and import the disk that "
    "results."
)
_DECRYPT = sentence("Decrypt it, and import the disk image that results.")
_FETCH = sentence("Fetch the disk image itself again.")


@dataclass(frozen=True)
class Kind:
    """A kind of file that cannot be imported as it is."""

    name: Sentence
    """In the middle of a sentence, with its article."""
    advice: Sentence
    """A sentence: what to do with such a file."""


REFUSED = {
    "bzip2": Kind(sentence("a file packed with bzip2"), _UNPACK),
    "lz4": Kind(sentence("a file packed with lz4"), _UNPACK),
    "lzop": Kind(sentence("a file packed with lzop"), _UNPACK),
    "7z": Kind(sentence("a 7-Zip archive"), _UNPACK),
    "rar": Kind(sentence("a RAR archive"), _UNPACK),
    "tar": Kind(sentence("a tar archive"), _UNPACK),
    "cab": Kind(sentence("a cabinet file (CAB)"), _UNPACK),
    "dmg": Kind(sentence("an Apple disk image (DMG)"), _CONVERT),
    "qcow2-extended-l2": Kind(
        sentence("a QCOW2 with subclusters (extended L2), which the second reader cannot check"), _CONVERT
    ),
    "qcow": Kind(sentence("a QCOW image of version 1"), _CONVERT),
    "qed": Kind(sentence("a QED image"), _CONVERT),
    "vdi": Kind(sentence("a VirtualBox image (VDI)"), _CONVERT),
    "parallels": Kind(sentence("a Parallels image"), _CONVERT),
    "bochs": Kind(sentence("a Bochs image"), _CONVERT),
    "cloop": Kind(sentence("a compressed loop image (cloop)"), _CONVERT),
    "luks": Kind(sentence("encrypted (LUKS)"), _DECRYPT),
    "cowd": Kind(sentence("one part of a VMware disk (COWD, as ESX snapshots have it)"), _WHOLE),
    "sesparse": Kind(sentence("one part of a VMware disk (SEsparse, a snapshot)"), _WHOLE),
    "avhdx": Kind(sentence("a differencing VHDX (AVHDX, a checkpoint of Hyper-V)"), _WHOLE),
    "avhd": Kind(sentence("a differencing VHD (it holds only the differences from another disk)"), _WHOLE),
    "vhdx-4096": Kind(
        sentence("a VHDX with sectors of 4096 bytes, and PCs are served sectors of 512 bytes"),
        sentence("Copy its system to a disk with sectors of 512 bytes, and import that disk."),
    ),
    "e01": Kind(sentence("an EnCase image (E01)"), _RESTORE),
    "aff": Kind(sentence("an AFF image"), _RESTORE),
    "wim": Kind(sentence("a Windows image of files (WIM or ESD)"), _RESTORE),
    "vma": Kind(sentence("a backup of Proxmox (VMA)"), _RESTORE),
    "partclone": Kind(sentence("an image of partclone (FOG, Clonezilla)"), _RESTORE),
    "partimage": Kind(sentence("an image of partimage"), _RESTORE),
    "ghost": Kind(sentence("an image of Norton Ghost (GHO)"), _RESTORE),
    "html": Kind(sentence("a web page"), _FETCH),
    "lfs": Kind(sentence("a pointer of Git LFS"), sentence("Fetch the file itself: “git lfs pull”.")),
    "ovf": Kind(
        sentence("the description of a machine (OVF)"),
        sentence("Import the disk image that lies beside it."),
    ),
    "pdf": Kind(sentence("a PDF document"), _FETCH),
}  # fmt: skip
"""By the inspector's word."""

_HEAD_BYTES = 1024
_XML = rb"(?i)(\xef\xbb\xbf)?\s*+(<\?xml[^>]*+>\s*+)?(<!--.*?-->\s*+)*+"
"""What may come before the first tag; possessive, for a stranger's file must not cost much time."""
_AT_BEGINNING: tuple[tuple[bytes, str], ...] = (
    (rb"\x1f\x8b\x08", Packed.GZIP),
    (rb"\xfd7zXZ\0", Packed.XZ),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", Packed.ZSTD),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", Packed.ZIP),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "bzip2"),
    (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "lz4"),
    (rb"\x89LZO\0\r\n\x1a\n", "lzop"),
    (rb"7z\xbc\xaf\x27\x1c", "7z"),
    (rb"Rar!\x1a\x07", "rar"),
    (rb"MSCF\0\0\0\0", "cab"),
    (rb".{257}ustar[\0 ]", "tar"),
    (rb"QFI\xfb\0\0\0\x01", "qcow"),
    (rb"QED\0", "qed"),
    (rb".{64}\x7f\x10\xda\xbe", "vdi"),
    (rb"With(outFreeSpace|ouFreSpacExt)", "parallels"),
    (rb"Bochs Virtual HD Image", "bochs"),
    (rb"#!/bin/sh\n#V2\.0 Format", "cloop"),
    (rb"LUKS\xba\xbe", "luks"),
    (rb"COWD", "cowd"),
    (rb"\xbe\xba\xfe\xca\0\0\0\0", "sesparse"),
    (rb"[EL]VF[\x092]\r\n[\xff\x81]\0", "e01"),
    (rb"AFF10\r\n\0", "aff"),
    (rb"MSWIM\0\0\0|WLPWM\0\0\0", "wim"),
    (rb"VMA\0", "vma"),
    (rb"partclone-image", "partclone"),
    (rb"PaRtImAgE-VoLuMe", "partimage"),
    (rb"\xfe\xef[\x01-\x0a]", "ghost"),
    (rb"version https://git-lfs\.github\.com/spec/", "lfs"),
    (_XML + rb"<([a-z]+:)?envelope\b", "ovf"),
    (_XML + rb"<(!doctype\s+html|html|head|body)\b", "html"),
    (rb"%PDF-", "pdf"),
)  # fmt: skip
"""Published signatures (file(1)'s magic has most of them), the word they stand for."""
_PATTERNS = tuple((re.compile(magic, re.DOTALL), word) for magic, word in _AT_BEGINNING)
_DMG_TRAILER_BYTES = 512
_DMG_TRAILER = b"koly\0\0\0\x04\0\0\x02\0"


def kind_of(file: BinaryIO, size_bytes: int) -> str | None:
    """The word of what an open file is, one of ``Packed`` or ``REFUSED``; None for anything else."""
    head = read_at(file, 0, _HEAD_BYTES)
    for pattern, word in _PATTERNS:
        if pattern.match(head):
            return word
    trailer = read_at(file, size_bytes - _DMG_TRAILER_BYTES, _DMG_TRAILER_BYTES)
    return "dmg" if trailer.startswith(_DMG_TRAILER) else None
