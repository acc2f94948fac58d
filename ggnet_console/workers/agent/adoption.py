# SPDX-License-Identifier: GPL-3.0-or-later
"""Adoption: whether a target that others made can be wanted exactly as it runs."""

from __future__ import annotations

from ...errors import ConsoleError, listed, sentence
from ...tools.target_backend import RunningTarget, TargetBackend, check_wanted
from . import undo_file


def refusal(backend: TargetBackend, found: RunningTarget | None) -> str:
    """Why it cannot be adopted, as words behind “cannot be adopted: ”; "" when it can."""
    if found is None:
        return sentence("it does not run")
    if found.unsupported:
        return found.unsupported
    try:
        wanted = undo_file.as_wanted(found)
        check_wanted(wanted, first_lun=0)
    except ConsoleError as error:
        return error.summary[:1].lower() + error.summary[1:].removesuffix(".")
    fields = [
        sentence(
            "{field}: {found} instead of {wanted}",
            field=one.field,
            found=one.found,
            wanted=one.wanted,
        )
        for one in backend.differences(wanted, found)
    ]
    if not fields:
        return ""
    return sentence(
        "the console would make it otherwise ({differences})", differences=listed(fields, "; ")
    )
