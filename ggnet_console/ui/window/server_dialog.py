# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that asks which database to use: this computer's own, or a shared server's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...enums import TlsMode
from ...errors import ConsoleError, FieldError
from ...services.connections import ServerSpec
from ..enum_words import word
from ..kit.asking_dialog import Done, Failed, Notify
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import ErrorBox
from ..kit.tokens import XL
from ..kit.translate import tr, translated
from ..kit.widgets import Button, label

_HERE, _SERVER = "here", "server"

ServerRequest = Callable[[Any, Done, Failed], None]
"""``work(spec, done, failed)``: do it elsewhere and call one of the two when it ends."""


class ServerDialog(FormDialog):
    """A place to choose, the server's fields, and a button that tries them out."""

    def __init__(
        self,
        parent: QWidget,
        notify: Notify,
        spec: ServerSpec,
        *,
        embedded: bool,
        try_out: ServerRequest,
        use: ServerRequest,
    ) -> None:
        """``try_out`` gets a ServerSpec and answers a sentence; ``use`` also None: this computer."""
        super().__init__(
            parent,
            title=tr("Database"),
            verb=tr("Use"),
            intro=tr(
                "Shared servers are prepared by their administrator with “ggnet db setup-server”."
            ),
            fields=[
                Field(
                    "place",
                    tr("Where"),
                    "choice",
                    value=_SERVER,
                    choices=[
                        (_SERVER, tr("A shared server")),
                        (_HERE, tr("This computer, a private database")),
                    ],
                ),
                Field(
                    "hosts",
                    tr("Host"),
                    value=spec.hosts,
                    placeholder="db.example.net",
                    help=tr("Several with commas: the one that takes writes is used."),
                ),
                Field("port", tr("Port"), value=spec.port, parse=_port),
                Field("database", tr("Database"), value=spec.database),
                Field(
                    "password",
                    tr("Password of the role ggnet_console"),
                    "password",
                    help=tr("Empty: the one that is kept already."),
                ),
                Field(
                    "ca_file",
                    tr("CA file"),
                    "file",
                    value=spec.ca_file,
                    parse=_ca_file,
                    help=tr("The authority that issued the server's certificate."),
                    files=tr("Certificates (*.crt *.pem);;All files (*)"),
                ),
                Field(
                    "tls",
                    "TLS",
                    "choice",
                    value=spec.tls,
                    choices=[(mode, word(mode)) for mode in TlsMode],
                ),
            ],
            submit=self._use,
            notify=notify,
        )
        self._try_out_elsewhere = try_out
        self._use_elsewhere = use
        self._given_up = label("", "error", wrap=True)
        self.test = Button(tr("Test connection"))
        self.test.clicked.connect(self._on_test)
        self.buttons.insertWidget(0, self.test)
        self.answer = label("", "secondary", wrap=True)
        last = self.body.count() - 1  # before the stretch
        self.body.insertWidget(last, self._given_up)
        self.answer.hide()
        row = QHBoxLayout()
        row.setContentsMargins(XL, 0, XL, 0)
        row.addWidget(self.answer)
        outer = self.layout()
        assert isinstance(outer, QVBoxLayout)  # noqa: S101 - FormDialog's
        outer.insertLayout(outer.count() - 1, row)
        self.form.boxes["tls"].edited.connect(self._on_mode)
        self.form.boxes["place"].edited.connect(self._arrange)
        self.form.edited.connect(self._forget_answer)
        self._was_embedded = embedded
        self._on_mode()

    @property
    def given_up(self) -> str:
        """What the chosen TLS mode leaves unguarded; empty for the strictest."""
        return self._given_up.text()

    def typed(self) -> str:
        return "" if self._here else super().typed()

    @property
    def failure(self) -> ErrorBox:
        """Where a refusal is shown."""
        return self._error

    def busy(self, working: bool) -> None:
        super().busy(working)
        self.test.setEnabled(not working)

    @property
    def _here(self) -> bool:
        return bool(self.form.boxes["place"].raw() == _HERE)

    def _on_go(self) -> None:
        """What stands in fields that are not shown does not count."""
        if not self._here:
            super()._on_go()
        elif self._was_embedded:
            self.accept()  # as it is
        else:
            self._error.clear()
            self.hand_over(
                lambda done, failed: self._use_elsewhere(None, done, failed), self._on_done
            )

    def _spec(self, values: dict[str, Any]) -> ServerSpec:
        for key in ("hosts", "database"):
            if not values[key]:
                field = self.form.boxes[key].field.label
                raise FieldError(key, tr("{field} is needed.").format(field=field))
        if values["hosts"].startswith("/"):
            raise FieldError("hosts", tr("Give the server's host name, not a folder."))
        return ServerSpec(
            hosts=values["hosts"],
            port=values["port"],
            database=values["database"],
            ca_file=values["ca_file"],
            tls=TlsMode(values["tls"]),
            password=values["password"],
        )

    def _use(
        self,
        values: dict[str, Any],
        done: Done,
        failed: Failed,
    ) -> None:
        self._with_spec(self._use_elsewhere, values, done, failed)

    def _with_spec(
        self,
        work: ServerRequest,
        values: dict[str, Any],
        done: Done,
        failed: Failed,
    ) -> None:
        try:
            spec = self._spec(values)
        except FieldError as error:
            failed(error)
        else:
            work(spec, done, failed)

    def _on_test(self) -> None:
        values = self.form.submit()
        if values is None:
            return
        self._error.clear()
        self.hand_over(
            lambda done, failed: self._with_spec(self._try_out_elsewhere, values, done, failed),
            self._on_tried,
            freely=True,
        )

    def _on_tried(self, sentence: str) -> None:
        self.busy(False)
        self.answer.setText(translated(sentence))
        self.answer.show()
        self.fit()

    def _forget_answer(self) -> None:
        """It was said of what stood in the fields before."""
        self.answer.clear()
        self.answer.hide()

    def _on_mode(self) -> None:
        self._given_up.setText(_given_up(TlsMode(self.form.boxes["tls"].raw())))
        self._arrange()

    def _arrange(self) -> None:
        """Only what matters to the chosen place is shown."""
        server = not self._here
        for key, box in self.form.boxes.items():
            box.setVisible(server or key == "place")
        self.test.setVisible(server)
        self._given_up.setVisible(server and bool(self.given_up))
        self.fit()


def _given_up(mode: TlsMode) -> str:
    """What a TLS mode leaves unguarded; empty for the strictest."""
    match mode:
        case TlsMode.VERIFY_FULL:
            return ""
        case TlsMode.VERIFY_CA:
            return tr(
                "Any computer with a certificate of this authority can pose as the server "
                "and read every password."
            )
        case TlsMode.REQUIRE:
            return tr("Any computer on the way can pose as the server and read every password.")


def _port(text: str) -> str:
    numbers = [number.strip() for number in text.split(",")]
    if not all(n.isascii() and n.isdigit() and 0 < int(n) < 65536 for n in numbers):
        raise ConsoleError(tr("A port is a number from 1 to 65535; PostgreSQL's is 5432."))
    return ",".join(numbers)


def _ca_file(text: str) -> str:
    """libpq takes a relative name from wherever the program was started."""
    name = text.strip()
    if not name or name == "system":
        return name
    path = Path(name).expanduser()
    if not path.is_absolute():
        raise ConsoleError(tr("Give the file with its whole path, such as /etc/ggnet/ca.crt."))
    return str(path)
