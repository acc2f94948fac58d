# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared forms: labels, help, errors at the field as it is left, and nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from ...errors import ConsoleError
from .tokens import XS, M, S, State
from .translate import tr, translated
from .widgets import Button, Choice, StateLine, Tick, label, restyle

FieldKind = Literal["text", "password", "choice", "notes", "file"]


@dataclass(frozen=True)
class Field:
    """One declared field; ``parse`` turns what was typed into its value or raises ConsoleError."""

    key: str
    label: str
    kind: FieldKind = "text"
    help: str = ""
    value: Any = ""
    parse: Callable[[str], Any] = str.strip
    required: bool = False
    choices: Sequence[tuple[Any, str]] = ()
    """For ``choice``: values with the words for them."""
    placeholder: str = ""
    files: str = ""
    """For ``file``: the file dialog's filter; all files by default."""
    more: bool = False
    """Folded under “More”."""
    optional: bool = False
    """Counts only when its label is ticked."""


class FieldBox(QWidget):
    """One field with its label above, help and error below."""

    edited = Signal()

    def __init__(self, field: Field, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.editor, self._frame = self._make_editor()
        self.editor.setAccessibleName(field.label)
        self.editor.setAccessibleDescription(field.help)
        self._tick = Tick(field.label) if field.optional else None
        name = self._tick or label(field.label, "label")
        if isinstance(name, QLabel):
            name.setBuddy(self.editor)
        self._help = label(field.help, "secondary", wrap=True)
        self._error = StateLine()
        self._error.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(XS)
        column.addWidget(name)
        column.addWidget(self._frame)
        column.addWidget(self._error)
        column.addWidget(self._help)
        self._help.setVisible(bool(field.help))
        self.set_raw(field.value)
        self.initial = self.raw()
        if self._tick is not None:
            self._frame.setEnabled(False)
            self._tick.toggled.connect(self._on_tick)
        self.editor.installEventFilter(self)

    def _make_editor(self) -> tuple[QWidget, QWidget]:
        """The widget typed into, and the one to lay out."""
        if self.field.kind == "choice":
            box = Choice()
            box.setPlaceholderText(self.field.placeholder)
            for value, words in self.field.choices:
                box.addItem(words, value)
            box.currentIndexChanged.connect(self._on_edited)
            return box, box
        if self.field.kind == "notes":
            notes = QPlainTextEdit()
            notes.setTabChangesFocus(True)
            notes.setFixedHeight(notes.fontMetrics().lineSpacing() * 3 + 2 * S)
            notes.textChanged.connect(self._on_edited)
            return notes, notes
        line = QLineEdit()
        line.setPlaceholderText(self.field.placeholder)
        line.textChanged.connect(self._on_edited)
        if self.field.kind == "password":
            line.setEchoMode(QLineEdit.EchoMode.Password)
        if self.field.kind != "file":
            return line, line
        frame = QWidget()
        row = QHBoxLayout(frame)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(S)
        row.addWidget(line, 1)
        browse = Button(tr("Browse…"))
        browse.clicked.connect(self._on_browse)
        row.addWidget(browse)
        return line, frame

    def raw(self) -> Any:
        """What stands in the field: text, or the value of the choice."""
        if isinstance(self.editor, QComboBox):
            return self.editor.currentData()
        if isinstance(self.editor, QPlainTextEdit):
            return self.editor.toPlainText()
        assert isinstance(self.editor, QLineEdit)  # noqa: S101 - the only kind left
        return self.editor.text()

    def said(self) -> str:
        """The same as people read it."""
        if isinstance(self.editor, QComboBox):
            return self.editor.currentText()
        return str(self.raw())

    def set_raw(self, value: Any) -> None:
        """Put a text or a choice's value into the field."""
        if isinstance(self.editor, QComboBox):
            # Without a value none is shown until one is chosen: never just the first.
            self.editor.setCurrentIndex(self.editor.findData(value))
        elif isinstance(self.editor, QPlainTextEdit):
            self.editor.setPlainText(str(value))
        elif isinstance(self.editor, QLineEdit):
            self.editor.setText(str(value))

    def value(self) -> Any:
        """The parsed value; raises ConsoleError with the sentence for the field."""
        raw = self.raw()
        if self.field.kind == "choice":
            if raw is None:
                raise ConsoleError(tr("Choose a value for {field}.").format(field=self.field.label))
            return raw
        if self.field.required and not raw.strip():
            raise ConsoleError(tr("{field} is needed.").format(field=self.field.label))
        return raw if self.field.kind == "password" else self.field.parse(raw)

    def check(self) -> bool:
        """Show the field's error, if it has one; whether it is right."""
        try:
            self.value()
        except ConsoleError as error:
            self.set_error(error.summary)
            return False
        self.set_error("")
        return True

    def set_error(self, text: str) -> None:
        """Show a sentence at the field, in place of its help; an empty one takes it away."""
        self._error.show_state(State.FAILED, translated(text))
        self._error.setVisible(bool(text))
        self._help.setVisible(bool(self.field.help) and not text)
        self.editor.setProperty("wrong", "true" if text else "false")
        restyle(self.editor)

    @property
    def counts(self) -> bool:
        """Whether the field is part of what is submitted."""
        return self._tick is None or self._tick.isChecked()

    def tick(self) -> None:
        """Let an optional field count."""
        if self._tick is not None:
            self._tick.setChecked(True)

    @property
    def changed(self) -> bool:
        """Whether it differs from what the form opened with."""
        return self.raw() != self.initial if self._tick is None else self._tick.isChecked()

    @property
    def error(self) -> str:
        """The sentence shown at the field."""
        return self._error.text

    def _on_tick(self, ticked: bool) -> None:
        self._frame.setEnabled(ticked)
        self._on_edited()
        if ticked:
            self.editor.setFocus()

    def _on_edited(self) -> None:
        if self.error:
            self.set_error("")
        self.edited.emit()

    def _on_browse(self) -> None:
        start = str(Path(self.raw()).parent) if self.raw() else str(Path.home())
        files = self.field.files or tr("All files (*)")
        chosen, _ = QFileDialog.getOpenFileName(self, self.field.label, start, files)
        if chosen:
            self.set_raw(chosen)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leaving a field that was touched checks it; an untouched empty one is left in peace."""
        if (
            watched is self.editor
            and event.type() == QEvent.Type.FocusOut
            and (self.raw() != self.initial or self.error)
        ):
            self.check()
        return super().eventFilter(watched, event)


class Form(QWidget):
    """Fields in one column; those marked ``more`` are folded away."""

    edited = Signal()
    folded = Signal()
    """“More” was opened or closed: the form needs another height."""

    def __init__(self, fields: Sequence[Field], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes = {field.key: FieldBox(field) for field in fields}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(M)
        self._folded = [box for box in self.boxes.values() if box.field.more]
        for box in self.boxes.values():
            box.edited.connect(self.edited)
            if not box.field.more:
                column.addWidget(box)
        self._more = Button(tr("More"), "chevron-right", "link")
        self._more.setCheckable(True)
        self._more.toggled.connect(self._on_more)
        column.addWidget(self._more)
        self._more.setVisible(bool(self._folded))
        for box in self._folded:
            box.hide()
            column.addWidget(box)

    @property
    def changed(self) -> bool:
        """Whether anything differs from what the form opened with."""
        return any(box.changed for box in self.boxes.values())

    def raw(self) -> dict[str, Any]:
        """Everything as typed."""
        return {key: box.raw() for key, box in self.boxes.items()}

    def typed(self) -> str:
        """What was typed as people read it, a line for each field that counts; no passwords."""
        boxes = [box for box in self.boxes.values() if box.counts and box.field.kind != "password"]
        said = {box.field.label: box.said() for box in boxes}
        return "\n".join(f"{name}: {text}" for name, text in said.items() if text)

    def submit(self) -> dict[str, Any] | None:
        """All parsed values that count, or None when one is wrong; the first wrong one has focus."""
        counting = {key: box for key, box in self.boxes.items() if box.counts}
        wrong = [box for box in counting.values() if not box.check()]
        if wrong:
            self._focus(wrong[0])
            return None
        return {key: box.value() for key, box in counting.items()}

    def set_error(self, key: str, text: str) -> bool:
        """Show an error at the field ``key``; False when the form has no such field."""
        box = self.boxes.get(key)
        if box is None:
            return False
        box.set_error(text)
        self._focus(box)
        return True

    def unfold(self) -> None:
        """Show the fields under “More”."""
        self._more.setChecked(True)

    def _focus(self, box: FieldBox) -> None:
        if box.field.more:
            self.unfold()
        box.editor.setFocus()
        if isinstance(box.editor, QLineEdit):
            box.editor.selectAll()

    def _on_more(self, shown: bool) -> None:
        self._more.set_icon("chevron-down" if shown else "chevron-right")
        for box in self._folded:
            box.setVisible(shown)
        self.folded.emit()
