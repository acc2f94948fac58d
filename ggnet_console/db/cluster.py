# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded PostgreSQL: a private server below GGNET_HOME, shared by one user's processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

from ..config import require_host_name
from ..errors import ConsoleError, sentence
from ..locks import FileLock
from ..paths import Home
from . import cluster_files
from .cluster_user import ServerUser, user_name

SUPERUSER = "ggnet_dba"
CONSOLE_ROLE = "ggnet_console"
PORT = 5432
"""Only part of the socket's name: the server does not listen on the network."""

_DEBIAN_SERVERS = Path("/usr/lib/postgresql")
_OLDEST_MAJOR = 15
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0
_GRACE_S = 5.0
_MEMORY_BYTES = 2**30
"""Of one server process, besides what all share: one statement must not have the kernel end them all."""
_POLL_S = 0.02
_SOCKET_PATH_MAX_BYTES = 107  # unix(7): sun_path has 108, one of them the final NUL
_NOBODYS_PID = 2**31 - 1  # above any pid_max, so that kill(2) always answers ESRCH


class _State(Enum):
    STOPPED = auto()
    CHANGING = auto()
    READY = auto()


def agent_role(host: str) -> str:
    """The PostgreSQL role of the agent on the storage host named ``host``.

    Raises ConsoleError for a name that cannot be one.
    """
    require_host_name(host)
    return f"ggnet_agent_{host}"


class Cluster:
    """One process's part in the embedded server: it runs while anybody has acquired it.

    ``home`` is the installation's tree, ``host`` the name of this storage host, ``pg_bin`` the
    folder with initdb and pg_ctl when it is not the one of Debian's packages. As root, the server
    runs as the system user ``postgres``, because PostgreSQL refuses to be root.

    After ``acquire`` the OS user may connect as ``SUPERUSER``, ``CONSOLE_ROLE`` or the agent's
    role without a password (peer); every other role needs its password, every other OS user is
    refused. Making roles and databases is the caller's part.
    """

    def __init__(self, home: Home, host: str, pg_bin: Path | None = None) -> None:
        self._home = home
        self._agent = agent_role(host)
        self._pg_bin = pg_bin
        self._socket = home.sockets / f".s.PGSQL.{PORT}"
        self._users = FileLock(home.users_lock)
        self._starting = FileLock(home.start_lock)
        self._owner = user_name(os.geteuid())
        self._server = ServerUser()
        self._created = False

    @property
    def created(self) -> bool:
        """Whether ``acquire`` made a new, empty cluster.

        Only a hint: the process that made it may have died before it filled it, or be at it.
        """
        return self._created

    @property
    def server_user(self) -> str:
        """Name of the OS user the server runs as."""
        return self._server.name

    def dsn(self, role: str, database: str = "ggnet") -> str:
        """The libpq connection string for ``role`` by the server's socket, without a password."""
        parts = {
            "host": str(self._home.sockets),
            "port": str(PORT),
            "user": role,
            "dbname": database,
        }
        return " ".join(f"{name}={_quote_conninfo(value)}" for name, value in parts.items())

    def acquire(self) -> None:
        """Take part: make the cluster when there is none, start the server when it does not run.

        A server that runs already is adopted; one that died is started and recovers. Raises
        ConsoleError when that is not possible; nothing half-made stays behind.
        """
        self._prepare_home()
        with self._alone():
            self._users.shared(_START_TIMEOUT_S)
            try:
                self._bring_up()
            except BaseException:
                self._users.release()
                raise

    def revive(self) -> None:
        """Start the server again if it died while this process takes part; else do nothing."""
        with self._alone():
            self._bring_up()

    def release(self) -> None:
        """Leave; the last one out stops the server. Close all connections before."""
        try:
            with self._alone():
                if self._users.try_exclusive() and self._state() is not _State.STOPPED:
                    self._stop()
        finally:
            self._users.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    # What must hold before anything is made

    def _prepare_home(self) -> None:
        root = self._home.root
        self._check_paths()
        folders = [*reversed(root.parents), root]
        if self._server.is_another:
            self._check_passage([folder for folder in folders if folder.exists()])
        try:
            for folder in folders:
                if not folder.exists():
                    folder.mkdir(mode=0o711, exist_ok=True)
                    folder.chmod(0o711)  # the users of server and uploader pass, nobody lists
        except OSError as error:
            raise self._unusable(error) from error
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise ConsoleError(
                sentence(
                    "{root} belongs to the user {owner}, not to {user}; work as {owner}, or set "
                    "GGNET_HOME to another folder.",
                    root=root,
                    owner=user_name(owner),
                    user=self._owner,
                )
            )

    def _unusable(self, error: OSError) -> ConsoleError:
        return ConsoleError(
            sentence(
                "The folder {root} cannot be used for the database: {reason}. Make it writable "
                "and not full, or set GGNET_HOME to another one.",
                root=self._home.root,
                reason=error.strerror,
            ),
            str(error),
        )

    def _check_paths(self) -> None:
        if len(os.fsencode(self._socket)) > _SOCKET_PATH_MAX_BYTES:
            raise ConsoleError(
                sentence(
                    "The path of the database's socket, {socket}, is longer than the {most} bytes "
                    "the system allows; set GGNET_HOME to a folder with a shorter path.",
                    socket=self._socket,
                    most=_SOCKET_PATH_MAX_BYTES,
                )
            )
        # initdb and pg_ctl put the path between double quotes into a shell's command line;
        # libpq takes a host with a comma for a list of hosts.
        if re.search(r'[,"$`\\\ud800-\udfff]|[^ -\U0010ffff]', str(self._home.root)):
            raise ConsoleError(
                sentence(
                    "The folder {folder!r} has a comma, quotation mark, $, `, \\ or control "
                    "character in its path, or bytes that are no UTF-8; set GGNET_HOME to a folder "
                    "without.",
                    folder=str(self._home.root),
                )
            )

    def _check_passage(self, folders: list[Path]) -> None:
        """Refuse a folder on the way to the cluster that the server's user may not pass.

        The kernel is asked as that user, so that access lists count. Nothing is made passable
        here: that is the decision of whoever owns the folder.
        """
        if not self._server.try_run(["test", "-x", str(folders[-1])]).returncode:
            return
        for folder in folders:
            if self._server.try_run(["test", "-x", str(folder)]).returncode:
                raise ConsoleError(
                    sentence(
                        "The database for {root} runs as the user {user}, who may not pass the "
                        "folder {folder}; set GGNET_HOME to a folder that user can reach, such as "
                        "/var/lib/ggnet, or allow it: chmod o+x {folder}.",
                        root=self._home.root,
                        user=self.server_user,
                        folder=folder,
                    )
                )

    # Start and stop, always with the start lock held

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._starting.exclusive(_START_TIMEOUT_S)
            try:
                yield
            finally:
                self._starting.release()
        except OSError as error:
            raise self._unusable(error) from error

    def _bring_up(self) -> None:
        self._created = self._data_version() is None
        if self._created:
            self._create()
        begun = time.monotonic()
        while (state := self._state()) is not _State.READY:
            failure = self._start() if state is _State.STOPPED else ""
            # Some failures pass by themselves: the processes of a server just killed have not
            # noticed yet, or the pg_ctl of a console just killed is still starting one.
            if time.monotonic() > begun + (_GRACE_S if failure else _START_TIMEOUT_S):
                raise ConsoleError(
                    sentence(
                        "The database below {root} could not be started; look at the details and "
                        "into {cluster}/log, and that the disk is not full.",
                        root=self._home.root,
                        cluster=self._home.cluster,
                    ),
                    "\n".join(filter(None, (failure, self._log_tail()))),
                )
            time.sleep(_POLL_S)

    def _create(self) -> None:
        root, programs = self._home.root, self._binaries()
        if self._version(programs) < _OLDEST_MAJOR:
            raise ConsoleError(
                sentence(
                    "{programs} is older than PostgreSQL {oldest}; install version {oldest} or "
                    "newer, or set GGNET_PG_BIN to the folder with its programs.",
                    programs=programs,
                    oldest=_OLDEST_MAJOR,
                )
            )
        for leftover in root.glob("cluster.part-*"):  # of a process killed at this very point
            _remove(leftover)
        part = Path(tempfile.mkdtemp(prefix="cluster.part-", dir=root))
        try:
            self._server.own(part)
            self._server.run(
                # An initdb whose console was killed must not go on in a folder soon removed.
                [
                    *("setpriv", "--pdeathsig", "KILL", str(programs / "initdb")),
                    *(f"--pgdata={part}", f"--username={SUPERUSER}", "--data-checksums"),
                    *("--encoding=UTF8", "--locale=C.UTF-8"),
                    *("--auth-local=peer", "--auth-host=reject"),
                ],
                sentence(
                    "The database below {root} could not be made; look at the details, and that "
                    "the disk is not full.",
                    root=root,
                ),
            )
            part.rename(self._home.cluster)
        except BaseException:
            _remove(part)
            raise

    def _start(self) -> str:
        """Start the server and wait until it is ready; details of a failure of pg_ctl, or ""."""
        self._check_version()
        sockets = self._home.sockets
        sockets.mkdir(mode=0o700, exist_ok=True)
        self._server.own(sockets)
        self._configure()
        self._disown_strangers()
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        memory = _MEMORY_BYTES if most == resource.RLIM_INFINITY else min(most, _MEMORY_BYTES)
        done = self._server.try_run(
            [
                *("prlimit", f"--data={memory}:{memory}"),
                *(str(self._binaries() / "pg_ctl"), "start", "--wait", "--silent"),
                *(f"--timeout={_START_TIMEOUT_S:.0f}", f"--pgdata={self._home.cluster}"),
                f"--log={self._home.cluster}/start.log",
            ]
        )
        return self._server.details(done) if done.returncode else ""

    def _stop(self) -> None:
        self._server.run(
            [
                *(str(self._binaries() / "pg_ctl"), "stop", "--mode=fast", "--wait", "--silent"),
                *(f"--timeout={_STOP_TIMEOUT_S:.0f}", f"--pgdata={self._home.cluster}"),
            ],
            sentence(
                "The database below {root} could not be stopped; it goes on running until the "
                "next GGnet program ends.",
                root=self._home.root,
            ),
        )

    def _configure(self) -> None:
        cluster = self._home.cluster
        files = cluster_files.contents(
            self._home.sockets,
            PORT,
            users=list(dict.fromkeys((self._owner, self.server_user))),
            superuser=SUPERUSER,
            roles=[CONSOLE_ROLE, self._agent],
        )
        for name, text in {**files, "start.log": ""}.items():
            # By the server's user, whose folder it is: a link put there leads root nowhere.
            self._server.run(
                ["tee", str(cluster / name)],
                sentence(
                    "The database's settings below {cluster} could not be written; see that the "
                    "disk is not full.",
                    cluster=cluster,
                ),
                text,
            )

    # What is there

    def _state(self) -> _State:
        """The server's state from its postmaster.pid (lines: pidfile.h of PostgreSQL)."""
        lines = _lines(self._home.cluster / "postmaster.pid")
        if not lines or not self._is_ours(int(lines[0])):
            return _State.STOPPED
        ready = len(lines) > 7 and lines[7].strip() == "ready"
        return _State.READY if ready else _State.CHANGING

    def _is_ours(self, pid: int) -> bool:
        """Whether ``pid`` is a postmaster of this cluster and not a stranger with its old pid."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        folder = self._home.cluster.resolve()
        return any(
            flag == b"-D" and Path(os.fsdecode(value)).resolve() == folder
            for flag, value in itertools.pairwise(arguments)
        )

    def _disown_strangers(self) -> None:
        """Free stale lock files of the server whose pid is by now another program's, or a zombie's.

        After a power cut pids start anew, and PostgreSQL would refuse to start for as long as
        that program runs. Only the pid is replaced: the rest lets PostgreSQL look for surviving
        processes of the old server.
        """
        for file in (self._home.cluster / "postmaster.pid", Path(f"{self._socket}.lock")):
            lines = _lines(file)
            if (
                not lines
                or self._is_ours(pid := int(lines[0]))
                or not Path(f"/proc/{pid}").exists()
            ):
                continue
            self._server.run(
                ["tee", str(file)],
                sentence("The database's stale lock file {file} could not be replaced.", file=file),
                "".join(f"{line}\n" for line in (str(_NOBODYS_PID), *lines[1:])),
            )

    def _binaries(self) -> Path:
        """The folder of the server's programs: the given one, else that of the data's version."""
        if self._pg_bin is not None:
            found = [self._pg_bin]
        else:
            installed = (d for d in _DEBIAN_SERVERS.glob("*") if d.name.isdigit())
            found = [d / "bin" for d in sorted(installed, key=lambda d: int(d.name), reverse=True)]
        found = [folder for folder in found if os.access(folder / "pg_ctl", os.X_OK)]
        if not found:
            raise ConsoleError(
                sentence(
                    "PostgreSQL's server programs are not in {folder}; run “make install”, or set "
                    "GGNET_PG_BIN to the folder with initdb and pg_ctl.",
                    folder=self._pg_bin or _DEBIAN_SERVERS,
                )
            )
        matching = (folder for folder in found if folder.parent.name == self._data_version())
        return next(matching, found[0])

    def _data_version(self) -> str | None:
        file = self._home.cluster / "PG_VERSION"
        return file.read_text("ascii").strip() if file.exists() else None

    def _version(self, programs: Path) -> int:
        answer = self._server.run(
            [str(programs / "pg_ctl"), "--version"],
            sentence(
                "The PostgreSQL in {programs} does not run; look at the details.",
                programs=programs,
            ),
        )
        return int(answer.split()[2].partition(".")[0])  # pg_ctl (PostgreSQL) 15.14 (Debian …)

    def _check_version(self) -> None:
        programs, data = self._binaries(), self._data_version()
        found = self._version(programs)
        if data != str(found):
            raise ConsoleError(
                sentence(
                    "The database in {cluster} was made by PostgreSQL {data}, but {programs} is "
                    "version {found}; install PostgreSQL {data}, or set GGNET_PG_BIN to the "
                    "folder with its programs.",
                    cluster=self._home.cluster,
                    data=data,
                    programs=programs,
                    found=found,
                )
            )

    def _log_tail(self) -> str:
        """The end of what the server said at its last start."""
        cluster = self._home.cluster
        logs = sorted((cluster / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        files = [str(file) for file in (cluster / "start.log", *logs[-1:])]
        return self._server.try_run(["tail", "-q", "-n", "20", *files]).stdout


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _remove(part: Path) -> None:
    """Remove a half-made cluster, in which a killed initdb's last child may write for a moment."""
    deadline = time.monotonic() + _GRACE_S
    while part.exists():
        try:
            shutil.rmtree(part)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _quote_conninfo(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
