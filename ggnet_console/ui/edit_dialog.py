# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that edits an object others may edit too: nothing of theirs or yours is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QDialog, QWidget

from ..errors import ConsoleError, FieldChange, RemovedError, StaleError
from ..services.concurrent_edits import Noun
from .kit import format as fmt
from .kit.asking_dialog import Done, Failed, Waiting
from .kit.conflict_dialog import ConflictDialog, people, shown
from .kit.form import Field
from .kit.form_dialog import FormDialog
from .kit.messages import Message
from .kit.tokens import State
from .kit.translate import tr, translated
from .kit.widgets import Button
from .open_elsewhere import OpenElsewhere
from .page_context import PageContext


class EditDialog(FormDialog):
    """A form over one row; saves what was changed in it and settles with whoever was faster."""

    def __init__(
        self,
        page: QWidget,
        context: PageContext,
        row: Any,
        *,
        noun: Noun,
        fields: Sequence[Field],
        spec: Callable[..., Any],
        update: Callable[..., tuple[FieldChange, ...]],
        add: Callable[..., Any] | None = None,
        name: Callable[[Any], str] = lambda row: row.name,
        intro: str = "",
    ) -> None:
        """``update(session, read, spec)`` saves; ``add(session, spec)`` makes it anew once removed.

        ``name``: what people call a row.
        """
        super().__init__(
            page,
            title=tr("Edit {name}").format(name=name(row)),
            verb=tr("Save"),
            fields=fields,
            submit=self._save,
            notify=context.notify,
            words=Waiting.saving(),
            intro=intro,
        )
        self._context, self._row, self._name = context, row, name
        self._noun, self._fields = noun, fields
        self._spec, self._update, self._add = spec, update, add
        self.body.insertWidget(0, OpenElsewhere(self, page, context, noun, row.id))

    def _save(self, values: dict[str, Any], done: Done, failed: Failed) -> None:
        self._wanted = self._spec(**values)
        self._run(self._update, self._row, self._wanted, done=done, failed=failed)

    def _run(self, work: Callable[..., Any], *args: Any, done: Done, failed: Failed) -> None:
        self._context.runner.run(work, *args, done=done, failed=failed, parent=self._window)

    def _on_done(self, value: object) -> None:
        super()._on_done(value)
        if isinstance(value, tuple):  # what was kept; a row that was added again has a number
            self._tell(value)

    def done_late(self, subject: str, value: Any) -> None:
        super().done_late(subject, value)
        if isinstance(value, tuple):
            self._tell(value)

    def _on_failed(self, error: ConsoleError) -> None:
        if isinstance(error, StaleError):
            self._decide(error)
            return
        super()._on_failed(error)
        if isinstance(error, RemovedError):
            self._tell_removed(error)

    def _decide(self, error: StaleError) -> None:
        """Ask field by field; the form below waits with everything that was typed."""

        def save(read: Any, chosen: Mapping[str, Any], done: Done, failed: Failed) -> None:
            # What was decided stays so, also when a third one comes in between.
            self._wanted = replace(self._wanted, **chosen)
            self._run(self._update, read, self._wanted, done=done, failed=failed)

        def left() -> None:
            if dialog.asking:  # what the form shows may just be saved: its notice says so
                self.done(QDialog.DialogCode.Rejected)
            else:
                self.busy(False)

        dialog = ConflictDialog(
            self, self._context.notify, self._fields, error, save, self._name, typed=self.typed()
        )
        dialog.settled.connect(self._on_done)
        dialog.refused.connect(self._on_failed)
        dialog.rejected.connect(left)
        dialog.open()

    def _tell(self, kept: Sequence[FieldChange]) -> None:
        """What somebody changed in other fields stays, without a question but not in silence."""
        others = [change for change in kept if change.mine != change.theirs]
        if others:
            labels = {field.key: field.label for field in self._fields}
            what = fmt.names([labels[change.field] for change in others])
            self._context.notify(
                tr("{name} is saved. {people} had changed {fields} meanwhile; that stays.").format(
                    name=self._name(self._row), people=people(others), fields=what
                ),
                State.RUNNING,
            )

    def _tell_removed(self, error: RemovedError) -> None:
        told = (
            tr("{name} was removed by {who} {ago}")
            if error.at
            else tr("{name} was removed by {who}")
        )
        typed = "\n".join(
            f"{field.label}: {shown(field, getattr(self._wanted, field.key))}"
            for field in self._fields
        )
        add = self._add
        message = Message(
            self,
            told.format(name=error.name, who=translated(error.who), ago=fmt.ago(error.at)),
            tr("What you typed is not saved. It stays in the form, and here to copy.")
            if add is None
            else _add_again(self._noun),
            "circle-x",
            typed,
            unfold=True,
        )
        if add is not None:

            def add_again() -> None:
                self.hand_over(
                    lambda done, failed: self._run(add, self._wanted, done=done, failed=failed),
                    self._on_done,
                )

            message.add_button(Button(tr("Add again")), add_again, safe=False)
        message.add_button(Button(tr("Back to the form")), lambda: None, safe=True)
        message.open()


def _add_again(noun: Noun) -> str:
    """What can be done with what was typed."""
    match noun:
        case "machine":
            return tr("What you typed is not saved. Add the machine again with it, or copy it.")
        case "image":
            return tr("What you typed is not saved. Add the image again with it, or copy it.")
        case "setting":
            return tr("What you typed is not saved. Add the setting again with it, or copy it.")
