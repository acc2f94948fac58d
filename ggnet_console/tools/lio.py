# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's iSCSI target LIO behind the backend interface, beside targetcli and as it does."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import threading
import unicodedata
from collections.abc import Collection, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import ConsoleError, sentence
from ..values import is_ours
from . import lio_configfs as configfs
from . import lio_drift, lio_kernel
from .lio_host import load
from .lio_lock import LOCK, targetcli_lock
from .lio_saved import SavedConfiguration, SavedState, saved_path
from .lio_tree import Tree, wanted_tree
from .portals import portal_name
from .target_backend import (
    BackingFileError,
    Connection,
    Difference,
    RunningTarget,
    Saved,
    SessionsCutError,
    WantedTarget,
    check_wanted,
)

_log = logging.getLogger(__name__)

_PATH_MAX_BYTES = 255
"""FD_MAX_DEV_NAME of target_core_file.h, without its terminator."""
_CHAP = re.compile(r"[!-~]{1,255}\Z")


class Lio:
    """A ``TargetBackend`` on the kernel of this host; its methods may be called from any thread.

    ``portals`` are numeric addresses and TCP ports, on which every target that is applied listens.
    ``saved_file`` is the configuration that is restored at boot, by default the one of the host's
    targetcli. While another program holds targetcli's lock, changes wait ``lock_timeout_s``.

    Only targets that the caller names are changed, and those named like ours swept up.
    """

    def __init__(
        self,
        portals: Collection[tuple[str, int]],
        *,
        saved_file: Path | None = None,
        lock_timeout_s: float = 10.0,
        lock_file: Path = LOCK,
    ) -> None:
        if not portals:
            raise ConsoleError(
                sentence("LIO needs at least one portal: an address of this computer.")
            )
        self._portals = frozenset(_portal(*portal) for portal in portals)
        self._addresses = tuple(portals)
        self._saved = SavedConfiguration(saved_file or saved_path())
        self._lock_timeout_s = lock_timeout_s
        self._lock_file = lock_file
        self._threads = threading.RLock()
        self._is_swept = False
        self._boot = ""
        self._accepted: dict[str, tuple[tuple[str, str], list[Connection]]] = {}
        """Of targets nobody is logged in to: what ``configfs.accepted`` said, and who was."""

    @property
    def name(self) -> str:
        return "lio"

    def start(self) -> bool:
        """Load the kernel's target; True when it was not there yet. Cheap when it is."""
        is_new = load()
        with self._threads:
            if not self._is_swept:
                for address, port in self._addresses:
                    _check_address(address, port)
                self._saved.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    with self._locked(0):
                        pass
                except ConsoleError as error:  # what was left over is removed by the next change
                    _log.debug("%s", error)
        return is_new

    def stop(self) -> None:
        """End all targets that are named like ours, and what is saved of them."""
        for iqn in configfs.targets():
            if is_ours(iqn):
                self.remove(iqn, cut=self.cuts(iqn, None))

    def running(self) -> tuple[RunningTarget, ...]:
        """All iSCSI targets of the kernel, by name."""
        sessions = [one.target_iqn for one in self.connections()]
        trees = configfs.all_trees()
        return tuple(trees[iqn].running(sessions.count(iqn)) for iqn in sorted(trees))

    def saved(self) -> Saved:
        """What the host's targetcli restores at boot."""
        try:
            trees = self._saved.load().trees()
        except ConsoleError as error:
            return Saved(problem=str(error))
        return Saved(tuple(trees[iqn].running() for iqn in sorted(trees)))

    def differences(self, wanted: WantedTarget, found: RunningTarget) -> tuple[Difference, ...]:
        """Field by field what ``apply(wanted)`` would change: none when that is nothing."""
        return lio_drift.differences(wanted, found, self._portals)

    def cuts(self, iqn: str, wanted: WantedTarget | None) -> frozenset[str]:
        """Whoever is logged in now and would lose a disk by ``apply(wanted)`` (None: ``remove``)."""
        found = configfs.read_tree(iqn)
        if found is None:
            return frozenset()
        tree = wanted_tree(wanted, self._portals, found) if wanted is not None else None
        return self._cuts(tree, found)

    def apply(self, wanted: WantedTarget, *, cut: Set[str] = frozenset()) -> None:
        """Make or change one target with the least steps, and save it; initiators come in last.

        When a step fails, those before it are undone in reverse and the error goes on. A target
        whose backing file is missing or not as recorded is closed, and saved so: a restore at boot
        serves an empty disk in place of a missing file. Now it stays open for who is logged in.
        """
        _check(wanted)
        with self._threads, self._locked(self._lock_timeout_s):
            saved = self._saved.load()  # not readable: nothing may be changed
            found = configfs.read_tree(wanted.iqn)
            try:
                check_wanted(wanted, first_lun=0)
            except BackingFileError:
                self._close(found, saved, wanted.iqn)
                raise
            tree = wanted_tree(wanted, self._portals, found)
            if found is None:
                found = Tree(wanted.iqn, tag=None, enabled=False)
            self._refuse_to_cut(tree, found, cut)
            with lio_kernel.Changes(wanted.iqn) as changes:
                save = partial(changes.save, partial(saved.put, tree))
                lio_kernel.change(changes, tree, found, save)

    def remove(self, iqn: str, *, cut: Set[str] = frozenset()) -> None:
        """End the target and what is saved of it; backstores that others made stay."""
        with self._threads, self._locked(self._lock_timeout_s):
            saved = self._saved.load()
            found = configfs.read_tree(iqn)
            if found is None:
                saved.drop(iqn)
                return
            self._refuse_to_cut(None, found, cut)
            with lio_kernel.Changes(iqn) as changes:
                save = partial(changes.save, partial(saved.drop, iqn))
                lio_kernel.remove(changes, found, save)

    def mend_saved(self) -> None:
        """Set a saved configuration that cannot be read aside, and save all that runs.

        The old file stays beside the new one, with the time in its name. Nothing happens when
        the file can be read.
        """
        with self._threads, self._locked(self._lock_timeout_s):
            try:
                self._saved.load().trees()
            except ConsoleError:
                trees = configfs.all_trees()
                self._saved.mend(
                    lio_kernel.dump(), [trees[iqn] for iqn in sorted(trees) if is_ours(iqn)]
                )

    def connections(self) -> tuple[Connection, ...]:
        """Every session that is logged in now, also on targets that others made.

        Two sessions of one initiator on one target are told as one, the later (so does the
        kernel). Bytes are counted in whole MiB.
        """
        boot = self._boot_id()
        return tuple(one for iqn in configfs.targets() for one in configfs.connections(iqn, boot))

    def activity(self) -> tuple[Connection, ...]:
        """As ``connections``; and the last counters of those that have logged out.

        The kernel keeps them with an initiator's access, so that a login that begins and ends
        between two looks is seen as well, without its address.
        """
        boot = self._boot_id()
        found: list[Connection] = []
        accepted = self._accepted
        self._accepted = {}
        for iqn in configfs.targets():
            now = configfs.accepted(iqn)
            if now[0] != "0":
                # A session on its way in or out is counted, but nobody is logged in by it.
                logged_in = list(configfs.connections(iqn, boot))
                found += logged_in or configfs.logged_out(iqn, boot)
                continue
            known = accepted.get(iqn)
            if known is None or known[0] != now:
                known = (now, configfs.logged_out(iqn, boot) if now[1] != "0" else [])
            self._accepted[iqn] = known
            found += known[1]
        return tuple(found)

    def disconnect(self, iqn: str, initiator: str | None = None) -> None:
        """End the sessions of this initiator (None: of all) and refuse it from now on.

        Where everybody may log in (demo mode), only all sessions can be ended, by closing the
        target. The kernel comes first: an unreadable saved configuration is told afterwards.
        """
        with self._threads, self._locked(self._lock_timeout_s):
            found = configfs.read_tree(iqn)
            if found is None or found.tag is None:
                return
            names = {acl.initiator for acl in found.acls}
            refused = names if initiator is None else names & {initiator}
            is_open = bool(found.attributes["generate_node_acls"])
            if is_open and not refused and initiator is not None:
                raise ConsoleError(
                    sentence(
                        "{initiator} cannot be refused by the target {iqn}, which lets everybody "
                        "in. End all its sessions, or give it initiators.",
                        initiator=initiator,
                        iqn=iqn,
                    )
                )
            stays = tuple(acl for acl in found.acls if acl.initiator not in refused)
            left = replace(found, acls=stays, enabled=found.enabled and not is_open)
            # Not undone on failure: whoever is refused stays refused.
            changes = lio_kernel.Changes(iqn)
            if left.enabled != found.enabled:
                changes.set_enabled(found.tag, left.enabled)
            for acl in found.acls:
                if acl.initiator in refused:
                    changes.drop_acl(found.tag, acl)
            self._saved.load().put(left)

    def _boot_id(self) -> str:
        self._boot = self._boot or configfs.boot_id()
        return self._boot

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[None]:
        with targetcli_lock(timeout_s, self._lock_file):
            if not self._is_swept:
                lio_kernel.use_state_folder(self._saved.path.parent)
                lio_kernel.sweep()
                self._is_swept = True
            yield

    def _refuse_to_cut(self, wanted: Tree | None, found: Tree, cut: Set[str]) -> None:
        """Raise SessionsCutError when somebody would lose a disk who is not named in ``cut``."""
        if unnamed := self._cuts(wanted, found) - cut:
            raise SessionsCutError(found.iqn, unnamed)

    def _cuts(self, wanted: Tree | None, found: Tree) -> frozenset[str]:
        lost = {one.initiator_iqn for one in configfs.connections(found.iqn, self._boot_id())}
        if wanted is not None and not lio_kernel.cuts_everybody(wanted, found):
            lost -= {acl.initiator for acl in wanted.acls}
        return frozenset(lost)

    def _close(self, found: Tree | None, saved: SavedState, iqn: str) -> None:
        """Let nobody log in, now or after a restart of this host.

        Whoever is logged in stays: what he has is better than nothing.
        """
        tag = found.tag if found is not None and found.enabled else None
        if tag is not None and not configfs.connections(iqn, self._boot_id()):
            lio_kernel.Changes(iqn).set_enabled(tag, False)
        saved.close(iqn)


def _portal(address: str, port: int) -> str:
    try:
        return portal_name(ipaddress.ip_address(address).compressed, port)
    except ValueError as error:
        raise ConsoleError(
            sentence(
                "The portal {portal} is not a numeric IP address and port, such as 10.0.0.1:3260.",
                portal=portal_name(address, port),
            )
        ) from error


def _check_address(address: str, port: int) -> None:
    """The kernel listens on an address that is not there (yet), and nobody can log in."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise ConsoleError(
                sentence(
                    "The portal {portal} is no address of this computer. Set it up, or choose "
                    "another portal.",
                    portal=portal_name(address, port),
                ),
                str(error),
            ) from error


def _check(wanted: WantedTarget) -> None:
    """Refuse what the kernel would cut short, split or take for something else, without a word."""
    for lun in wanted.luns:
        text = str(lun.path)
        try:
            size = len(text.encode("utf-8"))
        except UnicodeEncodeError:
            size = _PATH_MAX_BYTES + 1
        if (
            size > _PATH_MAX_BYTES
            or "," in text
            or text != text.strip()
            or any(unicodedata.category(character) == "Cc" for character in text)
        ):
            raise ConsoleError(
                sentence(
                    "The disk {path!r} cannot be served by LIO: its path may have {most} bytes of "
                    "UTF-8, no comma, no control character and no space at its end. Choose "
                    "another folder or name.",
                    path=text,
                    most=_PATH_MAX_BYTES,
                )
            )
    if wanted.chap is None:
        return
    if not _is_good_chap(wanted.chap.user):
        raise ConsoleError(
            sentence(
                "The CHAP user of the target {iqn} cannot be used: it needs 1 to 255 printable "
                "ASCII characters without spaces, and may not begin with NULL.",
                iqn=wanted.iqn,
            )
        )
    if not _is_good_chap(wanted.chap.secret):
        raise ConsoleError(
            sentence(
                "The CHAP secret of the target {iqn} cannot be used: it needs 1 to 255 printable "
                "ASCII characters without spaces, and may not begin with NULL.",
                iqn=wanted.iqn,
            )
        )


def _is_good_chap(value: str) -> bool:
    return _CHAP.match(value) is not None and not value.startswith("NULL")
