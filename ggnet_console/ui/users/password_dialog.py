# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody's own password: the dialog behind the person menu."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QWidget

from ...errors import FieldError
from ...services import users
from ..kit.asking_dialog import Done, Failed
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.password_fields import chosen_password, new_password_fields
from ..kit.tokens import State
from ..kit.translate import tr
from ..page_context import PageContext


def change_password(parent: QWidget, context: PageContext) -> None:
    """Ask for the present password and, twice, for the new one."""

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        try:
            new = chosen_password(values)
        except FieldError as error:
            failed(error)
            return

        context.runner.run(
            users.change_password,
            values["present_password"],
            new,
            done=done,
            failed=failed,
            parent=parent.window(),
        )

    dialog = FormDialog(
        parent,
        title=tr("Change password"),
        verb=tr("Change password"),
        intro=tr("Where else you are signed in, you have to sign in again with the new password."),
        fields=[
            Field("present_password", tr("Present password"), "password", required=True),
            *new_password_fields(),
        ],
        submit=submit,
        notify=context.notify,
        then=lambda _value: context.notify(
            tr("Your password is changed; your other sign-ins have ended."), State.RUNNING
        ),
    )
    dialog.open()
