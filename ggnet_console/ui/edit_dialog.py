# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that edits an object others may edit too: nothing of theirs or yours is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QWidget

from ..errors import ConsoleError, FieldChange, RemovedError, StaleError
from ..services.editing import Noun
from . import format as fmt
from .conflict import ConflictDialog, people, shown
from .controls import Button
from .desk import Desk
from .dialogs import FormDialog
from .form import Field
from .messages import Message
from .presence import Presence
from .tokens import State

Done = Callable[[object], None]
Failed = Callable[[ConsoleError], None]


class EditDialog(FormDialog):
    """A form over one row; saves what was changed in it and settles with whoever was faster."""

    def __init__(
        self,
        page: QWidget,
        desk: Desk,
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
            page.window(),
            title=f"Edit {name(row)}",
            verb="Save",
            fields=fields,
            submit=self._ask,
            intro=intro,
        )
        self._page, self._desk, self._row, self._name = page, desk, row, name
        self._noun, self._fields = noun, fields
        self._spec, self._update, self._add = spec, update, add
        self.body.insertWidget(0, Presence(self, page, desk, noun, row.id))

    def _ask(self, values: dict[str, Any], done: Done, failed: Failed) -> None:
        spec = self._spec(**values)

        def decide(error: ConsoleError) -> None:
            if isinstance(error, StaleError):
                self._decide(error, spec, done)
            else:
                failed(error)

        self._save(self._row, spec, done, decide)

    def _save(self, read: Any, spec: Any, done: Done, failed: Failed) -> None:
        def saved(kept: tuple[FieldChange, ...]) -> None:
            done(kept)
            self._tell(self._name(read), kept)

        def not_saved(error: ConsoleError) -> None:
            failed(error)
            if isinstance(error, RemovedError):
                self._tell_removed(error, spec, done, failed)

        self._desk.runner.run(
            self._update, read, spec, done=saved, failed=not_saved, parent=self._page
        )

    def _decide(self, error: StaleError, spec: Any, done: Done) -> None:
        """Ask field by field; the form below waits with everything that was typed."""

        def save(read: Any, chosen: Mapping[str, Any], chosen_done: Done, failed: Failed) -> None:
            def both(value: object) -> None:
                chosen_done(value)
                done(value)

            self._save(read, replace(spec, **chosen), both, failed)

        dialog = ConflictDialog(self, self._fields, error, save, self._name)
        dialog.rejected.connect(lambda: self.busy(False))
        dialog.open()

    def _tell(self, name: str, kept: Sequence[FieldChange]) -> None:
        """What somebody changed in other fields stays, without a question but not in silence."""
        others = [change for change in kept if change.mine != change.theirs]
        if others:
            labels = {field.key: field.label for field in self._fields}
            what = fmt.names([labels[change.field] for change in others])
            self._desk.notify(
                f"{name} is saved. {people(others)} had changed {what} meanwhile; that stays.",
                State.RUNNING,
            )

    def _tell_removed(self, error: RemovedError, spec: Any, done: Done, failed: Failed) -> None:
        when = f" {fmt.ago(error.at)}" if error.at else ""
        typed = "\n".join(
            f"{field.label}: {shown(field, getattr(spec, field.key))}" for field in self._fields
        )
        add = self._add
        message = Message(
            self,
            f"{error.name} was removed by {error.who}{when}",
            "What you typed is not saved. It stays in the form, and here to copy."
            if add is None
            else f"What you typed is not saved. Add the {self._noun} again with it, or copy it.",
            "circle-x",
            typed,
            unfold=True,
        )
        if add is not None:

            def add_again() -> None:
                self.busy(True)
                self._desk.runner.run(add, spec, done=done, failed=failed, parent=self._page)

            message.add_button(Button("Add again"), add_again, safe=False)
        message.add_button(Button("Back to the form"), lambda: None, safe=True)
        message.open()
