# SPDX-License-Identifier: GPL-3.0-or-later
"""An iSCSI initiator that can log in slowly and under any alias (RFC 3720, 10.12 and 10.13)."""

from __future__ import annotations

import socket
import struct

from patience import PATIENCE_S


class RawInitiator:
    """One connection to a target; ``begin`` and ``complete`` are the two stages of a login."""

    def __init__(
        self, portal: tuple[str, int], target: str, name: str, alias: bytes = b"x"
    ) -> None:
        self._socket = socket.create_connection(portal, timeout=PATIENCE_S)
        self._keys = [
            b"InitiatorName=" + name.encode(),
            b"InitiatorAlias=" + alias,
            b"SessionType=Normal",
            b"TargetName=" + target.encode(),
            b"AuthMethod=None",
        ]
        self._answered = 0

    def begin(self) -> tuple[int, int]:
        """The security stage, in which the target looks at the name; status class and detail."""
        return self._login(stage=0, following=1, keys=self._keys)

    def complete(self) -> tuple[int, int]:
        """The operational stage, after which the session exists."""
        return self._login(stage=1, following=3, keys=[b"MaxRecvDataSegmentLength=65536"])

    def login(self) -> None:
        assert self.begin() == (0, 0)
        assert self.complete() == (0, 0)

    def is_ended(self) -> bool:
        """Wait until the target closes the connection."""
        return self._socket.recv(1) == b""

    def close(self) -> None:
        self._socket.close()

    def _login(self, stage: int, following: int, keys: list[bytes]) -> tuple[int, int]:
        data = b"".join(key + b"\0" for key in keys)
        header = struct.pack(
            ">BBBBI6sHIHHII16x",
            0x43,  # login request, immediate
            0x80 | stage << 2 | following,  # T bit, CSG, NSG
            0,
            0,
            len(data),
            b"\x80\x00\x00\x00\x00\x01",  # ISID
            0,  # TSIH: a new session
            1,  # initiator task tag
            7,  # connection number
            0,
            1,
            self._answered,
        )
        self._socket.sendall(header + data + b"\0" * (-len(data) % 4))
        answer = self._receive(48)
        length = int.from_bytes(answer[5:8], "big")
        self._receive(length + -length % 4)
        self._answered = int.from_bytes(answer[24:28], "big") + 1
        return answer[36], answer[37]

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the target closed the connection")
            data += piece
        return data
