# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on real parts: import, target, session, a real initiator that reads the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from real_host import MIB, LoggedIn, RealHost, read_disk, wait_for

from ggnet_console.services.boot_sessions import BootSessionRow

HYPER_V_RAW_SHA256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"
LogIn = Callable[[BootSessionRow], LoggedIn]


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def test_a_disk_that_hyper_v_wrote_is_read_bit_for_bit_by_its_machine_and_by_nobody_else(
    served: RealHost, disks: Path, tmp_path: Path
) -> None:
    image = served.import_ready(disks / "hyper-v.vhdx")
    assert (image.status, image.source_format, image.error) == ("READY", "VHDX", "")
    assert image.source_sha256 == sha256(disks / "hyper-v.vhdx")
    assert image.sha256 == HYPER_V_RAW_SHA256
    assert image.actual_size_bytes is not None
    assert image.actual_size_bytes < 128 * MIB < (image.virtual_size_bytes or 0)

    session = served.open_session(image.id)
    assert (session.status, session.portal) == ("PENDING", served.portal)
    stranger = read_disk(session, tmp_path / "stolen", "iqn.2026-11.net.ggnet:stranger")
    assert stranger.returncode == 1
    assert "Target not found" in stranger.stderr
    assert served.session(session.id).status == "PENDING"

    assert read_disk(session, tmp_path / "read").returncode == 0
    assert sha256(tmp_path / "read") == HYPER_V_RAW_SHA256
    wait_for(lambda: served.session(session.id).status == "ACTIVE", "the login is observed")
    wait_for(lambda: not served.session(session.id).connected, "the logout is observed")
    active = served.session(session.id)
    assert active.client_address == "127.0.0.1"
    assert active.bytes_read > 0
    assert active.bytes_written == 0

    assert served.stop_session(session.id).status == "SUCCEEDED"
    ended = served.session(session.id)
    assert (ended.status, ended.client_address) == ("STOPPED", "127.0.0.1")
    assert ended.bytes_read == active.bytes_read
    assert read_disk(session, tmp_path / "again").returncode == 1
