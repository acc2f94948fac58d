# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage host for tests: a folder, an image, a tgtd of its own, and initiators."""

from __future__ import annotations

import os
import random
import socket
import sys
from pathlib import Path

from raw_initiator import RawInitiator
from unit_serials import unit_serial

from ggnet_console.tools.process import Completed, run
from ggnet_console.tools.target_backend import (
    WantedLun,
    WantedTarget,
)
from ggnet_console.tools.tgt import Tgt
from ggnet_console.values import initiator_iqn, target_iqn

MIB = 2**20
MAC = "52:54:00:00:00:01"
OTHER_MAC = "52:54:00:00:00:02"
SIZE_BYTES = 64 * MIB


class Room:
    """A storage host: a folder, an image and a tgtd of its own."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder = folder
        self.portal = (address, free_port(address))
        self.image = folder / "image.raw"
        with self.image.open("wb") as file:
            file.write(random.Random(2).randbytes(8 * MIB))  # a disk with a hole behind
            file.truncate(SIZE_BYTES)
        self.image.chmod(0o444)
        self.tgt = self.again()

    def again(self) -> Tgt:
        """A backend as the next agent would make it."""
        return Tgt(self.folder / "tgt" / "control", [self.portal], self.folder / "tgtd.log")

    def wanted(self, mac: str = MAC, *luns: WantedLun, open_: bool = True) -> WantedTarget:
        return WantedTarget(
            target_iqn(mac),
            luns or (self.lun(mac=mac),),
            frozenset({initiator_iqn(mac)} if open_ else ()),
        )

    def lun(self, number: int = 1, *, path: Path | None = None, mac: str = MAC) -> WantedLun:
        path = path or self.image
        return WantedLun(number, path, path.stat().st_size, True, unit_serial(mac, number))

    def pid(self) -> int:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.folder / "tgt" / "control.0"))
            return int.from_bytes(
                probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder
            )

    def disk(self, mac: str = MAC, *, as_mac: str | None = None, lun: int = 1) -> str:
        """qemu's image options of a machine's disk."""
        address, port = self.portal
        host = f"[{address}]" if ":" in address else address
        return (
            f"driver=iscsi,transport=tcp,portal={host}:{port},target={target_iqn(mac)},"
            f"lun={lun},initiator-name={initiator_iqn(as_mac or mac)}"
        )

    def copy(self, mac: str = MAC, *, as_mac: str | None = None) -> Path:
        """Everything the machine reads from its disk."""
        result = self.folder / f"copy-{len(list(self.folder.iterdir()))}.raw"
        copied = qemu_copy(self.disk(mac, as_mac=as_mac), result)
        assert copied.returncode == 0, copied.messages
        return result

    def is_refused(self, mac: str = MAC, *, as_mac: str | None = None) -> bool:
        done = self.inquiry(mac, as_mac=as_mac)
        return done.returncode != 0 and b"Target not found" in done.stderr

    def inquiry(
        self, mac: str = MAC, *options: str, as_mac: str | None = None, lun: int = 1
    ) -> Completed:
        address, port = self.portal
        url = f"iscsi://{address}:{port}/{target_iqn(mac)}/{lun}"
        return run(["iscsi-inq", "-i", initiator_iqn(as_mac or mac), *options, url], timeout_s=20)

    def raw(self, mac: str = MAC, *, alias: bytes = b"x") -> RawInitiator:
        return RawInitiator(self.portal, target_iqn(mac), initiator_iqn(mac), alias)


def open_files(pid: int) -> dict[int, str]:
    """What is behind each descriptor of a process; those of calls come and go."""
    found = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(descriptor.name)] = os.readlink(descriptor)
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def qemu_copy(disk: str, result: Path) -> Completed:
    return run(
        ["qemu-img", "convert", "--image-opts", disk, "-O", "raw", str(result)], timeout_s=60
    )


def free_port(address: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as probe:
        return int(probe.getsockname()[1])
