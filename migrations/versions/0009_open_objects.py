# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people at one object: who has it open, who changed it last, and one job of a kind at a time."""

from __future__ import annotations

from support import grant, run_file, track, untrack

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_file("0009_open_objects.sql")
    track("open_objects", versioned=False)
    grant(revision)


def downgrade() -> None:
    untrack("open_objects", noun=False, versioned=False)
    run_file("0009_open_objects_down.sql")
    grant(down_revision)
