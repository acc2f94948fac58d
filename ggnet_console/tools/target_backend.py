# SPDX-License-Identifier: GPL-3.0-or-later
"""What every iSCSI target backend offers: values in, values out; the same for tgt and LIO."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import ConsoleError, FieldError, sentence
from ..values import parse_iqn

_SERIAL = re.compile(r"[0-9A-Za-z-]{1,36}\Z")


class BackendDownError(ConsoleError):
    """The target service does not run (any more); ``start()`` and apply what is wanted again."""


class TryLaterError(ConsoleError):
    """Nothing was changed, by a hindrance that says nothing about the target: what runs, runs on.

    It passes, by itself or by somebody's hand, and the same call works then.
    """


class LockedError(TryLaterError):
    """Another program changes targets just now; the sentence names it."""


class SavedFileError(TryLaterError):
    """What is saved for the next start of this host cannot be read, or not be written."""


class PortalTakenError(TryLaterError):
    """Somebody else listens where a target is to listen."""


class BackingFileError(ConsoleError):
    """The file or device behind a LUN is missing, or not the one that was recorded."""


@dataclass(frozen=True)
class Chap:
    """One-way CHAP (RFC 1994, RFC 3720 11.1.4): the initiator proves that it knows the secret."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class WantedLun:
    """One disk of a target: a regular file of exactly ``size_bytes``, or a block device.

    ``lun`` starts at 1, because tgt's LUN 0 is a controller; LIO takes 0 as well. ``serial`` is the
    unit serial number, unique and stable: 1 to 36 letters, digits or dashes. ``write_back``:
    a write counts as done before it is on the disk, and a power cut may lose it; only for what may
    be lost. ``store`` names LIO's backstore, where it was not made by us.
    """

    lun: int
    path: Path
    size_bytes: int
    read_only: bool
    serial: str
    write_back: bool = False
    store: str = ""


@dataclass(frozen=True)
class WantedTarget:
    """A target as it should be; without ``initiators`` it refuses everybody.

    Every initiator sees every LUN under its own number. ``chap`` is asked of all of them.
    """

    iqn: str
    luns: tuple[WantedLun, ...] = ()
    initiators: frozenset[str] = frozenset()
    chap: Chap | None = None


@dataclass(frozen=True)
class RunningLun:
    """One disk as the backend serves it; ``write_back`` and ``store`` as in WantedLun."""

    lun: int
    path: Path
    read_only: bool
    serial: str
    write_back: bool = False
    store: str = ""

    def serves(self, wanted: WantedLun) -> bool:
        """Whether nothing needs to be done to this LUN."""
        return (self.lun, self.path, self.read_only, self.serial, self.write_back) == (
            wanted.lun,
            wanted.path,
            wanted.read_only,
            wanted.serial,
            wanted.write_back,
        )


@dataclass(frozen=True)
class RunningTarget:
    """A target as the backend runs it, or has saved it for the next start of this host.

    ``sessions`` is the number of logged-in sessions. ``portals`` are ``address:port``, an IPv6
    address in brackets. ``unsupported`` says in words what cannot be expressed here (a second portal
    group, an initiator that sees other LUNs than the rest …); such a target can be shown, not
    adopted. ``origin`` is all that the backend read, in its own form, if there is more.
    """

    iqn: str
    luns: tuple[RunningLun, ...]
    initiators: frozenset[str]
    sessions: int
    chap: Chap | None = None
    portals: frozenset[str] = frozenset()
    enabled: bool = True
    unsupported: str = ""
    origin: object = field(default=None, compare=False, repr=False)

    def serves(self, luns: tuple[WantedLun, ...]) -> bool:
        """Whether these are its LUNs, all of them and no others."""
        wanted = {lun.lun: lun for lun in luns}
        return {lun.lun for lun in self.luns} == wanted.keys() and all(
            lun.serves(wanted[lun.lun]) for lun in self.luns
        )


@dataclass(frozen=True)
class Difference:
    """One field of a target that is not as wanted; both sides in words, never a secret.

    ``field`` is ``target``, ``portals``, ``enabled``, ``initiators``, ``chap``, ``structure``,
    ``LUN 1`` or, with the number of a LUN that is there, ``LUN 1 file``, ``LUN 1 access``,
    ``LUN 1 serial``, ``LUN 1 write cache``. LIO also has its own attributes, by their names.
    """

    field: str
    wanted: str
    found: str


@dataclass(frozen=True)
class Saved:
    """What this host would bring up at its next start without the agent.

    ``problem`` says why the saved configuration cannot be read; then ``targets`` is empty.
    """

    targets: tuple[RunningTarget, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class LunTraffic:
    """What one initiator did with one LUN; ``commands`` is None where nobody counts them."""

    lun: int
    bytes_read: int
    bytes_written: int
    commands: int | None = None


@dataclass(frozen=True)
class Connection:
    """One logged-in session, as of now.

    ``key`` names what the counters count for: with tgt this login, with LIO the access of this
    initiator from its making on. It is never used again, not even by the next start of the
    backend, and its counters never go back. They vanish with it: whoever wants totals adds up the
    last value seen of every key. Not ``logged_in``: it was, and these are its last counters; its
    ``address`` is "" then.
    """

    key: str
    target_iqn: str
    initiator_iqn: str
    address: str
    luns: tuple[LunTraffic, ...]
    logged_in: bool = True

    @property
    def bytes_read(self) -> int:
        """Bytes that the initiator read, over all LUNs."""
        return sum(lun.bytes_read for lun in self.luns)

    @property
    def bytes_written(self) -> int:
        """Bytes that the initiator wrote, over all LUNs."""
        return sum(lun.bytes_written for lun in self.luns)


class SessionsCutError(ConsoleError):
    """The change would take the disk from initiators that are logged in, and nobody allowed that."""

    def __init__(self, iqn: str, initiators: frozenset[str]) -> None:
        super().__init__(
            sentence(
                "The target {iqn} was left as it is: the change would cut off {names}. Shut these "
                "machines down first, or allow it for this target.",
                iqn=iqn,
                names=", ".join(sorted(initiators)),
            )
        )
        self.iqn = iqn
        self.initiators = initiators


class TargetBackend(Protocol):
    """Runs iSCSI targets on this host. Methods may be called from any thread, one at a time works.

    Every method raises ConsoleError with a sentence; BackendDownError when the service is gone.
    """

    @property
    def name(self) -> str:
        """``lio`` or ``tgt``."""
        ...

    def start(self) -> bool:
        """See to it that the service runs; True when it was started anew and has no targets."""
        ...

    def running(self) -> tuple[RunningTarget, ...]:
        """All targets as they run, by name, those that others made as well."""
        ...

    def saved(self) -> Saved | None:
        """What is saved for the next start of this host; None where nothing is (tgt)."""
        ...

    def differences(self, wanted: WantedTarget, found: RunningTarget) -> tuple[Difference, ...]:
        """Field by field what ``apply(wanted)`` would change; ``found`` may be a saved target."""
        ...

    def cuts(self, iqn: str, wanted: WantedTarget | None) -> frozenset[str]:
        """Whoever is logged in now and would lose a disk by ``apply(wanted)`` (None: ``remove``)."""
        ...

    def apply(self, wanted: WantedTarget, *, cut: Set[str] = frozenset()) -> None:
        """Make the target like this with the least change, or leave everything as it was.

        What is saved follows. Raises SessionsCutError, with nothing changed, when an initiator
        that is logged in and not named in ``cut`` would lose a disk.
        """
        ...

    def remove(self, iqn: str, *, cut: Set[str] = frozenset()) -> None:
        """End the target, and what is saved of it; nothing happens when there is none.

        Raises SessionsCutError while somebody is logged in who is not named in ``cut``.
        """
        ...

    def mend_saved(self) -> None:
        """Set a saved configuration that cannot be read aside, and save what runs."""
        ...

    def connections(self) -> tuple[Connection, ...]:
        """Every session that is logged in now, also on targets that others made."""
        ...

    def activity(self) -> tuple[Connection, ...]:
        """As ``connections``; and of initiators that have logged out, as far as still counted."""
        ...

    def disconnect(self, iqn: str, initiator: str | None = None) -> None:
        """End the sessions of this initiator (None: of all) and refuse it from now on."""
        ...

    def stop(self) -> None:
        """End all targets that we made, and the service where it is ours."""
        ...


def compare(
    wanted: WantedTarget, found: RunningTarget, portals: frozenset[str]
) -> tuple[Difference, ...]:
    """Field by field where ``found`` is not as wanted on these portals (``address:port``)."""
    differences = []

    def note(field: str, wanted_lun: object, fact: object) -> None:
        if wanted_lun != fact:
            differences.append(Difference(field, _words(wanted_lun), _words(fact)))

    note("structure", "", found.unsupported)
    note("enabled", True, found.enabled)
    note("portals", portals, found.portals)
    note("initiators", wanted.initiators, found.initiators)
    if wanted.chap != found.chap:
        differences.append(
            Difference("chap", *_chap_words(wanted.chap, found.chap)),
        )
    wanted_luns = {lun.lun: lun for lun in wanted.luns}
    facts = {lun.lun: lun for lun in found.luns}
    for number in sorted(wanted_luns.keys() | facts.keys()):
        wanted_lun, fact = wanted_luns.get(number), facts.get(number)
        name = f"LUN {number}"
        if wanted_lun is None or fact is None:
            note(name, str(wanted_lun.path) if wanted_lun else "", str(fact.path) if fact else "")
            continue
        note(f"{name} file", str(wanted_lun.path), str(fact.path))
        note(f"{name} access", _access(wanted_lun.read_only), _access(fact.read_only))
        note(f"{name} serial", wanted_lun.serial, fact.serial)
        note(f"{name} write cache", wanted_lun.write_back, fact.write_back)
    return tuple(differences)


def _words(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case frozenset():
            return ", ".join(sorted(value))
    return str(value)


def _access(read_only: bool) -> str:
    return "read-only" if read_only else "writable"


def _chap_words(wanted_lun: Chap | None, fact: Chap | None) -> tuple[str, str]:
    if wanted_lun is not None and fact is not None and wanted_lun.user == fact.user:
        return f"user {wanted_lun.user}", "another secret"
    return tuple("none" if one is None else f"user {one.user}" for one in (wanted_lun, fact))  # type: ignore[return-value]


def check_wanted(wanted: WantedTarget, *, first_lun: int = 1) -> None:
    """Refuse what no backend can serve faithfully: names, LUN numbers, serials, backing files.

    Raises ConsoleError; BackingFileError when what is to be served is missing, neither a file nor
    a block device, empty, or not of the size that was recorded (both tgt and LIO would serve an
    empty disk without a word). ``first_lun`` is the lowest number that the backend takes.
    """
    for name in (wanted.iqn, *wanted.initiators):
        if parse_iqn(name) != name:
            raise FieldError(
                "iqn", sentence("The iSCSI name “{name}” must be in lower case.", name=name)
            )
    numbers = [lun.lun for lun in wanted.luns]
    if len(set(numbers)) != len(numbers) or not all(
        first_lun <= number <= 255 for number in numbers
    ):
        raise ConsoleError(
            sentence(
                "The target {iqn} cannot be made: its LUN numbers must differ and lie between "
                "{first} and 255.",
                iqn=wanted.iqn,
                first=first_lun,
            )
        )
    for lun in wanted.luns:
        if not _SERIAL.match(lun.serial):
            raise ConsoleError(
                sentence(
                    "The serial number “{serial}” of LUN {lun} is not made of 1 to 36 letters, "
                    "digits and dashes.",
                    serial=lun.serial,
                    lun=lun.lun,
                )
            )
        _check_backing(lun)


def _check_backing(lun: WantedLun) -> None:
    if not lun.path.is_absolute():
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: its path is not absolute.", path=lun.path
            )
        )
    try:
        found = os.stat(lun.path, follow_symlinks=False)  # noqa: PTH116 - takes any os.PathLike
        readable = os.access(lun.path, os.R_OK if lun.read_only else os.R_OK | os.W_OK)
    except FileNotFoundError:
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: it does not exist. Import the image again.",
                path=lun.path,
            )
        ) from None
    except OSError as error:
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: {reason}.",
                path=lun.path,
                reason=error.strerror,
            )
        ) from error
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISBLK(found.st_mode):
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: it is not a regular file or block device.",
                path=lun.path,
            )
        )
    if not readable:
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: this user may not open it; correct its access rights.",
                path=lun.path,
            )
        )
    size_bytes = _device_size(lun.path) if stat.S_ISBLK(found.st_mode) else found.st_size
    if size_bytes == 0:
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: it is empty. Import the image again.",
                path=lun.path,
            )
        )
    if size_bytes != lun.size_bytes:
        raise BackingFileError(
            sentence(
                "The disk file {path} cannot be served: it has {bytes} bytes instead of {wanted}. Import the image again.",
                path=lun.path,
                bytes=size_bytes,
                wanted=lun.size_bytes,
            )
        )


def _device_size(path: Path) -> int:
    """Bytes of a block device, which stat(2) does not tell."""
    with path.open("rb") as device:
        return device.seek(0, os.SEEK_END)
