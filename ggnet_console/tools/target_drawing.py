# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a target as ``targetcli ls`` draws it, in its words; without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .lio_tree import Acl, Mapped, Store, Tree
from .target_backend import Connection, RunningTarget

_WIDTH = 96
_NUMBERED = re.compile(r"(.*?)(\d+)\Z", re.DOTALL)


@dataclass(frozen=True)
class _Node:
    name: str
    summary: str
    children: tuple[_Node, ...] = ()


def draw(target: RunningTarget, connections: Iterable[Connection] = ()) -> str:
    """The target with its ACLs, LUNs, portals and, below the first group, those logged in."""
    tree = target.origin if isinstance(target.origin, Tree) else _as_tree(target)
    groups = [_group(each) for each in (tree, *tree.more) if each.tag is not None]
    if groups:
        sessions = tuple(
            _Node(one.initiator_iqn, f"LOGGED_IN from {one.address or 'an unknown address'}")
            for one in connections
            if one.target_iqn == target.iqn
        )
        node = _Node("sessions", f"Sessions: {len(sessions)}", sessions)
        groups[0] = _Node(groups[0].name, groups[0].summary, (*groups[0].children, node))
    summary = f"TPGs: {len(groups)}"
    if target.origin is None and target.unsupported:  # what tgt has and this tree does not
        summary += f"; {target.unsupported}"
    return "\n".join(_lines(_Node(target.iqn, summary, tuple(groups)), "", is_last=True))


def _as_tree(target: RunningTarget) -> Tree:
    """What tgt has, in LIO's form."""
    mapped = tuple(Mapped(lun.lun, lun.lun, lun.read_only) for lun in target.luns)
    return Tree(
        target.iqn,
        1,
        target.enabled,
        target.portals,
        {
            lun.lun: Store("", lun.store, lun.path, 0, lun.serial, False, alua="")
            for lun in target.luns
        },
        tuple(Acl(name, mapped, target.chap) for name in target.initiators),
        {"authentication": int(target.chap is not None)},
    )


def _group(group: Tree) -> _Node:
    acls = _sorted(_acl(group, acl) for acl in group.acls)
    luns = _sorted(_Node(f"lun{number}", _lun(store)) for number, store in group.luns.items())
    portals = _sorted(_Node(name, "OK") for name in group.portals)
    return _Node(
        f"tpg{group.tag}",
        _access(group),
        (
            _Node("acls", f"ACLs: {len(acls)}", acls),
            _Node("luns", f"LUNs: {len(luns)}", luns),
            _Node("portals", f"Portals: {len(portals)}", portals),
        ),
    )


def _access(group: Tree) -> str:
    if not group.enabled:
        return "disabled"
    everybody, authentication = _demands(group)
    if not authentication:
        return "gen-acls, no-auth" if everybody else "no-gen-acls, no-auth"
    return "gen-acls, tpg-auth, 1-way auth" if everybody else "no-gen-acls, auth per-acl"


def _demands(group: Tree) -> tuple[bool, bool]:
    """Whether everybody may log in, and whether a secret is asked for."""
    names = ("generate_node_acls", "authentication")
    everybody, authentication = (bool(group.attributes.get(name)) for name in names)
    return everybody, authentication


def _acl(group: Tree, acl: Acl) -> _Node:
    everybody, authentication = _demands(group)
    mapped = _sorted(_Node(f"mapped_lun{each.number}", _mapped(group, each)) for each in acl.mapped)
    auth = ""
    if authentication:
        is_mutual = acl.mutual is not None and acl.mutual.secret
        own = "mutual auth, " if is_mutual else "1-way auth, "
        auth = "auth via tpg, " if everybody else own
    return _Node(acl.initiator, f"{auth}Mapped LUNs: {len(mapped)}", mapped)


def _mapped(group: Tree, mapped: Mapped) -> str:
    store = group.luns.get(mapped.tpg_lun)
    if store is None:
        return "BROKEN LUN LINK"
    return f"lun{mapped.tpg_lun} {_name(store)}({'ro' if mapped.read_only else 'rw'})"


def _lun(store: Store | None) -> str:
    if store is None:
        return "BROKEN STORAGE LINK"
    alua = f" ({store.alua})" if store.alua else ""
    return f"{_name(store)}({store.path}){alua}"


def _name(store: Store) -> str:
    name = "/".join(filter(None, (store.plugin, store.name)))
    return f"{name} " if name else ""


def _sorted(nodes: Iterable[_Node]) -> tuple[_Node, ...]:
    """By name, numbers at the end as numbers."""

    def key(node: _Node) -> tuple[str, int]:
        match = _NUMBERED.match(node.name)
        return (match[1], int(match[2])) if match else (node.name, 0)

    return tuple(sorted(nodes, key=key))


def _lines(node: _Node, before: str, *, is_last: bool) -> Iterable[str]:
    head = f"{before}o- {node.name} "
    tail = f" [{node.summary}]"
    yield head + "." * max(3, _WIDTH - len(head) - len(tail)) + tail
    for child in node.children:
        yield from _lines(
            child, before + ("  " if is_last else "| "), is_last=child is node.children[-1]
        )
