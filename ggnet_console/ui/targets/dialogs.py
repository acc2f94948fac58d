# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialogs of one target: prepare it, its CHAP secret, a test login."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QLineEdit, QVBoxLayout, QWidget

from ...enums import ImageStatus
from ...services import target_plans, targets
from ...services.jobs import JobRow
from ...services.targets import ChapMade, TargetRow
from ..image_choice import image_choice
from ..job_dialog import JobDialog
from ..job_waiter import error_of
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import Message, choose, confirm
from ..kit.tokens import XL, XS, S, State
from ..kit.translate import tr, translated
from ..kit.widgets import Button, StateLine, Value, label
from ..page_context import PageContext


def new_target(parent: QWidget, context: PageContext) -> FormDialog | None:
    """Ask for machine and image; None when there is nothing to choose from yet."""
    machines = sorted(context.feeds.machines.rows.values(), key=lambda row: row.name.casefold())
    images = [row for row in context.feeds.images.rows.values() if row.status is ImageStatus.READY]
    if not machines or not images:
        choose(
            parent.window(),
            tr("A target needs a machine and an image"),
            tr("Add a machine and import an image first."),
            [],
            refuse=tr("Close"),
        )
        return None

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        context.runner.run(
            targets.create_target,
            values["machine"],
            values["image"],
            done=done,
            failed=failed,
            parent=parent.window(),
        )

    dialog = FormDialog(
        parent,
        title=tr("Prepare target"),
        verb=tr("Prepare target"),
        intro=tr("The target stays closed until a session opens it for its machine."),
        fields=[
            Field(
                "machine",
                tr("Machine"),
                "choice",
                value=machines[0].id,
                choices=[(row.id, row.name) for row in machines],
            ),
            Field(
                "image",
                tr("Image"),
                "choice",
                value=images[0].id,
                choices=[(row.id, image_choice(row)) for row in images],
            ),
        ],
        submit=submit,
        notify=context.notify,
        words=Waiting.asking(),
    )
    dialog.open()
    return dialog


class SecretDialog(Message):
    """Shows a new CHAP secret, this once."""

    def __init__(self, parent: QWidget, machine: str, made: ChapMade) -> None:
        super().__init__(
            parent.window(),
            tr("CHAP for {machine}").format(machine=machine),
            tr(
                "This secret is not shown again, and nobody can look it up. Enter it at the "
                "machine now, or keep it where passwords are kept. Lost ones are replaced by a "
                "new one."
            ),
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(S)
        grid.setColumnStretch(1, 1)
        self.lines: list[QLineEdit] = []
        for line, (name, text) in enumerate(
            ((tr("User name"), made.user), (tr("Secret"), made.secret))
        ):
            value = QLineEdit(text)
            value.setReadOnly(True)
            value.setAccessibleName(name)
            value.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
            copy = Button(tr("Copy"), "copy")
            copy.clicked.connect(lambda _on, shown=value: _copy(shown))
            grid.addWidget(label(name, "label"), line, 0)
            grid.addWidget(value, line, 1)
            grid.addWidget(copy, line, 2)
            self.lines.append(value)
        column = self.layout()
        assert isinstance(column, QVBoxLayout)  # noqa: S101 - Message makes it
        column.insertLayout(column.count() - 1, grid)
        self.add_button(Button(tr("Close")), lambda: None, safe=True)


def _copy(shown: QLineEdit) -> None:
    QGuiApplication.clipboard().setText(shown.text())


def turn_chap_on(parent: QWidget, context: PageContext, row: TargetRow) -> None:
    """Ask, make a secret and show it."""

    def made(answer: ChapMade) -> None:
        SecretDialog(parent, row.machine, answer).open()

    if row.chap_user:
        question = tr("Make a new CHAP secret for {machine}?")
        text = tr(
            "Its next login needs the secret, and the present one stops working. Who is "
            "logged in stays logged in. The target is kept when its session ends."
        )
    else:
        question = tr("Ask {machine} for a CHAP secret?")
        text = tr(
            "Its next login needs the secret. Who is logged in stays logged in. The target is "
            "kept when its session ends."
        )
    confirm(
        parent,
        question.format(machine=row.machine),
        text,
        tr("Make secret"),
        lambda: context.do(parent, targets.turn_chap_on, row.id, done=made),
        danger=False,
    )


def turn_chap_off(parent: QWidget, context: PageContext, row: TargetRow) -> None:
    """Ask, then ask the machine for no secret any more."""
    confirm(
        parent,
        tr("Ask {machine} for no CHAP secret any more?").format(machine=row.machine),
        tr("Its secret is forgotten. Its initiator name alone lets it in then."),
        tr("Turn CHAP off"),
        lambda: context.do(parent, targets.turn_chap_off, row.id),
    )


class LoginDialog(JobDialog):
    """A real discovery and login by the agent, step by step."""

    def __init__(self, parent: QWidget, context: PageContext, row: TargetRow) -> None:
        title = tr("Test login to {target}").format(target=row.machine or row.iqn)
        super().__init__(parent, context, title)
        self._row = row
        self.sentence.setText(
            tr(
                "The storage host discovers the target and logs in as its machine does, with the "
                "same name and secret. The machine notices nothing."
            )
        )
        self.again = Button(tr("Test again"), "log-in", "link")
        self.again.clicked.connect(self.test)
        self.buttons.insertWidget(0, self.again)

    def test(self) -> None:
        """Do it, and show what happened."""
        self.clear_body()
        self.have_done(tr("Logging in…"), _test, self._row.id, ended=self._on_ended)

    def on_work(self) -> None:
        self.again.setEnabled(not self.working)

    def _on_ended(self, jobs: list[JobRow]) -> None:
        error = error_of(jobs[0])
        if error is not None:
            self.show_error(error)
            return
        steps = target_plans.login_steps(jobs[0])
        for step in steps:
            line = StateLine()
            line.show_state(State.RUNNING if step.ok else State.FAILED, translated(step.step))
            self.body.addWidget(line)
            if step.detail:
                detail = Value()
                detail.set_value(translated(step.detail))
                detail.setProperty("role", "secondary")
                detail.setContentsMargins(XL - XS, 0, 0, XS)
                self.body.addWidget(detail)
        verdict = StateLine()
        failed = next((step for step in steps if not step.ok), None)
        if failed is None:
            verdict.show_state(State.RUNNING, tr("The target works as it should."))
        else:
            step_name = translated(failed.step)
            verdict.show_state(State.FAILED, tr("Failed at: {step}.").format(step=step_name))
        self.body.addSpacing(S)
        self.body.addWidget(verdict)
        self.body.addStretch()
        self.fit()


def _test(session: Any, target_id: int) -> list[int]:
    return [target_plans.test_login(session, target_id)]


def test_login(parent: QWidget, context: PageContext, row: TargetRow) -> LoginDialog:
    """Open the dialog and try."""
    dialog = LoginDialog(parent, context, row)
    dialog.open()
    dialog.test()
    return dialog
