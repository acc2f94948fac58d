# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks a packed disk image, in the sandbox, into a file that takes its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import ConsoleError, sentence
from ..values import format_size
from .file_kinds import Packed
from .image_work import DOES_NOT_FIT, ImageWork, OwnProgramError
from .import_notes import ImportNotes
from .unpacker import Problem, Unpacked

MOST_LAYERS = 3
"""A disk packed with gzip in an OVA in a zip file; what is packed more often is refused."""

_PROBLEMS = {
    Problem.DAMAGED: sentence("{subject} is packed, and damaged or cut off; fetch it again."),
    Problem.ENCRYPTED: sentence(
        "{subject} is a zip file with a password; unpack it, and import the disk image in it."
    ),
    Problem.METHOD: sentence(
        "{subject} is packed in a way that is not known here; unpack it, and import the disk image "
        "in it."
    ),
    Problem.NO_DISK: sentence(
        "{subject} is packed, and none of its {found} files has the name of a disk image (.vhdx, "
        ".img …); unpack it, and import the disk image."
    ),
    Problem.SEVERAL_DISKS: sentence(
        "{subject} is packed, and holds {found} disk images; unpack it, and import each of them."
    ),
    Problem.PARTS: sentence(
        "{subject} is packed, and holds one disk in several files (VMware); export it as one file, "
        "as OVA or as one VMDK, and import that."
    ),
    Problem.TOO_LARGE: sentence(
        "{subject} is packed, and its disk image is larger than {most}, which is all that is "
        "allowed here."
    ),
    Problem.MEMORY: sentence(
        "{subject} is packed in a way that needs very much memory to unpack; unpack it, and import "
        "the disk image in it."
    ),
    Problem.FULL: DOES_NOT_FIT,
    Problem.STORAGE: sentence(
        "{subject} cannot be unpacked, for the disk of the storage host failed ({detail}); look at "
        "that disk, then import it again."
    ),
}


_TRAILING = sentence("Something else follows behind what is packed in its file, and was left out.")


def unpack(
    kind: Packed,
    fd: int,
    held: Path,
    part: Path,
    work: ImageWork,
    on_read: Callable[[int], None],
    notes: ImportNotes,
) -> None:
    """Replace the packed file ``held``, open as ``fd``, by the disk image in it, then open as that.

    ``part`` is where the new file is made. ``on_read`` gets the bytes that are unpacked of the
    packed file. What the operator should know is added to ``notes``; ConsoleError says what is
    wrong with the file.
    """
    part_fd = work.sandbox.new_file(part)
    try:
        try:
            done = work.ask(
                "unpacker",
                Unpacked,
                [kind, fd, part_fd, work.max_file_bytes],
                [fd, part_fd],
                writes=True,
                on_number=on_read,
            )
        except OwnProgramError as error:
            raise ConsoleError(
                sentence(
                    "{subject} cannot be unpacked; unpack it, and import the disk image in it.",
                    subject=work.subject,
                ),
                error.details,
            ) from error
        if done.problem:
            raise ConsoleError(
                _PROBLEMS[Problem(done.problem)].with_values(
                    subject=work.subject,
                    found=done.found,
                    most=format_size(work.max_file_bytes),
                    detail=done.detail,
                ),
                done.detail,
            )
        notes.add(None, (_TRAILING,) if done.trailing else ())
        part.rename(held)
        # The packed file goes, and with it the space it takes.
        os.dup2(part_fd, fd, inheritable=False)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(part_fd)
