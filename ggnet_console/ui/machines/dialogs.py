# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialogs that add and edit a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QWidget

from ...enums import BootMode, MachineStatus
from ...errors import ConsoleError
from ...services import machines
from ...services.machines import MachineChanges, MachineRow, MachineSpec, Skipped
from ...values import parse_ip, parse_mac
from ..edit_dialog import EditDialog
from ..enum_words import word
from ..kit import format as fmt
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.conflict_dialog import change_text
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import Message, show_error
from ..kit.translate import tr, translated
from ..kit.widgets import Button
from ..page_context import PageContext

_BULK = frozenset(field.name for field in dataclass_fields(MachineChanges))


def _fields(row: MachineRow | None) -> list[Field]:
    return [
        Field(
            "name", tr("Name"), value=row.name if row else "", required=True, placeholder="PC-01"
        ),
        Field(
            "mac",
            tr("MAC address"),
            value=row.mac if row else "",
            parse=parse_mac,
            required=True,
            placeholder="52:54:00:12:34:56",
            help=tr("Of the network card it boots from, in any usual notation."),
        ),
        Field(
            "ip",
            tr("IP address"),
            value=(row.ip or "") if row else "",
            parse=parse_ip,
            help=tr("Leave empty when the network assigns one."),
        ),
        Field("room", tr("Room"), value=row.room if row else ""),
        Field(
            "boot_mode",
            tr("Boot mode"),
            "choice",
            value=row.boot_mode if row else BootMode.UEFI,
            choices=[(mode, word(mode)) for mode in BootMode],
        ),
        Field(
            "status",
            tr("Status"),
            "choice",
            value=row.status if row else MachineStatus.ACTIVE,
            choices=[(status, word(status)) for status in MachineStatus],
            help=tr("Only active machines are given sessions."),
        ),
        Field("location", tr("Location"), value=row.location if row else "", more=True),
        Field("asset_tag", tr("Asset tag"), value=row.asset_tag if row else "", more=True),
        Field("notes", tr("Notes"), "notes", value=row.notes if row else "", more=True),
    ]


def new_machine(
    parent: QWidget, context: PageContext, added: Callable[[object], None]
) -> FormDialog:
    """Ask for a new machine; ``added`` is told its id."""

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        spec = MachineSpec(**values)
        window = parent.window()
        context.runner.run(machines.create_machine, spec, done=done, failed=failed, parent=window)

    dialog = FormDialog(
        parent,
        title=tr("Add machine"),
        verb=tr("Add machine"),
        fields=_fields(None),
        submit=submit,
        notify=context.notify,
        words=Waiting.saving(),
        then=added,
    )
    dialog.open()
    return dialog


def edit_machine(parent: QWidget, context: PageContext, row: MachineRow) -> FormDialog:
    """Edit a machine as it was read; what somebody else saves meanwhile is not overwritten."""
    dialog = EditDialog(
        parent,
        context,
        row,
        noun="machine",
        fields=_fields(row),
        spec=MachineSpec,
        update=machines.update_machine,
        add=machines.create_machine,
    )
    if row.location or row.asset_tag or row.notes:
        dialog.form.unfold()
    dialog.open()
    return dialog


def change_machines(
    parent: QWidget, context: PageContext, rows: Sequence[MachineRow]
) -> FormDialog:
    """Ask which fields to change in several machines; the rest stays as each has it."""
    verb = tr("Change %n machine(s)", "", len(rows))

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        if not values:
            failed(ConsoleError(tr("Tick what is to change.")))
            return
        apply_changes(parent, context, rows, MachineChanges(**values), done=done, failed=failed)

    dialog = FormDialog(
        parent,
        title=verb,
        verb=verb,
        intro=tr("{names}. Only what is ticked changes.").format(
            names=fmt.names([row.name for row in rows])
        ),
        fields=[_shared(field, rows) for field in _fields(None) if field.key in _BULK],
        submit=submit,
        notify=context.notify,
        words=Waiting.saving(),
    )
    dialog.open()
    return dialog


def apply_changes(
    parent: QWidget,
    context: PageContext,
    rows: Sequence[MachineRow],
    changes: MachineChanges,
    *,
    done: Callable[[object], None] = lambda _left: None,
    failed: Callable[[ConsoleError], None] | None = None,
) -> None:
    """Change machines that are still as they were read, and tell of those that are not.

    An error is shown over ``parent`` unless ``failed`` takes it.
    """
    window = parent.window()

    def finish(left: list[Skipped]) -> None:
        done(left)
        if left:
            _tell_left(window, context, len(rows), left, changes)

    context.runner.run(
        machines.change_machines,
        rows,
        changes,
        done=finish,
        failed=failed or (lambda error: show_error(window, error)),
        parent=window,
    )


def _shared(field: Field, rows: Sequence[MachineRow]) -> Field:
    """A field of many: shows the value they all have."""
    values = {getattr(row, field.key) for row in rows}
    one = values.pop() if len(values) == 1 else None
    return replace(
        field,
        value=one if one is not None or field.choices else "",
        placeholder="" if one is not None else tr("Various"),
        optional=True,
        more=False,
    )


def _tell_left(
    parent: QWidget,
    context: PageContext,
    asked: int,
    left: Sequence[Skipped],
    changes: MachineChanges,
) -> None:
    """Say which machines somebody changed or removed meanwhile, and offer to change them too."""
    there = [each.now for each in left if each.now is not None]
    rest = asked - len(left)
    if asked == 1:
        title = tr("1 of 1 machine was left as it is")
    else:
        title = tr("%n of {asked} machines (was|were) left as (it|they) (is|are)", "", len(left))
    others = tr("The other %n (is|are) changed.", "", rest) if rest else tr("Nothing was changed.")
    message = Message(
        parent.window(),
        title.format(asked=fmt.number(asked)),
        " ".join((tr("Somebody changed or removed them while you chose."), others)),
        details="\n".join(map(_left, left)),
        unfold=True,
    )

    if there:
        verb = tr("Change %n machine(s) too", "", len(there))
        message.add_button(
            Button(verb), lambda: apply_changes(parent, context, there, changes), safe=False
        )
    message.add_button(Button(tr("Close")), lambda: None, safe=True)
    message.open()


def _left(left: Skipped) -> str:
    if left.removed is not None:
        who, at = translated(left.removed.who), left.removed.at
        if at is None:
            return tr("{name}: removed by {who}").format(name=left.name, who=who)
        text = tr("{name}: removed by {who} {when}", "when: such as “3 min ago”")
        return text.format(name=left.name, who=who, when=fmt.ago(at))
    fields = {field.key: field for field in _fields(None)}
    return (
        f"{left.name}: {'; '.join(change_text(each, fields[each.field]) for each in left.changes)}"
    )
