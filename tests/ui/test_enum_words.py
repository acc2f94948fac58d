# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for the members of the enums."""

from __future__ import annotations

from enum import Enum

import pytest

from ggnet_console import enums
from ggnet_console.enums import JobStatus, MachineStatus, SessionStatus
from ggnet_console.ui.enum_words import word

MEMBERS = [
    member
    for kind in vars(enums).values()
    if isinstance(kind, type) and issubclass(kind, Enum) and kind.__module__ == enums.__name__
    for member in kind
]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: f"{type(m).__name__}.{m.name}")
def test_every_enum_member_has_a_word_that_is_not_its_name(member):
    text = word(member)
    assert text
    assert "_" not in text
    assert text != member.name or text in ("BIOS", "UEFI", "QCOW2", "VHDX", "VHD", "VMDK")


def test_members_of_different_enums_with_one_name_keep_their_own_words():
    assert MachineStatus.ACTIVE == SessionStatus.ACTIVE  # they are strings
    assert word(MachineStatus.ACTIVE) == "Active"
    assert word(SessionStatus.ACTIVE) == "Running"
    assert word(JobStatus.RUNNING) == "Running"
