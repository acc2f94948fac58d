# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the installation in words: their names, units and values."""

from __future__ import annotations

from .kit import format as fmt

SETTINGS = {
    "audit_keep_days": "Audit trail is kept",
    "bcrypt_cost": "Cost of password hashes",
    "failed_sign_ins_max": "Failed sign-ins in a row",
    "image_timeout_s": "Longest work on an image",
    "lock_out_s": "Lock-out lasts",
    "max_virtual_size_bytes": "Largest image",
    "session_timeout_s": "Wait for boot",
    "sign_in_hours": "Sign-in lasts",
    "sign_ins_per_minute": "Failed sign-ins a minute",
    "user_jobs_per_minute": "Jobs a minute and user",
    "user_power_actions_per_minute": "Starts and stops a minute and user",
    "user_sign_ins_per_minute": "Sign-ins a minute and user",
}
"""What people call the settings."""
_UNITS = {"_s": "seconds", "_bytes": "bytes", "_hours": "hours", "_days": "days"}


def setting_title(name: str) -> str:
    """A setting's name as people read it; the unit at its end is said with the value."""
    return SETTINGS.get(name) or name.replace("_", " ").capitalize()


def setting_unit(name: str) -> str:
    """What a setting counts, or an empty text for a bare number."""
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def setting_value(name: str, value: int) -> str:
    """A value of a setting with its unit."""
    match setting_unit(name):
        case "seconds":
            return fmt.duration(value)
        case "bytes":
            return fmt.size(value)
        case "hours":
            return fmt.duration(value * 3600)
        case "days":
            return fmt.count(value, "day")
    return fmt.number(value)
