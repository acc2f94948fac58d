# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as people read them: sizes, speeds, times, numbers and lists of names."""

from __future__ import annotations

from datetime import UTC, datetime

from .translate import grouped, tr

NONE = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")  # no text


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
    return "" if count is None else tr("{count} bytes").format(count=f"{count:,}")


def speed(bytes_per_s: float | None) -> str:
    """A transfer rate, such as ``38.2 MiB/s``."""
    return NONE if bytes_per_s is None else f"{size(round(bytes_per_s))}/s"


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units, such as ``2 h 14 min``."""
    if seconds is None:
        return NONE
    total = max(0, round(seconds))
    if total < 60:
        return tr("{seconds} s").format(seconds=total)
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        told = tr("{minutes} min {seconds} s") if minutes < 10 and rest else tr("{minutes} min")
        return told.format(minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        told = tr("{hours} h {minutes} min") if minutes else tr("{hours} h")
        return told.format(hours=hours, minutes=minutes)
    days, hours = divmod(hours, 24)
    told = tr("{days} d {hours} h") if hours else tr("{days} d")
    return told.format(days=days, hours=hours)


def remaining(seconds: float | None) -> str:
    """What remains of running work, to the minute, such as ``2 min``."""
    if seconds is None:
        return NONE
    return duration(seconds if seconds < 60 else round(seconds / 60) * 60)


def time_left(seconds: float | None) -> str:
    """The same as part of a sentence, such as ``2 min left``; empty when nobody can say."""
    return "" if seconds is None else tr("{time} left").format(time=remaining(seconds))


def percent(share: float | None) -> str:
    """A share from 0 to 1 as ``64 %``; 100 only when really done."""
    if share is None:
        return NONE
    return tr("{percent} %").format(percent=int(share * 100 + 1e-9))


def ago(when: datetime | None, now: datetime | None = None) -> str:
    """How long ago an aware time was, such as ``3 min ago``; a date once it is over 30 days."""
    if when is None:
        return NONE
    seconds = ((now or datetime.now(UTC)) - when).total_seconds()
    if seconds < 10:
        return tr("just now")
    if seconds < 60:
        return tr("{seconds} s ago").format(seconds=int(seconds))
    if seconds < 3600:
        return tr("{minutes} min ago").format(minutes=int(seconds / 60))
    if seconds < 86400:
        return tr("{hours} h ago").format(hours=int(seconds / 3600))
    if seconds < 30 * 86400:
        return tr("{days} d ago").format(days=int(seconds / 86400))
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
    return grouped(value)


def with_stop(text: str) -> str:
    """A text with the full stop it may lack."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


NAMED = 5
"""So many names stand in a sentence."""


def names(items: list[str], most: int = NAMED) -> str:
    """Names for a sentence: ``PC-01, PC-02 and 3 more``; never “1 more”, which is no shorter."""
    if len(items) == 1:
        return items[0]
    if len(items) <= most + 1:
        return tr("{names} and {last}").format(names=", ".join(items[:-1]), last=items[-1])
    more = len(items) - most
    return tr("{names} and %n more", "", more).format(names=", ".join(items[:most]))


def legible(name: str) -> str:
    """A file's name with a sign for what spells no letter."""
    return name.encode("utf-8", "replace").decode()
