# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that imports a disk image; the copying goes on after it has closed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QLineEdit, QWidget

from ...enums import ImageType
from ...errors import ConsoleError
from ...services.images import ImageSpec, checked_name
from ...values import parse_digest
from ..enum_words import word
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.translate import tr
from ..page_context import PageContext

_DISKS = (".vhdx", ".vhd", ".qcow2", ".vmdk", ".raw", ".img", ".iso", ".ova")
_PACKED = (".zip", ".gz", ".xz", ".zst", ".zstd")
_FILES = ";;".join(
    (
        tr("Disk images ({patterns})").format(
            patterns=" ".join(f"*{ending}" for ending in (*_DISKS, *_PACKED))  # no text
        ),
        tr("All files (*)"),
    )
)


def _source(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ConsoleError(tr("Give the file with its whole path, or choose it."))
    return path


def import_image(
    parent: QWidget, context: PageContext, source: Path | None, imported: Callable[[Hashable], None]
) -> FormDialog:
    """Ask what to import; ``imported`` is told the image's id once its row exists."""

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        context.uploader.start(
            values["source"],
            ImageSpec(values["name"], values["type"]),
            sha256=values["sha256"],
            md5=values["md5"],
            started=done,
            failed=failed,
            parent=parent.window(),
        )

    dialog = FormDialog(
        parent,
        title=tr("Import image"),
        verb=tr("Import image"),
        fields=[
            Field(
                "source",
                tr("File"),
                "file",
                value=str(source) if source else "",
                parse=_source,
                required=True,
                help=tr("VHDX, VHD, QCOW2, VMDK or raw; also packed (gzip, xz, zstd, zip, OVA)."),
                files=_FILES,
            ),
            Field(
                "name",
                tr("Name"),
                value=_suggested(source),
                parse=checked_name,
                required=True,
                help=tr("As technicians will see it."),
            ),
            Field(
                "type",
                tr("Type"),
                "choice",
                value=ImageType.SYSTEM,
                choices=[(kind, word(kind)) for kind in ImageType],
            ),
            Field(
                "sha256",
                tr("Expected SHA-256"),
                parse=partial(parse_digest, kind="SHA-256"),
                help=tr("Compared while the file is copied."),
                more=True,
            ),
            Field("md5", tr("Expected MD5"), parse=partial(parse_digest, kind="MD5"), more=True),
        ],
        submit=submit,
        notify=context.notify,
        then=lambda begun: imported(begun.image_id),
        words=Waiting.beginning(),
    )
    file, name = dialog.form.boxes["source"].editor, dialog.form.boxes["name"]
    assert isinstance(file, QLineEdit)  # noqa: S101 - what a file field is made of

    def suggest(text: str) -> None:
        """Follow the file's name for as long as nobody typed another."""
        if name.raw() == name.initial:
            name.set_raw(_suggested(Path(text)))
            name.initial = name.raw()

    file.textChanged.connect(suggest)
    dialog.open()
    return dialog


def _suggested(source: Path | None) -> str:
    """A name from a file's, in printable characters, without “.vhdx” or “.img.gz”."""
    if source is None:
        return ""
    inner = Path(source.stem)
    is_packed = source.suffix.lower() in _PACKED and inner.suffix.lower() in _DISKS
    name = inner.stem if is_packed else source.stem
    return "".join(c for c in name if c.isprintable())[:64].strip()
