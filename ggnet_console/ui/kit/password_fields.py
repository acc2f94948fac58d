# SPDX-License-Identifier: GPL-3.0-or-later
"""The two fields that ask for a new password, and whether what they hold is one."""

from __future__ import annotations

from ...errors import FieldError
from .form import Field

PASSWORD_MIN = 8
PASSWORD_MAX_BYTES = 72
"""bcrypt takes no more."""
NEW_PASSWORD = (
    Field(
        "password",
        "New password",
        "password",
        help=f"At least {PASSWORD_MIN} characters.",
        required=True,
    ),
    Field("again", "New password, once more", "password", required=True),
)
"""The fields that ``chosen_password`` looks at."""


def chosen_password(values: dict[str, str]) -> str:
    """The new password of a form with ``NEW_PASSWORD``.

    Raises FieldError when it is too short, longer than bcrypt reads, or not the same twice.
    """
    password = values["password"]
    if len(password) < PASSWORD_MIN:
        raise FieldError("password", f"At least {PASSWORD_MIN} characters are needed.")
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        raise FieldError("password", f"At most {PASSWORD_MAX_BYTES} bytes are possible.")
    if password != values["again"]:
        raise FieldError("again", "The two passwords differ.")
    return password
