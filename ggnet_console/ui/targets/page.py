# SPDX-License-Identifier: GPL-3.0-or-later
"""The Targets page: what each storage host exports to whom, and how that differs from what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from PySide6.QtGui import QGuiApplication

from ...enums import Role, TargetOrigin, TargetStatus
from ...services import target_plans, targets
from ...services.hosts import HostRow
from ...services.jobs import JobRow
from ...services.targets import TargetRow
from ..enum_words import word
from ..history_tab import History
from ..hosts import unread_of
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.columns import count_column, speed_column
from ..kit.detail_pane import DetailPane, Fact
from ..kit.messages import confirm
from ..kit.notices import Notice
from ..kit.page import Chip, Empty, Page
from ..kit.table_model import Column, natural
from ..kit.tokens import State
from ..kit.translate import tr, translated
from ..page_context import PageContext
from .dialogs import new_target, test_login, turn_chap_off, turn_chap_on
from .plan_dialog import as_before, show_plan
from .repair import have_done, repair, rewrite_saved
from .tabs import Differences, Sessions, Tree
from .words import (
    access_of,
    acl_of,
    differ_text,
    has_drifted,
    initiators_of,
    is_foreign,
    is_problem,
    state_of,
    subject_of,
    urgency_of,
)

_ADOPTED = tr("Was adopted: it keeps the CHAP it was made with")
_UNWANTED = tr("Nobody wants this target: it only runs")


def _luns(row: TargetRow) -> str:
    return ", ".join(str(lun.lun) for lun in row.luns) or fmt.NONE


def _images(row: TargetRow) -> str:
    return ", ".join(lun.image or PurePath(lun.path).name for lun in row.luns) or fmt.NONE


def _logins(row: TargetRow) -> str:
    return "\n".join(
        tr("{who} from {address}").format(who=one.machine or one.initiator_iqn, address=one.address)
        for one in row.logged_in
    )


def _rates(row: TargetRow) -> str:
    return "\n".join(
        tr("LUN {number}: {read} read, {written} written").format(
            number=rate.lun,
            read=fmt.speed(rate.bytes_read_per_s),
            written=fmt.speed(rate.bytes_written_per_s),
        )
        for rate in row.rates
    )


COLUMNS: tuple[Column[TargetRow], ...] = (
    Column(
        "state",
        tr("State"),
        lambda r: state_of(r)[1],
        sort=lambda r: (urgency_of(r), natural(subject_of(r))),
        state=lambda r: state_of(r)[0],
        width=168,
        stretch=True,
    ),
    Column(
        "machine",
        tr("Machine"),
        lambda r: r.machine or fmt.NONE,
        tooltip=lambda r: "" if r.machine else word(r.origin),
        width=96,
        grows=True,
    ),
    Column(
        "image",
        tr("Image"),
        _images,
        tooltip=lambda r: "\n".join(lun.image or lun.path for lun in r.luns),
        width=120,
        grows=True,
    ),
    Column("iqn", tr("Target"), lambda r: r.iqn, width=224, tabular=True, elide="middle"),
    speed_column(
        "traffic", tr("Traffic"), lambda r: r.bytes_per_s if r.sessions else None, tooltip=_rates
    ),
    count_column(
        "sessions",
        tr("Sessions"),
        lambda r: r.sessions,
        tooltip=_logins,
    ),
    Column("lun", tr("LUNs"), _luns, width=48, align="right", tabular=True),
    Column("acl", "ACL", acl_of, tooltip=lambda r: "\n".join(initiators_of(r)), width=96),
    Column(
        "chap",
        "CHAP",
        lambda r: tr("Yes") if r.chap_user else tr("No"),
        tooltip=lambda r: tr("As {user}").format(user=r.chap_user) if r.chap_user else "",
        width=56,
    ),
    Column("portal", tr("Portal"), lambda r: r.portal, width=112, tabular=True),
    Column("origin", tr("Origin"), lambda r: word(r.origin), width=112, hidden=True),
    Column("initiator", tr("Initiator"), lambda r: r.initiator_iqn, width=280, hidden=True),
    Column("host", tr("Storage host"), lambda r: r.host, width=112, hidden=True),
    Column("serial", tr("Serial"), lambda r: r.serial or fmt.NONE, width=160, hidden=True),
)


def _is_well(row: TargetRow) -> bool:
    return not (is_problem(row) or is_foreign(row))


CHIPS: tuple[Chip[TargetRow], ...] = (
    Chip(tr("Problem"), is_problem, failed=lambda r: state_of(r)[0] is State.FAILED),
    Chip(tr("Open", "as a state"), lambda r: _is_well(r) and r.status is TargetStatus.OPEN),
    Chip(tr("Closed"), lambda r: _is_well(r) and r.status is TargetStatus.CLOSED),
    Chip(tr("Made by hand"), is_foreign),
)


def facts(row: TargetRow) -> list[Fact]:
    """The overview of one target."""
    until = tr("Somebody removes it") if row.kept else tr("Its session ends")
    chap = tr("Yes, as {user}").format(user=row.chap_user) if row.chap_user else tr("No")
    result = [
        Fact(tr("Target"), row.iqn, copy=tr("Copy IQN")),
        Fact(tr("Machine"), row.machine or fmt.NONE),
        Fact(tr("Portal"), row.portal),
        Fact(tr("Storage host"), row.host),
        Fact(tr("Origin"), word(row.origin)),
        Fact(tr("Kept until"), until if row.wanted else fmt.NONE),
        Fact(tr("Since"), fmt.ago(row.created_at), fmt.exact(row.created_at)),
        Fact("CHAP", chap),
    ]
    found = ", ".join(row.portals)
    if found and found != row.portal:
        result.insert(3, Fact(tr("Listens on"), found))
    for lun in row.luns:
        section = tr("LUN {number}").format(number=lun.lun)
        result += [
            Fact(tr("Image"), lun.image, section=section)
            if lun.image
            else Fact(tr("File"), lun.path, section=section),
            Fact(tr("Access"), access_of(lun)),
            Fact(tr("Serial"), lun.serial or fmt.NONE),
        ]
    names = initiators_of(row) or [fmt.NONE]
    result += [
        Fact(tr("Initiator"), name, section="" if number else "ACL")
        for number, name in enumerate(names)
    ]
    return result


def _history_of(row: TargetRow) -> object:
    """What changes with every entry of its history, but not with the traffic."""
    return row.id, row.version


def _removable(rows: Sequence[TargetRow]) -> str | None:
    for row in rows:
        if row.origin is TargetOrigin.ADOPTED:
            return tr("Was adopted: release it, and end it where it was made")
        if is_foreign(row):
            return tr("Was made by hand: end it where it was made")
        if row.origin is TargetOrigin.LEFTOVER:
            return tr("Nobody wants it: the plan removes it")
        if row.status is TargetStatus.OPEN:
            return tr("{machine} has a session: stop it first").format(machine=row.machine)
    return None


def _testable(rows: Sequence[TargetRow]) -> str | None:
    for row in rows:
        if not row.wanted:
            return _UNWANTED
    return None


def _chap_on(rows: Sequence[TargetRow]) -> str | None:
    for row in rows:
        if not row.wanted:
            return _UNWANTED
        if row.origin is TargetOrigin.ADOPTED:
            return _ADOPTED
    return None


def _chap_off(rows: Sequence[TargetRow]) -> str | None:
    refusal = _chap_on(rows)
    if refusal is None and not rows[0].chap_user:
        return tr("It asks for no secret")
    return refusal


def _adoptable(rows: Sequence[TargetRow]) -> str | None:
    for row in rows:
        if not is_foreign(row):
            return tr("Only a target that was made by hand can be adopted")
        if row.unsupported:
            return tr("Cannot be adopted: {reason}").format(reason=translated(row.unsupported))
    return None


def _releasable(rows: Sequence[TargetRow]) -> str | None:
    for row in rows:
        if row.origin is not TargetOrigin.ADOPTED:
            return tr("Only a target that was adopted can be released")
    return None


class TargetsPage(Page[TargetRow]):
    """All targets that are wanted or run, with what their storage hosts made of them."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="targets",
            title=tr("Targets"),
            several=lambda n: tr("%n target(s)", "", n),
            none=tr("No target"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=self._declared(),
            empty=Empty(
                tr("No targets yet"),
                tr(
                    "A target is what a machine connects to by iSCSI. Starting a session makes "
                    "one by itself; prepare one here to keep it ready."
                ),
                tr("Prepare target"),
            ),
            detail=DetailPane(
                name=subject_of,
                state=state_of,
                facts=facts,
                tabs=[
                    Differences(),
                    Tree(),
                    Sessions(),
                    History(context, "target", changed=_history_of),
                ],
                width=388,
            ),
            access=context.access,
            settings=context.settings,
        )
        self.drift = Notice()
        self.unread = Notice(State.FAILED)
        self.over.addWidget(self.unread)
        self.over.addWidget(self.drift)
        self.model.content_changed.connect(self._tell)
        context.feeds.hosts.updated.connect(self._tell)
        context.access.changed.connect(self._tell)
        context.feeds.targets.attach(self)
        self._tell()

    def _declared(self) -> tuple[Action[TargetRow], ...]:
        def anywhere(
            text: str, icon: str, handler: Callable[[list[TargetRow]], None], **how: Any
        ) -> Action[TargetRow]:
            return Action(text, icon, handler, on_rows=False, **how)

        def one(
            text: str, icon: str, handler: Callable[[TargetRow], None], **how: Any
        ) -> Action[TargetRow]:
            return Action(text, icon, lambda rows: handler(rows[0]), single=True, **how)

        context = self._context
        return (
            anywhere(
                tr("Plan…"),
                "git-compare",
                lambda _rows: self._on_plan(),
                shortcut="Ctrl+P",
                needs=Role.VIEWER,
                button="primary",
            ),
            anywhere(tr("Prepare target"), "plus", self._on_new, shortcut="Ctrl+N", button="plain"),
            Action(tr("Copy IQN"), "copy", self._on_copy, shortcut="Ctrl+C", needs=Role.VIEWER),
            one(tr("Test login"), "log-in", self._on_test, enabled=_testable),
            one(
                tr("Turn CHAP on"),
                "lock",
                lambda row: turn_chap_on(self, context, row),
                enabled=_chap_on,
            ),
            one(
                tr("Turn CHAP off"),
                "lock-open",
                lambda row: turn_chap_off(self, context, row),
                enabled=_chap_off,
            ),
            one(tr("Adopt"), "hand", self._on_adopt, enabled=_adoptable, needs=Role.ADMIN),
            one(tr("Release"), "unplug", self._on_release, enabled=_releasable, needs=Role.ADMIN),
            anywhere(
                tr("Repair"), "wrench", lambda _rows: self._on_repair(), enabled=self._repairable
            ),
            anywhere(
                tr("Undo last apply"),
                "undo-2",
                lambda _rows: self._on_undo(),
                enabled=self._undoable,
            ),
            Action(
                tr("Remove"),
                "trash-2",
                self._on_remove,
                shortcut="Del",  # no text
                enabled=_removable,
                several=lambda n: tr("Remove %n target(s)", "", n),
            ),
        )

    # What the page says above its table

    def _hosts(self) -> list[HostRow]:
        return sorted(self._context.feeds.hosts.rows.values(), key=lambda host: host.name)

    def _drifted(self) -> int:
        return sum(map(has_drifted, self.model.rows))

    def _tell(self) -> None:
        number = self._drifted()
        self.drift.say(differ_text(number) if number else "", tr("Plan…"), self._on_plan)
        broken = next((host for host in self._hosts() if host.saved_problem), None)
        if broken is None:
            self.unread.say("")
        else:
            self.unread.say(
                unread_of(broken),
                tr("Rewrite saved configuration…"),
                lambda: rewrite_saved(self, self._context, broken),
                refusal=self._context.access.refusal(Role.OPERATOR),
            )
        self.refresh_actions()

    def _repairable(self, _rows: Sequence[TargetRow]) -> str | None:
        return None if self._drifted() else tr("Everything runs as wanted")

    def _undoable(self, _rows: Sequence[TargetRow]) -> str | None:
        if any(host.undoable for host in self._hosts()):
            return None
        return tr("No apply has changed a target")

    # Actions

    def _work(
        self, work: Callable[..., list[int]], *args: Any, told: Callable[[JobRow], str]
    ) -> None:
        have_done(self, self._context, work, *args, told=told)

    def _on_new(self, _rows: list[TargetRow]) -> None:
        new_target(self, self._context)

    def _on_plan(self) -> None:
        show_plan(self, self._context)

    def _on_test(self, row: TargetRow) -> None:
        test_login(self, self._context, row)

    def _on_copy(self, rows: list[TargetRow]) -> None:
        QGuiApplication.clipboard().setText("\n".join(row.iqn for row in rows))

    def _on_repair(self) -> None:
        repair(self, self._context, {row.host_id for row in self.model.rows if has_drifted(row)})

    def _on_undo(self) -> None:
        hosts = [host for host in self._hosts() if host.undoable]
        number = sum(host.undoable for host in hosts)
        confirm(
            self,
            tr(
                "Make %n target(s) again what (it|they) (was|were) before the last apply?",
                "",
                number,
            ),
            tr(
                "What is wanted stays as it is, so they show as different then. Nothing is done "
                "if a machine would lose its disk by it."
            ),
            tr("Undo last apply"),
            lambda: self._work(
                target_plans.undo_hosts,
                [host.id for host in hosts],
                told=as_before,
            ),
            danger=False,
        )

    def _on_adopt(self, row: TargetRow) -> None:
        adopted = tr("Adopted {target}.").format(target=row.iqn)
        confirm(
            self,
            tr("Adopt {target}?").format(target=row.iqn),
            tr(
                "It is wanted from now on just as it runs now: its disks, its initiators, its "
                "CHAP. The console then keeps it so, and makes it again after a restart."
            ),
            tr("Adopt"),
            lambda: self._work(_adopt, row.host_id, row.iqn, told=lambda _job: adopted),
            danger=False,
        )

    def _on_release(self, row: TargetRow) -> None:
        released = tr("Released {target}.").format(target=row.iqn)
        confirm(
            self,
            tr("Release {target}?").format(target=row.iqn),
            tr(
                "It runs on untouched. The console no longer manages it and will not make it again."
            ),
            tr("Release"),
            lambda: self._work(_release, row.id, told=lambda _job: released),
            danger=False,
        )

    def _on_remove(self, rows: list[TargetRow]) -> None:
        def remove() -> None:
            for row in rows:
                self._context.do(self, targets.remove_target, row.id)

        names = [row.machine for row in rows]
        confirm(
            self,
            tr("Remove the target of {names}?").format(names=fmt.names(names)),
            tr("The next session makes it anew."),
            tr("Remove %n target(s)", "", len(rows)),
            remove,
            names=names,
        )


def _adopt(session: Any, host_id: int, iqn: str) -> list[int]:
    return [target_plans.adopt_target(session, host_id, iqn)]


def _release(session: Any, target_id: int) -> list[int]:
    return [target_plans.release_target(session, target_id)]
