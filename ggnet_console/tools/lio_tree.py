# SPDX-License-Identifier: GPL-3.0-or-later
"""A target as LIO has it, in the kernel or in a saved configuration, and what we can say of it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .portals import portal_name
from .targets import Chap, RunningLun, RunningTarget, WantedLun, WantedTarget

STORE_PREFIX = "ggnet_"
"""Our backstores are named ``ggnet_<unit serial>``: seen by admins, found again by us."""
NOWHERE = -1
"""The LUN that a half-made mapped LUN leads to."""
INHERIT = -1
"""A node ACL's ``authentication``: as the portal group says."""
ATTRIBUTES: Mapping[str, int] = {
    # Whoever has no ACL may neither log in nor learn the target's name.
    "generate_node_acls": 0,
    "cache_dynamic_acls": 0,
    "demo_mode_discovery": 0,
    "demo_mode_write_protect": 1,
    # A mapped LUN comes into being read-only; without this there is a moment in which it is not.
    "prod_mode_write_protect": 1,
}
"""What a portal group of ours says, beside ``authentication``."""


@dataclass(frozen=True)
class Store:
    """A backstore: ``plugin`` is ``fileio``, ``block``, or what others use; ``unmap`` is emulate_tpu.

    ``folder`` is where configfs has it, "" when it is not there.
    """

    plugin: str
    name: str
    path: Path
    size_bytes: int
    serial: str
    write_back: bool
    unmap: bool
    folder: str = field(default="", compare=False)

    @property
    def is_ours(self) -> bool:
        """Whether we made it."""
        return self.name.startswith(STORE_PREFIX)


@dataclass(frozen=True)
class Mapped:
    """An initiator's LUN ``number``, which is the portal group's LUN ``tpg_lun``."""

    number: int
    tpg_lun: int
    read_only: bool


@dataclass(frozen=True)
class Acl:
    """A node ACL; ``authentication`` is INHERIT, 0 or 1; no ``chap`` when it has no user.

    ``mutual`` is how the target proves itself (mutual CHAP): never wanted, as it breaks iPXE.
    """

    initiator: str
    mapped: tuple[Mapped, ...]
    chap: Chap | None = None
    mutual: Chap | None = None
    authentication: int = INHERIT


@dataclass(frozen=True)
class Tree:
    """A target and its first portal group; ``tag`` is None without any, ``more_tags`` the others.

    A LUN whose backstore is gone is None. ``attributes`` holds those of ATTRIBUTES and
    ``authentication``.
    """

    iqn: str
    tag: int | None = 1
    enabled: bool = True
    portals: frozenset[str] = frozenset()
    luns: Mapping[int, Store | None] = field(default_factory=dict)
    acls: tuple[Acl, ...] = ()
    attributes: Mapping[str, int] = field(default_factory=dict)
    more_tags: tuple[int, ...] = ()

    def running(self, sessions: int = 0) -> RunningTarget:
        """The same in the terms that all backends share; what they cannot say is its oddity."""
        required = [self._requires_chap(acl) for acl in self.acls]
        chap = self.acls[0].chap if self.acls and required[0] else None
        return RunningTarget(
            self.iqn,
            tuple(
                RunningLun(
                    number,
                    store.path,
                    any(
                        mapped.read_only
                        for acl in self.acls
                        for mapped in acl.mapped
                        if mapped.tpg_lun == number
                    ),
                    store.serial,
                    store.write_back,
                    store.name,
                )
                for number, store in sorted(self.luns.items())
                if store is not None
            ),
            frozenset(acl.initiator for acl in self.acls),
            sessions,
            chap,
            self.portals,
            self.enabled,
            "; ".join(self._oddities()),
        )

    def _requires_chap(self, acl: Acl) -> bool:
        if acl.authentication != INHERIT:
            return bool(acl.authentication)
        return bool(self.attributes.get("authentication"))

    def _oddities(self) -> list[str]:
        """Each in words that can stand in a list."""
        found = []
        if self.more_tags:
            tags = ", ".join(map(str, self.more_tags))
            found.append(f"it has further portal groups ({tags})")
        if self.attributes.get("generate_node_acls"):
            found.append("everybody may log in (generate_node_acls)")
        found += self._odd_luns()
        views = {acl.mapped for acl in self.acls}
        own_numbers = all(each.number == each.tpg_lun for view in views for each in view)
        if any(len(view) != len(self.luns) for view in views) or not own_numbers:
            found.append("not every initiator sees every LUN under its own number")
        elif len(views) > 1:
            found.append("a LUN is writable for some initiators only")
        if len({acl.chap for acl in self.acls if self._requires_chap(acl)}) > 1:
            found.append("its initiators have different secrets")
        if len({self._requires_chap(acl) for acl in self.acls}) > 1:
            found.append("only some of its initiators need a secret")
        if any(self._requires_chap(acl) and acl.chap is None for acl in self.acls):
            found.append("a secret is asked for and none is set, so that nobody can log in")
        if any(acl.mutual for acl in self.acls):
            found.append("it has a secret of its own (mutual CHAP)")
        return found

    def _odd_luns(self) -> list[str]:
        found = []
        for number, store in sorted(self.luns.items()):
            if store is None:
                found.append(f"LUN {number} has no disk behind it")
            elif store.plugin not in ("fileio", "block"):
                found.append(f"LUN {number} is of the kind {store.plugin}")
            elif store.plugin == "fileio":
                found += _odd_file(number, store)
        return found


def _odd_file(number: int, store: Store) -> list[str]:
    """At a restore the kernel makes a missing file anew, empty, and serves it at its old size."""
    try:
        status = store.path.stat()
    except FileNotFoundError:
        return [f"the file of LUN {number}, {store.path}, does not exist"]
    if stat.S_ISREG(status.st_mode) and status.st_size != store.size_bytes:
        return [
            f"the file of LUN {number}, {store.path}, has {status.st_size} bytes, "
            f"and {store.size_bytes} are served"
        ]
    return []


def wanted_tree(wanted: WantedTarget, portals: frozenset[str], found: Tree | None) -> Tree:
    """How LIO is to have a target. Backstores that serve what is wanted stay as they were found."""
    luns = {lun.lun: _store(lun, found) for lun in wanted.luns}
    mapped = tuple(Mapped(lun.lun, lun.lun, lun.read_only) for lun in _sorted(wanted.luns))
    return Tree(
        wanted.iqn,
        found.tag if found is not None and found.tag is not None else 1,
        True,
        portals,
        luns,
        tuple(Acl(name, mapped, wanted.chap) for name in sorted(wanted.initiators)),
        {**ATTRIBUTES, "authentication": int(wanted.chap is not None)},
    )


def _sorted(luns: tuple[WantedLun, ...]) -> list[WantedLun]:
    return sorted(luns, key=lambda lun: lun.lun)


def _store(lun: WantedLun, found: Tree | None) -> Store:
    is_block = lun.path.is_block_device()
    store = Store(
        "block" if is_block else "fileio",
        lun.store or f"{STORE_PREFIX}{lun.serial}",
        lun.path,
        lun.size_bytes,
        lun.serial,
        lun.write_back and not is_block,
        not lun.read_only and not is_block,
    )
    there = found.luns.get(lun.lun) if found is not None else None
    return there if there is not None and _serves(there, store) else store


def _serves(there: Store, wanted: Store) -> bool:
    """Whether it need not be replaced; how one that others made comes to do it is their affair."""
    if not there.is_ours:
        there = replace(there, plugin=wanted.plugin, unmap=wanted.unmap)
    return there == replace(wanted, name=there.name)


def split_portal(name: str) -> tuple[str, int]:
    """Address, an IPv6 one in brackets as rtslib wants it, and port of ``address:port``."""
    address, _, port = name.rpartition(":")
    return address, int(port)


def join_portal(address: str, port: int) -> str:
    """``address:port`` of what a saved configuration holds, with or without brackets."""
    return portal_name(address.strip("[]"), port)
