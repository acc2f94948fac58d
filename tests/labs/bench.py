# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of LIO work with: our backend in the guest, disks, initiators outside, targetcli."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unit_serials import unit_serial

from ggnet_console.tools.target_backend import Chap, WantedLun, WantedTarget
from ggnet_console.values import initiator_iqn, target_iqn

from .lab import Lab, Process

MIB = 2**20
CHAP = Chap("pc-01", "secret-of-pc-01")
PORTAL = f"{Lab.address}:3260"
_MAC = "5254000000"
_START = """
from ggnet_console.tools.lio import Lio
lio = Lio(**options)
lio.start()
"""
_CLEAR = """
import glob, os, warnings
from rtslib_fb import RTSRoot
RTSRoot._preferred_dbroot = open("/sys/kernel/config/target/dbroot").read().strip()
RTSRoot().clear_existing(confirm=True)
for folder in glob.glob("/sys/kernel/config/target/core/*_*"):
    os.rmdir(folder)
"""
DUMP = """
import os
result = {}
for folder, folders, files in os.walk("/sys/kernel/config/target"):
    folders[:] = [name for name in folders if "statistics" not in name and name != "alua"]
    if match in folder:
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                result[path] = os.readlink(path)
        for name in set(files) - {"hba_info"}:
            try:
                result[os.path.join(folder, name)] = open(os.path.join(folder, name)).read()
            except OSError as error:
                result[os.path.join(folder, name)] = error.errno
"""
"""Anybody's targets by path, as ``result``; counters and states of work are left out."""


def iqn(number: int) -> str:
    """The name of the target of machine ``number``."""
    return target_iqn(f"{_MAC}{number:02x}")


def initiator(number: int) -> str:
    """The name with which machine ``number`` logs in."""
    return initiator_iqn(f"{_MAC}{number:02x}")


class RemoteLio:
    """``Lio`` in a process of the guest, with the same methods and errors."""

    def __init__(self, process: Process, options: Mapping[str, object]) -> None:
        self.process = process
        process.python(_START, options={"portals": [(Lab.address, 3260)], **options})

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object, **named: object) -> Any:
            return self.process.python(
                "result = getattr(lio, name)(*arguments, **named)",
                name=name,
                arguments=arguments,
                named=named,
            )

        return call


class Bench:
    """Everything a test does to one guest."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.disks = lab.folder / "disks"
        self.saveconfig = lab.etc / "saveconfig.json"
        self._process: Process | None = None
        self._lio: RemoteLio | None = None

    def clear(self) -> None:
        """Forget all targets, in the kernel and saved, and all disks."""
        process = self.lab.process()
        process.python(_CLEAR)
        process.close()
        for folder in (self.disks, self.lab.etc):
            with suppress(FileNotFoundError):
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.disks.mkdir(exist_ok=True)

    def close(self) -> None:
        """End the process with our backend."""
        if self._lio is not None:
            self._lio.process.close()
            self._lio = None

    def restart(self) -> None:
        """Cut the guest's power, boot it, and restore as the system's own service does."""
        self.close()
        self.lab.power_off()
        self.lab.start()
        done = self.lab.run(["targetctl", "restore"])
        assert (done.returncode, done.stderr) == (0, "")

    @property
    def lio(self) -> Any:
        """Our backend on the lab's IPv4 portal, started."""
        if self._lio is None:
            self._lio = self.backend()
        return self._lio

    def backend(self, **options: object) -> Any:
        """One more, in a process of its own; ``options`` are those of ``Lio``."""
        return RemoteLio(self.lab.process(), options)

    def disk(self, name: str = "disk.raw", size_bytes: int = 4 * MIB) -> Path:
        """A disk with a pattern that differs from block to block, and from disk to disk."""
        path = self.disks / name
        seed = name.encode() + b"."
        block = (seed * (MIB // len(seed) + 1))[:MIB]
        path.write_bytes(block * (size_bytes // MIB))
        return path

    def target(
        self,
        number: int = 1,
        *disks: Path,
        chap: Chap | None = CHAP,
        read_only: bool = False,
        write_back: bool = False,
        initiators: frozenset[str] | None = None,
    ) -> WantedTarget:
        """A wanted target of machine ``number`` with these disks (one of its own by default)."""
        files = disks or (self.disk(f"disk-{number}.raw"),)
        luns = tuple(
            WantedLun(
                lun,
                file,
                file.stat().st_size,
                read_only,
                unit_serial(number, lun),
                write_back=write_back,
            )
            for lun, file in enumerate(files, 1)
        )
        who = frozenset([initiator(number)]) if initiators is None else initiators
        return WantedTarget(iqn(number), luns, who, chap)

    # Initiators

    def options(self, wanted: WantedTarget, **changed: object) -> list[str]:
        """qemu's arguments for a login to the first LUN as the target's first initiator."""
        named: dict[str, object] = {
            "driver": "iscsi",
            "discard": "unmap",
            "transport": "tcp",
            "portal": PORTAL,
            "target": wanted.iqn,
            "lun": 1,
            "initiator-name": min(wanted.initiators, default=""),
        }
        secret: list[str] = []
        if wanted.chap is not None:
            named |= {"user": wanted.chap.user, "password-secret": "chap"}
            secret = [
                "--object",
                f"secret,id=chap,data={changed.pop('secret', wanted.chap.secret)}",
            ]
        named |= changed
        text = ",".join(f"{name}={value}" for name, value in named.items() if value is not None)
        return [*secret, "--image-opts", text]

    def qemu_io(
        self, wanted: WantedTarget, *commands: str, **changed: object
    ) -> subprocess.CompletedProcess[str]:
        """Log in, run these commands of qemu-io, log out; ``-r`` by ``read_only=True``."""
        is_read_only = ["-r"] if changed.pop("read_only", False) else []
        argv = ["qemu-io", *is_read_only, *self.options(wanted, **changed)]
        return self.lab.outside([*argv, *(each for one in commands for each in ("-c", one))])

    @contextmanager
    def logged_in(self, wanted: WantedTarget, **changed: object) -> Iterator[subprocess.Popen[str]]:
        """A session that stays; commands of qemu-io go to its stdin."""
        is_read_only = ["-r"] if changed.pop("read_only", False) else []
        argv = ["qemu-io", *is_read_only, *self.options(wanted, **changed)]
        with self.lab.background(argv) as process:
            command(process)
            assert "512 bytes, 1 ops" in command(process, "read 0 512")
            yield process

    # targetcli

    def targetcli(self, *arguments: str) -> str:
        """What the host's targetcli prints for one command; a failed one fails the test."""
        done = self.lab.run(["targetcli", *arguments])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def hand_made(self, number: int = 200, name: str = "byhand", lun: int = 1) -> str:
        """A target as an admin makes it with targetcli, saved; returns its name."""
        path = self.disk(f"{name}.raw")
        target = f"iqn.2003-01.org.example.host:{name}"
        size = path.stat().st_size
        lines = (
            f"/backstores/fileio create {name} {path} {size} write_back=false",
            f"/iscsi create {target}",
            f"/iscsi/{target}/tpg1/portals delete 0.0.0.0 3260",
            f"/iscsi/{target}/tpg1/portals create {Lab.address} 3260",
            f"/iscsi/{target}/tpg1/luns create /backstores/fileio/{name} {lun}",
            f"/iscsi/{target}/tpg1/acls create {initiator(number)}",
            "saveconfig",
            "exit",
        )
        done = self.lab.run(["targetcli"], stdin="\n".join(lines))
        # It goes on after a refused line and ends well.
        portals = {
            path.rsplit("/np/", 1)[1].split("/")[0] for path in self.dump(f"{target}/tpgt_1/np/")
        }
        assert target in self.saveconfig.read_text(), done.stdout + done.stderr
        assert portals == {f"{Lab.address}:3260"}, done.stdout + done.stderr
        return target

    def dump(self, match: str) -> dict[str, object]:
        """All of configfs below folders whose path contains ``match``, counters left out."""
        process = self.lab.process()
        result: dict[str, object] = process.python(DUMP, match=match)
        process.close()
        return result

    def saved_entries(self, name: str) -> list[object]:
        """The saved entries of the backstore and the target that end in this name."""
        document = json.loads(self.saveconfig.read_text())
        stores = [each for each in document["storage_objects"] if each["name"].endswith(name)]
        return stores + [each for each in document["targets"] if each["wwn"].endswith(name)]

    def guest(self, *argv: str | Path) -> str:
        """A command in the guest that must succeed.

        Files that are served are changed by these alone: the guest does not see what the host
        does to a file that it has open.
        """
        done = self.lab.run(argv)
        assert done.returncode == 0, done.stderr
        return done.stdout


def comparable(dump: Mapping[str, object]) -> list[tuple[str, str]]:
    """A dump without what is another when the same is made again: names of links, numbers."""
    return sorted(
        (
            _unnumbered(path.rsplit("/", 1)[0] if "../" in str(value) else path),
            _unnumbered(str(value)),
        )
        for path, value in dump.items()
    )


def _unnumbered(path: str) -> str:
    path = re.sub(r"/(fileio|iblock)_\d+/", r"/\1/", path)
    return re.sub(r"(FILEIO ID|Max Queue Depth): \d+", r"\1", path)


def command(process: subprocess.Popen[str], line: str = "") -> str:
    """Send a command to an interactive qemu-io and return what comes before the next prompt."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    answer = ""
    while not answer.endswith("qemu-io> ") and (character := process.stdout.read(1)):
        answer += character
    return answer
