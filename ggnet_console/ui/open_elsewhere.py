# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else has the object of a dialog open: told to the others, and shown as it changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QDialog, QWidget

from ..errors import ConsoleError
from ..services import concurrent_edits
from ..services.concurrent_edits import Noun, OpenRow
from .kit import format as fmt
from .kit.tokens import State
from .kit.translate import tr
from .kit.widgets import StateLine
from .page_context import PageContext

_log = logging.getLogger(__name__)

LOOK_MS = 10_000
"""A console that crashed tells nobody, so somebody has to look; and the minutes pass."""


def words(rows: Sequence[OpenRow]) -> str:
    """What there is to say about others who have the same object open; longest first."""
    if not rows:
        return ""
    you = tr("{name} (you, elsewhere)")
    who = [you.format(name=row.user_name) if row.yours else row.user_name for row in rows]
    if len(who) > 1:
        return tr("{names} have this open too").format(names=fmt.names(who))
    minutes = int(fmt.since(rows[0].since) or 0) // 60
    if not minutes:
        return tr("{name} has had this open for a moment").format(name=who[0])
    long = fmt.duration(minutes * 60)
    return tr("{name} has had this open for {duration}").format(name=who[0], duration=long)


class _Announcement:
    """Opens and closes in this order, though each call runs in a thread of its own."""

    def __init__(self, context: PageContext, page: QWidget, noun: Noun, object_id: int) -> None:
        self._context, self._page, self._object = context, page, (noun, object_id)
        self._is_open = self._over = False
        self._context.runner.run(
            concurrent_edits.open_object,
            *self._object,
            done=self._opened,
            failed=_unheard,
            parent=page,
        )

    def _opened(self, _value: object) -> None:
        self._is_open = True
        if self._over:
            self.end()

    def end(self) -> None:
        """The dialog is closed; the page, which stays, waits for the answer."""
        self._over = True
        if self._is_open:
            self._context.runner.run(
                concurrent_edits.close_object,
                *self._object,
                done=lambda _value: None,
                failed=_unheard,
                parent=self._page,
            )


def _unheard(error: ConsoleError) -> None:
    """Without a connection nobody hears it, and it is forgotten with the sign-in."""
    _log.warning("%s (%s)", error, error.details)


class OpenElsewhere(StateLine):
    """A line that names who else has an object open; hidden while nobody has."""

    def __init__(
        self, dialog: QDialog, page: QWidget, context: PageContext, noun: Noun, object_id: int
    ) -> None:
        """``page`` outlives the dialog."""
        super().__init__(dialog)
        self._feed, self._object = context.feeds.opened, (noun, object_id)
        self.hide()
        self._announcement = _Announcement(context, page, noun, object_id)
        dialog.finished.connect(self._on_finished)
        self._feed.updated.connect(self._show)
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._clock.timeout.connect(self._feed.reread)
        self._clock.start()
        self._show()

    def _on_finished(self) -> None:
        self._announcement.end()
        self._clock.stop()
        self._feed.updated.disconnect(self._show)

    def _show(self) -> None:
        here = [r for r in self._feed.rows.values() if (r.noun, r.object_id) == self._object]
        self.show_state(State.ATTENTION, words(here))
        self.setVisible(bool(here))
