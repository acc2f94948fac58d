# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever LIO would change of a target is said, and nothing else, without a kernel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ggnet_console.tools.lio_drift import differences
from ggnet_console.tools.lio_tree import NOWHERE, Acl, Mapped, Store, Tree, wanted_tree
from ggnet_console.tools.target_backend import Chap, WantedLun, WantedTarget
from ggnet_console.values import target_iqn

IQN = target_iqn("525400000001")
PORTALS = frozenset(["10.0.0.1:3260"])
PC, OTHER = "iqn.2003-01.org.example:pc", "iqn.2003-01.org.example:other"
CHAP = Chap("pc", "a-secret-of-16ch")


@pytest.fixture
def wanted(tmp_path: Path) -> WantedTarget:
    file = tmp_path / "disk.raw"
    file.write_bytes(bytes(4096))
    return WantedTarget(IQN, (WantedLun(1, file, 4096, False, "5a"),), frozenset([PC]), CHAP)


def _store(tree: Tree) -> Store:
    store = tree.luns[1]
    assert store is not None
    return store


def _lun(tree: Tree, **changed: object) -> Tree:
    return replace(tree, luns={1: replace(_store(tree), **changed)})  # type: ignore[arg-type]


def _acl(tree: Tree, **changed: object) -> Tree:
    return replace(tree, acls=(replace(tree.acls[0], **changed),))  # type: ignore[arg-type]


CHANGES = {
    "disabled": lambda tree: replace(tree, enabled=False),
    "no group": lambda tree: Tree(IQN, tag=None, enabled=False),
    "a second group": lambda tree: replace(tree, more=(Tree(IQN, 2, False),)),
    "another portal": lambda tree: replace(tree, portals=frozenset(["10.0.0.2:3260"])),
    "no LUN": lambda tree: replace(tree, luns={}),
    "one more LUN": lambda tree: replace(tree, luns={**tree.luns, 2: _store(tree)}),
    "a LUN that leads nowhere": lambda tree: replace(tree, luns={1: None}),
    "another file": lambda tree: _lun(tree, path=Path("/x")),
    "another size": lambda tree: _lun(tree, size_bytes=8192),
    "another serial": lambda tree: _lun(tree, serial="5b"),
    "another kind": lambda tree: _lun(tree, plugin="ramdisk"),
    "a block device": lambda tree: _lun(tree, plugin="block"),
    "a write cache": lambda tree: _lun(tree, write_back=True),
    "a claimed write cache": lambda tree: _lun(
        tree, attributes={"emulate_tpu": 1, "emulate_write_cache": 1}
    ),
    "no unmapping": lambda tree: _lun(
        tree, attributes={"emulate_tpu": 0, "emulate_write_cache": 0}
    ),
    "nobody let in": lambda tree: replace(tree, acls=()),
    "somebody else let in": lambda tree: replace(tree, acls=(*tree.acls, Acl(OTHER, ()))),
    "no LUN to see": lambda tree: _acl(tree, mapped=()),
    "a half-made mapped LUN": lambda tree: _acl(tree, mapped=(Mapped(1, NOWHERE, False),)),
    "another number": lambda tree: _acl(tree, mapped=(Mapped(2, 1, False),)),
    "read-only": lambda tree: _acl(tree, mapped=(Mapped(1, 1, True),)),
    "another user": lambda tree: _acl(tree, chap=Chap("x", CHAP.secret)),
    "another secret": lambda tree: _acl(tree, chap=Chap("pc", "another")),
    "no secret": lambda tree: _acl(tree, chap=None),
    "a secret of its own": lambda tree: _acl(tree, mutual=Chap("target", "its-own")),
    "its own authentication": lambda tree: _acl(tree, authentication=1),
    "none of authentication": lambda tree: _acl(tree, authentication=0),
    **{
        name: lambda tree, name=name: replace(
            tree, attributes={**tree.attributes, name: 1 - tree.attributes[name]}
        )
        for name in (
            *("authentication", "generate_node_acls", "cache_dynamic_acls"),
            *("demo_mode_discovery", "demo_mode_write_protect", "prod_mode_write_protect"),
        )
    },
    "an attribute that is not saved": lambda tree: replace(tree, attributes={}),
}


_OF_ACLS = {
    *("no LUN to see", "a half-made mapped LUN", "another number", "read-only", "another user"),
    *("another secret", "no secret", "a secret of its own"),
    *("its own authentication", "none of authentication"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("chap", [CHAP, None])
@pytest.mark.parametrize("is_open", [True, False])
def test_what_apply_would_change_is_said(
    wanted: WantedTarget, change: str, chap: Chap | None, is_open: bool
) -> None:
    wanted = replace(wanted, chap=chap, initiators=wanted.initiators if is_open else frozenset())
    as_wanted = wanted_tree(wanted, PORTALS, None)
    assert differences(wanted, as_wanted.running(), PORTALS) == ()
    if not is_open and change in _OF_ACLS:
        return
    changed = CHANGES[change](as_wanted)
    would_be = wanted_tree(wanted, PORTALS, changed)
    said = differences(wanted, changed.running(), PORTALS)
    assert bool(said) is (would_be != changed), said
    assert all(CHAP.secret not in (one.wanted + one.found) for one in said)
    assert len({one.field for one in said}) == len(said)


def test_attributes_of_what_others_made_stay_but_for_who_may_log_in(wanted: WantedTarget) -> None:
    by_hand = replace(wanted, iqn="iqn.2003-01.org.example:by-hand", chap=None)
    odd = {"demo_mode_discovery": 1, "prod_mode_write_protect": 0, "generate_node_acls": 1}
    tree = wanted_tree(by_hand, PORTALS, None)
    found = replace(tree, attributes={**tree.attributes, **odd})
    assert wanted_tree(by_hand, PORTALS, found).attributes == {
        **found.attributes,
        "generate_node_acls": 0,
    }
