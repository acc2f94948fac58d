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
from ..kit.widgets import Button
from ..page_context import PageContext


def verify_audit(parent: QWidget, context: PageContext) -> None:
    """Ask for a head kept elsewhere, then read the whole trail in the background."""
    window = parent.window()

    def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
        context.runner.run(_verify, values["head"], done=done, failed=failed, parent=window)

    dialog = FormDialog(
        parent,
        title="Verify the audit trail",
        verb="Verify",
        intro="Reads the whole trail and proves that no entry was changed, removed or put in.",
        fields=[
            Field(
                "head",
                "Chain head kept elsewhere",
                "notes",
                help="What “Copy chain head” or “ggnet audit head” gave before; with it even "
                "a trail that was made anew is found out. May stay empty.",
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
        show_error(
            parent,
            ConsoleError(
                f"The audit trail was tampered with: {problems[0].problem} Keep a copy of the "
                "database before anything else is done.",
                "\n".join(
                    f"link {p.number or fmt.NONE}, entry {p.entry or fmt.NONE}: {p.problem}"
                    for p in problems
                ),
            ),
            "The audit trail is not whole",
        )
        return
    newest = f", made {fmt.exact(head.at)}" if head.at else ""
    dialog = Message(
        parent,
        "The audit trail is whole",
        f"No entry was changed, removed or put in, up to link no. {fmt.number(head.number)}"
        f"{newest}.",
        details=head_text(head),
    )
    dialog.add_button(Button("Close"), lambda: None, safe=True)
    dialog.open()


def _verify(session: Any, head: AuditHead | None) -> tuple[list[AuditProblem], AuditHead]:
    return audit.verify_audit(session, head), audit.audit_head(session)


def head_text(head: AuditHead) -> str:
    """A chain head to be kept elsewhere, as “ggnet audit head” prints it."""
    at = head.at.isoformat() if head.at else None
    return json.dumps({"number": head.number, "hash": head.hash, "at": at})
