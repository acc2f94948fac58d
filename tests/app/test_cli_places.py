# SPDX-License-Identifier: GPL-3.0-or-later
"""Where ``ggnet`` puts what it makes, and for whom."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine, clean_environment
from places import short_folder
from test_cli import PASSWORD, fresh_installation


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_an_installation_is_open_to_pass_and_closed_to_look_into(folder: Path, umask: int) -> None:
    home = folder / "between" / "home"
    ggnet = CommandLine({**clean_environment(folder), "GGNET_HOME": str(home)}, folder)
    before = os.umask(umask)
    try:
        ggnet.works("init", "--admin", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (home, home.parent)}
        assert modes == {"home": 0o711, "between": 0o711}
        assert (folder / "state" / "ggnet" / "logs" / "ggnet.jsonl").exists()
        assert not (home / "logs").exists()
    finally:
        os.umask(before)


def test_a_renamed_computer_goes_on_and_another_name_is_refused() -> None:
    with fresh_installation() as ggnet:
        home = ggnet.environment["GGNET_HOME"]
        kept = Path(home, "host").read_text().strip()
        assert (
            ggnet.with_(GGNET_HOST="other")
            .refused("db", "status")
            .startswith(
                f"The installation below {home} is that of the storage host “{kept}”, and GGNET_HOST "
                "says “other”"
            )
        )
        assert ggnet.with_(GGNET_HOST="").works("whoami").startswith("anna")
