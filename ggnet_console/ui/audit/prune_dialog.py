# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing old audit entries: how many days to keep, what goes, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtWidgets import QWidget

from ...errors import ConsoleError, FieldError
from ...services import audit, settings
from ...services.audit import OldAudit, Pruned
from ..kit import format as fmt
from ..kit.asking_dialog import Done, Failed
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import confirm
from ..kit.tokens import State
from ..page_context import PageContext
from ..setting_words import setting_title

KEEP = "audit_keep_days"


def remove_old_entries(page: QWidget, context: PageContext, removed: Callable[[], None]) -> None:
    """Ask what to keep, say what goes, and remove it; ``removed`` is called then."""
    context.do(page, settings.get_setting, KEEP, done=partial(_ask, page, context, removed))


def _ask(page: QWidget, context: PageContext, removed: Callable[[], None], fewest: int) -> None:
    def days(text: str) -> int:
        digits = "".join(text.replace(",", "").split())
        if not digits.isdecimal() or len(digits) > 5:
            raise ConsoleError("Give it as a whole number of days.")
        if int(digits) < fewest:
            raise ConsoleError(
                f"The last {fmt.count(fewest, 'day')} cannot be removed "
                f"(setting “{setting_title(KEEP)}”)."
            )
        return int(digits)

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        def found(old: OldAudit) -> None:
            if old.entries:
                done(old)
            else:
                failed(FieldError("days", f"No entry is older than {fmt.moment(old.before)}."))

        context.runner.run(
            audit.old_audit, values["days"], done=found, failed=failed, parent=page.window()
        )

    dialog = FormDialog(
        page,
        title="Remove old entries",
        verb="Continue",
        intro="What goes is shown before anything is removed.",
        fields=[
            Field(
                "days",
                "Days to keep",
                value=str(fewest),
                parse=days,
                required=True,
                help=f"At least {fmt.number(fewest)}: the setting “{setting_title(KEEP)}” says so.",
            )
        ],
        submit=submit,
        notify=context.notify,
        then=lambda old: _confirm(page, context, removed, old),
        freely=True,
    )
    dialog.open()


def _confirm(
    page: QWidget, context: PageContext, removed: Callable[[], None], old: OldAudit
) -> None:
    def done(pruned: Pruned) -> None:
        context.notify(f"{_entries(pruned.entries)} removed from the audit trail.", State.RUNNING)
        removed()

    confirm(
        page,
        f"Remove {_entries(old.entries)} of the audit trail?",
        f"Everything from before {fmt.exact(old.before)} goes, whoever did it, and cannot be "
        "brought back; “Export” writes it to a file first. That you removed it becomes an entry "
        "itself. The chain stays whole; chain heads kept elsewhere from before then prove nothing "
        "any more. Ended sign-ins of that age go, too.",
        f"Remove {_entries(old.entries)}",
        lambda: context.do(page, audit.prune_audit, old.before, done=done),
    )


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{fmt.number(number)} entries"
