# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as people read them: sizes, speeds, times, numbers and lists of names."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(count: int | None) -> str:
    """A number of bytes in IEC units, such as ``38.2 GiB``."""
    if count is None:
        return NONE
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{count} B"
    digits = 0 if abs(value) >= 99.95 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def exact_size(count: int | None) -> str:
    """A number of bytes to the last one, for tooltips; empty for None."""
    return "" if count is None else f"{count:,} bytes"


def speed(bytes_per_s: float | None) -> str:
    """A transfer rate, such as ``38.2 MiB/s``."""
    return NONE if bytes_per_s is None else f"{size(round(bytes_per_s))}/s"


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units, such as ``2 h 14 min``."""
    if seconds is None:
        return NONE
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def remaining(seconds: float | None) -> str:
    """What remains of running work, to the minute, such as ``2 min``."""
    if seconds is None:
        return NONE
    return duration(seconds if seconds < 60 else round(seconds / 60) * 60)


def time_left(seconds: float | None) -> str:
    """The same as part of a sentence, such as ``2 min left``; empty when nobody can say."""
    return "" if seconds is None else f"{remaining(seconds)} left"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as ``64 %``; 100 only when really done."""
    return NONE if share is None else f"{int(share * 100 + 1e-9)} %"


def ago(when: datetime | None, now: datetime | None = None) -> str:
    """How long ago an aware time was, such as ``3 min ago``; a date once it is over 30 days."""
    if when is None:
        return NONE
    seconds = ((now or datetime.now(UTC)) - when).total_seconds()
    if seconds < 10:
        return "just now"
    for limit, unit, name in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86400, 3600, "h"),
        (30 * 86400, 86400, "d"),
    ):
        if seconds < limit:
            return f"{int(seconds / unit)} {name} ago"
    return f"{when.astimezone():%Y-%m-%d}"


def since(when: datetime | None, now: datetime | None = None) -> float | None:
    """Seconds since an aware time, never negative."""
    return None if when is None else max(0.0, ((now or datetime.now(UTC)) - when).total_seconds())


def until(when: datetime | None, now: datetime | None = None) -> float | None:
    """Seconds until an aware time, never negative."""
    return None if when is None else max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def moment(when: datetime) -> str:
    """The local time to the second, for columns of times; ``exact`` also names the zone."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def clock(when: datetime, now: datetime | None = None) -> str:
    """The local time to the minute, such as ``14:32``; with its date when that is not today's."""
    local, today = when.astimezone(), (now or datetime.now(UTC)).astimezone().date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def exact(when: datetime | None) -> str:
    """The local time to the second with its zone, for tooltips."""
    return NONE if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S %Z}".strip()


def number(value: int) -> str:
    """A number in groups of three, such as ``10 000``."""
    return f"{value:,}".replace(",", "\u202f")


def count(value: int, one: str) -> str:
    """A number with its noun: ``1 machine``, ``3 machines``."""
    return f"{number(value)} {one if value == 1 else one + 's'}"


def sentence(text: str) -> str:
    """A text with the full stop it may lack."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


NAMED = 5
"""So many names stand in a sentence."""


def names(items: list[str], most: int = NAMED) -> str:
    """Names for a sentence: ``PC-01, PC-02 and 3 more``; never “1 more”, which is no shorter."""
    if len(items) <= most + 1:
        return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]
    return f"{', '.join(items[:most])} and {len(items) - most} more"


def legible(name: str) -> str:
    """A file's name with a sign for what spells no letter."""
    return name.encode("utf-8", "replace").decode()
