# SPDX-License-Identifier: GPL-3.0-or-later
"""The Machines page: which PC is broken, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from ...enums import Drift, MachineStatus, SessionStatus
from ...services import boot_sessions, machines
from ...services.machines import MachineChanges, MachineRow
from ..boot_sessions.sessions_tab import MachineSessions
from ..boot_sessions.start_dialog import start_again, start_sessions, why_not_again
from ..boot_sessions.stop_dialog import stop_sessions
from ..enum_words import word
from ..history_tab import History
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.columns import time_column
from ..kit.detail_pane import DetailPane, Fact
from ..kit.messages import confirm
from ..kit.page import Chip, Empty, Page
from ..kit.table_model import Column, natural
from ..kit.tokens import URGENCY, State
from ..kit.translate import tr, translated
from ..page_context import PageContext
from ..targets.repair import repair_targets_of
from .dialogs import apply_changes, change_machines, edit_machine, new_machine

_SIGNS = {
    SessionStatus.ERROR: State.FAILED,
    SessionStatus.TIMEOUT: State.ATTENTION,
    SessionStatus.PENDING: State.WORKING,
    SessionStatus.ACTIVE: State.RUNNING,
    SessionStatus.STOPPED: State.OFF,
    None: State.OFF,
}


def sign_of(row: MachineRow) -> State:
    """A machine's sign: that of its newest session, and whether it is or can get logged in."""
    if target_has_drifted(row):
        return State.FAILED if row.drift is Drift.MISSING else State.ATTENTION
    sign = _SIGNS[row.session_status]
    return State.ATTENTION if sign is State.RUNNING and not row.online else sign


def target_has_drifted(row: MachineRow) -> bool:
    """Whether its disk cannot be reached: it waits or is away, and its target is not as wanted."""
    return row.drift is not None and is_open(row) and not row.online


def words_of(row: MachineRow) -> str:
    """What there is to say about a machine; the sign beside it says “failed”."""
    if target_has_drifted(row):
        is_missing = row.drift is Drift.MISSING
        return tr("Its target is missing") if is_missing else tr("Its target is not as wanted")
    match row.session_status:
        case SessionStatus.ERROR:
            return translated(row.session_error or "") or word(SessionStatus.ERROR)
        case SessionStatus.TIMEOUT:
            return f"{word(SessionStatus.TIMEOUT)} · {fmt.ago(row.session_since)}"
        case SessionStatus.PENDING:
            return _since(tr("Waiting for boot"), row)
        case SessionStatus.ACTIVE if row.online:
            return _since(tr("Running"), row)
        case SessionStatus.ACTIVE:
            seen = tr("last seen {when}").format(when=fmt.ago(row.last_seen_at))
            return " · ".join((tr("Disconnected"), seen))
    return tr("Off") if row.status is MachineStatus.ACTIVE else word(row.status)


def _since(text: str, row: MachineRow) -> str:
    """With how long its session has been so."""
    return f"{text} · {fmt.duration(fmt.since(row.session_since))}"


def state_of(row: MachineRow) -> tuple[State, str]:
    """Sign and words together."""
    return sign_of(row), words_of(row)


def is_problem(row: MachineRow) -> bool:
    """Whether somebody has to look after this machine."""
    sign = sign_of(row)
    return sign is State.FAILED or sign is State.ATTENTION


def is_open(row: MachineRow) -> bool:
    """Whether the machine has a session that has not ended."""
    return row.session_status in boot_sessions.OPEN


_RANKS = {sign: str(rank) for sign, rank in URGENCY.items()}


def _by_urgency(row: MachineRow) -> str:
    """What is wrong first, then by name; one text is compared faster than a pair."""
    return _RANKS[sign_of(row)] + natural(row.name)


COLUMNS: tuple[Column[MachineRow], ...] = (
    Column("name", tr("Name"), lambda r: r.name, width=128, grows=True),
    Column(
        "state",
        tr("State"),
        words_of,
        sort=_by_urgency,
        state=sign_of,
        width=256,
        stretch=True,
        live=True,
    ),
    Column("room", tr("Room"), lambda r: r.room or fmt.NONE, width=80),
    Column("ip", tr("IP address"), lambda r: r.ip or fmt.NONE, width=104, tabular=True),
    Column("mac", tr("MAC address"), lambda r: r.mac, width=136, tabular=True, hidden=True),
    Column("image", tr("Image"), lambda r: r.image or fmt.NONE, width=152, grows=True),
    time_column(
        "last_seen",
        tr("Last seen"),
        lambda r: r.last_seen_at,
        text=lambda r: tr("now", "last seen") if r.online else fmt.ago(r.last_seen_at),
    ),
    Column("boot_mode", tr("Boot mode"), lambda r: word(r.boot_mode), width=104, hidden=True),
    Column("status", tr("Status"), lambda r: word(r.status), width=104, hidden=True),
    Column("location", tr("Location"), lambda r: r.location or fmt.NONE, width=128, hidden=True),
    Column("asset_tag", tr("Asset tag"), lambda r: r.asset_tag or fmt.NONE, width=104, hidden=True),
    Column("notes", tr("Notes"), lambda r: r.notes or fmt.NONE, width=200, hidden=True),
)

CHIPS: tuple[Chip[MachineRow], ...] = (
    Chip(tr("Running"), lambda r: sign_of(r) is State.RUNNING),
    Chip(tr("Waiting"), lambda r: sign_of(r) is State.WORKING),
    Chip(tr("Problem"), is_problem, failed=lambda r: sign_of(r) is State.FAILED),
    Chip(tr("Off"), lambda r: sign_of(r) is State.OFF),
)


def facts(row: MachineRow) -> list[Fact]:
    """The overview of one machine."""
    result = [] if is_open(row) or not is_problem(row) else [_failed(row)]
    result += [
        Fact(tr("Image"), row.image or fmt.NONE),
        Fact(tr("Last seen"), fmt.ago(row.last_seen_at), fmt.exact(row.last_seen_at)),
        Fact(tr("IP address"), row.ip or fmt.NONE, section=tr("Network")),
        Fact(tr("MAC address"), row.mac),
        Fact(tr("Boot mode"), word(row.boot_mode)),
        Fact(tr("Status"), word(row.status), section=tr("Place")),
        Fact(tr("Room"), row.room or fmt.NONE),
        Fact(tr("Location"), row.location or fmt.NONE),
        Fact(tr("Asset tag"), row.asset_tag or fmt.NONE),
        Fact(tr("Added"), fmt.ago(row.created_at), fmt.exact(row.created_at)),
    ]
    if row.notes:
        result.append(Fact(tr("Notes"), row.notes))
    return result


def _failed(row: MachineRow) -> Fact:
    """Since when a machine has no session because it failed."""
    return Fact(tr("Failed"), fmt.ago(row.session_since), fmt.exact(row.session_since))


def _again_refusal(rows: Sequence[MachineRow]) -> str | None:
    reasons = [why_not_again(row) for row in rows]
    return None if None in reasons else next(filter(None, reasons), None)


def _can_start_again(row: MachineRow) -> bool:
    return why_not_again(row) is None


def _has_ended_badly(row: MachineRow) -> bool:
    return is_problem(row) and _can_start_again(row)


def _start_refusal(rows: Sequence[MachineRow]) -> str | None:
    for row in rows:
        if is_open(row):
            return tr("{name} already has a session: stop it first").format(name=row.name)
        if row.status is not MachineStatus.ACTIVE:
            return tr("{name} is not active: set it to active first").format(name=row.name)
    return None


def _stop_refusal(rows: Sequence[MachineRow]) -> str | None:
    return None if any(map(is_open, rows)) else tr("No session is open")


def _repairable(rows: Sequence[MachineRow]) -> str | None:
    return (
        None
        if any(map(target_has_drifted, rows))
        else tr("No machine is kept from booting by its target")
    )


def _idle(rows: Sequence[MachineRow]) -> str | None:
    running = [row.name for row in rows if is_open(row)]
    if not running:
        return None
    text = tr("{names} (has|have) a session: stop it first", "", len(running))
    return text.format(names=fmt.names(running, 2))


class MachinesPage(Page[MachineRow]):
    """All machines, with their sessions."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="machines",
            title=tr("Machines"),
            several=lambda n: tr("%n machine(s)", "", n),
            none=tr("No machine"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    tr("Start session"),
                    "play",
                    self._on_start,
                    shortcut="Ctrl+Return",
                    enabled=_start_refusal,
                    button="primary",
                    several=lambda n: tr("Start %n session(s)", "", n),
                ),
                Action(
                    tr("Add machine"),
                    "plus",
                    self._on_add,
                    shortcut="Ctrl+N",
                    on_rows=False,
                    button="plain",
                ),
                Action(
                    tr("Start again"),
                    "rotate-ccw",
                    self._on_again,
                    shortcut="Ctrl+Shift+Return",
                    enabled=_again_refusal,
                    several=lambda n: tr("Start %n session(s) again", "", n),
                    applies=_can_start_again,
                    fixes=lambda rows: any(map(_has_ended_badly, rows)),
                ),
                Action(
                    tr("Repair target"),
                    "wrench",
                    self._on_repair,
                    enabled=_repairable,
                    several=lambda n: tr("Repair %n target(s)", "", n),
                    applies=target_has_drifted,
                    fixes=lambda rows: any(map(target_has_drifted, rows)),
                ),
                Action(
                    tr("Stop session"),
                    "square",
                    self._on_stop,
                    shortcut="Ctrl+.",
                    enabled=_stop_refusal,
                    several=lambda n: tr("Stop %n session(s)", "", n),
                    applies=is_open,
                ),
                Action(
                    tr("Edit"),
                    "pencil",
                    self._on_edit,
                    shortcut="F2",
                    several=lambda n: tr("Edit %n machine(s)", "", n),
                ),
                Action(tr("Set to maintenance"), "wrench", self._on_maintenance, enabled=_idle),
                Action(tr("Set to active"), "power", self._on_active, enabled=_inactive),
                Action(
                    tr("Delete"),
                    "trash-2",
                    self._on_delete,
                    shortcut="Del",  # no text
                    enabled=_idle,
                    several=lambda n: tr("Delete %n machine(s)", "", n),
                ),
            ),
            empty=Empty(
                tr("No machines yet"),
                tr(
                    "A machine is a PC without a disk: it boots from an image over the network. "
                    "Its MAC address is all it takes to add it."
                ),
                tr("Add machine"),
            ),
            detail=DetailPane(
                name=lambda r: r.name,
                state=state_of,
                facts=facts,
                tabs=[MachineSessions(context), History(context, "machine")],
            ),
            opens=tr("Edit"),
            sort="state",
            access=context.access,
            settings=context.settings,
        )
        context.feeds.machines.attach(self)

    def _on_add(self, _rows: list[MachineRow]) -> None:
        new_machine(self, self._context, self.select_when_there)

    def _on_edit(self, rows: list[MachineRow]) -> None:
        if len(rows) == 1:
            edit_machine(self, self._context, rows[0])
        else:
            change_machines(self, self._context, rows)

    def _on_start(self, rows: list[MachineRow]) -> None:
        start_sessions(self, self._context, rows)

    def _on_again(self, _rows: list[MachineRow]) -> None:
        start_again(self, self._context, self.view.selected())

    def _on_repair(self, rows: list[MachineRow]) -> None:
        repair_targets_of(self, self._context, {row.id for row in rows})

    def _on_stop(self, rows: list[MachineRow]) -> None:
        open_ids = {row.session_id: row.name for row in rows if row.session_id is not None}
        stop_sessions(self, self._context, open_ids)

    def _on_maintenance(self, rows: list[MachineRow]) -> None:
        self._set_status(rows, MachineStatus.MAINTENANCE)

    def _on_active(self, rows: list[MachineRow]) -> None:
        self._set_status(rows, MachineStatus.ACTIVE)

    def _set_status(self, rows: list[MachineRow], status: MachineStatus) -> None:
        apply_changes(self, self._context, rows, MachineChanges(status=status))

    def _on_delete(self, rows: list[MachineRow]) -> None:
        names = [row.name for row in rows]
        confirm(
            self,
            tr("Delete {names}?").format(names=fmt.names(names)),
            tr(
                "(Its|Their) history of sessions goes with (it|them). This cannot be undone.",
                "",
                len(rows),
            ),
            tr("Delete %n machine(s)", "", len(rows)),
            names=names,
            then=lambda: self._context.do(self, machines.delete_machines, [row.id for row in rows]),
        )


def _inactive(rows: Sequence[MachineRow]) -> str | None:
    active = all(row.status is MachineStatus.ACTIVE for row in rows)
    return tr("Is active already") if active else None
