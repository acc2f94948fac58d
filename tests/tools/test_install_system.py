# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make install`` does to the system: nothing twice, and no server starts by its doing.

apt-get is a stand-in that writes down how it was called and what it would have met: the real one
needs a machine on which nothing is installed yet. Everything else is real, in a mount namespace
with folders of the test's own over the system's.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from patience import PATIENCE_S
from real_host import CHECKOUT

SCRIPT = CHECKOUT / "packaging" / "install-system.sh"
APT_GET = """#!/bin/sh
{
    while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done
    printf '%s|' "$*"
    printf 'tgt.service: %s|' "$(readlink /etc/systemd/system/tgt.service)"
    printf '%s|' "$(cat /etc/postgresql-common/createcluster.d/*)"
    /usr/sbin/policy-rc.d
    printf 'may start: %s\\n' $?
} >>"$FOLDER/called" 2>/dev/null
eval "${APT_GET_THEN:-true}"
"""
SYSTEM = ("etc/systemd/system", "etc/postgresql-common", "usr/lib/postgresql", "usr/sbin")
MASKED, NOT_MASKED = "tgt.service: /dev/null", "tgt.service: "
NO_CLUSTER = "create_main_cluster = false"
MAY_NOT_START = "may start: 101"


class Computer:
    """A folder over each folder of the system in which something is to happen; no package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "dpkg").mkdir()
        (folder / "bin").mkdir()
        apt_get = folder / "bin" / "apt-get"
        apt_get.write_text(APT_GET)
        apt_get.chmod(0o755)
        for name in SYSTEM:
            (folder / name).mkdir(parents=True)
        self.environment = {
            **os.environ,
            "PATH": f"{folder}/bin:/usr/bin:/bin",
            "FOLDER": str(folder),
        }

    def install(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script here, where dpkg knows of no package."""
        mounts = [f'mount --bind "$FOLDER/{name}" /{name}' for name in SYSTEM]
        return subprocess.run(
            [
                *("env", "--default-signal=INT", "unshare", "--mount"),  # nohup ignores it
                *("sh", "-ec", "\n".join([*mounts, f"exec {SCRIPT}"])),
            ],
            env={**self.environment, "DPKG_ADMINDIR": str(self.folder / "dpkg"), **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """What apt-get was asked for, and what was so at that time."""
        return [line.split("|") for line in (self.folder / "called").read_text().splitlines()]

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def computer(folder: Path) -> Computer:
    return Computer(folder)


def test_with_everything_installed_nothing_is_done(computer: Computer) -> None:
    done = subprocess.run(
        [SCRIPT],
        env=computer.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not computer.path("called").exists()


if os.geteuid() == 0:  # others may mount nothing

    def test_servers_are_kept_from_starting_before_their_packages_come(computer: Computer) -> None:
        for before in ("", NO_CLUSTER):  # safe to repeat
            done = computer.install()
            assert (done.returncode, done.stderr) == (0, "")
            update, common, everything = computer.calls()
            assert update[0] == "update"
            assert common == [
                "install --no-install-recommends postgresql-common",
                *(MASKED, before, MAY_NOT_START),
            ]
            assert everything[0].startswith("install --no-install-recommends ")
            assert {"postgresql", "tgt", "qemu-utils"} <= set(everything[0].split())
            assert everything[1:] == [MASKED, NO_CLUSTER, MAY_NOT_START]
            assert not computer.path("usr/sbin/policy-rc.d").exists()
            assert os.readlink(computer.path("etc/systemd/system/tgt.service")) == "/dev/null"
            computer.path("called").unlink()

    def test_what_an_administrator_has_decided_before_stays(computer: Computer) -> None:
        policy = computer.path("usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\nexit 104\n")
        policy.chmod(0o755)
        unit = computer.path("etc/systemd/system/tgt.service")
        unit.write_text("[Unit]\n")
        initdb = computer.path("usr/lib/postgresql/15/bin/initdb")
        initdb.parent.mkdir(parents=True)
        initdb.touch()
        assert computer.install().returncode == 0
        _, everything = computer.calls()
        assert everything[1:] == [NOT_MASKED, "", "may start: 104"]
        assert policy.read_text() == "#!/bin/sh\nexit 104\n"
        assert unit.read_text() == "[Unit]\n"

    @pytest.mark.parametrize("then", ["exit 100", "kill -TERM $PPID", "kill -INT $PPID"])
    def test_when_it_fails_or_is_stopped_nothing_more_is_installed(
        then: str, computer: Computer
    ) -> None:
        assert computer.install(APT_GET_THEN=then).returncode > 0
        assert [call[0] for call in computer.calls()] == ["update"]
        assert not computer.path("usr/sbin/policy-rc.d").exists()
