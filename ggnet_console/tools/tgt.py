# SPDX-License-Identifier: GPL-3.0-or-later
"""The user-space iSCSI target tgt behind the backend interface: no kernel module, no root."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..errors import ConsoleError, sentence
from ..values import is_ours
from .portals import portal_name
from .target_backend import (
    BackendDownError,
    Chap,
    Connection,
    Difference,
    LunTraffic,
    RunningLun,
    RunningTarget,
    SessionsCutError,
    WantedLun,
    WantedTarget,
    check_wanted,
    compare,
)
from .tgt_output import (
    Client,
    IncoherentError,
    Nexus,
    ParsedTarget,
    parse_connections,
    parse_targets,
    parse_traffic,
)
from .tgtd import CallRefusedError, Daemon, Tgtd, check_path

_log = logging.getLogger(__name__)

_READS_BEFORE_BLAME = 3
_READS_AT_MOST = 30
_IDLE_S = 10.0
_POLL_S = 0.02
_LIST = ("--mode", "target", "--op", "show")


class Tgt:
    """A ``TargetBackend`` on a tgtd of our own; its methods may be called from any thread.

    ``socket`` is the daemon's control socket (``TGT_IPC_SOCKET``), in a folder that only this user
    may enter; ``portals`` numeric addresses with TCP ports; ``log`` the file for its messages. The
    daemon outlives this process: a later ``Tgt`` with the same socket adopts it.

    tgtd never tells a CHAP secret, so a new one must come under a new user name: ``differences`` and
    ``apply`` take an account of the same name for the same.

    No counter of tgtd's survives a logout, so what a session transfers after the last
    ``connections()`` is not counted. That call runs tgtadm once (two or three times when somebody
    has just logged in): about 4 ms each.
    """

    def __init__(self, socket: Path, portals: Sequence[tuple[str, int]], log: Path) -> None:
        self._tgtd = Tgtd(socket, portals, log)
        self._portals = frozenset(portal_name(*portal) for portal in portals)
        self._lock = threading.RLock()
        self._meet(None)

    @property
    def name(self) -> str:
        return "tgt"

    def _meet(self, daemon: Daemon | None) -> None:
        """Drop what was known about a former tgtd."""
        self._daemon = daemon
        self._known: dict[int, RunningTarget] = {}
        self._clients: dict[Nexus, Client] = {}
        self._last_tid = 0
        self._secrets: dict[str, str] = {}

    def start(self) -> bool:
        """Adopt the tgtd on the control socket or start one; True when it was started.

        Cheap while it runs, so call it again to look after it. Raises ConsoleError when the portal
        is taken (by whom), or when the running tgtd is another user's or serves another portal.
        """
        with self._lock:
            daemon, started = self._tgtd.start()
            if daemon != self._daemon:
                self._meet(daemon)
            return started

    def stop(self) -> None:
        """Delete all targets, end tgtd and wait until it is gone; nothing happens without one."""
        with self._lock:
            daemon = self._tgtd.find()
            if daemon is not None:
                try:
                    for found in self._targets():
                        self._delete(found)
                except ConsoleError as error:
                    _log.warning("Targets not deleted: %s %s", error, error.details)
                self._tgtd.stop(daemon)
            self._meet(None)

    def running(self) -> tuple[RunningTarget, ...]:
        """All targets of our tgtd, by name."""
        with self._lock:
            found = (
                replace(one.target, portals=self._portals, chap=self._as_told(one.target.chap))
                for one in self._targets()
            )
            return tuple(sorted(found, key=lambda target: target.iqn))

    def _as_told(self, chap: Chap | None) -> Chap | None:
        """The account with the secret we gave it, "" when that was another agent."""
        return chap and Chap(chap.user, self._secrets.get(chap.user, ""))

    def connections(self) -> tuple[Connection, ...]:
        """Every session that is logged in now, with its traffic so far.

        A session of an initiator that a target of ours does not let in is ended, not told: its
        login had begun before the target was closed, and tgtd does not ask again when it completes.
        """
        with self._lock:
            if self._daemon is None:
                raise BackendDownError(
                    sentence("The iSCSI target service tgtd was not started yet.")
                )
            traffic = self._traffic()
            self._meet_clients(traffic.keys())
            connections = []
            for nexus, client in sorted(self._clients.items()):
                target = self._known[nexus.tid]
                if client.initiator not in target.initiators and is_ours(target.iqn):
                    _log.warning("%s at %s came in too late", client.initiator, client.address)
                    self._end(nexus, client)
                    continue
                connections.append(
                    Connection(
                        f"{self._daemon.name}-{nexus.sid}",
                        target.iqn,
                        client.initiator,
                        client.address,
                        traffic[nexus],
                    )
                )
            return tuple(connections)

    def saved(self) -> None:
        """Nothing: the targets of tgtd end with it, and the agent makes them anew."""

    def mend_saved(self) -> None:
        """Nothing to do: nothing is saved."""

    def differences(self, wanted: WantedTarget, found: RunningTarget) -> tuple[Difference, ...]:
        """Field by field what ``apply(wanted)`` would change."""
        wanted = _without_cache(wanted)
        if wanted.chap and found.chap and wanted.chap.user == found.chap.user:
            found = replace(found, chap=wanted.chap)
        return compare(wanted, found, self._portals)

    def activity(self) -> tuple[Connection, ...]:
        """As ``connections``: tgtd forgets a session's counters with its logout."""
        return self.connections()

    def cuts(self, iqn: str, wanted: WantedTarget | None) -> frozenset[str]:
        """Whoever is logged in now and would lose a disk by ``apply(wanted)`` (None: ``remove``)."""
        with self._lock:
            found = self._find(iqn)
            wanted = wanted and _without_cache(wanted)
            return self._cuts(wanted, found) if found is not None else frozenset()

    def apply(self, wanted: WantedTarget, *, cut: Set[str] = frozenset()) -> None:
        """Make or change one target with the least change; new initiators are let in last.

        LUNs that are right stay untouched, a different one is replaced, and sessions of initiators
        that are no longer wanted end. When a step fails, what this call has done is undone in
        reverse and the error goes on. Raises ConsoleError.
        """
        check_wanted(wanted)
        wanted = _without_cache(wanted)
        for lun in wanted.luns:
            check_path(lun.path)
        with self._lock, _Undo() as undo:
            found = self._find(wanted.iqn)
            if found is not None:
                self._refuse_to_cut(wanted, found, cut)
            if found is None:
                tid = self._create(wanted.iqn, undo)
                found = ParsedTarget(tid, RunningTarget(wanted.iqn, (), frozenset(), 0), None)
            tid, current = found.tid, found.target
            self._known.pop(tid, None)  # until this is done it is read from tgtd
            self._close(found, wanted.initiators, undo)
            self._change_luns(tid, current.luns, wanted.luns, undo)
            let_in = self._change_accounts(found, wanted, undo)
            made = self._find(wanted.iqn)
            if made is None or not made.target.serves(wanted.luns):
                raise ConsoleError(
                    sentence(
                        "The target {iqn} was not made as wanted: tgtd serves other disks than it "
                        "was told. Check that it may open their files.",
                        iqn=wanted.iqn,
                    ),
                    str(made),
                )
            for initiator in sorted(wanted.initiators - let_in):
                self._call("target", "bind", tid, "--initiator-name", initiator)
                self._on_failure(undo, "target", "unbind", tid, "--initiator-name", initiator)
            self._known[tid] = replace(made.target, initiators=wanted.initiators)
            undo.pop_all()
            if made.accounts != found.accounts:
                for account in found.accounts:
                    self._forget_account(account)

    def _refuse_to_cut(
        self, wanted: WantedTarget | None, found: ParsedTarget, cut: Set[str]
    ) -> None:
        if unnamed := self._cuts(wanted, found) - cut:
            raise SessionsCutError(found.target.iqn, unnamed)

    def _cuts(self, wanted: WantedTarget | None, found: ParsedTarget) -> frozenset[str]:
        """A LUN that goes or changes is taken away from everybody first."""
        clients = (self._sessions(found.tid) or {}).values()
        logged_in = frozenset(client.initiator for client in clients)
        wanted_luns = {lun.lun: lun for lun in wanted.luns} if wanted is not None else {}
        for lun in found.target.luns:
            wanted_lun = wanted_luns.get(lun.lun)
            if wanted_lun is None or not lun.serves(wanted_lun):
                return logged_in
        return logged_in if wanted is None else logged_in - wanted.initiators

    def remove(self, iqn: str, *, cut: Set[str] = frozenset()) -> None:
        """End the target and its sessions at once; nothing happens when there is none.

        Raises SessionsCutError while somebody is logged in who is not named in ``cut``.
        """
        with self._lock:
            found = self._find(iqn)
            if found is not None:
                self._refuse_to_cut(None, found, cut)
                # First nobody may come (back) in: under load a LUN would never be idle.
                self._close(found, frozenset(), _Undo())
                self._delete(found)

    def disconnect(self, iqn: str, initiator: str | None = None) -> None:
        """End the sessions of this initiator (None: of all) and refuse it from now on."""
        with self._lock:
            found = self._find(iqn)
            if found is not None:
                self._known.pop(found.tid)
                names = found.target.initiators
                kept = frozenset() if initiator is None else names - {initiator}
                # A stack that is never entered: nothing lets them in again when a step fails.
                self._close(found, kept, _Undo())

    # Reading

    def _find(self, iqn: str) -> ParsedTarget | None:
        return next((found for found in self._targets() if found.target.iqn == iqn), None)

    def _targets(self) -> tuple[ParsedTarget, ...]:
        """The targets as they are. A session that writes into their list by its alias is ended."""
        suspects: list[Nexus | None] = []
        live: set[Nexus] = set()
        for _ in range(_READS_AT_MOST):
            text = self._tgtd.call(*_LIST)
            live |= self._traffic().keys()  # from the second time on: before and after the list
            try:
                parsed = parse_targets(text, live)
                self._check_existence(parsed)
            except IncoherentError as error:
                suspects.append(error.suspect)
            else:
                self._known = {found.tid: found.target for found in parsed}
                self._last_tid = max([self._last_tid, *self._known])
                return parsed
            # A logout between two reads looks the same, but not again and again.
            suspect = suspects[-1]
            if suspect is not None and suspects[-_READS_BEFORE_BLAME:] == (
                [suspect] * _READS_BEFORE_BLAME
            ):
                client = (self._sessions(suspect.tid) or {}).get(suspect.sid)
                if client is not None:
                    _log.warning("%s at %s falsifies lists", client.initiator, client.address)
                    self._end(suspect, client)
                suspects.clear()
        raise ConsoleError(
            sentence(
                "The list of iSCSI targets cannot be read: an initiator keeps falsifying it, or "
                "tgtd is of an unknown version. Stop the sessions of untrusted machines."
            ),
            self._tgtd.program_call(*_LIST).details("answered:", text),
        )

    def _check_existence(self, parsed: Iterable[ParsedTarget]) -> None:
        """The one thing that an alias can add to a coherent list is a target without sessions."""
        for found in parsed:
            known = self._known.get(found.tid)
            if found.preceded_by is None or (known is not None and known.iqn == found.target.iqn):
                continue
            if self._sessions(found.tid) is None:
                raise IncoherentError(found.preceded_by)

    def _traffic(self) -> Mapping[Nexus, tuple[LunTraffic, ...]]:
        return parse_traffic(self._tgtd.call("--mode", "sys", "--op", "stat"))

    def _sessions(self, tid: int) -> Mapping[int, Client] | None:
        """Who is logged in to this target, by session number; None when there is no such target."""
        try:
            return parse_connections(self._call("conn", "show", tid))
        except CallRefusedError as error:
            if "can't find the target" not in error.answer:
                raise
            return None

    def _meet_clients(self, live: Set[Nexus]) -> None:
        """Look up who is behind sessions not seen before, and forget those that are gone."""
        self._clients = {nexus: client for nexus, client in self._clients.items() if nexus in live}
        new = live - self._clients.keys()
        if not {nexus.tid for nexus in new} <= self._known.keys():
            self._targets()
        for tid in {nexus.tid for nexus in new} & self._known.keys():
            for sid, client in (self._sessions(tid) or {}).items():
                if Nexus(tid, sid) in new:
                    self._clients[Nexus(tid, sid)] = client

    # Writing

    def _call(self, mode: str, operation: str, tid: int, *arguments: str) -> str:
        return self._tgtd.call("--mode", mode, "--op", operation, "--tid", str(tid), *arguments)

    def _on_failure(
        self, undo: _Undo, mode: str, operation: str, tid: int, *arguments: str
    ) -> None:
        """Have the call made if what follows fails; its own failure must not hide the first."""

        def make_up() -> None:
            if undo.lacks_account and (mode, operation) == ("target", "bind"):
                return
            try:
                self._call(mode, operation, tid, *arguments)
            except ConsoleError as error:
                undo.lacks_account |= (mode, operation) == ("account", "bind")
                _log.warning("Not undone: %s %s", error, error.details)

        undo.callback(make_up)

    def _create(self, iqn: str, undo: _Undo) -> int:
        # Never a number that was in use: a login that began on the target that had it would end
        # up on this one.
        tid = self._last_tid + 1
        self._call("target", "new", tid, "--targetname", iqn)
        self._last_tid = tid
        self._on_failure(undo, "target", "delete", tid, "--force")
        return tid

    def _delete(self, found: ParsedTarget) -> None:
        """Delete a target with its sessions, which end at once, and its CHAP accounts."""
        self._call_when_idle("target", "delete", found.tid, "--force")
        self._known.pop(found.tid, None)
        for account in found.accounts:
            self._drop_account(account)

    def _call_when_idle(self, mode: str, operation: str, tid: int, *arguments: str) -> None:
        """Commands in the air keep a LUN busy for moments after their session has ended."""
        deadline = time.monotonic() + _IDLE_S
        while True:
            try:
                self._call(mode, operation, tid, *arguments)
            except CallRefusedError as error:
                if "still active" not in error.answer or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def _close(self, found: ParsedTarget, let_in: Set[str], undo: _Undo) -> None:
        """Let in nobody but ``let_in`` any more, and end the sessions of all others."""
        refused = [("--initiator-name", name) for name in found.target.initiators - let_in]
        refused += [("--initiator-address", address) for address in found.addresses]
        for access in sorted(refused):
            self._call("target", "unbind", found.tid, *access)
            self._on_failure(undo, "target", "bind", found.tid, *access)
        for sid, client in (self._sessions(found.tid) or {}).items():
            if client.initiator not in let_in:
                self._end(Nexus(found.tid, sid), client)

    def _end(self, nexus: Nexus, client: Client) -> None:
        session = ("--sid", str(nexus.sid), "--cid", str(client.cid))
        try:
            self._call("conn", "delete", nexus.tid, *session)
        except CallRefusedError as error:
            if "can't find the" not in error.answer:  # it may have ended by itself
                raise

    def _change_luns(
        self,
        tid: int,
        current: Iterable[RunningLun],
        wanted: Iterable[WantedLun],
        undo: _Undo,
    ) -> None:
        missing = {lun.lun: lun for lun in wanted}
        for old in current:
            new = missing.get(old.lun)
            if new is not None and old.serves(new):
                del missing[old.lun]
                continue
            self._call_when_idle("logicalunit", "delete", tid, "--lun", str(old.lun))
            for mode, operation, arguments in reversed(_lun_calls(old)):
                self._on_failure(undo, mode, operation, tid, *arguments)
        for _, new in sorted(missing.items()):
            for mode, operation, arguments in _lun_calls(new):
                self._call(mode, operation, tid, *arguments)
                if operation == "new":
                    self._on_failure(undo, mode, "delete", tid, "--lun", str(new.lun))

    def _change_accounts(self, found: ParsedTarget, wanted: WantedTarget, undo: _Undo) -> Set[str]:
        """Have just the wanted account asked for; who of the wanted initiators is let in after it.

        Sessions that are logged in are not asked again. Until the new account is bound nobody can
        log in: tgtd asks for nothing while there is none. There are never two, either: tgtd 1.0.85
        dies of listing a target of which the first account was unbound before the second.
        """
        chap = wanted.chap
        if chap is not None:
            self._secrets[chap.user] = chap.secret
        let_in = found.target.initiators & wanted.initiators
        if list(found.accounts) == ([] if chap is None else [chap.user]):
            return let_in
        for initiator in sorted(let_in):
            self._call("target", "unbind", found.tid, "--initiator-name", initiator)
            self._on_failure(undo, "target", "bind", found.tid, "--initiator-name", initiator)
        if chap is not None and chap.user not in found.accounts:
            self._tgtd.add_account(chap)
            undo.callback(self._forget_account, chap.user)
        for account in reversed(found.accounts):
            user, _, outgoing = account.partition(" ")
            way = ("--user", user, *(["--outgoing"] if outgoing else []))
            self._call("account", "unbind", found.tid, *way)
            self._on_failure(undo, "account", "bind", found.tid, *way)
        if chap is not None:
            self._call("account", "bind", found.tid, "--user", chap.user)
            self._on_failure(undo, "account", "unbind", found.tid, "--user", chap.user)
        return frozenset()

    def _forget_account(self, account: str) -> None:
        """Drop an account if possible; one that no target uses does no harm."""
        try:
            self._drop_account(account)
        except ConsoleError as error:
            _log.warning("The account %s stays: %s %s", account, error, error.details)

    def _drop_account(self, account: str) -> None:
        """Forget an account unless a target uses it."""
        user = account.partition(" ")[0]
        used = {name.partition(" ")[0] for one in self._targets() for name in one.accounts}
        if user not in used:
            self._secrets.pop(user, None)
            self._tgtd.call("--mode", "account", "--op", "delete", "--user", user)


class _Undo(ExitStack):
    """What takes back the steps of a change that failed, in reverse."""

    lacks_account = False
    """A CHAP account could not be bound again: nobody may be let in without it."""


def _without_cache(wanted: WantedTarget) -> WantedTarget:
    """tgtd serves every disk with a write cache, whatever is wanted."""
    return replace(wanted, luns=tuple(replace(lun, write_back=False) for lun in wanted.luns))


def _lun_calls(lun: WantedLun | RunningLun) -> list[tuple[str, str, tuple[str, ...]]]:
    """The calls that make a LUN: mode, operation and arguments after the target's number."""
    number = ("--lun", str(lun.lun))
    parameters = (
        f"readonly={int(lun.read_only)},scsi_sn={lun.serial},scsi_id={lun.serial},"
        "vendor_id=GGNET,product_id=DISK"
    )
    return [
        ("logicalunit", "new", (*number, "--bstype", "rdwr", "--backing-store", str(lun.path))),
        ("logicalunit", "update", (*number, "--params", parameters)),
    ]
