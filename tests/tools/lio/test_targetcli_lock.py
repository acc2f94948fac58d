# SPDX-License-Identifier: GPL-3.0-or-later
"""targetcli's lock, held by another process; and whether LIO can be used at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.lio_host import lio_available
from ggnet_console.tools.lio_lock import targetcli_lock


def test_the_holder_is_named_by_process_and_command(tmp_path: Path) -> None:
    lock = tmp_path / "targetcli.lock"
    argv = ["flock", str(lock), "sh", "-c", "echo held; read nothing"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(ConsoleError, match=rf"locked by “flock .*” \(process {holder.pid}\)"),
            targetcli_lock(0, lock),
        ):
            pass
        holder.communicate(b"\n")
    with targetcli_lock(0, lock):
        assert lock.exists()


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "targetcli.lock"
    with pytest.raises(ZeroDivisionError), targetcli_lock(0, lock):
        _ = 1 / 0
    with targetcli_lock(0, lock):
        assert lock.exists()


def test_a_host_without_the_kernels_target_says_so() -> None:
    reason = lio_available()
    if os.geteuid() != 0:
        assert "root" in reason
    elif not Path("/sys/module/iscsi_target_mod").is_dir():
        assert "module" in reason
    else:
        assert reason == ""
