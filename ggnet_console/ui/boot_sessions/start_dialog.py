# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving machines an image: by a dialog, or again the one that each had last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtWidgets import QWidget

from ...enums import ImageStatus, MachineStatus, SessionType
from ...services import boot_sessions
from ...services.boot_sessions import StartedAgain
from ...services.images import ImageRow
from ...services.machines import MachineRow
from ..enum_words import word
from ..image_choice import image_choice
from ..kit import format as fmt
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import choose
from ..kit.tokens import State
from ..kit.translate import tr, translated
from ..page_context import PageContext

_EACH_ITS_LAST = "each its last"  # no text
_MOST_NAMED = 3


def start_sessions(
    parent: QWidget, context: PageContext, rows: Sequence[MachineRow]
) -> FormDialog | None:
    """Ask which image these machines get; None when there is no image to give yet.

    Proposed is what they had last, or the only image there is to machines that had none: a room
    that starts with the wrong disk is worse than a choice to be made.
    """
    ready = sorted(
        (
            image
            for image in context.feeds.images.rows.values()
            if image.status is ImageStatus.READY
        ),
        key=lambda image: image.name.casefold(),
    )
    if not ready:
        choose(
            parent.window(),
            tr("There is no image to boot from yet"),
            tr(
                "Import a disk image first; it takes a VHDX, VHD, QCOW2, VMDK or raw file, also packed."
            ),
            [(tr("Open Images"), False, lambda: _open_images(context))],
        )
        return None
    session_ids = [row.session_id for row in rows if row.session_id is not None]

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        if values["image"] == _EACH_ITS_LAST:
            work: Callable[..., Any] = boot_sessions.start_boot_sessions_again
            args: tuple[Any, ...] = (session_ids, values["type"])
        else:
            work = boot_sessions.start_boot_sessions
            args = ([row.id for row in rows], values["image"], values["type"])

        def started(value: object) -> None:
            done(value)
            if isinstance(value, StartedAgain) and value.left:
                context.notify(" ".join(map(translated, value.left)), State.ATTENTION)

        context.runner.run(work, *args, done=started, failed=failed, parent=parent.window())

    verb = tr("Start session")
    if len(rows) > 1:
        verb = tr("Start %n session(s)", "", len(rows))
    proposed, choices, had = _images(rows, ready)
    dialog = FormDialog(
        parent,
        title=verb,
        verb=verb,
        intro=tr(
            "For {names}. "
            "The image is served as soon as its target is ready; then switch the machine on."
        ).format(names=fmt.names([row.name for row in rows], 8)),
        fields=[
            Field(
                "image",
                tr("Image"),
                "choice",
                help=had,
                value=proposed,
                choices=choices,
                placeholder=tr("Choose an image"),
            ),
            Field(
                "type",
                tr("Purpose"),
                "choice",
                value=SessionType.DISKLESS_BOOT,
                choices=[(kind, word(kind)) for kind in SessionType],
            ),
        ],
        submit=submit,
        notify=context.notify,
        words=Waiting.starting(),
    )
    dialog.open()
    return dialog


def _images(
    rows: Sequence[MachineRow], ready: Sequence[ImageRow]
) -> tuple[object, list[tuple[object, str]], str]:
    """What to propose, None for nothing; what can be chosen; what they had, where that differs."""
    choices: list[tuple[object, str]] = [(image.id, image_choice(image)) for image in ready]
    ids = {image.name: image.id for image in ready}
    had = Counter(row.image for row in rows)
    if len(had) == 1:
        last = rows[0].image
        only = ready[0].id if len(ready) == 1 else None
        return ids.get(last) if last else only, choices, ""
    none = tr("none", "no image")
    named = [f"{image or none} ({number})" for image, number in had.most_common(_MOST_NAMED)]
    more = len(had) - _MOST_NAMED
    text = tr("They had last: {images}.")
    if more > 0:
        text = tr("They had last: {images} and %n more.", "", more)
    told = text.format(images=", ".join(named))
    if any(row.session_id is None or row.image not in ids for row in rows):
        return None, choices, told
    return _EACH_ITS_LAST, [(_EACH_ITS_LAST, tr("Each machine’s last image")), *choices], told


def why_not_again(row: MachineRow) -> str | None:
    """Why a machine cannot simply be given its last image again, or None."""
    if row.session_status in boot_sessions.OPEN:
        return tr("{name} still has its session: switch it on, or stop the session first").format(
            name=row.name
        )
    if row.status is not MachineStatus.ACTIVE:
        return tr("{name} is not active: set it to active first").format(name=row.name)
    if row.session_id is None:
        return tr("{name} has had no session yet: start one with an image").format(name=row.name)
    return None


def start_again(parent: QWidget, context: PageContext, rows: Sequence[MachineRow]) -> None:
    """Give each machine its last image for the same purpose, and say who could not have it."""
    left = [reason for row in rows if (reason := why_not_again(row)) is not None]
    ids = [row.session_id for row in rows if why_not_again(row) is None]

    def started(again: StartedAgain) -> None:
        reasons = [*map(fmt.with_stop, left), *map(translated, again.left)]
        done = tr("%n session(s) started again.", "", len(again.session_ids))
        sign = State.ATTENTION if reasons else State.RUNNING
        context.notify(" ".join([done, *reasons]), sign)

    context.do(parent, boot_sessions.start_boot_sessions_again, ids, done=started)


def _open_images(context: PageContext) -> None:
    context.show_page("images")
