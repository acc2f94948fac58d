# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a port: against real sockets."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.portals import check_free, find_listener, portal_name

_LISTEN_UNSEEN = """
import ctypes, socket, sys
# PR_SET_DUMPABLE (4) = 0: not even this user's other processes may look at our descriptors.
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""
_ASK = """
import os, sys
from ggnet_console.tools.portals import find_listener
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(find_listener("127.0.0.1", int(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("bound", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "::1")],
)
def test_a_taken_portal_names_the_program_and_its_process(bound: str, asked: str) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.create_server((bound, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConsoleError) as caught:
            check_free(asked, port)
        found = find_listener(asked, port)
    assert found is not None
    assert (found.pid, found.uid, found.address) == (os.getpid(), os.geteuid(), bound)
    assert portal_name(asked, port) in caught.value.summary
    assert f"(process {os.getpid()})" in caught.value.summary


def test_a_wildcard_of_both_families_takes_an_ipv4_portal() -> None:
    named = pytest.raises(ConsoleError, match=rf"process {os.getpid()}\)")
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with both as taken, named:
        check_free("127.0.0.1", taken.getsockname()[1])


def test_another_address_of_the_same_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_free("127.0.0.2", port)
        assert find_listener("127.0.0.2", port) is None


def test_a_free_portal_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    check_free("127.0.0.1", port)
    check_free("127.0.0.1", port)


def test_an_owner_that_cannot_be_seen_is_said_to_be_so() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _LISTEN_UNSEEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        port = owner.stdout.readline().decode().strip()
        answer = subprocess.run(
            [sys.executable, "-c", _ASK, port], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        assert owner.stdin is not None
        owner.stdin.close()
    assert re.match(r"a process of user \S+ \(which one, only that user and root may see\)", answer)


def test_an_address_of_another_computer_is_refused() -> None:
    with pytest.raises(ConsoleError, match=r"192\.0\.2\.1:3260 cannot be used"):
        check_free("192.0.2.1", 3260)


def test_a_name_is_not_a_portal() -> None:
    with pytest.raises(ConsoleError, match="numeric IP address"):
        check_free("storage.example", 3260)
