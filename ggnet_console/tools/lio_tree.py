# SPDX-License-Identifier: GPL-3.0-or-later
"""A target as LIO has it, in the kernel or in a saved configuration, and what we can say of it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import Sentence, listed, sentence
from ..values import is_ours
from .portals import portal_name
from .target_backend import Chap, RunningLun, RunningTarget, WantedLun, WantedTarget

STORE_PREFIX = "ggnet_"
"""Our backstores are named ``ggnet_<unit serial>``: seen by admins, found again by us."""
NOWHERE = -1
"""The LUN that a half-made mapped LUN leads to."""
DEFAULT_GROUP = "default_tg_pt_gp"
"""The ALUA group that the kernel puts a LUN into."""
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
STORE_ATTRIBUTES = ("emulate_tpu", "emulate_write_cache")


@dataclass(frozen=True)
class Store:
    """A backstore: ``plugin`` is ``fileio``, ``block``, or what others use.

    ``attributes`` holds those of STORE_ATTRIBUTES, of files of ours only. ``folder`` is where
    configfs has it, "" when it is not there; ``alua`` the group of the LUN that leads to it.
    """

    plugin: str
    name: str
    path: Path
    size_bytes: int
    serial: str
    write_back: bool
    attributes: Mapping[str, int] = field(default_factory=dict)
    folder: str = field(default="", compare=False)
    alua: str = field(default=DEFAULT_GROUP, compare=False)

    @property
    def is_ours(self) -> bool:
        """Whether we made it: nobody else names one by its serial number in our way."""
        return self.name == store_name(self.serial)

    @property
    def has_attributes(self) -> bool:
        """Whether we say what its attributes are."""
        return has_attributes(self.plugin, self.name, self.serial)

    def is_same(self, other: Store | None) -> bool:
        """Whether they differ at most in attributes, which can be set while it is in use."""
        return other is not None and self.disk == other.disk and self.name == other.name

    @property
    def disk(self) -> tuple[object, ...]:
        """What is served, and how, whatever it is named."""
        return self.plugin, self.path, self.size_bytes, self.serial, self.write_back


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
    """A target and its first portal group; ``tag`` is None without any, ``more`` has the others.

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
    more: tuple[Tree, ...] = ()

    def stores(self) -> list[Store]:
        """The backstores of all portal groups."""
        groups = (self, *self.more)
        return [store for group in groups for store in group.luns.values() if store is not None]

    def running(self, sessions: int = 0) -> RunningTarget:
        """The same in the terms that all backends share; what they cannot say is its ``unsupported``."""
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
            listed(self._not_supported(), "; "),
            self,
        )

    def _requires_chap(self, acl: Acl) -> bool:
        if acl.authentication != INHERIT:
            return bool(acl.authentication)
        return bool(self.attributes.get("authentication"))

    def _not_supported(self) -> list[Sentence]:
        """Each in words that can stand in a list."""
        found: list[Sentence] = []
        if self.more:
            tags = ", ".join(str(group.tag) for group in self.more)
            found.append(sentence("it has further portal groups ({tags})", tags=tags))
        if self.attributes.get("generate_node_acls"):
            found.append(sentence("everybody may log in (generate_node_acls)"))
        found += self._odd_luns()
        views = {acl.mapped for acl in self.acls}
        own_numbers = all(each.number == each.tpg_lun for view in views for each in view)
        if any(len(view) != len(self.luns) for view in views) or not own_numbers:
            found.append(sentence("not every initiator sees every LUN under its own number"))
        elif len(views) > 1:
            found.append(sentence("a LUN is writable for some initiators only"))
        if len({acl.chap for acl in self.acls if self._requires_chap(acl)}) > 1:
            found.append(sentence("its initiators have different secrets"))
        if len({self._requires_chap(acl) for acl in self.acls}) > 1:
            found.append(sentence("only some of its initiators need a secret"))
        if any(self._requires_chap(acl) and acl.chap is None for acl in self.acls):
            found.append(
                sentence("a secret is asked for and none is set, so that nobody can log in")
            )
        if any(acl.mutual for acl in self.acls):
            found.append(sentence("it has a secret of its own (mutual CHAP)"))
        return found

    def _odd_luns(self) -> list[Sentence]:
        found: list[Sentence] = []
        for number, store in sorted(self.luns.items()):
            if store is None:
                found.append(sentence("LUN {lun} has no disk behind it", lun=number))
            elif store.plugin not in ("fileio", "block"):
                found.append(
                    sentence("LUN {lun} is of the kind {kind}", lun=number, kind=store.plugin)
                )
            elif odd := file_problem(store):
                found.append(
                    sentence(
                        "the file of LUN {lun}, {path}, {odd}", lun=number, path=store.path, odd=odd
                    )
                )
        return found


def file_problem(store: Store) -> str:
    """Why the file behind a backstore is not what is served, in words; "" when it is.

    The kernel makes a missing file anew, empty, and serves it at the size it is told.
    """
    if store.plugin != "fileio":
        return ""
    try:
        status = store.path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return sentence("does not exist")
        return sentence("cannot be looked at ({reason})", reason=error.strerror)
    if stat.S_ISREG(status.st_mode) and status.st_size != store.size_bytes:
        return sentence(
            "has {found} bytes, and {served} are served",
            found=status.st_size,
            served=store.size_bytes,
        )
    return ""


def wanted_tree(wanted: WantedTarget, portals: frozenset[str], found: Tree | None) -> Tree:
    """How LIO is to have a target. Backstores that serve what is wanted stay as they were found.

    So do the attributes of a target that others made, but for those that say who may log in.
    """
    attributes = {**ATTRIBUTES, "authentication": int(wanted.chap is not None)}
    if found is not None and not is_ours(wanted.iqn):
        kept = ATTRIBUTES.keys() - {"generate_node_acls"}
        attributes |= {name: found.attributes[name] for name in kept & found.attributes.keys()}
    luns = {lun.lun: _store(lun, found) for lun in wanted.luns}
    mapped = tuple(Mapped(lun.lun, lun.lun, lun.read_only) for lun in _sorted(wanted.luns))
    return Tree(
        wanted.iqn,
        found.tag if found is not None and found.tag is not None else 1,
        True,
        portals,
        luns,
        tuple(Acl(name, mapped, wanted.chap) for name in sorted(wanted.initiators)),
        attributes,
    )


def _sorted(luns: tuple[WantedLun, ...]) -> list[WantedLun]:
    return sorted(luns, key=lambda lun: lun.lun)


def _store(lun: WantedLun, found: Tree | None) -> Store:
    is_block = lun.path.is_block_device()
    plugin = "block" if is_block else "fileio"
    name = lun.store or store_name(lun.serial)
    write_back = lun.write_back and not is_block
    store = Store(
        *(plugin, name, lun.path, lun.size_bytes, lun.serial, write_back),
        store_attributes(write_back, not lun.read_only)
        if has_attributes(plugin, name, lun.serial)
        else {},
    )
    there = found.luns.get(lun.lun) if found is not None else None
    if there is None or not _serves(there, store):
        return store
    if not there.has_attributes or there.attributes == store.attributes:
        return there
    return replace(there, attributes=store.attributes)


def store_name(serial: str) -> str:
    """How our backstore with this unit serial is named."""
    return f"{STORE_PREFIX}{serial}"


def has_attributes(plugin: str, name: str, serial: str) -> bool:
    """Whether we say what the attributes of such a backstore are: of files of ours."""
    return plugin == "fileio" and name == store_name(serial)


def store_attributes(write_back: bool, unmap: bool) -> Mapping[str, int]:
    """What a file of ours says to initiators: its write cache, and that deleted blocks are freed."""
    return {"emulate_tpu": int(unmap), "emulate_write_cache": int(write_back)}


def _serves(there: Store, wanted: Store) -> bool:
    """Whether it need not be replaced; how one that others made comes to do it is their affair."""
    return there.disk[1:] == wanted.disk[1:] and (
        there.plugin == wanted.plugin or not there.is_ours
    )


def split_portal(name: str) -> tuple[str, int]:
    """Address, an IPv6 one in brackets as rtslib wants it, and port of ``address:port``."""
    address, _, port = name.rpartition(":")
    return address, int(port)


def join_portal(address: str, port: int) -> str:
    """``address:port`` of what a saved configuration holds, with or without brackets."""
    return portal_name(address.strip("[]"), port)
