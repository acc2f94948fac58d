# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what tgtadm prints, of which a client can write a part (its alias, with line feeds)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from ..errors import Sentence, listed, sentence
from .target_backend import Chap, LunTraffic, RunningLun, RunningTarget

_HEAD = re.compile(
    r"Target (?P<tid>\d+): (?P<iqn>[^\s]+)\n"
    r"    System information:\n"
    r"        Driver: iscsi\n"
    r"(?:        (?:State|Nop interval|Nop count): \w+\n)+"
    r"    I_T nexus information:\n"
)
_NEXUS_START = re.compile(r"        I_T nexus: (?P<sid>\d+)\n")
_NEXUS = re.compile(
    r"            Initiator: \S+(?: alias: [^\n]*)?\n"
    r"            Connection: \d+\n"
    r"                IP Address: [0-9a-f.:]+\n"
)
_LUNS = re.compile(r"    LUN information:\n")
_LUN = re.compile(r"        LUN: (?P<lun>\d+)\n(?P<fields>(?:            [^\n]*\n)+)")
_ACL = re.compile(
    r"    Account information:\n(?P<accounts>(?:        \S+(?: \(outgoing\))?\n)*)"
    r"    ACL information:\n(?P<acl>(?:        \S+\n)*)"
)
_NAME_TYPES = ("iqn.", "eui.", "naa.")  # RFC 3720, 3.2.6.3; RFC 3980
_LUN_INDENT = 12
_OUTGOING = " (outgoing)"
_STAT = re.compile(r" *(\d+) +(\d+) +(\d+) +\d+ +\d+ +(\d+) +(\d+) +\d+ +\d+ +(\d+) +(\d+) +\d+")
_CONNECTION = re.compile(
    r"Session: (?P<sid>\d+)\n"
    r"    Connection: (?P<cid>\d+)\n"
    r"        Initiator: (?P<initiator>[^\n]*)\n"
    r"        IP Address: (?P<address>[^\n]*)\n"
)


@dataclass(frozen=True, order=True)
class Nexus:
    """A session: ids of the target and of the session, both numbers of tgtd's."""

    tid: int
    sid: int


@dataclass(frozen=True)
class Client:
    """The far end of a session: initiator name, address, and number of its connection."""

    initiator: str
    address: str
    cid: int


@dataclass(frozen=True)
class ParsedTarget:
    """A target with its number and the last session printed before it.

    Its CHAP secret is "": tgtd does not tell it. ``addresses`` are let in whatever their name, and
    ``accounts`` are all bound ones, with " (outgoing)" behind those the target itself uses.
    """

    tid: int
    target: RunningTarget
    preceded_by: Nexus | None
    addresses: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


class IncoherentError(Exception):
    """The list of targets does not hold together.

    ``suspect`` is the last session printed before that shows: the one that wrote into the list.
    None: there was none, so the list changed while it was read.
    """

    def __init__(self, suspect: Nexus | None) -> None:
        super().__init__(suspect)
        self.suspect = suspect


def parse_targets(text: str, live: Set[Nexus]) -> tuple[ParsedTarget, ...]:
    """The targets in the answer to ``--mode target --op show``.

    ``live`` are the sessions according to ``parse_traffic``, where no client can write. An alias is
    printed as the client sent it, and may imitate any line. It cannot imitate an answer that holds
    together, though: tgtd prints each target once, by rising number; exactly one connection, its
    address and then the LUNs follow every initiator; and every session printed must be a live one.
    What an alias could still add is a target that does not exist, so the caller checks that
    unknown ones do (``ParsedTarget.preceded_by`` tells whose alias made one up).

    Raises IncoherentError when the answer does not hold together.
    """
    return _TargetsParser(text, live).parse()


class _TargetsParser:
    def __init__(self, text: str, live: Set[Nexus]) -> None:
        self._text = text
        self._live = live
        self._position = 0
        self._nexus: Nexus | None = None
        self._seen: set[Nexus] = set()

    def parse(self) -> tuple[ParsedTarget, ...]:
        targets: list[ParsedTarget] = []
        while self._position < len(self._text):
            preceded_by = self._nexus
            head = self._expect(_HEAD)
            tid = int(head["tid"])
            if targets and tid <= targets[-1].tid:
                raise IncoherentError(self._nexus)
            sessions = self._sessions(tid)
            self._expect(_LUNS)
            luns, odd = self._luns()
            access = self._expect(_ACL)
            acl = access["acl"].split()
            accounts = tuple(line.strip() for line in access["accounts"].splitlines())
            addresses = tuple(entry for entry in acl if not entry.startswith(_NAME_TYPES))
            users = [name for name in accounts if not name.endswith(_OUTGOING)]
            if addresses:
                named = ", ".join(addresses)
                odd.append(sentence("it lets in the addresses {addresses}", addresses=named))
            if len(users) > 1:
                odd.append(sentence("it has several CHAP accounts"))
            if len(users) < len(accounts):
                odd.append(sentence("it proves itself to initiators (mutual CHAP)"))
            target = RunningTarget(
                head["iqn"],
                luns,
                frozenset(acl).difference(addresses),
                sessions,
                Chap(users[0], "") if users else None,
                unsupported=listed(odd, "; "),
            )
            targets.append(ParsedTarget(tid, target, preceded_by, addresses, accounts))
        return tuple(targets)

    def _sessions(self, tid: int) -> int:
        count = 0
        while start := self._accept(_NEXUS_START):
            nexus = Nexus(tid, int(start["sid"]))
            if nexus not in self._live or nexus in self._seen:
                raise IncoherentError(self._nexus)
            self._seen.add(nexus)
            self._nexus = nexus
            self._expect(_NEXUS)
            count += 1
        return count

    def _luns(self) -> tuple[tuple[RunningLun, ...], list[Sentence]]:
        """The disks, and in words what else is there."""
        luns = []
        odd: list[Sentence] = []
        while match := self._accept(_LUN):
            fields = dict(
                line[_LUN_INDENT:].partition(": ")[::2] for line in match["fields"].split("\n")
            )
            number, kind = int(match["lun"]), fields.get("Type")
            if kind != "disk":
                if kind != "controller":
                    odd.append(sentence("LUN {lun} is a {kind}, not a disk", lun=number, kind=kind))
                continue
            if (store := fields["Backing store type"]) != "rdwr":
                odd.append(sentence("LUN {lun} is of the type {kind}", lun=number, kind=store))
            luns.append(
                RunningLun(
                    number,
                    Path(fields["Backing store path"]),
                    fields["Readonly"] == "Yes",
                    fields["SCSI SN"],
                )
            )
        return tuple(luns), odd

    def _accept(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._position)
        if match:
            self._position = match.end()
        return match

    def _expect(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = self._accept(pattern)
        if match is None:
            raise IncoherentError(self._nexus)
        return match


def parse_traffic(text: str) -> Mapping[Nexus, tuple[LunTraffic, ...]]:
    """Every live session with its traffic: the answer to ``--mode sys --op stat`` (numbers only).

    One line per target, LUN and session: submitted and done reads and writes, each as bytes and
    commands. What is done counts. LUN 0 is tgt's controller, not a disk.
    """
    traffic: dict[Nexus, tuple[LunTraffic, ...]] = {}
    for line in text.splitlines():
        match = _STAT.match(line)
        if match is None:
            continue  # the header
        tid, lun, sid, read, reads, written, writes = map(int, match.groups())
        so_far = traffic.get(Nexus(tid, sid), ())
        disk = (LunTraffic(lun, read, written, reads + writes),) if lun else ()
        traffic[Nexus(tid, sid)] = so_far + disk
    return traffic


def parse_connections(text: str) -> Mapping[int, Client]:
    """Who is behind each session of a target, by session number: ``--mode conn --op show --tid N``.

    It prints no alias, and the name is one that the target lets in.
    """
    return {
        int(match["sid"]): Client(match["initiator"], match["address"], int(match["cid"]))
        for match in _CONNECTION.finditer(text)
    }


def parse_portals(text: str) -> frozenset[str]:
    """The portals tgtd listens on, as ``address:port``: ``--mode portal --op show``."""
    return frozenset(re.findall(r"^Portal: (\S+),\d+$", text, re.MULTILINE))
