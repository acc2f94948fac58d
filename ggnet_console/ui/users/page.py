# SPDX-License-Identifier: GPL-3.0-or-later
"""The Users page, for admins: who may sign in, as what, and who is signed in now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from ...enums import Role
from ...services import users
from ...services.users import FailedSignIns, SignInRow, UserRow
from ..enum_words import word
from ..history_tab import History
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.columns import count_column, time_column
from ..kit.detail_pane import DetailPane, Fact, Tab
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import confirm
from ..kit.page import Chip, Empty, Page
from ..kit.password_fields import chosen_password, new_password_fields
from ..kit.table_model import Column
from ..kit.tokens import XL, XS, S, State
from ..kit.translate import tr
from ..kit.widgets import Button, StateLine, clear, label
from ..page_context import PageContext
from .rights_tab import RoleRights

_FIRST_SIGN_IN = ((True, "Must choose another password"), (False, "Keeps this password"))
_ROLES = tuple((role, word(role)) for role in Role)
_ROLE_HELP = (
    "A Viewer sees everything but users and audit. An Operator also works with machines, "
    "images, targets and sessions. An Admin also manages users and settings."
)


def is_refused(failed: FailedSignIns) -> bool:
    """Whether even the right password is refused from this computer now."""
    return failed.refused and (failed.until is None or fmt.until(failed.until) != 0)


def locked_out(row: UserRow) -> list[FailedSignIns]:
    """The computers from which a user is locked out after failed sign-ins."""
    return [each for each in row.failed if is_refused(each)]


def _until(refused: Sequence[FailedSignIns]) -> str:
    ends = [each.until for each in refused if each.until is not None]
    return fmt.clock(max(ends)) if len(ends) == len(refused) else "it is unlocked"


def state_of(row: UserRow) -> tuple[State, str]:
    """Whether somebody can sign in, is, or was refused."""
    if row.disabled:
        return State.OFF, "Disabled"
    if row.locked:
        return State.FAILED, "Locked"
    if refused := locked_out(row):
        return State.FAILED, f"Locked out until {_until(refused)}"
    words = ["Signed in"] if row.open_sign_ins else []
    if row.must_change_password:
        words.append("must change password")
    if number := sum(each.number for each in row.failed):
        words.append(fmt.count(number, "failed sign-in"))
    told = " · ".join(words)
    if row.must_change_password or number:
        return State.ATTENTION, told[:1].upper() + told[1:]
    return (State.RUNNING, told) if words else (State.OFF, "Active")


COLUMNS: tuple[Column[UserRow], ...] = (
    Column("name", "Name", lambda r: r.name, width=160),
    Column("role", "Role", lambda r: word(r.role), width=96),
    Column(
        "state",
        "State",
        lambda r: state_of(r)[1],
        state=lambda r: state_of(r)[0],
        width=184,
        stretch=True,
        live=True,
    ),
    time_column("last_sign_in", "Last sign-in", lambda r: r.last_sign_in_at, width=112),
    count_column("open_sign_ins", "Open sign-ins", lambda r: r.open_sign_ins, width=104),
    time_column("created", "Added", lambda r: r.created_at, width=104, hidden=True),
)

CHIPS: tuple[Chip[UserRow], ...] = (
    Chip("Admins", lambda r: r.role is Role.ADMIN),
    Chip("Signed in", lambda r: r.open_sign_ins > 0),
    Chip("Locked or disabled", lambda r: r.locked or r.disabled or bool(locked_out(r))),
)


def facts(row: UserRow) -> list[Fact]:
    """The overview of one user."""
    return [
        Fact("Role", word(row.role)),
        Fact("Last sign-in", fmt.ago(row.last_sign_in_at), fmt.exact(row.last_sign_in_at)),
        Fact("Open sign-ins", fmt.number(row.open_sign_ins) if row.open_sign_ins else fmt.NONE),
        Fact(
            "Password",
            "Must be changed at the next sign-in" if row.must_change_password else "Chosen",
        ),
        Fact("Added", fmt.ago(row.created_at), fmt.exact(row.created_at)),
        *(
            fact
            for number, failed in enumerate(row.failed)
            for fact in _failed_facts(failed, "Also failed" if number else "Failed sign-ins")
        ),
    ]


def _failed_facts(failed: FailedSignIns, section: str) -> list[Fact]:
    """From where it was tried, how often, and whether it can be tried again."""
    tried = "Not recorded"
    if failed.last_at is not None:
        times = "Once," if failed.number == 1 else f"{failed.number} times, last"
        tried = f"{times} {fmt.ago(failed.last_at)}"
    return [
        Fact("From", place(failed.workstation, failed.client_address), section=section),
        Fact("Failed", tried, fmt.exact(failed.last_at)),
        *([Fact("Refused", f"Until {_until([failed])}")] if is_refused(failed) else []),
    ]


def last_admin(rows: Sequence[UserRow]) -> UserRow | None:
    """The only user that can sign in as an admin, if it is only one."""
    admins = [r for r in rows if r.role is Role.ADMIN and not r.disabled and not r.locked]
    return admins[0] if len(admins) == 1 else None


class UsersPage(Page[UserRow]):
    """All users."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        admin = Role.ADMIN
        super().__init__(
            key="users",
            title="Users",
            several=lambda n: tr("%n user(s)", "", n),
            none=tr("No user"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    "Add user",
                    "user-plus",
                    self._on_add,
                    shortcut="Ctrl+N",
                    on_rows=False,
                    button="primary",
                    needs=admin,
                ),
                Action(
                    "Unlock user",
                    "lock-open",
                    self._on_unlock,
                    enabled=_lock_missing,
                    needs=admin,
                    button="plain",
                    several=lambda n: tr("Unlock %n user(s)", "", n),
                ),
                Action(
                    "Change role",
                    "user-cog",
                    self._on_role,
                    shortcut="F2",
                    enabled=self._is_last_admin,
                    single=True,
                    needs=admin,
                ),
                Action(
                    "Reset password",
                    "key-round",
                    self._on_reset,
                    enabled=self._own,
                    single=True,
                    needs=admin,
                ),
                Action("Lock", "lock", self._on_lock, enabled=self._lock_refusal, needs=admin),
                Action(
                    "Disable",
                    "user-x",
                    self._on_disable,
                    shortcut="Del",
                    enabled=self._disable_refusal,
                    needs=admin,
                ),
                Action("Enable", "user-check", self._on_enable, enabled=_enabled, needs=admin),
                Action(
                    "Revoke all sign-ins",
                    "log-out",
                    self._on_revoke,
                    enabled=_signed_out,
                    needs=admin,
                ),
            ),
            empty=Empty("No users yet", "A user is a person who can sign in.", "Add user"),
            detail=DetailPane(
                name=lambda r: r.name,
                state=state_of,
                facts=facts,
                tabs=[SignIns(context), RoleRights(), History(context, "user")],
            ),
            opens="Change role",
            access=context.access,
            settings=context.settings,
        )
        self.model.content_changed.connect(self.refresh_actions)
        context.feeds.users.attach(self)

    # Why not

    def _is_last_admin(self, rows: Sequence[UserRow]) -> str | None:
        last = last_admin(self.model.rows)
        if last is not None and last in rows:
            return f"{last.name} is the last admin who can sign in: make another one first"
        return None

    def _own(self, rows: Sequence[UserRow]) -> str | None:
        if any(row.id == self._context.access.user_id for row in rows):
            return "This is you: change your password at the bottom of the window"
        return None

    def _lock_refusal(self, rows: Sequence[UserRow]) -> str | None:
        if all(row.locked for row in rows):
            return "Is locked already"
        return self._is_last_admin(rows)

    def _disable_refusal(self, rows: Sequence[UserRow]) -> str | None:
        if all(row.disabled for row in rows):
            return "Is disabled already"
        return self._is_last_admin(rows)

    # Actions

    def _do(self, work: Callable[..., Any], rows: Sequence[UserRow], **how: bool) -> None:
        """One unit of work per user."""
        for row in rows:
            self._context.do(self, partial(work, **how), row.id, done=self._sweep)

    def _on_add(self, _rows: list[UserRow]) -> None:
        self._ask(
            "Add user",
            "Add user",
            [
                Field("name", "Name", required=True),
                Field("role", "Role", "choice", _ROLE_HELP, Role.OPERATOR, choices=_ROLES),
                *new_password_fields(),
                Field("must_change", "First sign-in", "choice", value=True, choices=_FIRST_SIGN_IN),
            ],
            lambda session, values: users.create_user(
                session,
                values["name"],
                values["role"],
                chosen_password(values),
                must_change=values["must_change"],
            ),
            then=self.select_when_there,
        )

    def _on_role(self, rows: list[UserRow]) -> None:
        row = rows[0]
        self._ask(
            f"Role of {row.name}",
            "Change role",
            [Field("role", "Role", "choice", _ROLE_HELP, row.role, choices=_ROLES)],
            lambda session, values: users.set_role(session, row.id, values["role"]),
            intro="Holds at once, also in windows that are open.",
            ends_sign_ins=True,
        )

    def _on_reset(self, rows: list[UserRow]) -> None:
        row = rows[0]
        self._ask(
            f"Reset the password of {row.name}",
            "Reset password",
            list(new_password_fields()),
            lambda session, values: users.reset_password(session, row.id, chosen_password(values)),
            intro=f"{row.name} is signed out everywhere and has to change this password at the "
            "next sign-in.",
            ends_sign_ins=True,
        )

    def _sweep(self, _value: object) -> None:
        """Whoever connected while the sign-in was being ended is cut off, too."""
        self._context.do(self, users.end_stale_connections)

    def _ask(
        self,
        title: str,
        verb: str,
        fields: list[Field],
        work: Callable[[Any, dict[str, Any]], Any],
        *,
        then: Done = lambda _value: None,
        ends_sign_ins: bool = False,
        intro: str = "",
    ) -> None:
        """A form whose values are handed to ``work`` in the background."""
        context, window = self._context, self.window()

        def submit(values: dict[str, Any], done: Done, failed: Failed) -> None:
            def finished(value: Any) -> None:
                done(value)
                if ends_sign_ins:
                    context.do(window, users.end_stale_connections)

            context.runner.run(work, values, done=finished, failed=failed, parent=window)

        dialog = FormDialog(
            self,
            title=title,
            verb=verb,
            fields=fields,
            submit=submit,
            notify=context.notify,
            words=Waiting.saving(),
            then=then,
            intro=intro,
        )
        dialog.open()

    def _on_lock(self, rows: list[UserRow]) -> None:
        self._confirm(rows, "Lock", "until it is unlocked", users.set_locked, locked=True)

    def _on_unlock(self, rows: list[UserRow]) -> None:
        self._do(users.set_locked, rows, locked=False)

    def _on_disable(self, rows: list[UserRow]) -> None:
        self._confirm(rows, "Disable", "until it is enabled", users.set_disabled, disabled=True)

    def _on_enable(self, rows: list[UserRow]) -> None:
        self._do(users.set_disabled, rows, disabled=False)

    def _on_revoke(self, rows: list[UserRow]) -> None:
        number = sum(row.open_sign_ins for row in rows)
        confirm(
            self,
            f"Revoke {fmt.count(number, 'sign-in')} of {fmt.names([row.name for row in rows])}?",
            "The windows go back to the sign-in page at once; the password stays as it is.",
            f"Revoke {fmt.count(number, 'sign-in')}",
            lambda: self._do(users.revoke_sign_ins, rows),
        )

    def _confirm(
        self,
        rows: list[UserRow],
        verb: str,
        until: str,
        work: Callable[..., Any],
        **how: bool,
    ) -> None:
        confirm(
            self,
            f"{verb} {fmt.names([row.name for row in rows])}?",
            f"Open windows go back to the sign-in page at once, and nobody signs in {until}. "
            "What was done under this name stays in the audit trail.",
            f"{verb} {fmt.count(len(rows), 'user')}",
            lambda: self._do(work, rows, **how),
        )


def _lock_missing(rows: Sequence[UserRow]) -> str | None:
    shut = any(row.locked or locked_out(row) for row in rows)
    return None if shut else "Is neither locked nor locked out"


def _enabled(rows: Sequence[UserRow]) -> str | None:
    return None if any(row.disabled for row in rows) else "Is enabled already"


def _signed_out(rows: Sequence[UserRow]) -> str | None:
    return None if any(row.open_sign_ins for row in rows) else "Is not signed in"


class SignIns(Tab[UserRow]):
    """Where a user is signed in, each with a button that ends it."""

    title = "Sign-ins"

    def __init__(self, context: PageContext) -> None:
        super().__init__()
        self._context = context
        self._shown: UserRow | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(S)

    def show_row(self, row: UserRow) -> None:
        if row == self._shown:
            return
        self._shown = row
        self._context.runner.run(
            users.list_sign_ins,
            row.id,
            done=lambda rows: self._show(row, rows),
            failed=lambda error: self._say(error.summary),
            parent=self,
        )

    def _say(self, text: str) -> None:
        clear(self._column)
        self._column.addWidget(label(text, "secondary", wrap=True))

    def _show(self, row: UserRow, rows: list[SignInRow] | None) -> None:
        if self._shown is None or self._shown.id != row.id:
            return
        if not rows:
            self._say(f"{row.name} is not signed in.")
            return
        clear(self._column)
        for each in rows:
            line = StateLine()
            line.show_state(State.RUNNING, place(each.workstation, each.client_address))
            button = Button("Revoke", kind="danger")
            button.setToolTip("End this sign-in and its connections at once")
            button.clicked.connect(lambda _on=False, chosen=each: self._on_revoke(chosen))
            head = QHBoxLayout()
            head.addWidget(line, 1, Qt.AlignmentFlag.AlignVCenter)
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
            self._column.addLayout(head)
            left = fmt.duration(fmt.until(each.expires_at))
            about = label(
                f"{each.program} · {fmt.ago(each.created_at)} · ends in {left}",
                "secondary",
                wrap=True,
            )
            about.setToolTip(
                f"From {fmt.exact(each.created_at)} until {fmt.exact(each.expires_at)}"
            )
            about.setContentsMargins(XL - XS, 0, 0, S)
            self._column.addWidget(about)

    def _on_revoke(self, row: SignInRow) -> None:
        def sweep(_value: object) -> None:
            self._shown = None
            self._context.do(self, users.end_stale_connections)

        self._context.do(self, users.revoke_sign_in, row.id, done=sweep)


def place(workstation: str, client_address: str | None) -> str:
    """The workstation and address somebody works at."""
    return " · ".join(filter(None, (workstation, client_address or "this server")))
