# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to say about a target, in words and signs; the page and the plan say it alike."""

from __future__ import annotations

from ...enums import Drift, FoundIn, SessionStatus, TargetOrigin, TargetStatus
from ...services.target_reports import FieldDrift
from ...services.targets import LunRow, TargetRow
from ..enum_words import sign, word
from ..kit.tokens import URGENCY, State
from ..kit.translate import tr, translated

_FIELDS = {
    "target": tr("Target"),
    "structure": tr("Structure"),
    "enabled": tr("Enabled"),
    "portals": tr("Portals"),
    "initiators": "ACL",
    "chap": "CHAP",
}
_LUN_FIELDS = {
    "file": tr("LUN {number} file"),
    "access": tr("LUN {number} access"),
    "serial": tr("LUN {number} serial"),
    "write cache": tr("LUN {number} write cache"),  # no text
    "kind": tr("LUN {number} kind"),
    "bytes": tr("LUN {number} bytes"),
}
_SIDES = {
    "": tr("nothing"),
    "there": tr("there"),
    "yes": tr("yes"),
    "no": tr("no"),
    "none": tr("none"),
    "read-only": tr("read-only"),
    "writable": tr("writable"),
    "another secret": tr("another secret"),  # no text
    "as the target": tr("as the target"),  # no text
}


def subject_of(row: TargetRow) -> str:
    """Whose target it is, or its name where it is no machine's."""
    return row.machine or row.iqn


def is_foreign(row: TargetRow) -> bool:
    """Whether others made it, and the console leaves it alone."""
    return row.origin is TargetOrigin.FOREIGN


def has_drifted(row: TargetRow) -> bool:
    """Whether apply would change something about it."""
    return row.drift not in (None, Drift.IN_STEP) and not is_foreign(row) and not _being_made(row)


def _being_made(row: TargetRow) -> bool:
    """Its job makes it just now; that it is missing is no news."""
    return row.status is TargetStatus.WANTED and row.drift in (None, Drift.MISSING)


def differ_text(number: int) -> str:
    """So many targets are not as wanted."""
    return tr("%n target(s) (differs|differ) from what is wanted.", "", number)


def state_of(row: TargetRow) -> tuple[State, str]:
    """A target's sign and what there is to say about it."""
    if row.status is TargetStatus.ERROR:
        return State.FAILED, translated(row.error) or word(row.status)
    if _being_made(row):
        return State.WORKING, word(TargetStatus.WANTED)
    if is_foreign(row):
        return State.OFF, word(row.origin)
    match row.drift:
        case Drift.MISSING:
            return State.FAILED, word(row.drift)
        case Drift.EXTRA:
            return State.ATTENTION, word(row.drift)
        case Drift.DIFFERENT:
            number = len(row.differences)
            return State.ATTENTION, tr("%n field(s) (differs|differ)", "", number)
    status = word(SessionStatus.ACTIVE if row.sessions else row.status)
    running = State.RUNNING if row.sessions else sign(row.status)
    if row.drift is None:
        return running, " · ".join((status, tr("not compared")))
    return running, status


def is_problem(row: TargetRow) -> bool:
    """Whether somebody has to look after it."""
    return state_of(row)[0] in (State.FAILED, State.ATTENTION)


def urgency_of(row: TargetRow) -> int:
    """What is wrong comes first, what is none of ours last."""
    return len(URGENCY) if is_foreign(row) else URGENCY[state_of(row)[0]]


def field_of(drift: FieldDrift) -> str:
    """The name of a field that differs, as it stands on the pages."""
    if drift.field in _FIELDS:
        return _FIELDS[drift.field]
    number, _, field = drift.field.removeprefix("LUN ").partition(" ")
    if number.isdigit() and field in _LUN_FIELDS:
        return _LUN_FIELDS[field].format(number=number)
    return drift.field[:1].upper() + drift.field[1:]


def _side(text: str) -> str:
    """One side of a difference, its words as people say them; a value stays as it is."""
    if text.startswith("user "):
        return tr("user {name}").format(name=text.removeprefix("user "))
    return _SIDES.get(text) or translated(text)


def wanted_of(drift: FieldDrift) -> str:
    """What is wanted."""
    return _side(drift.wanted)


def found_of(drift: FieldDrift) -> str:
    """What is there instead of what is wanted; says so when just the saved side differs."""
    found = _side(drift.found)
    return tr("{found} (saved)").format(found=found) if drift.where is FoundIn.SAVED else found


def access_of(lun: LunRow) -> str:
    """Whether machines may write to a LUN."""
    return tr("Read-only") if lun.read_only else tr("Writable")


def initiators_of(row: TargetRow) -> list[str]:
    """The initiators that are let in."""
    return [name for name in row.initiator_iqn.split(", ") if name]


def acl_of(row: TargetRow) -> str:
    """Who is let in, in a word or two."""
    names = initiators_of(row)
    if row.origin is TargetOrigin.MACHINE:
        return tr("Its machine") if row.status is TargetStatus.OPEN else tr("Nobody")
    if len(names) == 1:
        return names[0] if names[0] != "ALL" else tr("Everybody")
    return tr("%n initiator(s)", "", len(names)) if names else tr("Nobody")
