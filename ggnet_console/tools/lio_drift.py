# SPDX-License-Identifier: GPL-3.0-or-later
"""Field by field what LIO would change of a target, running or saved, to have it as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .lio_tree import INHERIT, Acl, Store, Tree, wanted_tree
from .target_backend import Difference, RunningTarget, WantedTarget, compare


def differences(
    wanted: WantedTarget, found: RunningTarget, portals: frozenset[str]
) -> tuple[Difference, ...]:
    """None exactly when nothing is to be changed.

    LIO keeps secrets and write protection with the initiators: while nobody is let in, neither
    can be wrong. A block device has the write cache that it has.
    """
    luns = tuple(
        replace(lun, write_back=False) if lun.write_back and lun.path.is_block_device() else lun
        for lun in wanted.luns
    )
    in_words = replace(wanted, luns=luns, chap=wanted.chap if wanted.initiators else None)
    in_use = found
    if not found.initiators:
        access = {lun.lun: lun.read_only for lun in luns}
        shown = (replace(lun, read_only=access.get(lun.lun, lun.read_only)) for lun in found.luns)
        in_use = replace(found, luns=tuple(shown))
    in_general = compare(in_words, in_use, portals)
    if not isinstance(found.origin, Tree):
        return in_general
    tree = wanted_tree(wanted, portals, found.origin)
    return (*in_general, *_beyond(tree, found.origin, {one.field for one in in_general}))


def _beyond(wanted: Tree, fact: Tree, said: set[str]) -> Iterator[Difference]:
    """What the words that all backends share do not say."""
    for name, value in sorted(wanted.attributes.items()):
        is_said = said & {"generate_node_acls": {"structure"}, "authentication": {"chap"}}.get(
            name, set()
        )
        found = fact.attributes.get(name)
        if found != value and not is_said:
            yield Difference(name, str(value), "" if found is None else str(found))
    for number, store in sorted(wanted.luns.items()):
        there = fact.luns.get(number)
        if store is not None and there is not None:
            lun = f"LUN {number}"
            yield from (one for one in _of_store(lun, store, there) if not _is_said(one, lun, said))
    if not said & {"chap", "structure"}:
        former = {acl.initiator: acl for acl in fact.acls}
        for acl in wanted.acls:
            if acl.initiator in former:
                yield from _of_acl(acl, former[acl.initiator])


def _is_said(one: Difference, lun: str, said: set[str]) -> bool:
    """Another file has another size, and another write cache is told of as it is."""
    implied = {f"{lun} bytes": f"{lun} file", f"{lun} emulate_write_cache": f"{lun} write cache"}
    return implied.get(one.field) in said


def _of_store(lun: str, wanted: Store, fact: Store) -> Iterator[Difference]:
    for name, value in sorted(wanted.attributes.items()):
        if fact.attributes.get(name, value) != value:
            yield Difference(f"{lun} {name}", str(value), str(fact.attributes[name]))
    if wanted.plugin != fact.plugin:
        yield Difference(f"{lun} kind", wanted.plugin, fact.plugin)
    if wanted.size_bytes != fact.size_bytes:
        yield Difference(f"{lun} bytes", str(wanted.size_bytes), str(fact.size_bytes))


def _of_acl(wanted: Acl, fact: Acl) -> Iterator[Difference]:
    if wanted.authentication != fact.authentication:
        yield Difference(
            f"{wanted.initiator} authentication",
            *(
                "as the target" if each == INHERIT else str(each)
                for each in (wanted.authentication, fact.authentication)
            ),
        )
    if wanted.chap != fact.chap:
        users = (
            "none" if each is None else f"user {each.user}" for each in (wanted.chap, fact.chap)
        )
        yield Difference(f"{wanted.initiator} secret", *users)
