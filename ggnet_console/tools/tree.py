# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a target as ``targetcli ls`` draws it; without secrets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .targets import Connection, RunningTarget

_WIDTH = 96


@dataclass(frozen=True)
class _Node:
    name: str
    summary: str
    children: tuple[_Node, ...] = ()


def draw(target: RunningTarget, connections: Iterable[Connection] = ()) -> str:
    """The target with its ACLs, LUNs, portals and those who are logged in, one line each."""
    auth = f"CHAP as {target.chap.user}" if target.chap else "no-auth"
    luns = tuple(
        _Node(
            f"lun{lun.lun}",
            " ".join(
                [
                    *([lun.store] if lun.store else []),
                    f"({lun.path})",
                    "ro" if lun.read_only else "write-back" if lun.write_back else "write-thru",
                    f"serial {lun.serial}",
                ]
            ),
        )
        for lun in target.luns
    )
    mapped = tuple(
        _Node(f"mapped_lun{lun.lun}", f"lun{lun.lun} ({'ro' if lun.read_only else 'rw'})")
        for lun in target.luns
    )
    acls = tuple(
        _Node(name, f"Mapped LUNs: {len(mapped)}", mapped) for name in sorted(target.initiators)
    )
    portals = tuple(_Node(name, "OK") for name in sorted(target.portals))
    sessions = tuple(
        _Node(one.initiator_iqn, f"LOGGED_IN from {one.address}")
        for one in connections
        if one.target_iqn == target.iqn
    )
    state = "" if target.enabled else "disabled, "
    tpg = _Node(
        "tpg1",
        f"{state}no-gen-acls, {auth}",
        (
            _Node("acls", f"ACLs: {len(acls)}", acls),
            _Node("luns", f"LUNs: {len(luns)}", luns),
            _Node("portals", f"Portals: {len(portals)}", portals),
            _Node("sessions", f"Sessions: {len(sessions)}", sessions),
        ),
    )
    summary = f"TPGs: 1; {target.oddity}" if target.oddity else "TPGs: 1"
    return "\n".join(_lines(_Node(target.iqn, summary, (tpg,)), "", is_last=True))


def _lines(node: _Node, before: str, *, is_last: bool) -> Iterable[str]:
    head = f"{before}o- {node.name} "
    tail = f" [{node.summary}]"
    yield head + "." * max(3, _WIDTH - len(head) - len(tail)) + tail
    for child in node.children:
        yield from _lines(
            child, before + ("  " if is_last else "| "), is_last=child is node.children[-1]
        )
