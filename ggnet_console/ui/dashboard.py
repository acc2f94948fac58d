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
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..enums import ImageStatus, JobStatus
from ..services.images import ImageRow
from ..services.jobs import JobRow
from . import format as fmt
from . import jobs as jobs_page
from . import machines as machines_page
from .controls import Button, Sign, clear, copyable, hairline, label
from .desk import Desk
from .feed import Feed
from .hosts import trouble_of
from .page import TICK_MS, Page
from .tokens import XS, L, M, S, State

_MOST_GROUPS = 12


@dataclass(frozen=True)
class Problem:
    """One cause with everything it concerns."""

    state: State
    cause: str
    names: tuple[str, ...]
    noun: str
    page: str
    ids: tuple[int, ...]


def problems(desk: Desk) -> list[Problem]:
    """What somebody has to look after: silent storage hosts, then failures, by cause, most first."""
    found = [
        Problem(State.FAILED, cause, (), "", "", ())
        for cause in map(trouble_of, desk.feeds.hosts.rows.values())
        if cause
    ]
    groups: dict[tuple[State, str, str], list[tuple[str, int]]] = {}
    for machine in desk.feeds.machines.rows.values():
        if machines_page.is_problem(machine):
            state, text = machines_page.state_of(machine)
            word, _, rest = text.partition(" · ")
            cause = rest if state is State.FAILED and rest else word
            groups.setdefault((state, cause, "machine"), []).append((machine.name, machine.id))
    for image in desk.feeds.images.rows.values():
        if image.status is ImageStatus.ERROR:
            groups.setdefault((State.FAILED, image.error, "image"), []).append(
                (image.name, image.id)
            )
    grouped = [
        Problem(
            state,
            cause,
            tuple(name for name, _ in sorted(members)),
            noun,
            f"{noun}s",
            tuple(row_id for _, row_id in members),
        )
        for (state, cause, noun), members in groups.items()
    ]
    grouped.sort(key=lambda p: (p.state is not State.FAILED, -len(p.ids), p.cause))
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
        self.number = label("–", "hero")
        row = QHBoxLayout()
        row.setSpacing(S - 2)
        row.addWidget(Sign(state))
        row.addWidget(label(caption, "secondary"))
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(L, M, L, M)
        column.setSpacing(XS)
        column.addWidget(self.number)
        column.addLayout(row)

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

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._tiles: list[tuple[Tile, Callable[[], int]]] = []
        self._shown: object = None
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(L, 0, L, L)
        column.setSpacing(M)
        column.addLayout(self._make_tiles())
        self._problems = self._section(column, "Needs attention")
        self._work = self._section(column, "Running work")
        self._hosts = self._section(column, "Storage hosts")
        column.addStretch()
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(inner)
        heading = label("Dashboard", "title")
        heading.setContentsMargins(L, M, L, M)
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
        for feed in desk.feeds.all():
            feed.updated.connect(self._on_updated)
        self._clock = QTimer(self)
        self._clock.setInterval(TICK_MS)
        self._clock.timeout.connect(self._draw)
        self._clock.start()
        self._draw()

    def _make_tiles(self) -> QGridLayout:
        machines, images = self._desk.feeds.machines, self._desk.feeds.images
        grid = QGridLayout()
        grid.setSpacing(M)
        for number, (caption, chip, state) in enumerate(
            (
                ("Machines running", "Running", State.RUNNING),
                ("Waiting for boot", "Waiting", State.WORKING),
                ("With a problem", "Problem", State.ATTENTION),
                ("Off", "Off", State.OFF),
            )
        ):
            matches = next(each.matches for each in machines_page.CHIPS if each.text == chip)
            tile = Tile(caption, state, partial(self._open, "machines", chip))
            self._tiles.append((tile, partial(_count, machines, matches)))
            grid.addWidget(tile, 0, number)
        tile = Tile("Images ready", State.RUNNING, partial(self._open, "images", "Ready"))
        self._tiles.append((tile, partial(_count, images, _is_ready)))
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
        shown = self._desk.show_page(page)
        if isinstance(shown, Page):
            if chip:
                shown.show_chip(chip)
            if ids:
                shown.select(list(ids))

    def _draw(self) -> None:
        feeds = self._desk.feeds
        for tile, number in self._tiles:
            tile.number.setText(fmt.number(number()))
        found = problems(self._desk)
        running = [job for job in feeds.jobs.rows.values() if job.status is JobStatus.RUNNING]
        hosts = sorted(feeds.hosts.rows.values(), key=lambda host: host.name)
        shown = (found, running, [(h.name, h.alive, h.portal, h.backend) for h in hosts])
        loaded = all(feed.loaded for feed in feeds.all())
        if (shown, loaded) == self._shown:
            return
        self._shown = (shown, loaded)
        for section in (self._problems, self._work, self._hosts):
            clear(section)
        for problem in found[:_MOST_GROUPS]:
            _add(self._problems, self._problem(problem))
        if len(found) > _MOST_GROUPS:
            more = f"and {len(found) - _MOST_GROUPS} more causes"
            _add(self._problems, label(more, "secondary"))
        if not found:
            _add(self._problems, _quiet("All is well." if loaded else "Reading…", loaded))
        for job in running:
            _add(self._work, self._job(job))
        if not running:
            _add(self._work, label("Nothing is being worked on.", "secondary"))
        for host in hosts:
            line = _line(
                State.RUNNING if host.alive else State.FAILED,
                host.name,
                f"{host.backend} on {host.portal}" if host.alive else "does not answer",
            )
            _add(self._hosts, line)
        if not hosts:
            _add(self._hosts, label("No storage host has reported yet.", "secondary"))

    def _problem(self, problem: Problem) -> QWidget:
        if not problem.ids:
            return _line(problem.state, problem.cause)
        title = problem.cause
        if len(problem.ids) > 1:
            title = f"{fmt.count(len(problem.ids), problem.noun)}: {problem.cause}"
        names = fmt.names(list(problem.names), 6)
        button = Button("Show")
        button.clicked.connect(lambda: self._open(problem.page, ids=problem.ids))
        return _line(problem.state, title, names, button)

    def _job(self, job: JobRow) -> QWidget:
        work = jobs_page.work_of(job)
        bar = QProgressBar()
        bar.setFixedWidth(160)
        bar.setTextVisible(False)
        bar.setValue(int((work.share or 0) * 100))
        button = Button("Show")
        button.clicked.connect(lambda: self._open("jobs", ids=(job.id,)))
        about = "  ".join(filter(None, (job.phase, fmt.percent(work.share), work.left)))
        return _line(State.WORKING, work.text, about, bar, button)


def _count(feed: Feed[Any], matches: Callable[[Any], bool]) -> int:
    return sum(map(matches, feed.rows.values()))


def _is_ready(row: ImageRow) -> bool:
    return row.status is ImageStatus.READY


def _line(state: State, title: str, about: str = "", *widgets: QWidget) -> QWidget:
    """A sign, a sentence, what it concerns, and what can be done."""
    result = QWidget()
    row = QHBoxLayout(result)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(S)
    row.addWidget(Sign(state), 0, Qt.AlignmentFlag.AlignVCenter)
    texts = QVBoxLayout()
    texts.setSpacing(0)
    texts.addWidget(copyable(title))
    if about:
        texts.addWidget(label(about, "secondary", wrap=True))
    row.addLayout(texts, 1)
    for widget in widgets:
        row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
    return result


def _quiet(text: str, loaded: bool) -> QWidget:
    return _line(State.RUNNING, text) if loaded else label(text, "secondary")


def _add(section: QVBoxLayout, widget: QWidget) -> None:
    """One more line, below a hairline unless it is the first."""
    if section.count():
        section.addWidget(hairline())
    section.addWidget(widget)
