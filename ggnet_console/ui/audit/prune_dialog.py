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
from ..kit.translate import tr
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
            raise ConsoleError(tr("Give it as a whole number of days."))
        if int(digits) < fewest:
            raise ConsoleError(
                tr(
                    "The last %n day(s) cannot be removed (setting “{setting}”).", "", fewest
                ).format(setting=setting_title(KEEP))
            )
        return int(digits)

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        def found(old: OldAudit) -> None:
            if old.entries:
                done(old)
            else:
                told = tr("No entry is older than {time}.").format(time=fmt.moment(old.before))
                failed(FieldError("days", told))

        context.runner.run(
            audit.old_audit, values["days"], done=found, failed=failed, parent=page.window()
        )

    dialog = FormDialog(
        page,
        title=tr("Remove old entries"),
        verb=tr("Continue"),
        intro=tr("What goes is shown before anything is removed."),
        fields=[
            Field(
                "days",
                tr("Days to keep"),
                value=str(fewest),
                parse=days,
                required=True,
                help=tr("At least {number}: the setting “{setting}” says so.").format(
                    number=fmt.number(fewest), setting=setting_title(KEEP)
                ),
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
        told = tr("%n entr(y|ies) removed from the audit trail.", "", pruned.entries)
        context.notify(told, State.RUNNING)
        removed()

    confirm(
        page,
        tr("Remove %n entr(y|ies) of the audit trail?", "", old.entries),
        tr(
            "Everything from before {time} goes, whoever did it, and cannot be brought back; "
            "“Export” writes it to a file first. That you removed it becomes an entry itself. The "
            "chain stays whole; chain heads kept elsewhere from before then prove nothing any "
            "more. Ended sign-ins of that age go, too."
        ).format(time=fmt.exact(old.before)),
        tr("Remove %n entr(y|ies)", "", old.entries),
        lambda: context.do(page, audit.prune_audit, old.before, done=done),
    )
