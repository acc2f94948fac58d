# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages before the workspace: first run, sign-in, and a sentence when neither is possible.

Imported for the first frame: nothing here or below it may import the database's libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, Signal, SignalInstance
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from ...errors import ConsoleError, FieldError
from ..kit import icons
from ..kit.form import Field, Form
from ..kit.messages import ErrorBox
from ..kit.password_fields import chosen_password, new_password_fields
from ..kit.tokens import XL, L, M, S
from ..kit.translate import tr, translated
from ..kit.widgets import Button, label, tokens_for

_WIDTH = 400


@dataclass(frozen=True)
class FirstRun:
    """What the first-run page asks for."""

    admin: str
    password: str
    home: Path
    portal: str


@dataclass(frozen=True)
class Credentials:
    """What the sign-in page asks for."""

    user: str
    password: str


class EntryPage(QWidget):
    """A card in the middle of the window with a form and one button."""

    submitted = Signal(object)
    elsewhere_wanted = Signal()
    """Another database than this one is to be used."""

    def __init__(
        self,
        title: str,
        sentence: str,
        fields: list[Field],
        verb: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.form = Form(fields)
        self._typing: QWidget | None = None
        self.error = ErrorBox()
        self.go = Button(verb, kind="primary")
        self.go.clicked.connect(self._on_go)
        self._progress = QProgressBar()
        self._progress.setRange(0, 0)
        self._progress.setTextVisible(False)
        self._progress.hide()
        self._doing = label("", "secondary", wrap=True)
        self._doing.hide()
        inner = _card(self, title, sentence)
        inner.addWidget(self.error)
        inner.addWidget(self.form)
        self.elsewhere = _another_server(self.elsewhere_wanted)
        foot = QHBoxLayout()
        foot.addWidget(self.elsewhere)
        foot.addWidget(self._doing, 1)
        foot.addStretch()
        foot.addWidget(self.go)
        inner.addLayout(foot)
        inner.addWidget(self._progress)
        for box in self.form.boxes.values():
            box.editor.installEventFilter(self)
        self.setFocusProxy(next(iter(self.form.boxes.values())).editor)

    def working(self, doing: str) -> None:
        """What is being done now, such as “Starting the database…”; the form waits."""
        self.error.clear()
        self._typing = self.focusWidget()
        self.form.setEnabled(False)
        self.go.setEnabled(False)
        self.elsewhere.hide()
        self._doing.setText(doing)
        self._doing.show()
        self._progress.show()

    def failed(self, error: ConsoleError) -> None:
        """Show what went wrong, at its field if it has one; what was typed stays."""
        self.form.setEnabled(True)
        self.go.setEnabled(True)
        self.elsewhere.show()
        self._doing.hide()
        self._progress.hide()
        if isinstance(error, FieldError) and self.form.set_error(error.field, error.summary):
            return
        self.error.show_error(error)
        if isinstance(self._typing, QLineEdit):
            self._typing.setFocus()
            self._typing.selectAll()

    def value(self, values: dict[str, str]) -> object:
        """The typed values as what ``submitted`` carries; raises FieldError."""
        raise NotImplementedError

    def _on_go(self) -> None:
        values = self.form.submit()
        if values is None:
            return
        try:
            value = self.value(values)
        except FieldError as error:
            self.form.set_error(error.field, error.summary)
            return
        self.submitted.emit(value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter in any field submits."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        ):
            self.go.click()
            return True
        return super().eventFilter(watched, event)


class FirstRunPage(EntryPage):
    """Asks for the first admin; folder and portal are prefilled, under “More”."""

    def __init__(
        self,
        *,
        admin: str,
        home: Path,
        portal: str,
        probe: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        """``probe`` raises ConsoleError when an installation cannot live in a folder."""

        def folder(text: str) -> str:
            path = Path(text.strip()).expanduser()
            if not path.is_absolute():
                raise ConsoleError(tr("Give the folder with its whole path, such as /srv/ggnet."))
            probe(path)
            return str(path)

        super().__init__(
            tr("Welcome to GGnet Console"),
            tr(
                "Choose the name and password of the first administrator. "
                "GGnet sets up its own private database; nothing else is needed."
            ),
            [
                Field("admin", tr("Name"), value=admin, required=True),
                *new_password_fields(),
                Field(
                    "home",
                    tr("Folder"),
                    help=tr("Holds the database, disk images and logs."),
                    value=str(home),
                    parse=folder,
                    required=True,
                    more=True,
                ),
                Field(
                    "portal",
                    tr("iSCSI portal"),
                    help=tr("Address and port machines connect to."),
                    value=portal,
                    parse=_portal,
                    required=True,
                    more=True,
                ),
            ],
            tr("Set up"),
            parent,
        )

    def value(self, values: dict[str, str]) -> FirstRun:
        password = chosen_password(values)
        return FirstRun(values["admin"], password, Path(values["home"]), values["portal"])


class SignInPage(EntryPage):
    """Asks who is there."""

    def __init__(self, *, server: str, user: str = "", parent: QWidget | None = None) -> None:
        super().__init__(
            tr("Sign in"),
            tr("GGnet Console on {server}").format(server=translated(server)),
            [
                Field("user", tr("Name"), value=user, required=True),
                Field("password", tr("Password"), "password", required=True),
            ],
            tr("Sign in"),
            parent,
        )
        if user:
            self.setFocusProxy(self.form.boxes["password"].editor)

    def value(self, values: dict[str, str]) -> Credentials:
        return Credentials(values["user"], values["password"])


class NewPasswordPage(EntryPage):
    """For a sign-in that may do nothing before it has a password of its own; submits that."""

    def __init__(self, *, person: str, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("Choose your password"),
            tr("An admin has set the password of {person}. Choose one that only you know.").format(
                person=person
            ),
            list(new_password_fields()),
            tr("Change and sign in"),
            parent,
        )

    def value(self, values: dict[str, str]) -> str:
        return chosen_password(values)


class ProblemPage(QWidget):
    """Says why the console cannot start, with one thing to do about it, or another server."""

    elsewhere_wanted = Signal()

    def __init__(
        self,
        error: ConsoleError,
        verb: str,
        handler: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        box = ErrorBox()
        box.show_error(error)
        self.go = Button(verb, kind="primary")
        self.go.clicked.connect(handler)
        self.elsewhere = _another_server(self.elsewhere_wanted)
        inner = _card(self, tr("GGnet Console cannot start"), "")
        inner.addWidget(box)
        foot = QHBoxLayout()
        foot.addWidget(self.elsewhere)
        foot.addStretch()
        foot.addWidget(self.go)
        inner.addLayout(foot)


def _card(page: QWidget, title: str, sentence: str) -> QVBoxLayout:
    """A card in the middle of an empty page, begun with mark, title and sentence."""
    mark = QLabel()
    mark.setPixmap(icons.pixmap("server", tokens_for(page).accent, 32, page.devicePixelRatioF()))
    card = QFrame()
    card.setProperty("role", "card")
    card.setFixedWidth(_WIDTH)
    inner = QVBoxLayout(card)
    inner.setContentsMargins(XL, XL, XL, XL)
    inner.setSpacing(L)
    head = QVBoxLayout()
    head.setSpacing(S)
    head.addWidget(mark)
    head.addWidget(label(title, "title"))
    if sentence:
        head.addWidget(label(sentence, "secondary", wrap=True))
    inner.addLayout(head)
    middle = QVBoxLayout(page)
    middle.setContentsMargins(M, M, M, M)
    middle.addStretch(2)
    row = QHBoxLayout()
    row.addStretch()
    row.addWidget(card)
    row.addStretch()
    middle.addLayout(row)
    middle.addStretch(3)
    return inner


def _another_server(wanted: SignalInstance) -> Button:
    button = Button(tr("Another server…"), kind="link")
    button.clicked.connect(wanted)
    return button


def _portal(text: str) -> str:
    address, _, port = text.strip().rpartition(":")
    if not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConsoleError(tr("Give it as address:port, such as 127.0.0.1:3260 or [fd00::1]:3260."))
    return text.strip()
