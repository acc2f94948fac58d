# SPDX-License-Identifier: GPL-3.0-or-later
"""The two fields that ask for a new password, and whether what they hold is one."""

from __future__ import annotations

from ...errors import FieldError
from .form import Field
from .translate import tr

PASSWORD_MIN = 8
PASSWORD_MAX_BYTES = 72
"""bcrypt takes no more."""


def new_password_fields() -> tuple[Field, Field]:
    """The fields that ``chosen_password`` looks at."""
    return (
        Field(
            "password",
            tr("New password"),
            "password",
            help=tr("At least %n character(s).", "", PASSWORD_MIN),
            required=True,
        ),
        Field("again", tr("New password, once more"), "password", required=True),
    )


def chosen_password(values: dict[str, str]) -> str:
    """The new password of a form with ``new_password_fields``.

    Raises FieldError when it is too short, longer than bcrypt reads, or not the same twice.
    """
    password = values["password"]
    if len(password) < PASSWORD_MIN:
        raise FieldError(
            "password", tr("At least %n character(s) (is|are) needed.", "", PASSWORD_MIN)
        )
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        raise FieldError(
            "password", tr("At most %n byte(s) (is|are) possible.", "", PASSWORD_MAX_BYTES)
        )
    if password != values["again"]:
        raise FieldError("again", tr("The two passwords differ."))
    return password
