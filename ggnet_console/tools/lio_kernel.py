# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that change LIO, by rtslib; each is undone in reverse when a later one fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rtslib_fb import (
    LUN,
    TPG,
    FabricModule,
    MappedLUN,
    NetworkPortal,
    NodeACL,
    RTSLibError,
    RTSRoot,
    Target,
)
from rtslib_fb.tcm import StorageObject

from ..errors import ConsoleError, sentence
from . import lio_configfs as configfs
from .lio_objects import (
    delete,
    drop_unused_store,
    find_store,
    is_left_over,
    is_own_folder,
    link,
    link_again,
    make_store,
    make_store_again,
    put_acl,
    remove_store,
)
from .lio_tree import NOWHERE, Acl, Store, Tree, split_portal
from .target_backend import PortalTakenError

_log = logging.getLogger(__name__)


def use_state_folder(folder: Path) -> None:
    """Have rtslib keep the kernel's state (persistent reservations) where the host's tools do.

    Otherwise it would move it to a folder of its own. The kernel takes no other one as long as
    there are backstores.
    """
    why = sentence("The kernel's targets cannot be changed: it says no to their set-up.")
    with _refusal("", why):
        now = Path(configfs.ROOT, "dbroot").read_text("utf-8").strip()
        is_empty = not any(name for _, name in configfs.store_folders())
        RTSRoot._preferred_dbroot = str(folder) if is_empty and folder.is_dir() else now
        RTSRoot()


def sweep() -> None:
    """Remove backstores of ours that no LUN leads to, and folders of ours without one.

    A process that was killed leaves them; targetcli's lock must be held. What cannot be removed
    is logged and stays.
    """
    for folder, name in list(configfs.store_folders()):
        try:
            if not name:
                if is_own_folder(folder):
                    os.rmdir(folder)  # noqa: PTH106 - one kind of call for all of configfs
            elif is_left_over(folder, name):
                _log.warning("The backstore %s was left over and is removed", name)
                remove_store(folder)
        except OSError as error:
            _log.warning("What was left over stays: %s: %s", folder, error)


def dump() -> dict[str, Any]:
    """All that runs, made by whomever, as rtslib saves it."""
    why = sentence("What runs in the kernel cannot be read whole, and so not be saved.")
    with _refusal("", why):
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

    def _step(
        self,
        forth: Callable[[], object],
        back: Callable[[], object],
        why: str = "",
        kind: type[ConsoleError] = ConsoleError,
    ) -> None:
        """``back`` also undoes what ``forth`` has half done, and nothing when that is nothing.

        Raises ``kind`` with ``why``.
        """
        self.on_failure(back)
        with _refusal(self._iqn, why, kind):
            forth()

    def save(self, write: Callable[[], Callable[[], object] | None]) -> None:
        """Save by ``write``, which returns what undoes it, if anything."""
        former = write()
        if former is not None:
            self.on_failure(former)

    # Each pair of functions below undoes the other.

    def make_target(self, tag: int) -> None:
        """The target, unless it is there, and its portal group, which lets nobody in yet."""
        if not configfs.is_target(self._iqn):
            self._step(
                lambda: _target(self._iqn, "create"), lambda: delete(lambda: _target(self._iqn))
            )
        self._step(
            lambda: TPG(_target(self._iqn), tag, "create"),
            lambda: delete(lambda: self._group(tag)),
        )

    def drop_target(self) -> None:
        """The target, which must have no portal group any more."""
        self._step(lambda: _target(self._iqn).delete(), lambda: _target(self._iqn, "any"))

    def drop_group(self, group: Tree) -> None:
        """An empty portal group; of its settings only those come back that ``group`` has."""
        tag = group.tag or 1

        def make_again() -> None:
            made = TPG(_target(self._iqn), tag, "any")
            for name, value in group.attributes.items():
                made.set_attribute(name, value)

        self._step(lambda: self._group(tag).delete(), make_again)

    def set_enabled(self, tag: int, is_enabled: bool) -> None:
        """Let initiators log in, or end all sessions and let nobody in."""

        def write(value: bool) -> None:
            self._group(tag).enable = value

        self._step(lambda: write(is_enabled), lambda: write(not is_enabled))

    def set_attributes(self, tag: int, wanted: Mapping[str, int], found: Mapping[str, int]) -> None:
        """Those of the portal group that differ."""
        self._set_attributes(lambda: self._group(tag), wanted, found)

    def set_store_attributes(self, folder: str, wanted: Store, found: Store) -> None:
        """Those of a backstore that differ; it may be in use."""
        self._set_attributes(
            lambda: StorageObject.so_from_path(folder), wanted.attributes, found.attributes
        )

    def _set_attributes(
        self, find: Callable[[], Any], wanted: Mapping[str, int], found: Mapping[str, int]
    ) -> None:
        for name, value in wanted.items():
            former = found.get(name, value)
            if found.get(name) != value:
                self._step(
                    partial(lambda name, value: find().set_attribute(name, value), name, value),
                    partial(lambda name, value: find().set_attribute(name, value), name, former),
                )

    def make_portal(self, tag: int, portal: str) -> None:
        """Listen on ``address:port``."""
        self._step(
            lambda: self._portal(tag, portal, "create"),
            lambda: delete(lambda: self._portal(tag, portal, "lookup")),
            sentence(
                "The target {iqn} cannot listen on {portal}. Choose an address of this computer; "
                "no other target may listen on all addresses (0.0.0.0 or [::]) there.",
                iqn=self._iqn,
                portal=portal,
            ),
            PortalTakenError,
        )

    def drop_portal(self, tag: int, portal: str) -> None:
        """Listen there no more."""
        self._step(
            lambda: self._portal(tag, portal, "lookup").delete(),
            lambda: self._portal(tag, portal, "any"),
        )

    def make_lun(self, tag: int, number: int, store: Store) -> None:
        """A LUN on its backstore, which is made unless others made it and it is still there."""
        folders = [store.folder] if store.folder and not store.is_ours else []
        if store.is_ours or configfs.find_store(store.name) is None:
            folders.clear()
            self._step(
                lambda: folders.append(make_store(store)), lambda: drop_unused_store(store.name)
            )
        self._step(
            lambda: link(self._group(tag), number, folders[0] if folders else find_store(store)),
            lambda: delete(lambda: LUN(self._group(tag), number)),
        )

    def drop_lun(self, tag: int, number: int, store: Store | None) -> None:
        """A LUN; its backstore stays."""
        self._step(
            lambda: LUN(self._group(tag), number).delete(),
            lambda: link_again(self._group(tag), number, store),
        )

    def drop_store(self, store: Store | None) -> None:
        """The backstore of a LUN that is gone; one that others made stays."""
        if store is not None and store.is_ours:
            self._step(lambda: remove_store(store.folder), lambda: make_store_again(store))

    def make_acl(self, tag: int, acl: Acl) -> None:
        """Let an initiator in. Its secret comes last: before, nobody can log in half-way."""
        self._step(
            lambda: put_acl(self._group(tag), acl),
            lambda: delete(lambda: NodeACL(self._group(tag), acl.initiator, "lookup")),
        )

    def drop_acl(self, tag: int, acl: Acl) -> None:
        """End an initiator's sessions and refuse it from now on."""
        self._step(
            lambda: NodeACL(self._group(tag), acl.initiator, "lookup").delete(),
            lambda: put_acl(self._group(tag), acl),
        )

    def change_acl(self, tag: int, wanted: Acl, found: Acl) -> None:
        """Show an initiator more LUNs, or writable, and change its secret; its sessions go on."""

        def take_back() -> None:
            node = NodeACL(self._group(tag), found.initiator, "lookup")
            for number in {each.number for each in wanted.mapped} - {
                each.number for each in found.mapped if each.tpg_lun != NOWHERE
            }:
                delete(partial(MappedLUN, node, number))
            put_acl(self._group(tag), found)

        self._step(lambda: put_acl(self._group(tag), wanted), take_back)

    def _group(self, tag: int) -> TPG:
        """Only a name for rtslib, and dear to make."""
        if tag not in self._groups:
            self._groups[tag] = TPG(_target(self._iqn), tag, "lookup")
        return self._groups[tag]

    def _portal(self, tag: int, portal: str, mode: str) -> NetworkPortal:
        return NetworkPortal(self._group(tag), *split_portal(portal), mode)


@contextmanager
def _refusal(iqn: str, why: str = "", kind: type[ConsoleError] = ConsoleError) -> Iterator[None]:
    """The kernel and rtslib say no by these two errors."""
    try:
        yield
    except (RTSLibError, OSError) as error:
        raise kind(
            why
            or sentence("The kernel refused a change to the target {iqn}; it was undone.", iqn=iqn),
            str(error),
        ) from error


def _target(iqn: str, mode: str = "lookup") -> Target:
    return Target(FabricModule("iscsi"), iqn, mode)


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
    wanted_acls = {acl.initiator: acl for acl in wanted.acls}
    stay: Set[str] = former.keys() & wanted_acls.keys()
    if cuts_everybody(wanted, found):
        stay = set()
        if found.enabled:
            changes.set_enabled(tag, False)
        found = replace(found, enabled=False)
    for group in found.more:
        _drop_group(changes, group)
    for name in sorted(former.keys() - stay):
        changes.drop_acl(tag, former[name])
    for number, store in sorted(_gone(wanted, found).items()):
        changes.drop_lun(tag, number, store)
        changes.drop_store(store)
    changes.set_attributes(tag, wanted.attributes, found.attributes)
    _change_portals(changes, wanted, found)
    _make_luns(changes, wanted, found)
    for name in sorted(stay):
        if former[name] != wanted_acls[name]:
            changes.change_acl(tag, wanted_acls[name], former[name])
    for name in sorted(wanted_acls.keys() - stay):
        changes.make_acl(tag, wanted_acls[name])
    save()
    if not found.enabled:
        changes.set_enabled(tag, True)


def _change_portals(changes: Changes, wanted: Tree, found: Tree) -> None:
    tag = wanted.tag or 1
    for portal in sorted(wanted.portals - found.portals):
        changes.make_portal(tag, portal)
    for portal in sorted(found.portals - wanted.portals):
        changes.drop_portal(tag, portal)


def _make_luns(changes: Changes, wanted: Tree, found: Tree) -> None:
    tag = wanted.tag or 1
    for number, store in sorted(wanted.luns.items()):
        there = found.luns.get(number)
        if store is not None and there is not None and there.is_same(store):
            changes.set_store_attributes(there.folder, store, there)
        elif store is not None:
            changes.make_lun(tag, number, store)


def cuts_everybody(wanted: Tree, found: Tree) -> bool:
    """Whether a LUN goes or changes, or somebody sees other LUNs than wanted, or came uncalled.

    A LUN or mapped LUN that is half made leads nowhere: nobody has it in use. One that becomes
    writable costs nobody anything (a mapped LUN comes into being read-only).
    """
    views = {acl.initiator: set(acl.mapped) for acl in wanted.acls}

    def sees_others(acl: Acl) -> bool:
        wanted_view = views.get(acl.initiator)
        return wanted_view is not None and not all(
            mapped in wanted_view or replace(mapped, read_only=False) in wanted_view
            for mapped in acl.mapped
            if mapped.tpg_lun != NOWHERE
        )

    return bool(
        any(store is not None for store in _gone(wanted, found).values())
        or found.more
        or found.attributes.get("generate_node_acls")
        or any(map(sees_others, found.acls))
    )


def _gone(wanted: Tree, found: Tree) -> dict[int, Store | None]:
    """The LUNs that must go, changed ones as well."""
    return {
        number: store
        for number, store in found.luns.items()
        if store is None or not store.is_same(wanted.luns.get(number))
    }


def remove(changes: Changes, found: Tree, save: Callable[[], None]) -> None:
    """Take a target down: first nobody may come in any more, then everything in reverse."""
    if found.tag is not None:
        for group in (*found.more, found):
            _empty_group(changes, group)
        for store in found.luns.values():
            changes.drop_store(store)
    save()
    if found.tag is not None:
        for group in (*found.more, found):
            changes.drop_group(group)
    changes.drop_target()


def _drop_group(changes: Changes, group: Tree) -> None:
    """A further portal group, which others made; their backstores stay."""
    _empty_group(changes, group)
    changes.drop_group(group)


def _empty_group(changes: Changes, group: Tree) -> None:
    tag = group.tag or 1
    if group.enabled:
        changes.set_enabled(tag, False)
    for acl in group.acls:
        changes.drop_acl(tag, acl)
    for number, store in sorted(group.luns.items()):
        changes.drop_lun(tag, number, store)
    for portal in sorted(group.portals):
        changes.drop_portal(tag, portal)
