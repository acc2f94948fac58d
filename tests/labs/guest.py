# SPDX-License-Identifier: GPL-3.0-or-later
"""Process 1 of the lab's guest: brings the kernel target up, then runs what the tests send.

Started by the kernel as ``python guest.py`` on the host's own file tree, which is read-only but for
the lab's folder. Each connection gets a process of its own, forked when everything it names is
imported: as a fresh start of our software, and as easily killed, but without reading hundreds of
files anew.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import signal
import subprocess
import sys
import traceback
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

PORT = 4000
ADDRESS = "10.199.7.2"
ADDRESS6 = "fd00:199:7::2"
_MODULES = (
    "lib/crc-ccitt",
    "net/ipv6/ipv6",
    "fs/configfs/configfs",
    "drivers/scsi/scsi_common",
    "drivers/scsi/scsi_mod",
    "drivers/target/target_core_mod",
    "drivers/target/target_core_file",
    "drivers/target/target_core_iblock",
    "drivers/target/iscsi/iscsi_target_mod",
    "drivers/target/loopback/tcm_loop",
)
_SYS_FINIT_MODULE = 313  # x86_64


def main() -> None:
    """Never returns: the guest ends with its power."""
    lab = Path(os.environ["GGNET_LAB"])
    _mount(lab)
    _load_modules()
    _command("mount", "-t", "configfs", "none", "/sys/kernel/config")
    _command("ip", "link", "set", "lo", "up")
    _command("ip", "addr", "add", f"{ADDRESS}/30", "dev", "vec0")
    _command("ip", "addr", "add", f"{ADDRESS6}/64", "dev", "vec0", "nodad")
    _command("ip", "link", "set", "vec0", "up")
    os.makedirs("/run/dbus")
    _command("dbus-daemon", "--system", "--fork", "--nopidfile")
    serve()


def _mount(lab: Path) -> None:
    for kind, folder in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        _command("mount", "-t", kind, "none", folder)
    for folder in ("/run/tmp", "/run/targetcli", "/run/lock"):
        os.makedirs(folder)
    os.environ.update(
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/run",
        TMPDIR="/run/tmp",
        TARGETCLI_HOME="/run/targetcli",
        LANG="C.UTF-8",
        PYTHONDONTWRITEBYTECODE="1",
    )
    lab.mkdir(parents=True, exist_ok=True)
    _command("mount", "-t", "hostfs", "none", str(lab), "-o", f"{lab}")
    # Where Debian's targetcli keeps what it restores at boot; it must outlive the guest.
    _command("mount", "--bind", str(lab / "etc"), "/etc/rtslib-fb-target")


def _load_modules() -> None:
    """There is no modprobe on a minimal host, and none that would look into this folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = Path("/usr/lib/uml/modules", platform.release(), "kernel")
    for name in _MODULES:
        descriptor = os.open(folder / f"{name}.ko", os.O_RDONLY)
        if libc.syscall(_SYS_FINIT_MODULE, descriptor, b"", 0):
            raise OSError(ctypes.get_errno(), f"cannot load {name}")
        os.close(descriptor)


def _command(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=60)


def serve() -> None:
    """Fork one process per connection; reap those that have ended."""
    import ggnet_console.tools.lio  # noqa: F401 - so that every fork has it

    signal.signal(signal.SIGCHLD, _reap)
    with Listener((ADDRESS, PORT), backlog=16) as listener:
        print("guest is up", flush=True)
        while True:
            connection = listener.accept()
            for module in connection.recv():
                importlib.import_module(module)
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                try:
                    _answer(connection)
                finally:
                    os.killpg(0, signal.SIGKILL)  # with whatever it started
            connection.close()


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


def _answer(connection: Connection) -> None:
    """Requests are ``(source, variables)``: run as Python; the answer is its ``result``."""
    names: dict[str, Any] = {}
    while True:
        try:
            source, variables = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        names.update(variables, result=None)
        try:
            exec(source, names)
            answer = (None, names["result"])
        except Exception as error:
            # Exceptions with a constructor of their own do not survive pickle's way of making them.
            answer = ((type(error), error.args, error.__dict__), traceback.format_exc())
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2])]
    main()
