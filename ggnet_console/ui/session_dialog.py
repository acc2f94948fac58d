# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that gives machines an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtWidgets import QWidget

from ..enums import ImageStatus, SessionType
from ..errors import ConsoleError
from ..services import boot_sessions
from ..services.machines import MachineRow
from . import format as fmt
from .desk import Desk
from .dialogs import FormDialog
from .form import Field
from .messages import choose

_LAST_IMAGE = "session/last_image"


def start_sessions(parent: QWidget, desk: Desk, rows: Sequence[MachineRow]) -> FormDialog | None:
    """Ask which image these machines get; None when there is no image to give yet."""
    ready = sorted(
        (image for image in desk.feeds.images.rows.values() if image.status is ImageStatus.READY),
        key=lambda image: image.name.casefold(),
    )
    if not ready:
        choose(
            parent.window(),
            "There is no image to boot from yet",
            "Import a disk image first; it takes a VHDX, VHD, QCOW2, VMDK or raw file.",
            [("Open Images", False, lambda: _open_images(desk))],
        )
        return None
    machine_ids = [row.id for row in rows]

    def submit(
        values: dict[str, Any],
        done: Callable[[object], None],
        failed: Callable[[ConsoleError], None],
    ) -> None:
        desk.settings.setValue(_LAST_IMAGE, values["image"])
        desk.runner.run(
            boot_sessions.start_boot_sessions,
            machine_ids,
            values["image"],
            values["type"],
            done=done,
            failed=failed,
            parent=parent,
        )

    count = fmt.count(len(rows), "session")
    dialog = FormDialog(
        parent.window(),
        title=f"Start {count}" if len(rows) > 1 else "Start session",
        verb=f"Start {count}" if len(rows) > 1 else "Start session",
        intro=f"For {fmt.names([row.name for row in rows], 8)}. "
        "The image is served as soon as its target is ready; then switch the machine on.",
        fields=[
            Field(
                "image",
                "Image",
                "choice",
                value=_suggested(desk, rows),
                choices=[
                    (image.id, f"{image.name}   {fmt.size(image.virtual_size_bytes)}")
                    for image in ready
                ],
            ),
            Field(
                "type",
                "Purpose",
                "choice",
                value=SessionType.DISKLESS_BOOT,
                choices=[(kind, fmt.word(kind)) for kind in SessionType],
            ),
        ],
        submit=submit,
    )
    dialog.open()
    return dialog


def _suggested(desk: Desk, rows: Sequence[MachineRow]) -> int | None:
    """The image these machines had last, else the one given last."""
    before = {row.image for row in rows}
    if len(before) == 1:
        name = before.pop()
        for image in desk.feeds.images.rows.values():
            if image.name == name:
                return image.id
    last = str(desk.settings.value(_LAST_IMAGE, ""))
    return int(last) if last.isdigit() else None


def _open_images(desk: Desk) -> None:
    desk.show_page("images")
