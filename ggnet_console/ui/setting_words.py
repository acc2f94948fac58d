# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the installation in words: their names, units and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import sentence
from .kit import format as fmt
from .kit.translate import tr, translated

SETTINGS = {
    "audit_keep_days": tr("Audit trail is kept"),
    "bcrypt_cost": tr("Cost of password hashes"),
    "failed_sign_ins_max": tr("Failed sign-ins in a row"),
    "image_timeout_s": tr("Longest work on an image"),
    "lock_out_s": tr("Lock-out lasts"),
    "max_virtual_size_bytes": tr("Largest image"),
    "session_timeout_s": tr("Wait for boot"),
    "sign_in_hours": tr("Sign-in lasts"),
    "sign_ins_per_minute": tr("Failed sign-ins a minute"),
    "user_jobs_per_minute": tr("Jobs per user and minute"),
    "user_power_actions_per_minute": tr("Starts and stops per user and minute"),
    "user_sign_ins_per_minute": tr("Sign-ins per user and minute"),
}
"""What people call the settings."""
DESCRIPTIONS: dict[str, str] = {
    each: each
    for each in (
        sentence("Seconds a session waits for its machine to log in before it ends as TIMEOUT"),
        sentence("Largest virtual size, in bytes, an imported image may claim"),
        sentence("Seconds the processing, exporting or verifying of one image may take"),
        sentence("Hours a sign-in lasts unless it is renewed"),
        sentence(
            "Failed sign-ins in a row, with one name from one computer, after which it is locked "
            "out"
        ),
        sentence("Seconds such a lock-out lasts; 0: until an admin unlocks the user"),
        sentence(
            "Failed sign-ins a minute, with whatever name, after which a computer has to wait"
        ),
        sentence("Sign-ins a minute that one user may make"),
        sentence("Days for which nobody, not even an admin, can remove entries of the audit trail"),
        sentence(
            "Jobs a minute that one user may start; starting many machines at once is one job"
        ),
        sentence("Machines a minute that one user may start or stop"),
        sentence(
            "Cost of password hashes: one more doubles the time of each sign-in and each guess"
        ),
    )
}
"""What the database says of its settings, in its words, so that they can be translated."""


@dataclass(frozen=True)
class Unit:
    """What a setting counts."""

    label: str
    """Above the field of its value."""
    wanted: str
    """What is said of something else in that field."""
    rounded: Callable[[int], str]
    """A value as people say it."""
    exactly: Callable[[int], str]
    """The same in the unit itself."""


_UNITS = {
    "_s": Unit(
        tr("Value in seconds"),
        tr("Give it as a whole number of seconds."),
        fmt.duration,
        lambda value: tr("%n second(s)", "", value),
    ),
    "_bytes": Unit(
        tr("Value in bytes"),
        tr("Give it as a whole number of bytes."),
        fmt.size,
        # More than Qt can choose the form of.
        lambda value: tr("{number} bytes").format(number=fmt.number(value)),
    ),
    "_hours": Unit(
        tr("Value in hours"),
        tr("Give it as a whole number of hours."),
        lambda value: fmt.duration(value * 3600),
        lambda value: tr("%n hour(s)", "", value),
    ),
    "_days": Unit(
        tr("Value in days"),
        tr("Give it as a whole number of days."),
        lambda value: tr("%n day(s)", "", value),
        lambda value: tr("%n day(s)", "", value),
    ),
}
NUMBER = Unit(tr("Value"), tr("Give it as a whole number."), fmt.number, fmt.number)


def setting_title(name: str) -> str:
    """A setting's name as people read it; the unit at its end is said with the value."""
    return SETTINGS.get(name) or name.replace("_", " ").capitalize()


def setting_description(text: str) -> str:
    """What a setting does, as the database says it."""
    return translated(DESCRIPTIONS.get(text, text))


def setting_unit(name: str) -> Unit:
    """What a setting counts, or a bare number."""
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), NUMBER)


def setting_value(name: str, value: int) -> str:
    """A value of a setting with its unit."""
    return setting_unit(name).rounded(value)
