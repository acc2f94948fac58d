# SPDX-License-Identifier: GPL-3.0-or-later
"""The Users page, for admins: who may sign in, as what, and who is signed in now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...enums import Role
from ...services import users
from ...services.users import FailedSignIns, UserRow
from ..enum_words import word
from ..history_tab import History
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.asking_dialog import Done, Failed, Waiting
from ..kit.columns import count_column, time_column
from ..kit.detail_pane import DetailPane, Fact
from ..kit.form import Field
from ..kit.form_dialog import FormDialog
from ..kit.messages import confirm
from ..kit.page import Chip, Empty, Page
from ..kit.password_fields import chosen_password, new_password_fields
from ..kit.table_model import Column
from ..kit.tokens import State
from ..kit.translate import tr
from ..page_context import PageContext
from .rights_tab import RoleRights
from .sign_ins_tab import SignIns, place

_FIRST_SIGN_IN = (
    (True, tr("Must choose another password")),
    (False, tr("Keeps this password")),
)
_ROLES = tuple((role, word(role)) for role in Role)
_ROLE_HELP = tr(
    "A Viewer sees everything but users and audit. An Operator also works with machines, "
    "images, targets and sessions. An Admin also manages users and settings."
)


def is_refused(failed: FailedSignIns) -> bool:
    """Whether even the right password is refused from this computer now."""
    return failed.refused and (failed.until is None or fmt.until(failed.until) != 0)


def locked_out(row: UserRow) -> list[FailedSignIns]:
    """The computers from which a user is locked out after failed sign-ins."""
    return [each for each in row.failed if is_refused(each)]


def _until(refused: Sequence[FailedSignIns]) -> str | None:
    """When they can try again; None: when an admin has unlocked the user."""
    ends = [each.until for each in refused if each.until is not None]
    return fmt.clock(max(ends)) if len(ends) == len(refused) else None


def _locked_out_until(time: str | None) -> str:
    if time is None:
        return tr("Locked out until an admin unlocks it")
    return tr("Locked out until {time}").format(time=time)


def _refused_until(time: str | None) -> str:
    return tr("Until it is unlocked") if time is None else tr("Until {time}").format(time=time)


def state_of(row: UserRow) -> tuple[State, str]:
    """Whether somebody can sign in, is, or was refused."""
    if row.disabled:
        return State.OFF, tr("Disabled")
    if row.locked:
        return State.FAILED, tr("Locked")
    if refused := locked_out(row):
        return State.FAILED, _locked_out_until(_until(refused))
    words = [tr("Signed in")] if row.open_sign_ins else []
    if row.must_change_password:
        words.append(tr("must change password"))
    if number := sum(each.number for each in row.failed):
        words.append(tr("%n failed sign-in(s)", "", number))
    told = " · ".join(words)
    if row.must_change_password or number:
        return State.ATTENTION, told[:1].upper() + told[1:]
    return (State.RUNNING, told) if words else (State.OFF, tr("Active", "a user"))


COLUMNS: tuple[Column[UserRow], ...] = (
    Column("name", tr("Name"), lambda r: r.name, width=160),
    Column("role", tr("Role"), lambda r: word(r.role), width=96),
    Column(
        "state",
        tr("State"),
        lambda r: state_of(r)[1],
        state=lambda r: state_of(r)[0],
        width=184,
        stretch=True,
        live=True,
    ),
    time_column("last_sign_in", tr("Last sign-in"), lambda r: r.last_sign_in_at, width=112),
    count_column("open_sign_ins", tr("Open sign-ins"), lambda r: r.open_sign_ins, width=104),
    time_column("created", tr("Added"), lambda r: r.created_at, width=104, hidden=True),
)

CHIPS: tuple[Chip[UserRow], ...] = (
    Chip(tr("Admins"), lambda r: r.role is Role.ADMIN),
    Chip(tr("Signed in"), lambda r: r.open_sign_ins > 0),
    Chip(tr("Locked or disabled"), lambda r: r.locked or r.disabled or bool(locked_out(r))),
)


def facts(row: UserRow) -> list[Fact]:
    """The overview of one user."""
    return [
        Fact(tr("Role"), word(row.role)),
        Fact(tr("Last sign-in"), fmt.ago(row.last_sign_in_at), fmt.exact(row.last_sign_in_at)),
        Fact(tr("Open sign-ins"), fmt.number(row.open_sign_ins) if row.open_sign_ins else fmt.NONE),
        Fact(
            tr("Password"),
            tr("Must be changed at the next sign-in")
            if row.must_change_password
            else tr("Chosen", "a password"),
        ),
        Fact(tr("Added"), fmt.ago(row.created_at), fmt.exact(row.created_at)),
        *(
            fact
            for number, failed in enumerate(row.failed)
            for fact in _failed_facts(
                failed, tr("Also failed") if number else tr("Failed sign-ins")
            )
        ),
    ]


def _failed_facts(failed: FailedSignIns, section: str) -> list[Fact]:
    """From where it was tried, how often, and whether it can be tried again."""
    tried = tr("Not recorded")
    if failed.last_at is not None:
        once = failed.number == 1
        times = tr("Once, {ago}") if once else tr("%n times, last {ago}", "", failed.number)
        tried = times.format(ago=fmt.ago(failed.last_at))
    return [
        Fact(tr("From"), place(failed.workstation, failed.client_address), section=section),
        Fact(tr("Failed", "when a sign-in was tried"), tried, fmt.exact(failed.last_at)),
        *([Fact(tr("Refused"), _refused_until(_until([failed])))] if is_refused(failed) else []),
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
            title=tr("Users"),
            several=lambda n: tr("%n user(s)", "", n),
            none=tr("No user"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    tr("Add user"),
                    "user-plus",
                    self._on_add,
                    shortcut="Ctrl+N",
                    on_rows=False,
                    button="primary",
                    needs=admin,
                ),
                Action(
                    tr("Unlock user"),
                    "lock-open",
                    self._on_unlock,
                    enabled=_lock_missing,
                    needs=admin,
                    button="plain",
                    several=lambda n: tr("Unlock %n user(s)", "", n),
                ),
                Action(
                    tr("Change role"),
                    "user-cog",
                    self._on_role,
                    shortcut="F2",
                    enabled=self._is_last_admin,
                    single=True,
                    needs=admin,
                ),
                Action(
                    tr("Reset password"),
                    "key-round",
                    self._on_reset,
                    enabled=self._own,
                    single=True,
                    needs=admin,
                ),
                Action(tr("Lock"), "lock", self._on_lock, enabled=self._lock_refusal, needs=admin),
                Action(
                    tr("Disable"),
                    "user-x",
                    self._on_disable,
                    shortcut="Del",  # no text
                    enabled=self._disable_refusal,
                    needs=admin,
                ),
                Action(tr("Enable"), "user-check", self._on_enable, enabled=_enabled, needs=admin),
                Action(
                    tr("Revoke all sign-ins"),
                    "log-out",
                    self._on_revoke,
                    enabled=_signed_out,
                    needs=admin,
                ),
            ),
            empty=Empty(
                tr("No users yet"), tr("A user is a person who can sign in."), tr("Add user")
            ),
            detail=DetailPane(
                name=lambda r: r.name,
                state=state_of,
                facts=facts,
                tabs=[SignIns(context), RoleRights(), History(context, "user")],
            ),
            opens=tr("Change role"),
            access=context.access,
            settings=context.settings,
        )
        self.model.content_changed.connect(self.refresh_actions)
        context.feeds.users.attach(self)

    # Why not

    def _is_last_admin(self, rows: Sequence[UserRow]) -> str | None:
        last = last_admin(self.model.rows)
        if last is not None and last in rows:
            return tr("{user} is the last admin who can sign in: make another one first").format(
                user=last.name
            )
        return None

    def _own(self, rows: Sequence[UserRow]) -> str | None:
        if any(row.id == self._context.access.user_id for row in rows):
            return tr("This is you: change your password at the bottom of the window")
        return None

    def _lock_refusal(self, rows: Sequence[UserRow]) -> str | None:
        if all(row.locked for row in rows):
            return tr("Is locked already")
        return self._is_last_admin(rows)

    def _disable_refusal(self, rows: Sequence[UserRow]) -> str | None:
        if all(row.disabled for row in rows):
            return tr("Is disabled already")
        return self._is_last_admin(rows)

    # Actions

    def _do(self, work: Callable[..., Any], rows: Sequence[UserRow]) -> None:
        """One unit of work per user."""
        for row in rows:
            self._context.do(self, work, row.id, done=self._sweep)

    def _on_add(self, _rows: list[UserRow]) -> None:
        self._ask(
            tr("Add user"),
            tr("Add user"),
            [
                Field("name", tr("Name"), required=True),
                Field("role", tr("Role"), "choice", _ROLE_HELP, Role.OPERATOR, choices=_ROLES),
                *new_password_fields(),
                Field(
                    "must_change", tr("First sign-in"), "choice", value=True, choices=_FIRST_SIGN_IN
                ),
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
            tr("Role of {user}").format(user=row.name),
            tr("Change role"),
            [Field("role", tr("Role"), "choice", _ROLE_HELP, row.role, choices=_ROLES)],
            lambda session, values: users.set_role(session, row.id, values["role"]),
            intro=tr("Holds at once, also in windows that are open."),
            ends_sign_ins=True,
        )

    def _on_reset(self, rows: list[UserRow]) -> None:
        row = rows[0]
        self._ask(
            tr("Reset the password of {user}").format(user=row.name),
            tr("Reset password"),
            list(new_password_fields()),
            lambda session, values: users.reset_password(session, row.id, chosen_password(values)),
            intro=tr(
                "{user} is signed out everywhere and has to change this password at the next "
                "sign-in."
            ).format(user=row.name),
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
        self._confirm(
            rows,
            tr("Lock {users}?"),
            tr(
                "Open windows go back to the sign-in page at once, and nobody signs in until it is "
                "unlocked. What was done under this name stays in the audit trail."
            ),
            tr("Lock %n user(s)", "", len(rows)),
            partial(users.set_locked, locked=True),
        )

    def _on_unlock(self, rows: list[UserRow]) -> None:
        self._do(partial(users.set_locked, locked=False), rows)

    def _on_disable(self, rows: list[UserRow]) -> None:
        self._confirm(
            rows,
            tr("Disable {users}?"),
            tr(
                "Open windows go back to the sign-in page at once, and nobody signs in until it is "
                "enabled. What was done under this name stays in the audit trail."
            ),
            tr("Disable %n user(s)", "", len(rows)),
            partial(users.set_disabled, disabled=True),
        )

    def _on_enable(self, rows: list[UserRow]) -> None:
        self._do(partial(users.set_disabled, disabled=False), rows)

    def _on_revoke(self, rows: list[UserRow]) -> None:
        number = sum(row.open_sign_ins for row in rows)
        self._confirm(
            rows,
            tr("Revoke %n sign-in(s) of {users}?", "", number),
            tr("The windows go back to the sign-in page at once; the password stays as it is."),
            tr("Revoke %n sign-in(s)", "", number),
            users.revoke_sign_ins,
        )

    def _confirm(
        self, rows: list[UserRow], title: str, text: str, verb: str, work: Callable[..., Any]
    ) -> None:
        names = fmt.names([row.name for row in rows])
        confirm(self, title.format(users=names), text, verb, lambda: self._do(work, rows))


def _lock_missing(rows: Sequence[UserRow]) -> str | None:
    shut = any(row.locked or locked_out(row) for row in rows)
    return None if shut else tr("Is neither locked nor locked out")


def _enabled(rows: Sequence[UserRow]) -> str | None:
    return None if any(row.disabled for row in rows) else tr("Is enabled already")


def _signed_out(rows: Sequence[UserRow]) -> str | None:
    return None if any(row.open_sign_ins for row in rows) else tr("Is not signed in")
