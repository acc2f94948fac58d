# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole storage host of a test's own: database, agent process, tgtd, people signed in."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE_S
from places import short_folder
from qemu_gate import QemuGate, is_running, wait_for
from real_database import CHEAP
from sqlalchemy import text

from ggnet_console import config
from ggnet_console.db.engine import Database
from ggnet_console.db.installation import Installation
from ggnet_console.enums import Drift, Role, SessionType
from ggnet_console.services import (
    boot_sessions,
    hosts,
    images,
    jobs,
    machines,
    target_plans,
    targets,
    users,
)
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.services.hosts import HostRow
from ggnet_console.services.images import ImageRow, ImageSpec, Upload
from ggnet_console.services.jobs import JobRow
from ggnet_console.services.machines import MachineSpec
from ggnet_console.services.targets import TargetRow
from ggnet_console.tools.tgtd import Daemon, Tgtd
from ggnet_console.workers.upload import upload

CHECKOUT = Path(__file__).parents[2]
MIB = 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RealHost(QemuGate):
    """Make it with ``real_host()``, which ends all of it again."""

    backend = "tgt"
    """Whatever this computer's kernel has: it is not the tests' to change."""

    def __init__(self, folder: Path, blank: Path) -> None:
        """``folder`` (0711) is for this host alone; ``blank`` is a cluster to begin with."""
        self.folder = folder
        self.import_folder = folder / "import"
        self.import_folder.mkdir()
        self.portal = self.choose_portal()
        settings = folder / "config.toml"
        settings.write_text(
            f'home = "{folder / "home"}"\nhost = "testhost"\n'
            f'backend = "{self.backend}"\n'
            f'portal = "{self.portal}"\nimport_folder = "{self.import_folder}"\n'
        )
        self.make_gate()
        outside = {name: v for name, v in os.environ.items() if not name.startswith("GGNET_")}
        self.environment = {
            **outside,
            "GGNET_CONFIG": str(settings),
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
        }
        self.config = config.load(self.environment)
        self.tree = self.config.tree
        self.agent: subprocess.Popen[bytes] | None = None
        self.tree.root.mkdir(mode=0o711)
        self.prepare(blank)
        self.installation = Installation(self.config)
        self.installation.open()
        self.owner = self.installation.owner("test")
        self.operator = self.sign_in("anna", "anna-password")

    def choose_portal(self) -> str:
        """Where its targets are to listen."""
        return f"127.0.0.1:{free_port()}"

    def prepare(self, blank: Path) -> None:
        """Fill the empty home."""
        subprocess.run(["cp", "-a", blank, self.tree.cluster], check=True)

    def sign_in(self, name: str, password: str) -> Database:
        """The database as this person sees it."""
        console = self.installation.console("test")
        with console.begin() as session:
            sign_in = users.sign_in(session, name, password, "test")
        console.close()
        return self.installation.signed_in(sign_in.role_name, sign_in.secret, "test")

    def end(self) -> None:
        """Kill what runs, and look for faults in the agent's log."""
        if self.agent is not None:
            self.kill()
        if (daemon := self.tgtd()) is not None:
            os.kill(daemon.pid, signal.SIGKILL)
            wait_for(lambda: not is_running(daemon.pid), "tgtd ends")
        self.operator.close()
        self.owner.close()
        self.installation.close()
        faults = self.faults()
        assert not faults, "\n".join(faults)

    def faults(self) -> list[str]:
        """What the agent logged as its own fault."""
        log = self.tree.logs / "ggnet-agent.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        records = [json.loads(line) for line in lines]
        return [
            f"{record['message']} {record.get('exc_info', '')}"
            for record in records
            if record["levelname"] == "ERROR" and record["name"].startswith("ggnet_console")
        ]

    # The agent

    def start(self, *, wait: bool = True, **options: Any) -> None:
        """Start ``ggnet-agent`` and wait until it serves."""
        before = self.host().heartbeat_at
        with (self.folder / "agent.out").open("ab") as output:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "ggnet_console.agent"],
                env=self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
        if wait:
            wait_for(lambda: self.host().heartbeat_at != before, "the agent reports")

    def kill(self) -> None:
        """Kill the agent the hard way."""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()
        self.agent = None

    def stop(self) -> None:
        """End the agent as systemd would."""
        assert self.agent is not None
        self.agent.terminate()
        assert self.agent.wait(PATIENCE_S) == 0, (self.folder / "agent.out").read_text()
        self.agent = None

    def tgtd(self) -> Daemon | None:
        return Tgtd(self.tree.tgt_socket, self.config.portals, Path(os.devnull)).find()

    def tgtd_pid(self) -> int:
        daemon = self.tgtd()
        assert daemon is not None
        return daemon.pid

    def tgtadm(self, command: str, *more: str) -> str:
        """What somebody does to the agent's tgtd by hand: words, and those that hold spaces."""
        done = subprocess.run(
            ["tgtadm", "--lld", "iscsi", *command.split(), *more],
            env={**os.environ, "TGT_IPC_SOCKET": str(self.tree.tgt_socket)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    # What people do

    def host(self) -> HostRow:
        with self.operator.begin() as session:
            return hosts.list_hosts(session)[0]

    def import_file(self, source: Path, name: str = "disk", **options: Any) -> Upload:
        """Hand a file over; its processing is queued."""
        return upload(self.operator, self.config, source, ImageSpec(name), **options)

    def import_ready(self, source: Path, name: str = "disk") -> ImageRow:
        begun = self.import_file(source, name)
        self.succeeded(begun.job_id)
        return self.image(begun.image_id)

    def import_entry(self, entry: str, name: str = "disk", **checksums: str) -> Upload:
        with self.operator.begin() as session:
            return images.start_entry_import(
                session,
                ImageSpec(name),
                self.config.host,
                entry,
                checksums.get("sha256"),
                checksums.get("md5"),
            )

    def image(self, image_id: int) -> ImageRow:
        with self.operator.begin() as session:
            return images.list_images(session, [image_id])[0]

    def job(self, job_id: int) -> JobRow:
        with self.operator.begin() as session:
            return jobs.get_job(session, job_id)

    def ended(self, job_id: int) -> JobRow:
        """Wait for the end of a job."""
        wait_for(lambda: not self.job(job_id).open, f"the end of job {job_id}")
        return self.job(job_id)

    def succeeded(self, job_id: int) -> JobRow:
        """Wait for the end of a job that is to succeed."""
        job = self.ended(job_id)
        assert (job.status, job.error, job.error_details) == ("SUCCEEDED", "", "")
        return job

    def target(self, iqn: str) -> TargetRow | None:
        """A target as the operator's Targets page shows it."""
        with self.operator.begin() as session:
            rows = targets.list_targets(session)
        return next((row for row in rows if row.iqn == iqn), None)

    def compare(self) -> None:
        """Have the agent look anew: what it has reported may be how things stood halfway."""
        job = self.ask(target_plans.compare_targets, self.host().id)
        assert job.status == "SUCCEEDED", job.error

    def wait_for_drift(self, iqn: str, drift: Drift | None) -> TargetRow | None:
        """Wait until the agent reports this of the target; None: until it reports none."""
        wait_for(
            lambda: (
                (drift is None) == (self.target(iqn) is None)
                and (drift is None or getattr(self.target(iqn), "drift", None) is drift)
            ),
            f"{iqn} is {drift}",
        )
        return self.target(iqn)

    def ask(self, verb: Callable[..., int], *arguments: Any, **options: Any) -> JobRow:
        """Ask for a job as the operator, and wait for its end."""
        with self.operator.begin() as session:
            job_id = verb(session, *arguments, **options)
        return self.ended(job_id)

    def cancel(self, job_id: int) -> None:
        with self.operator.begin() as session:
            jobs.cancel_job(session, job_id)

    def machine(self, number: int = 1) -> int:
        with self.operator.begin() as session:
            spec = MachineSpec(f"PC-{number}", f"52:54:00:00:00:{number:02x}")
            return machines.create_machine(session, spec)

    def start_sessions(self, machine_ids: list[int], image_id: int) -> boot_sessions.Started:
        with self.operator.begin() as session:
            return boot_sessions.start_boot_sessions(
                session, machine_ids, image_id, SessionType.DISKLESS_BOOT
            )

    def open_session(self, image_id: int, number: int = 1) -> BootSessionRow:
        """A session that waits for its machine."""
        started = self.start_sessions([self.machine(number)], image_id)
        self.succeeded(started.job_id)
        return self.session(started.session_ids[0])

    def session(self, session_id: int) -> BootSessionRow:
        with self.operator.begin() as session:
            return boot_sessions.list_boot_sessions(session, [session_id])[0]

    def stop_session(self, session_id: int) -> JobRow:
        with self.operator.begin() as session:
            job_id = boot_sessions.stop_boot_sessions(session, [session_id])
        assert job_id is not None
        return self.ended(job_id)

    def set_setting(self, name: str, value: int) -> None:
        with self.owner.begin() as session:
            session.execute(
                text("UPDATE settings SET value = :value WHERE name = :name").bindparams(
                    value=value, name=name
                )
            )


class OwnDiskHost(RealHost):
    """Its home lies on a disk of its own, which only root can mount."""

    disk_mib = 400

    def prepare(self, blank: Path) -> None:
        self.mount()
        super().prepare(blank)

    def mount(self) -> None:
        options = f"size={self.disk_mib}m,mode=711"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.tree.root], check=True)

    def end(self) -> None:
        try:
            super().end()
        finally:
            subprocess.run(["umount", self.tree.root], check=True)


def initiator_options(row: BootSessionRow, initiator: str | None = None) -> str:
    """qemu's ``--image-opts`` for the disk of this session."""
    return (
        f"driver=iscsi,transport=tcp,portal={row.portal},target={row.target_iqn},"
        f"lun={row.lun},initiator-name={initiator or row.initiator_iqn}"
    )


def read_disk(
    row: BootSessionRow, target: Path, initiator: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Log in as a machine does and read the whole disk into ``target``."""
    options = initiator_options(row, initiator)
    return subprocess.run(
        ["qemu-img", "convert", "-O", "raw", "--image-opts", options, str(target)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def chap_read(row: BootSessionRow, user: str, secret: str) -> subprocess.CompletedProcess[str]:
    """Log in as a machine does, with this CHAP secret, and ask the disk who it is."""
    return subprocess.run(
        ["iscsi-inq", "-i", row.initiator_iqn, f"iscsi://{row.portal}/{row.target_iqn}/{row.lun}"],
        env={**os.environ, "LIBISCSI_CHAP_USERNAME": user, "LIBISCSI_CHAP_PASSWORD": secret},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class LoggedIn:
    """A machine that is logged in to its session's disk and stays so (qemu-io)."""

    def __init__(self, row: BootSessionRow) -> None:
        self._process = subprocess.Popen(
            ["qemu-io", "-r", "--image-opts", initiator_options(row)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._answer()

    def read(self, length: str = "1M", offset: str = "0") -> str:
        """Read from the disk; qemu-io's answer, which says “read” only when it worked."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"read {offset} {length}\n".encode())
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = b""
        while not answer.endswith(b"qemu-io> "):
            byte = self._process.stdout.read(1)
            assert byte, answer
            answer += byte
        return answer.decode()

    def log_out(self) -> None:
        self._process.communicate(b"quit\n", 10)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def blank_cluster() -> Iterator[Path]:
    """A stopped cluster with the schema and the operator anna, to be copied."""
    with short_folder() as folder:
        settings = config.load({"GGNET_HOME": str(folder / "home"), "GGNET_HOST": "testhost"})
        with Installation(settings) as installation:
            owner = installation.owner("test")
            with owner.begin() as session:
                session.execute(text(CHEAP))
                users.create_user(session, "anna", Role.OPERATOR, "anna-password")
            with owner.engine.connect() as connection:
                outside = connection.execution_options(isolation_level="AUTOCOMMIT")
                outside.execute(text("ALTER SYSTEM SET fsync = off"))
            owner.close()
        yield settings.tree.cluster


@contextmanager
def real_host(blank: Path, kind: type[RealHost] = RealHost) -> Iterator[RealHost]:
    with short_folder() as folder:
        host = kind(folder, blank)
        try:
            yield host
        finally:
            host.end()
