# SPDX-License-Identifier: GPL-3.0-or-later
"""The Dashboard: what is wrong, grouped by cause, then what runs; each line leads to its page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..enums import ImageStatus, JobStatus, Role
from ..services.hosts import HostRow
from ..services.images import ImageRow
from ..services.jobs import JobRow
from ..services.machines import MachineRow
from . import jobs as jobs_page
from .boot_sessions.start_dialog import start_again, why_not_again
from .hosts import backend_name, trouble_of, unread_of
from .kit import format as fmt
from .kit.feed import Feed
from .kit.page import TICK_MS, Page
from .kit.theme import tabular
from .kit.tokens import CONTROL_HEIGHT, URGENCY, XS, L, M, S, State, worst
from .kit.translate import tr, translated
from .kit.widgets import Button, Sign, clear, copyable, hairline, label, restyle
from .machines import page as machines_page
from .page_context import PageContext
from .targets.plan_dialog import show_plan
from .targets.repair import repair_targets_of, rewrite_saved
from .targets.words import differ_text, has_drifted, subject_of
from .targets.words import state_of as target_state_of

_MOST_GROUPS = 12
_ORDER = {"machine": 0, "target": 1, "image": 2}
"""Whoever waits for a machine waits now."""


@dataclass(frozen=True)
class Problem:
    """One cause with everything it concerns; ``noun`` "" when there is nothing to be shown."""

    state: State
    cause: str
    noun: str = ""
    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


_PLACES = {
    "machine": ("machines", tr("Problem")),
    "image": ("images", tr("Failed")),
    "target": ("targets", tr("Problem")),
}
"""Page and filter where the things of a noun are."""

_COUNTED: dict[str, Callable[[int], str]] = {
    "machine": lambda n: tr("%n machine(s)", "", n),
    "image": lambda n: tr("%n image(s)", "", n),
}
"""So many things of a noun; targets are counted by their cause."""


def problems(context: PageContext) -> list[Problem]:
    """What somebody has to look after: storage hosts, then failures, by cause, most first."""
    feeds = context.feeds
    hosts = sorted(feeds.hosts.rows.values(), key=lambda host: host.name)
    found = [Problem(State.FAILED, cause) for cause in map(trouble_of, hosts) if cause]
    found += [
        Problem(State.FAILED, unread_of(host), "host", (), (host.id,))
        for host in hosts
        if unread_of(host)
    ]
    groups: dict[tuple[State, str, str], list[tuple[str, int]]] = {}
    for machine in feeds.machines.rows.values():
        if machines_page.is_problem(machine):
            state, text = machines_page.state_of(machine)
            cause, _, when = text.partition(" · ")
            # Of those that are away each was last seen at another time.
            if when and machines_page.is_open(machine):
                name = f"{machine.name} · {when}"
            else:
                name = machine.name
            groups.setdefault((state, cause, "machine"), []).append((name, machine.id))
    drifted = [row for row in feeds.targets.rows.values() if has_drifted(row)]
    if drifted:
        worst_of = worst(target_state_of(row)[0] for row in drifted) or State.ATTENTION
        key = worst_of, differ_text(len(drifted)), "target"
        groups[key] = [(subject_of(row), row.id) for row in drifted]
    for image in feeds.images.rows.values():
        if image.status is ImageStatus.ERROR:
            groups.setdefault((State.FAILED, translated(image.error), "image"), []).append(
                (image.name, image.id)
            )
    grouped = [
        Problem(
            state,
            cause,
            noun,
            tuple(name for name, _ in sorted(members)),
            tuple(row_id for _, row_id in members),
        )
        for (state, cause, noun), members in groups.items()
    ]
    grouped.sort(key=lambda p: (URGENCY[p.state], _ORDER[p.noun], -len(p.ids), p.cause))
    return found + grouped


class Tile(QFrame):
    """A number that leads to what it counts."""

    def __init__(self, caption: str, state: State, clicked: Callable[[], None]) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(caption)
        self._clicked = clicked
        self._sign = Sign(state)
        self.number = label("–", "hero")
        self.number.setFont(tabular(self.number.font()))
        row = QHBoxLayout()
        row.setSpacing(S - 2)
        row.addWidget(self._sign)
        row.addWidget(label(caption, "secondary"))
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(L, M, L, M)
        column.setSpacing(XS)
        column.addWidget(self.number)
        column.addLayout(row)

    def show_number(self, number: int) -> None:
        """How many there are."""
        self.number.setText(fmt.number(number))

    def warn(self, state: State | None) -> None:
        """Draw number and sign in the colour of this state; as any other tile without one."""
        self._sign.set_state(state or State.OFF)
        self.number.setProperty("state", state.name.lower() if state else "")
        restyle(self.number)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.rect().contains(event.position().toPoint()):
            self._clicked()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._clicked()
        else:
            super().keyPressEvent(event)


class Dashboard(QWidget):
    """Live counts and problems; holds no rows of its own."""

    def __init__(self, context: PageContext) -> None:
        super().__init__()
        self._context = context
        self._tiles: list[tuple[Tile, Callable[[], list[Any]]]] = []
        self._shown: object = None
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(L, XS, L, L)
        column.setSpacing(M)
        column.addLayout(self._make_tiles())
        self._problems = self._section(column, tr("Needs attention"))
        self._work = self._section(column, tr("Running work"))
        self._hosts = self._section(column, tr("Storage hosts"))
        column.addStretch()
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(inner)
        heading = label(tr("Dashboard"), "title")
        heading.setContentsMargins(L, M, L, S)
        # As high as the headers that hold buttons, so that titles do not jump.
        heading.setFixedHeight(CONTROL_HEIGHT + 2 + M + S)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(heading)
        outer.addWidget(area, 1)
        # Many hints become one redraw.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(50)
        self._soon.timeout.connect(self._draw)
        for feed in context.feeds.all():
            feed.updated.connect(self._on_updated)
        context.access.changed.connect(self._on_updated)
        self._clock = QTimer(self)
        self._clock.setInterval(TICK_MS)
        self._clock.timeout.connect(self._draw)
        self._clock.start()
        self._draw()

    def _make_tiles(self) -> QGridLayout:
        machines, images = self._context.feeds.machines, self._context.feeds.images
        grid = QGridLayout()
        grid.setSpacing(M)
        for number, (caption, chip, state) in enumerate(
            (
                (tr("With a problem"), tr("Problem"), State.ATTENTION),
                (tr("Waiting for boot"), tr("Waiting"), State.WORKING),
                (tr("Machines running"), tr("Running"), State.RUNNING),
                (tr("Off"), tr("Off"), State.OFF),
            )
        ):
            matches = next(each.matches for each in machines_page.CHIPS if each.text == chip)
            tile = Tile(caption, state, partial(self._open, "machines", chip))
            self._tiles.append((tile, partial(_matching, machines, matches)))
            grid.addWidget(tile, 0, number)
        # Also those that are at work or have a warning, which no chip has together.
        ready = partial(_matching, images, _is_ready)
        tile = Tile(
            tr("Images ready"),
            State.RUNNING,
            lambda: self._open("images", ids=[row.id for row in ready()]),
        )
        self._tiles.append((tile, ready))
        grid.addWidget(tile, 0, 4)
        return grid

    def _section(self, column: QVBoxLayout, title: str) -> QVBoxLayout:
        heading = label(title, "section")
        heading.setContentsMargins(0, S, 0, 0)
        card = QFrame()
        card.setProperty("role", "card")
        lines = QVBoxLayout(card)
        lines.setContentsMargins(L, S, M, S)
        lines.setSpacing(S)
        column.addWidget(heading)
        column.addWidget(card)
        return lines

    def _on_updated(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _open(self, page: str, chip: str = "", ids: Sequence[Hashable] = ()) -> None:
        shown = self._context.show_page(page)
        if isinstance(shown, Page):
            if chip:
                shown.show_chip(chip)
            if ids:
                shown.select(list(ids))

    def _draw(self) -> None:
        feeds = self._context.feeds
        for tile, found_by in self._tiles:
            tile.show_number(len(found_by()))
        broken = self._tiles[0][1]()
        self._tiles[0][0].warn(worst(map(machines_page.sign_of, broken)))
        found = problems(self._context)
        running = [job for job in feeds.jobs.rows.values() if job.status is JobStatus.RUNNING]
        hosts = sorted(feeds.hosts.rows.values(), key=lambda host: host.name)
        shown = (
            found,
            running,
            [(_state_of(h), h.name, h.portal, h.backend) for h in hosts],
            self._context.access.refusal(Role.OPERATOR),
        )
        loaded = all(feed.loaded for feed in feeds.all() if not feed.on_demand)
        if (shown, loaded) == self._shown:
            return
        self._shown = (shown, loaded)
        for section in (self._problems, self._work, self._hosts):
            clear(section)
        for problem in found[:_MOST_GROUPS]:
            _add(self._problems, self._problem(problem))
        if len(found) > _MOST_GROUPS:
            more = tr("and %n more cause(s)", "", len(found) - _MOST_GROUPS)
            _add(self._problems, label(more, "secondary"))
        if not found:
            _add(self._problems, _quiet(tr("All is well.") if loaded else tr("Reading…"), loaded))
        for job in running:
            _add(self._work, self._job(job))
        if not running:
            _add(self._work, label(tr("Nothing is being worked on."), "secondary"))
        for host in hosts:
            about = tr("Does not answer.")
            if host.alive:
                about = tr("{backend} on {portal}").format(
                    backend=backend_name(host), portal=host.portal
                )
            _add(self._hosts, _line(_state_of(host), _texts(host.name, about)))
        if not hosts:
            _add(self._hosts, label(tr("No storage host has reported yet."), "secondary"))

    def _problem(self, problem: Problem) -> QWidget:
        """A cause, whom it concerns, and what can be done about it from here."""
        buttons = []
        if problem.noun == "host":
            (host_id,) = problem.ids
            host = self._context.feeds.hosts.rows[host_id]
            buttons = [
                self._deed(
                    tr("Rewrite saved configuration…"), lambda: self._on_unread(host), Role.OPERATOR
                )
            ]
        elif problem.noun == "machine":
            rows = [self._context.feeds.machines.rows[each] for each in problem.ids]
            if any(why_not_again(row) is None for row in rows):
                buttons.append(
                    self._deed(tr("Start again"), lambda: self._on_again(rows), Role.OPERATOR)
                )
            if any(map(machines_page.target_has_drifted, rows)):
                buttons.append(
                    self._deed(tr("Repair target"), lambda: self._on_repair(rows), Role.OPERATOR)
                )
        elif problem.noun == "target":
            buttons = [self._deed(tr("Plan…"), self._on_plan)]
        if problem.noun in _PLACES:
            page, chip = _PLACES[problem.noun]
            buttons.append(self._deed(tr("Show"), lambda: self._open(page, chip, problem.ids)))
        about = fmt.names(list(problem.names), 6) if problem.names else ""
        if problem.noun == "image" and len(problem.ids) == 1:
            about = tr("Image {name}").format(name=about)
        elif problem.noun in _COUNTED and len(problem.ids) > 1:
            about = f"{_COUNTED[problem.noun](len(problem.ids))}: {about}"
        # Whom it concerns is what people look for here.
        cause = copyable(fmt.with_stop(problem.cause), "secondary" if about else "")
        return _line(problem.state, [cause, copyable(about)] if about else [cause], *buttons)

    def _deed(self, text: str, handler: Callable[[], None], needs: Role = Role.VIEWER) -> Button:
        """A button that says why it cannot be pressed, as actions of pages do."""
        button = Button(text)
        refusal = self._context.access.refusal(needs)
        button.setEnabled(refusal is None)
        button.setToolTip(refusal or "")
        button.clicked.connect(handler)
        return button

    def _on_again(self, rows: Sequence[MachineRow]) -> None:
        start_again(self, self._context, rows)

    def _on_repair(self, rows: Sequence[MachineRow]) -> None:
        repair_targets_of(self, self._context, [row.id for row in rows])

    def _on_unread(self, host: HostRow) -> None:
        rewrite_saved(self, self._context, host)

    def _on_plan(self) -> None:
        show_plan(self._context.show_page("targets"), self._context)

    def _job(self, job: JobRow) -> QWidget:
        work = jobs_page.progress_of(job)
        bar = QProgressBar()
        bar.setFixedWidth(160)
        bar.setTextVisible(False)
        bar.setValue(int((work.share or 0) * 100))
        button = Button(tr("Show"))
        button.clicked.connect(lambda: self._open("jobs", ids=(job.id,)))
        about = "  ".join(filter(None, (translated(job.phase), fmt.percent(work.share), work.left)))
        return _line(State.WORKING, _texts(work.text, about), bar, button)


def _matching(feed: Feed[Any], matches: Callable[[Any], bool]) -> list[Any]:
    return list(filter(matches, feed.rows.values()))


def _is_ready(row: ImageRow) -> bool:
    return row.status is ImageStatus.READY


def _texts(title: str, about: str = "") -> list[QLabel]:
    return [copyable(title), copyable(about, "secondary")] if about else [copyable(title)]


def _line(state: State, texts: Sequence[QLabel], *widgets: QWidget) -> QWidget:
    """A sign, one or two lines of text, and what can be done."""
    result = QWidget()
    row = QHBoxLayout(result)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(S)
    sign = Sign(state)
    sign.setFixedHeight(texts[0].fontMetrics().height())
    place = Qt.AlignmentFlag.AlignTop if len(texts) > 1 else Qt.AlignmentFlag.AlignVCenter
    row.addWidget(sign, 0, place)
    column = QVBoxLayout()
    column.setSpacing(0)
    for text in texts:
        column.addWidget(text)
    row.addLayout(column, 1)
    for widget in widgets:
        row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
    return result


def _state_of(host: HostRow) -> State:
    if not host.alive:
        return State.FAILED
    return State.ATTENTION if trouble_of(host) or unread_of(host) else State.RUNNING


def _quiet(text: str, loaded: bool) -> QWidget:
    return _line(State.RUNNING, _texts(text)) if loaded else label(text, "secondary")


def _add(section: QVBoxLayout, widget: QWidget) -> None:
    """One more line, below a hairline unless it is the first."""
    if section.count():
        section.addWidget(hairline())
    section.addWidget(widget)
