# SPDX-License-Identifier: GPL-3.0-or-later
"""The Images page: disk images from import to ready, and what uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...enums import ImageFormat, ImageStatus, ImageType, JobStatus
from ...services import images, jobs
from ...services.images import ImageRow, ImageSpec
from ..edit_dialog import EditDialog
from ..enum_words import sign, word
from ..history_tab import History
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.columns import count_column, size_column, time_column
from ..kit.detail_pane import DetailPane, Fact
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import confirm
from ..kit.page import Chip, Empty, Page
from ..kit.table_model import Column
from ..kit.tokens import State
from ..kit.translate import tr, translated
from ..page_context import PageContext
from .import_dialog import import_image


def state_of(row: ImageRow) -> tuple[State, str]:
    """An image's sign and what there is to say about it."""
    if row.status is ImageStatus.ERROR:
        return State.FAILED, translated(row.error) or word(row.status)
    if row.job_id is not None and not row.job_phase:
        return State.WORKING, word(JobStatus.QUEUED)
    if row.job_id is not None and row.percent is not None:
        left = fmt.time_left(row.seconds_left)
        doing = " · ".join(
            filter(None, (translated(row.job_phase or ""), fmt.percent(_share(row)), left))
        )
        return State.WORKING, doing
    if row.warning:
        return State.ATTENTION, f"{word(row.status)} · {translated(row.warning)}"
    return sign(row.status), word(row.status)


def _share(row: ImageRow) -> float | None:
    return row.percent / 100 if row.job_phase and row.percent is not None else None


COLUMNS: tuple[Column[ImageRow], ...] = (
    Column("name", tr("Name"), lambda r: r.name, width=168, grows=True),
    Column(
        "state",
        tr("State"),
        lambda r: state_of(r)[1],
        sort=lambda r: (r.status is not ImageStatus.ERROR, not r.warning, r.status.value),
        state=lambda r: state_of(r)[0],
        progress=_share,
        width=296,
        stretch=True,
        live=True,
    ),
    Column("type", tr("Type"), lambda r: word(r.type), width=72),
    Column(
        "source_format",
        tr("Source format"),
        lambda r: word(r.source_format),
        width=112,
        hidden=True,
    ),
    size_column("virtual_size", tr("Virtual size"), lambda r: r.virtual_size_bytes),
    size_column("actual_size", tr("Actual size"), lambda r: r.actual_size_bytes),
    count_column("used_by", tr("Targets"), lambda r: r.used_by),
    time_column("added", tr("Added"), lambda r: r.created_at),
    Column("contents", tr("Contents"), lambda r: r.contents or fmt.NONE, width=200, hidden=True),
    Column("host", tr("Storage host"), lambda r: r.host, width=112, hidden=True),
    Column(
        "source_name",
        tr("Source file"),
        lambda r: r.source_name or fmt.NONE,
        width=200,
        hidden=True,
    ),
    Column("sha256", "SHA-256", lambda r: r.sha256 or fmt.NONE, width=200, hidden=True),
    Column("notes", tr("Notes"), lambda r: r.notes or fmt.NONE, width=200, hidden=True),
)


def _is_failed(row: ImageRow) -> bool:
    return row.status is ImageStatus.ERROR


CHIPS: tuple[Chip[ImageRow], ...] = (
    Chip(tr("Ready"), lambda r: state_of(r)[0] is State.RUNNING),
    Chip(tr("Warning"), lambda r: state_of(r)[0] is State.ATTENTION),
    Chip(tr("Working"), lambda r: state_of(r)[0] is State.WORKING),
    Chip(tr("Failed"), _is_failed, failed=_is_failed),
)


def facts(row: ImageRow) -> list[Fact]:
    """The overview of one image."""
    result = [
        Fact(tr("Type"), word(row.type)),
        Fact(
            tr("Virtual size"),
            fmt.size(row.virtual_size_bytes),
            fmt.exact_size(row.virtual_size_bytes),
        ),
        Fact(
            tr("Actual size"),
            fmt.size(row.actual_size_bytes),
            fmt.exact_size(row.actual_size_bytes),
        ),
        Fact(tr("Contents"), row.contents or fmt.NONE),
        Fact(tr("Served by"), tr("%n target(s)", "", row.used_by) if row.used_by else fmt.NONE),
        Fact(tr("Verified"), fmt.ago(row.verified_at), fmt.exact(row.verified_at)),
        Fact(tr("Storage host"), row.host),
        Fact(tr("File"), row.source_name or fmt.NONE, section=tr("Source")),
        Fact(tr("Format"), word(row.source_format)),
        Fact(tr("Size"), fmt.size(row.source_size_bytes), fmt.exact_size(row.source_size_bytes)),
        Fact(tr("Added"), fmt.ago(row.created_at), fmt.exact(row.created_at)),
        Fact(tr("Image"), row.sha256 or fmt.NONE, section="SHA-256", copy=tr("Copy SHA-256")),
        Fact(tr("File"), row.source_sha256 or fmt.NONE, copy=tr("Copy SHA-256 of the file")),
    ]
    if row.remarks:
        result.append(Fact(tr("Import"), translated(row.remarks), section=tr("Remarks")))
    if row.notes:
        result.append(Fact(tr("Notes"), row.notes, section=tr("Notes")))
    return result


def _ready(rows: Sequence[ImageRow]) -> str | None:
    for row in rows:
        if row.status is not ImageStatus.READY:
            return tr("{name} is not ready").format(name=row.name)
        if row.job_id is not None:
            if not row.job_phase:
                return tr("{name}: work is still going on").format(name=row.name)
            text = tr("{name}: {phase} is still going on")
            return text.format(name=row.name, phase=translated(row.job_phase))
    return None


def _removable(rows: Sequence[ImageRow]) -> str | None:
    for row in rows:
        if row.used_by:
            text = tr("{name} is served by %n target(s)", "", row.used_by)
            return text.format(name=row.name)
        if row.job_id is not None:
            return tr("{name}: cancel its job first").format(name=row.name)
    return None


def _cancellable(rows: Sequence[ImageRow]) -> str | None:
    return None if any(row.job_id is not None for row in rows) else tr("Nothing is going on")


class ImagesPage(Page[ImageRow]):
    """All images."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="images",
            title=tr("Images"),
            several=lambda n: tr("%n image(s)", "", n),
            none=tr("No image"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    tr("Import image"),
                    "file-down",
                    self._on_import,
                    shortcut="Ctrl+N",
                    on_rows=False,
                    button="primary",
                ),
                Action(tr("Edit"), "pencil", self._on_edit, shortcut="F2", single=True),
                Action(tr("Verify"), "shield-check", self._on_verify, enabled=_ready),
                Action(tr("Export"), "file-output", self._on_export, enabled=_ready, single=True),
                Action(tr("Cancel job"), "ban", self._on_cancel, enabled=_cancellable),
                Action(
                    tr("Delete"),
                    "trash-2",
                    self._on_delete,
                    shortcut="Del",  # no text
                    enabled=_removable,
                    several=lambda n: tr("Delete %n image(s)", "", n),
                ),
            ),
            empty=Empty(
                tr("No images yet"),
                tr(
                    "An image is the disk a machine boots from. Import a VHDX, VHD, QCOW2, VMDK or "
                    "raw file, also packed; you can also drop it on this window."
                ),
                tr("Import image"),
            ),
            detail=DetailPane(
                name=lambda r: r.name,
                state=state_of,
                facts=facts,
                tabs=[History(context, "image")],
            ),
            opens=tr("Edit"),
            access=context.access,
            settings=context.settings,
        )
        context.feeds.images.attach(self)

    def import_file(self, source: Path | None) -> FormDialog:
        """Open the import dialog, prefilled with a file."""
        return import_image(self, self._context, source, self.select_when_there)

    def _on_import(self, _rows: list[ImageRow]) -> None:
        self.import_file(None)

    def _on_edit(self, rows: list[ImageRow]) -> None:
        row = rows[0]
        EditDialog(
            self,
            self._context,
            row,
            noun="image",
            fields=[
                Field("name", tr("Name"), value=row.name, required=True),
                Field(
                    "type",
                    tr("Type"),
                    "choice",
                    value=row.type,
                    choices=[(kind, word(kind)) for kind in ImageType],
                ),
                Field("notes", tr("Notes"), "notes", value=row.notes),
            ],
            spec=ImageSpec,
            update=images.update_image,
        ).open()

    def _on_verify(self, rows: list[ImageRow]) -> None:
        for row in rows:
            self._context.do(self, images.verify_image, row.id)

    def _on_export(self, rows: list[ImageRow]) -> None:
        row = rows[0]

        def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
            self._context.runner.run(
                images.convert_image,
                row.id,
                values["format"],
                done=done,
                failed=failed,
                parent=self.window(),
            )

        FormDialog(
            self,
            title=tr("Export {name}").format(name=row.name),
            verb=tr("Export image"),
            intro=tr(
                "The result is put into the exports folder of the storage host {host}; "
                "the image itself stays as it is."
            ).format(host=row.host),
            fields=[
                Field(
                    "format",
                    tr("Format"),
                    "choice",
                    value=ImageFormat.QCOW2,
                    choices=[(each, word(each)) for each in ImageFormat],
                )
            ],
            submit=submit,
            notify=self._context.notify,
            words=Waiting.asking(),
        ).open()

    def _on_cancel(self, rows: list[ImageRow]) -> None:
        for row in rows:
            if row.job_id is not None:
                self._context.do(self, jobs.cancel_job, row.job_id)

    def _on_delete(self, rows: list[ImageRow]) -> None:
        def delete() -> None:
            for row in rows:
                self._context.do(self, images.remove_image, row.id)

        size = sum(row.actual_size_bytes or 0 for row in rows)
        names = [row.name for row in rows]
        confirm(
            self,
            tr("Delete {names}?").format(names=fmt.names(names)),
            tr(
                "(Its|Their) file(s) (goes|go) from the storage host ({size}). This cannot be undone.",
                "",
                len(rows),
            ).format(size=fmt.size(size)),
            tr("Delete %n image(s)", "", len(rows)),
            delete,
            names=names,
        )
