# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet`` as people and scripts run it: real processes, their exit status and what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patience import PATIENCE_S
from real_host import CHECKOUT

PROGRAMS = Path(sys.executable).parent
"""Where ``make install`` puts ``ggnet`` and ``ggnet-agent``."""
COMMAND = [str(PROGRAMS / "ggnet")]
INITIATOR = "iqn.2026-11.net.ggnet:initiator.525400123401"
"""The name of the machine with the MAC address 52:54:00:12:34:01."""
Row = dict[str, Any]
"""What a verb tells of one object with ``--json``."""


def clean_environment(folder: Path) -> dict[str, str]:
    """No setting of the developer's, no keyring, and an own home for what is kept."""
    outside = {name: v for name, v in os.environ.items() if not name.startswith("GGNET_")}
    return {
        **outside,
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "settings"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
    }


class CommandLine:
    """Runs ``ggnet`` with one environment."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = dict(environment)
        self.folder = folder

    def with_(self, **environment: object) -> CommandLine:
        """The same with other environment variables."""
        changed = {name: str(value) for name, value in environment.items()}
        return CommandLine({**self.environment, **changed}, self.folder)

    def run(self, *arguments: str | bytes, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it in the background, where Ctrl+C reaches it even if it would not reach us."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", *COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def works(self, *arguments: str | bytes, stdin: str = "") -> str:
        """Exit status 0 and nothing on stderr; what was printed."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout

    def warned(self, warning: str, *arguments: str) -> Any:
        """What is printed as JSON, with exit status 0, beside one line on stderr with this."""
        done = self.run(*arguments, "--json")
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done
        assert warning in done.stderr
        return json.loads(done.stdout)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.works(*arguments, "--json"))

    def refused(self, *arguments: str | bytes, stdin: str = "") -> str:
        """Exit status 1 and one sentence on stderr, which is returned."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 1, done
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.rstrip("\n")


def options(row: Row, initiator: str) -> str:
    """How qemu logs in to the target of a session that ``ggnet session show`` told of."""
    return (
        f"driver=iscsi,transport=tcp,portal={row['portal']},target={row['target_iqn']},"
        f"lun={row['lun']},initiator-name={initiator}"
    )


def reads(row: Row, target: Path, initiator: str = INITIATOR) -> bool:
    """Whether an initiator of this name may log in and read the whole disk into ``target``."""
    return not subprocess.run(
        ["qemu-img", "convert", "-O", "raw", "--image-opts", options(row, initiator), target],
        check=False,
        capture_output=True,
        timeout=PATIENCE_S,
    ).returncode
