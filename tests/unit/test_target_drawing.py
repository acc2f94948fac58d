# SPDX-License-Identifier: GPL-3.0-or-later
"""A target of tgt drawn as ``targetcli ls`` would; of LIO the lab compares with the real one."""

from __future__ import annotations

import re
from pathlib import Path

from ggnet_console.tools.target_backend import Chap, Connection, RunningLun, RunningTarget
from ggnet_console.tools.target_drawing import draw

IQN = "iqn.2026-11.net.ggnet:target.525400000001"
TREE = """\
o- iqn.2026-11.net.ggnet:target.525400000001 [TPGs: 1; lets in the addresses ALL]
  o- tpg1 [no-gen-acls, auth per-acl]
    o- acls [ACLs: 1]
    | o- iqn.a.b:1 [1-way auth, Mapped LUNs: 2]
    |   o- mapped_lun2 [lun2 (rw)]
    |   o- mapped_lun10 [lun10 (ro)]
    o- luns [LUNs: 2]
    | o- lun2 [(/x)]
    | o- lun10 [(/a b/ü.raw)]
    o- portals [Portals: 1]
    | o- 10.0.0.1:3260 [OK]
    o- sessions [Sessions: 1]
      o- iqn.a.b:1 [LOGGED_IN from 10.0.0.9]"""


def test_a_target_is_drawn_as_a_tree_without_its_secret() -> None:
    luns = (
        RunningLun(10, Path("/a b/ü.raw"), True, "gg001"),
        RunningLun(2, Path("/x"), False, "gg002"),
    )
    target = RunningTarget(
        *(IQN, luns, frozenset({"iqn.a.b:1"}), 1),
        *(Chap("gg12", "hush-hush"), frozenset({"10.0.0.1:3260"})),
        unsupported="lets in the addresses ALL",
    )
    of_another = Connection("k", "iqn.a.b:other", "iqn.a.b:2", "10.0.0.8", ())
    drawn = draw(target, [Connection("k", IQN, "iqn.a.b:1", "10.0.0.9", ()), of_another])
    assert re.sub(r" \.{3,} ", " ", drawn) == TREE
    assert len({len(line) for line in drawn.splitlines()}) == 1
