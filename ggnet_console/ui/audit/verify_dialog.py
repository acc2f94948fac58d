# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the audit trail whole? The question, the answer, and the chain head it is measured by."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtWidgets import QWidget

from ...errors import ConsoleError
from ...services import audit
from ...services.audit import AuditHead, AuditProblem
from ..kit import format as fmt
from ..kit.asking_dialog import Done, Failed
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import Message, show_error
from ..kit.translate import tr, translated
from ..kit.widgets import Button
from ..page_context import PageContext


def verify_audit(parent: QWidget, context: PageContext) -> None:
    """Ask for a head kept elsewhere, then read the whole trail in the background."""
    window = parent.window()

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        context.runner.run(
            audit.verify_to_head, values["head"], done=done, failed=failed, parent=window
        )

    dialog = FormDialog(
        parent,
        title=tr("Verify the audit trail"),
        verb=tr("Verify"),
        intro=tr("Reads the whole trail and proves that no entry was changed, removed or put in."),
        fields=[
            Field(
                "head",
                tr("Chain head kept elsewhere"),
                "notes",
                help=tr(
                    "What “Copy chain head” or “ggnet audit head” gave before; with it even a "
                    "trail that was made anew is found out. May stay empty."
                ),
                parse=lambda text: audit.head_from(text) if text.strip() else None,
            )
        ],
        submit=submit,
        notify=context.notify,
        then=lambda answer: tell_verdict(window, *answer),
        freely=True,
    )
    dialog.open()


def tell_verdict(parent: QWidget, problems: list[AuditProblem], head: AuditHead) -> None:
    """Say in a sentence whether the trail is whole."""
    if problems:
        first = problems[0].problem
        show_error(
            parent,
            ConsoleError(
                tr(
                    "The audit trail was tampered with: {problem} Keep a copy of the database "
                    "before anything else is done."
                ).format(problem=translated(first)),
                "\n".join(
                    f"link {p.number or fmt.NONE}, entry {p.entry or fmt.NONE}: {p.problem}"
                    for p in problems
                ),
            ),
            tr("The audit trail is not whole"),
        )
        return
    told = tr("No entry was changed, removed or put in, up to link no. {number}.")
    if head.at:
        told = tr("No entry was changed, removed or put in, up to link no. {number}, made {time}.")
    dialog = Message(
        parent,
        tr("The audit trail is whole"),
        told.format(number=fmt.number(head.number), time=fmt.exact(head.at)),
        details=head_text(head),
    )
    dialog.add_button(Button(tr("Close")), lambda: None, safe=True)
    dialog.open()


def head_text(head: AuditHead) -> str:
    """A chain head to be kept elsewhere, as “ggnet audit head” prints it."""
    at = head.at.isoformat() if head.at else None
    return json.dumps({"number": head.number, "hash": head.hash, "at": at})
