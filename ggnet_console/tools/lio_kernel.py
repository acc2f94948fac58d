# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that change LIO, by rtslib; each is undone in reverse when a later one fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtslib_fb import (
    LUN,
    TPG,
    BlockStorageObject,
    FabricModule,
    FileIOStorageObject,
    MappedLUN,
    NetworkPortal,
    NodeACL,
    RTSLibError,
    RTSRoot,
    Target,
)
from rtslib_fb.tcm import StorageObject

from ..errors import ConsoleError
from . import lio_configfs as configfs
from .lio_tree import Acl, Mapped, Store, Tree, split_portal
from .targets import Chap, PortalTakenError

_log = logging.getLogger(__name__)


def use_state_folder(folder: Path) -> None:
    """Have rtslib keep the kernel's state (persistent reservations) where the host's tools do.

    Otherwise it would move it to a folder of its own. The kernel takes no other one as long as
    there are backstores.
    """
    now = Path(configfs.ROOT, "dbroot").read_text("utf-8").strip()
    is_empty = not any(name for _, name in configfs.store_folders())
    RTSRoot._preferred_dbroot = str(folder) if is_empty and folder.is_dir() else now
    RTSRoot()


def sweep() -> None:
    """Remove backstores of ours that no LUN leads to, and folders without one.

    A process that was killed leaves them; targetcli's lock must be held.
    """
    for folder, name in list(configfs.store_folders()):
        if not name:
            os.rmdir(folder)  # noqa: PTH106 - one kind of call for all of configfs
        elif _is_ours(name) and not configfs.is_exported(folder):
            _log.warning("The backstore %s was left over and is removed", name)
            _remove_store(folder)


def dump() -> dict[str, Any]:
    """All that runs, made by whomever, as rtslib saves it."""
    return RTSRoot().dump()  # type: ignore[no-any-return]


class Changes:
    """The steps of one change to one target; leaving the block by an error undoes them."""

    def __init__(self, iqn: str) -> None:
        self._iqn = iqn
        self._undo = ExitStack()
        self._groups: dict[int, TPG] = {}

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._undo.pop_all()
        else:
            self._undo.close()

    def on_failure(self, make_up: Callable[[], object]) -> None:
        """Have this done if what follows fails; its own failure must not hide the first."""

        def attempt() -> None:
            try:
                with _refusal(self._iqn):
                    make_up()
            except ConsoleError as error:
                _log.warning("Not undone: %s %s", error, error.details)

        self._undo.callback(attempt)

    def _step(self, forth: Callable[[], object], back: Callable[[], object]) -> None:
        with _refusal(self._iqn):
            forth()
        self.on_failure(back)

    def save(self, write: Callable[[], Callable[[], object] | None]) -> None:
        """Save by ``write``, which returns what undoes it, if anything."""
        former = write()
        if former is not None:
            self.on_failure(former)

    # Each pair of functions below undoes the other.

    def make_target(self, tag: int) -> None:
        """The target and its portal group, which lets nobody in yet."""
        self._step(lambda: _target(self._iqn, "any"), lambda: _target(self._iqn).delete())
        self._step(
            lambda: TPG(_target(self._iqn), tag, "create"), lambda: self._group(tag).delete()
        )

    def drop_target(self, tag: int | None) -> None:
        """The target and its portal group, which must be empty."""
        if tag is not None:
            self._step(
                lambda: self._group(tag).delete(), lambda: TPG(_target(self._iqn), tag, "create")
            )
        self._step(lambda: _target(self._iqn).delete(), lambda: _target(self._iqn, "create"))

    def drop_group(self, tag: int) -> None:
        """A further portal group with all that is in it. This is not undone."""
        with _refusal(self._iqn):
            self._group(tag).delete()

    def set_enabled(self, tag: int, is_enabled: bool) -> None:
        """Let initiators log in, or end all sessions and let nobody in."""

        def write(value: bool) -> None:
            self._group(tag).enable = value

        self._step(lambda: write(is_enabled), lambda: write(not is_enabled))

    def set_attributes(self, tag: int, wanted: Mapping[str, int], found: Mapping[str, int]) -> None:
        """Those of the portal group that differ."""
        for name, value in wanted.items():
            former = found.get(name)
            if former != value:
                self._step(
                    lambda name=name, value=value: self._group(tag).set_attribute(name, value),  # type: ignore[misc]
                    lambda name=name, former=former: (  # type: ignore[misc]
                        former is not None and self._group(tag).set_attribute(name, former)
                    ),
                )

    def make_portal(self, tag: int, portal: str) -> None:
        """Listen on ``address:port``."""
        advice = (
            f"The target {self._iqn} cannot listen on {portal}. Choose an address of this "
            "computer; no other target may listen on all addresses (0.0.0.0 or [::]) there."
        )
        with _refusal(self._iqn, advice, PortalTakenError):
            self._portal(tag, portal, "create")
        self.on_failure(lambda: self._portal(tag, portal, "lookup").delete())

    def drop_portal(self, tag: int, portal: str) -> None:
        """Listen there no more."""
        self._step(
            lambda: self._portal(tag, portal, "lookup").delete(),
            lambda: self._portal(tag, portal, "create"),
        )

    def make_lun(self, tag: int, number: int, store: Store) -> None:
        """A LUN on its backstore, which is made unless others made it and it is still there."""
        folder = store.folder
        if store.is_ours or configfs.find_store(store.name) is None:
            with _refusal(self._iqn):
                folder = _make_store(store)
            self.on_failure(lambda: _remove_store(folder))
        self._step(
            lambda: self._link(tag, number, folder or _find(store.name)),
            lambda: LUN(self._group(tag), number).delete(),
        )

    def drop_lun(self, tag: int, number: int, store: Store | None) -> None:
        """A LUN and its backstore; one that others made stays."""

        def make_again() -> None:
            if store is not None:
                self._link(tag, number, _find(store.name))

        self._step(lambda: LUN(self._group(tag), number).delete(), make_again)
        if store is not None and store.is_ours:
            self._step(lambda: _remove_store(store.folder), lambda: _make_store(store))

    def _link(self, tag: int, number: int, store: str) -> None:
        LUN(self._group(tag), number, StorageObject.so_from_path(store))

    def make_acl(self, tag: int, acl: Acl) -> None:
        """Let an initiator in. Its secret comes last: before, nobody can log in half-way."""
        self._step(
            lambda: _make_acl(self._group(tag), acl),
            lambda: NodeACL(self._group(tag), acl.initiator, "lookup").delete(),
        )

    def drop_acl(self, tag: int, acl: Acl) -> None:
        """End an initiator's sessions and refuse it from now on."""
        self._step(
            lambda: NodeACL(self._group(tag), acl.initiator, "lookup").delete(),
            lambda: _make_acl(self._group(tag), acl),
        )

    def map_lun(self, tag: int, initiator: str, mapped: Mapped) -> None:
        """Show an initiator one more LUN."""

        def acl() -> NodeACL:
            return NodeACL(self._group(tag), initiator, "lookup")

        self._step(lambda: _map(acl(), mapped), lambda: MappedLUN(acl(), mapped.number).delete())

    def set_chap(self, tag: int, wanted: Acl, found: Acl) -> None:
        """Change the secret of an initiator; its sessions go on."""

        def write(acl: Acl, former: Acl) -> None:
            _set_chap(NodeACL(self._group(tag), acl.initiator, "lookup"), acl, former)

        self._step(lambda: write(wanted, found), lambda: write(found, wanted))

    def _group(self, tag: int) -> TPG:
        """Only a name for rtslib, and dear to make."""
        if tag not in self._groups:
            self._groups[tag] = TPG(_target(self._iqn), tag, "lookup")
        return self._groups[tag]

    def _portal(self, tag: int, portal: str, mode: str) -> NetworkPortal:
        return NetworkPortal(self._group(tag), *split_portal(portal), mode)


@contextmanager
def _refusal(
    iqn: str, sentence: str = "", kind: type[ConsoleError] = ConsoleError
) -> Iterator[None]:
    """The kernel and rtslib say no by these two errors."""
    try:
        yield
    except (RTSLibError, OSError) as error:
        raise kind(
            sentence or f"The kernel refused a change to the target {iqn}; it was undone.",
            str(error),
        ) from error


def _target(iqn: str, mode: str = "lookup") -> Target:
    return Target(FabricModule("iscsi"), iqn, mode)


def _is_ours(name: str) -> bool:
    return Store("", name, Path(), 0, "", False, False).is_ours


def _find(name: str) -> str:
    """The folder of the backstore with this name."""
    folder = configfs.find_store(name)
    if folder is None:
        raise ConsoleError(
            f"The backstore {name} is gone. Look with “targetcli ls” what became of it."
        )
    return folder


def _make_store(store: Store) -> str:
    """Returns its folder, whose number is given to rtslib: it would look into all for a free one."""
    left_over = configfs.find_store(store.name)
    if left_over is not None:
        if configfs.is_exported(left_over):
            raise ConsoleError(
                f"The backstore {store.name} serves another target already: two disks would have "
                "the same serial number. Remove that target first."
            )
        _remove_store(left_over)
    kind = FileIOStorageObject if store.plugin == "fileio" else BlockStorageObject
    prefix = "fileio" if store.plugin == "fileio" else "iblock"
    taken = set(os.listdir(configfs.CORE))  # noqa: PTH208 - names alone are wanted
    index = next(each for each in range(len(taken) + 1) if f"{prefix}_{each}" not in taken)
    arguments: dict[str, Any] = {"dev": str(store.path), "wwn": store.serial, "index": index}
    if store.plugin == "fileio":
        arguments |= {"size": store.size_bytes, "write_back": store.write_back}
    made = kind(store.name, **arguments)
    if store.unmap:
        made.set_attribute("emulate_tpu", 1)
    return str(made.path)


def _remove_store(folder: str) -> None:
    """Not by rtslib, which looks through all targets for LUNs of it; rmdir(2) refuses then too."""
    for path in (Path(folder), Path(folder).parent):
        path.rmdir()


def _make_acl(group: TPG, acl: Acl) -> None:
    made = NodeACL(group, acl.initiator, "create")
    for mapped in acl.mapped:
        _map(made, mapped)
    _set_chap(made, acl, Acl(acl.initiator, ()))


def _map(acl: NodeACL, mapped: Mapped) -> None:
    MappedLUN(acl, mapped.number, mapped.tpg_lun, mapped.read_only)


def _set_chap(node: NodeACL, acl: Acl, former: Acl) -> None:
    if acl.authentication != former.authentication:
        node.set_attribute("authentication", acl.authentication)
    nobody = Chap("", "")
    if acl.mutual != former.mutual:
        node.chap_mutual_userid = (acl.mutual or nobody).user
        node.chap_mutual_password = (acl.mutual or nobody).secret
    if acl.chap != former.chap:
        node.chap_userid = (acl.chap or nobody).user
        node.chap_password = (acl.chap or nobody).secret


def change(changes: Changes, wanted: Tree, found: Tree, save: Callable[[], None]) -> None:
    """Turn ``found`` into ``wanted`` by the least steps; ``save`` is called when all is there.

    New initiators come in last: what is made for them stands by then. When a LUN goes or changes,
    or somebody sees other LUNs than the rest, all sessions end first: an initiator must not find
    another disk behind a number that it has in use.
    """
    tag = wanted.tag or 1
    if found.tag is None:
        changes.make_target(tag)
        found = replace(found, tag=tag)
    former = {acl.initiator: acl for acl in found.acls}
    comers = {acl.initiator: acl for acl in wanted.acls}
    stay: Set[str] = former.keys() & comers.keys()
    if cuts_everybody(wanted, found):
        stay = set()
        if found.enabled:
            changes.set_enabled(tag, False)
        found = replace(found, enabled=False)
    for name in sorted(former.keys() - stay):
        changes.drop_acl(tag, former[name])
    for number, store in sorted(_gone(wanted, found).items()):
        changes.drop_lun(tag, number, store)
    changes.set_attributes(tag, wanted.attributes, found.attributes)
    _change_portals(changes, wanted, found)
    for number, store in sorted(wanted.luns.items()):
        if store is not None and found.luns.get(number) != store:
            changes.make_lun(tag, number, store)
    for name in sorted(stay):
        _change_acl(changes, tag, comers[name], former[name])
    for name in sorted(comers.keys() - stay):
        changes.make_acl(tag, comers[name])
    for more in found.more_tags:
        changes.drop_group(more)
    save()
    if not found.enabled:
        changes.set_enabled(tag, True)


def _change_portals(changes: Changes, wanted: Tree, found: Tree) -> None:
    tag = wanted.tag or 1
    for portal in sorted(wanted.portals - found.portals):
        changes.make_portal(tag, portal)
    for portal in sorted(found.portals - wanted.portals):
        changes.drop_portal(tag, portal)


def _change_acl(changes: Changes, tag: int, wanted: Acl, found: Acl) -> None:
    there = {mapped.number for mapped in found.mapped}
    for mapped in wanted.mapped:
        if mapped.number not in there:
            changes.map_lun(tag, wanted.initiator, mapped)
    if replace(found, mapped=wanted.mapped) != wanted:
        changes.set_chap(tag, wanted, found)


def cuts_everybody(wanted: Tree, found: Tree) -> bool:
    """Whether a LUN goes or changes, or somebody sees other LUNs than wanted, or came uncalled."""
    views = {acl.initiator: set(acl.mapped) for acl in wanted.acls}
    return bool(
        _gone(wanted, found)
        or found.more_tags
        or found.attributes.get("generate_node_acls")
        or any(
            not set(acl.mapped) <= views.get(acl.initiator, set(acl.mapped)) for acl in found.acls
        )
    )


def _gone(wanted: Tree, found: Tree) -> dict[int, Store | None]:
    """The LUNs that must go, changed ones as well."""
    return {
        number: store
        for number, store in found.luns.items()
        if store is None or store != wanted.luns.get(number)
    }


def remove(changes: Changes, found: Tree, save: Callable[[], None]) -> None:
    """Take a target down: first nobody may come in any more, then everything in reverse."""
    if found.tag is not None:
        if found.enabled:
            changes.set_enabled(found.tag, False)
        for acl in found.acls:
            changes.drop_acl(found.tag, acl)
        for number, store in sorted(found.luns.items()):
            changes.drop_lun(found.tag, number, store)
        for portal in sorted(found.portals):
            changes.drop_portal(found.tag, portal)
    for more in found.more_tags:
        changes.drop_group(more)
    save()
    changes.drop_target(found.tag)
