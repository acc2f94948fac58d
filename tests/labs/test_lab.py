# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: what runs in it, what reaches it, and what it says when it cannot start."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

import ggnet_console

from .lab import HOST_ADDRESS, Lab, LabError


def test_the_guest_runs_this_checkout_on_a_kernel_of_its_own(lab: Lab) -> None:
    done = lab.run(
        [
            sys.executable,
            "-c",
            "import os, ggnet_console as g; print(os.uname().release, g.__file__, os.getuid())",
        ],
        env={"PYTHONPATH": str(Path(ggnet_console.__file__).parents[1])},
    )
    release, file, user = done.stdout.split()
    assert (release != os.uname().release, file, user) == (True, ggnet_console.__file__, "0")


def test_output_errors_and_exit_codes_come_back_apart(lab: Lab) -> None:
    done = lab.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin="yes")
    assert (done.stdout, done.stderr, done.returncode) == ("yes", "no\n", 3)


def test_the_guest_reaches_a_published_server_of_this_host(lab: Lab) -> None:
    path = lab.folder / "server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        thread = threading.Thread(target=answer)
        thread.start()
        with lab.publish(5432, path):
            process = lab.process()
            said = process.python(
                "import socket\n"
                "with socket.create_connection((address, 5432)) as connection:\n"
                "    connection.sendall(b'hello')\n"
                "    result = connection.recv(100)\n",
                address=HOST_ADDRESS,
            )
            process.close()
        thread.join()
    assert said == b"HELLO"


def test_a_guest_that_cannot_start_says_what_its_kernel_printed() -> None:
    lab = Lab(memory="8M")
    try:
        with pytest.raises(LabError, match="did not come up"):
            lab.start()
    finally:
        lab.close()
