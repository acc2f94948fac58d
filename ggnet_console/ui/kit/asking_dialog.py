# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialogs that hand work to somebody else: the answer comes while they are open, or as a notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QWidget
from shiboken6 import isValid

from ...errors import ConsoleError
from . import format as fmt
from .messages import Message, confirm
from .tokens import State
from .translate import tr, translated
from .widgets import Button

Done = Callable[[Any], None]
Failed = Callable[[ConsoleError], None]
Request = Callable[[Done, Failed], object]
"""``work(done, failed)``: do it elsewhere and call one of the two when it ends, however late."""


class Notify(Protocol):
    """Says something in the corner of the window, with a button if there is something to do."""

    def __call__(
        self,
        text: str,
        state: State,
        action: str = "",
        handler: Callable[[], None] | None = None,
        /,
    ) -> None: ...


@dataclass(frozen=True)
class Waiting:
    """What a dialog says of the work it waits for, in whole sentences."""

    question: str
    """Asked of whoever closes it meanwhile: what is being done, and whether to close."""
    may_still: str
    """What that may still come to."""
    after_all: str
    """Of ``{subject}``: it was done after the dialog was closed."""

    @classmethod
    def working(cls) -> Waiting:
        """For work that has no better word."""
        return cls(
            tr("Working. Close?"), tr("It may still be done."), tr("{subject}: done after all.")
        )

    @classmethod
    def saving(cls) -> Waiting:
        """For what is saved at once."""
        return cls(
            tr("Saving. Close?"), tr("It may still be saved."), tr("{subject}: saved after all.")
        )

    @classmethod
    def asking(cls) -> Waiting:
        """For what is only asked for here, and done by a storage host."""
        return cls(
            tr("The request is still being sent. Close?"),
            tr("It may still be carried out."),
            tr("{subject}: requested after all."),
        )

    @classmethod
    def beginning(cls) -> Waiting:
        """For what goes on after the dialog."""
        return cls(
            tr("It is still beginning. Close?"),
            tr("It may still be carried out."),
            tr("{subject}: has begun after all."),
        )

    @classmethod
    def starting(cls) -> Waiting:
        """For machines that are started."""
        return cls(
            tr("Starting. Close?"),
            tr("It may still be started."),
            tr("{subject}: started after all."),
        )


class AskingDialog(QDialog):
    """Stays open until its work has ended; whoever closes it before is told what that means.

    The one rule for all that a dialog waits for: an answer is delivered while the dialog is there.
    One that comes later is told by a notice; with a refusal what was typed can still be had.
    """

    def __init__(self, parent: QWidget, notify: Notify, words: Waiting | None = None) -> None:
        """``parent`` is the page or dialog that opens it, or the main window, which outlives all.

        ``words``: by default those of work that has no better ones.
        """
        super().__init__(parent.window())
        self.words = words or Waiting.working()
        self._page, self._notify = parent, notify
        self._window = parent.window()
        while (over := self._window.parentWidget()) is not None:
            self._window = over.window()
        self._asking = self._freely = self._gone = False
        self._question: Message | None = None
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    @property
    def asking(self) -> bool:
        """Whether an answer is waited for."""
        return self._asking

    def typed(self) -> str:
        """What a person would have to type again, a line for each field; without passwords."""
        return ""

    def ask(self, work: Request, done: Done, failed: Failed, *, freely: bool = False) -> None:
        """Begin ``work``; one of ``done`` and ``failed`` is called if the dialog is still there.

        ``freely``: closing needs no question, since the work only reads, or is a job that can be
        followed elsewhere.
        """
        self._asking, self._freely = True, freely
        subject, typed = self.subject(), self.typed()

        def on_done(value: Any) -> None:
            if self._is_here():
                self._stop_asking()
                done(value)
            elif not freely:
                self.done_late(subject, value)

        def on_failed(error: ConsoleError) -> None:
            if self._is_here():
                self._stop_asking()
                failed(error)
            else:
                self._tell_late(subject, typed, error)

        try:
            work(on_done, on_failed)
        except ConsoleError as error:
            on_failed(error)
        except BaseException:
            self._stop_asking()  # nobody will answer
            raise

    def subject(self) -> str:
        """What a notice calls this dialog."""
        return self.windowTitle()

    def done_late(self, subject: str, _value: Any) -> None:
        """It was done after the dialog was closed; of this object only Python's part is left."""
        self._notify(self.words.after_all.format(subject=subject), State.RUNNING)

    def _is_here(self) -> bool:
        return not self._gone and isValid(self)

    def _stop_asking(self) -> None:
        self._asking = False
        if self._question is not None and isValid(self._question):
            self._question.close()
        self._question = None

    def _tell_late(self, subject: str, typed: str, error: ConsoleError) -> None:
        window = self._window
        details = "\n\n".join(filter(None, (typed, error.details)))
        summary = translated(error.summary)

        def show() -> None:
            message = Message(window, subject, summary, "circle-x", details, unfold=True)
            message.add_button(Button(tr("Close")), lambda: None, safe=True)
            message.open()

        text = f"{subject}: {fmt.with_stop(summary)}"
        if details:
            button = tr("What you typed") if typed else tr("Details")
            self._notify(text, State.FAILED, button, show)
        else:
            self._notify(text, State.FAILED)

    # Closing

    def reject(self) -> None:
        """Esc, Cancel, the close button: ask first while an answer is waited for."""
        if not self._asking:
            self.leave()
        elif self._freely:
            self.done(QDialog.DialogCode.Rejected)
        elif self._question is None or not isValid(self._question):
            told = (
                tr("If it is refused, a notice says so, with what you typed.")
                if self.typed()
                else tr("If it is refused, a notice says so.")
            )
            self._question = confirm(
                self,
                self.words.question,
                f"{self.words.may_still} {told}",
                tr("Close"),
                lambda: self.done(QDialog.DialogCode.Rejected),
                refuse=tr("Keep waiting"),
                danger=False,
            )

    def leave(self) -> None:
        """Close as a person who waits for nothing wants it."""
        super().reject()

    def done(self, result: int) -> None:
        """Qt closes a dialog that is done; that is not the person closing it."""
        self._gone = True
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._gone:
            super().closeEvent(event)
        else:
            event.ignore()
            self.reject()
