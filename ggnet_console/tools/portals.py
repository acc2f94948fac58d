# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a TCP port of this computer, read from /proc (see proc(5))."""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConsoleError, sentence
from .target_backend import PortalTakenError

_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket; ``pid`` and ``program`` are None when this user may not see them."""

    address: str
    port: int
    uid: int
    pid: int | None
    program: str | None

    def __str__(self) -> str:
        return self.words()

    def words(self) -> str:
        """The owner in words that fit behind “is taken by”."""
        if self.pid is not None:
            return sentence("{program} (process {process})", program=self.program, process=self.pid)
        try:
            user = pwd.getpwuid(self.uid).pw_name
        except KeyError:
            user = sentence("number {uid}", uid=self.uid)
        return sentence(
            "a process of user {user} (which one, only that user and root may see)", user=user
        )


def check_free(address: str, port: int) -> None:
    """Raise PortalTakenError, naming the present owner, unless ``address``:``port`` can be bound.

    ``address`` is a numeric IPv4 or IPv6 address without brackets.
    """
    name = portal_name(address, port)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
    except socket.gaierror as error:
        raise ConsoleError(
            sentence(
                "The portal {portal} is not a numeric IP address and port, such as 127.0.0.1:3260.",
                portal=name,
            ),
            str(error),
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(target)
            # Two sockets with SO_REUSEADDR may both be bound: only listen(2) tells.
            probe.listen(1)
        except OSError as error:
            owner = find_listener(address, port)
            if owner is not None:
                raise PortalTakenError(
                    sentence(
                        "The portal {portal} is taken by {owner}. End that program or choose "
                        "another portal.",
                        portal=name,
                        owner=owner.words(),
                    )
                ) from error
            raise ConsoleError(
                sentence(
                    "The portal {portal} cannot be used: {reason}. Choose an address of this "
                    "computer and a free port.",
                    portal=name,
                    reason=error.strerror,
                )
            ) from error


def find_listener(address: str, port: int) -> Listener | None:
    """The socket that listens on ``port`` at this address or at a wildcard, None without one."""
    wanted = ipaddress.ip_address(address)
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text("utf-8").splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6 has no tcp6
            continue
        for line in lines:
            columns = line.split()
            host, _, hex_port = columns[1].partition(":")
            if columns[3] != _LISTEN or int(hex_port, 16) != port:
                continue
            found = _decode(host)
            if found == wanted or found.is_unspecified or wanted.is_unspecified:
                pid = _owner_of(columns[9])
                program = _program(pid) if pid is not None else None
                return Listener(str(found), port, int(columns[7]), pid, program)
    return None


def portal_name(address: str, port: int) -> str:
    """``address:port``, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _decode(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints addresses as 32-bit words in the computer's own byte order."""
    raw = bytes.fromhex(text)
    words = (raw[i : i + 4] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(
        b"".join(int.from_bytes(word, "big").to_bytes(4, sys.byteorder) for word in words)
    )
    return getattr(address, "ipv4_mapped", None) or address


def _owner_of(inode: str) -> int | None:
    """The first process that holds this socket, None when no visible one does."""
    link = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:  # ended meanwhile, or another user's
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(descriptor) == link:  # noqa: PTH115 - not a path
                    return int(process.name)
            except OSError:  # closed meanwhile
                continue
    return None


def _program(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "comm").read_text("utf-8", "replace").strip()
    except OSError:  # ended meanwhile
        return sentence("a program that has just ended")
