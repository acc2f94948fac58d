# SPDX-License-Identifier: GPL-3.0-or-later
"""The Sessions page: who reads which image, since when and how much."""

from __future__ import annotations

from collections.abc import Sequence

from ...enums import Role, SessionStatus
from ...services.boot_sessions import BootSessionRow
from ..enum_words import sign, word
from ..history_tab import History
from ..kit import format as fmt
from ..kit.actions import Action
from ..kit.columns import size_column, time_column
from ..kit.detail_pane import DetailPane, Fact
from ..kit.page import Chip, Empty, Page
from ..kit.table_model import Column
from ..kit.tokens import URGENCY, State
from ..kit.translate import tr, translated
from ..page_context import PageContext
from .stop_dialog import stop_sessions


def state_of(row: BootSessionRow) -> tuple[State, str]:
    """A session's sign and what there is to say about it."""
    if row.open and row.stop_requested:
        return State.WORKING, tr("Stopping")
    match row.status:
        case SessionStatus.PENDING if row.ready_at is None:
            return State.WORKING, tr("Setting up target")
        case SessionStatus.PENDING:
            return State.WORKING, " · ".join(filter(None, (tr("Waiting for boot"), _waits(row))))
        case SessionStatus.ACTIVE if row.connected:
            runs = fmt.duration(fmt.since(row.active_at))
            return State.RUNNING, " · ".join((tr("Running"), runs))
        case SessionStatus.ACTIVE:
            seen = tr("last seen {when}").format(when=fmt.ago(row.last_seen_at))
            return State.ATTENTION, " · ".join((tr("Disconnected"), seen))
        case SessionStatus.ERROR:
            return State.FAILED, translated(row.error) or word(row.status)
    return sign(row.status), f"{word(row.status)} · {fmt.ago(row.ended_at)}"


def _waits(row: BootSessionRow) -> str:
    """How long a session still waits for its machine."""
    left = fmt.until(row.expires_at)
    return fmt.time_left(left) if left else ""


COLUMNS: tuple[Column[BootSessionRow], ...] = (
    Column("machine", tr("Machine"), lambda r: r.machine, width=120, grows=True),
    Column(
        "state",
        tr("State"),
        lambda r: state_of(r)[1],
        sort=lambda r: (not r.open, URGENCY[state_of(r)[0]], -r.id),
        state=lambda r: state_of(r)[0],
        width=256,
        stretch=True,
        live=True,
    ),
    Column("image", tr("Image"), lambda r: r.image, width=136, grows=True),
    Column(
        "client_address",
        tr("Client address"),
        lambda r: r.client_address or fmt.NONE,
        width=108,
        tabular=True,
    ),
    size_column("bytes_read", tr("Read"), lambda r: r.bytes_read, width=80),
    size_column("bytes_written", tr("Written"), lambda r: r.bytes_written, width=80),
    time_column("started", tr("Started"), lambda r: r.created_at, width=88),
    Column("type", tr("Purpose"), lambda r: word(r.type), width=112, hidden=True),
    Column(
        "started_by", tr("Started by"), lambda r: r.started_by or fmt.NONE, width=112, hidden=True
    ),
    Column("host", tr("Storage host"), lambda r: r.host, width=112, hidden=True),
    Column("target_iqn", tr("Target"), lambda r: r.target_iqn, width=312, hidden=True),
)


def _is_wrong(row: BootSessionRow) -> bool:
    return state_of(row)[0] in (State.FAILED, State.ATTENTION)


CHIPS: tuple[Chip[BootSessionRow], ...] = (
    Chip(tr("Running"), lambda r: r.open and state_of(r)[0] is State.RUNNING),
    Chip(tr("Waiting"), lambda r: r.open and state_of(r)[0] is State.WORKING),
    Chip(tr("Disconnected"), lambda r: r.open and _is_wrong(r), failed=lambda _row: False),
    Chip(tr("Failed"), lambda r: not r.open and _is_wrong(r)),
    Chip(tr("Ended"), lambda r: not (r.open or _is_wrong(r))),
)


def facts(row: BootSessionRow) -> list[Fact]:
    """The overview of one session."""
    return [
        Fact(tr("Image"), row.image),
        Fact(tr("Purpose"), word(row.type)),
        Fact(tr("Read"), fmt.size(row.bytes_read), fmt.exact_size(row.bytes_read)),
        Fact(tr("Written"), fmt.size(row.bytes_written), fmt.exact_size(row.bytes_written)),
        Fact(tr("Client address"), row.client_address or fmt.NONE, section="iSCSI"),  # no text
        Fact(tr("Portal"), row.portal or fmt.NONE),
        Fact("LUN", str(row.lun)),
        Fact(tr("Target"), row.target_iqn),
        Fact(tr("Initiator"), row.initiator_iqn),
        Fact(tr("Storage host"), row.host),
        Fact(
            tr("Started"), fmt.ago(row.created_at), fmt.exact(row.created_at), section=tr("Times")
        ),
        Fact(tr("Started by"), row.started_by or fmt.NONE),
        Fact(tr("First login"), fmt.ago(row.active_at), fmt.exact(row.active_at)),
        Fact(tr("Last seen"), fmt.ago(row.last_seen_at), fmt.exact(row.last_seen_at)),
        Fact(tr("Ended"), fmt.ago(row.ended_at), fmt.exact(row.ended_at)),
    ]


def _stop_refusal(rows: Sequence[BootSessionRow]) -> str | None:
    return None if any(row.open for row in rows) else tr("Has ended already")


class SessionsPage(Page[BootSessionRow]):
    """Open sessions, and the newest of those that ended."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        super().__init__(
            key="sessions",
            title=tr("Sessions"),
            several=lambda n: tr("%n session(s)", "", n),
            none=tr("No session"),
            columns=COLUMNS,
            chips=CHIPS,
            actions=(
                Action(
                    tr("Stop session"),
                    "square",
                    self._on_stop,
                    shortcut="Del",  # no text
                    enabled=_stop_refusal,
                    button="plain",
                    several=lambda n: tr("Stop %n session(s)", "", n),
                    applies=lambda row: row.open,
                ),
                Action(
                    tr("Show machine"), "monitor", self._on_machine, single=True, needs=Role.VIEWER
                ),
            ),
            empty=Empty(
                tr("No sessions yet"),
                tr(
                    "A session gives a machine its image: from its start until it is stopped the "
                    "machine boots from it. Sessions are started on the Machines page."
                ),
                "",
            ),
            detail=DetailPane(
                name=lambda r: r.machine,
                state=state_of,
                facts=facts,
                tabs=[History(context, "session")],
            ),
            opens=tr("Show machine"),
            sort="state",
            access=context.access,
            settings=context.settings,
        )
        context.feeds.sessions.attach(self)

    def _on_stop(self, rows: list[BootSessionRow]) -> None:
        stop_sessions(self, self._context, {row.id: row.machine for row in rows})

    def _open(self) -> int:
        running, waiting, disconnected, *_ended = self.model.counts
        return running + waiting + disconnected

    def _on_machine(self, rows: list[BootSessionRow]) -> None:
        page = self._context.show_page("machines")
        if isinstance(page, Page):
            page.select([rows[0].machine_id])
