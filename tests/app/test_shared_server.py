# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job by ``ggnet`` and ``ggnet-agent`` over a shared server with TLS; no secret is seen."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from command_line import CommandLine, clean_environment
from patience import PATIENCE_S
from real_host import LoggedIn, free_port, is_running, read_disk, short_folder, wait_for
from tls_server import PASSWORD, TlsServer, tls_server

from ggnet_console.paths import Home
from ggnet_console.tools.tgtd import Tgtd

ANNA = "anna's own password"


class Site:
    """A shared server, one storage host, and somebody with ``ggnet`` on it."""

    def __init__(self, server: TlsServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.tree = Home(folder / "home")
        self.portal = f"127.0.0.1:{free_port()}"
        self.passwords = folder / "passwords"
        self.where = f"host=localhost port={server.port} sslrootcert={server.authority.file}"
        keys = folder / "pgpass"
        keys.write_text(f"*:*:*:postgres:{PASSWORD}\n")
        keys.chmod(0o600)
        environment = {
            **clean_environment(folder),
            "GGNET_HOME": str(self.tree.root),
            "GGNET_HOST": "store1",
            "GGNET_PORTAL": self.portal,
            "GGNET_BACKEND": "tgt",
            "PGPASSFILE": str(keys),
        }
        self.ggnet = CommandLine(environment, folder)
        self.agent: subprocess.Popen[bytes] | None = None

    @property
    def owner_dsn(self) -> str:
        return f"{self.where} user=postgres dbname=ggnet"

    def prepare(self) -> None:
        """What the administrator of the server does."""
        said = self.ggnet.works(
            *("db", "setup-server", "--owner-dsn", f"{self.where} user=postgres"),
            *("--host", "store1", "--passwords", str(self.passwords)),
        )
        self.server.admit(*re.findall(r"^ *(hostssl .*)$", said, re.MULTILINE))

    def password_of(self, role: str) -> str:
        lines = [line.split(":") for line in self.passwords.read_text().splitlines()]
        return next(password for *_, name, password in lines if name == role)

    def connect(self) -> str:
        """What each of its users does once."""
        return self.ggnet.works(
            *("db", "connect", f"{self.where} dbname=ggnet", "--password-stdin"),
            stdin=f"{self.password_of('ggnet_console')}\n",
        )

    def start_agent(self) -> None:
        agent = self.ggnet.with_(
            GGNET_AGENT_DATABASE_URL=f"{self.where} dbname=ggnet passfile={self.passwords}"
        )
        settings = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "PGPASSFILE")  # it is no person
        environment = {k: v for k, v in agent.environment.items() if k not in settings}
        with (self.folder / "agent.out").open("ab") as output:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "ggnet_console.agent"],
                env={**environment, "HOME": "/nonexistent"},
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(lambda: self.ggnet.json("host", "list")[0]["alive"], "the agent reports")

    def end(self) -> None:
        if self.agent is not None:
            self.agent.terminate()
            assert self.agent.wait(PATIENCE_S) == 0, (self.folder / "agent.out").read_text()
        address, port = self.portal.split(":")
        daemon = Tgtd(self.tree.tgt_socket, [(address, int(port))], Path(os.devnull)).find()
        if daemon is not None:
            os.kill(daemon.pid, signal.SIGKILL)
            wait_for(lambda: not is_running(daemon.pid), "tgtd ends")


@contextmanager
def new_site() -> Iterator[Site]:
    # As talkative as an administrator in search of something slow makes it.
    talkative = {"log_statement": "all", "log_min_duration_statement": "0"}
    with tls_server(**talkative) as server, short_folder() as folder:
        site = Site(server, folder)
        try:
            yield site
        finally:
            site.end()


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as site:
        yield site


class Onlooker(threading.Thread):
    """Another user of the same computers: sees every command line and what the server is doing."""

    def __init__(self, server: TlsServer) -> None:
        super().__init__()
        self._server = server
        self._enough = threading.Event()
        self.seen: set[str] = set()

    def run(self) -> None:
        dsn = self._server.dsn(host=self._server.folder)
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not self._enough.wait(0.02):
                for (query,) in connection.execute(
                    "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                ):
                    self.seen.add(query or "")
                for process in Path("/proc").glob("[0-9]*"):
                    try:
                        self.seen.add((process / "cmdline").read_bytes().decode(errors="replace"))
                    except OSError:  # ended meanwhile
                        continue

    def __enter__(self) -> Onlooker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join()


def main_job(site: Site, disks: Path, read: Path) -> None:
    """Sign in, add a machine, import an image, serve it, read it as that machine, stop."""
    ggnet = site.ggnet
    ggnet.works("login", "anna", "--password-stdin", stdin=f"{ANNA}\n")
    site.start_agent()
    ggnet.works("machine", "add", "PC-01", "--mac", "52:54:00:12:34:01")
    imported = ("image", "import", str(disks / "disk.qcow2"), "--name", "disk", "--wait")
    assert ggnet.json(*imported)["status"] == "READY"
    session = ggnet.json("session", "start", "PC-01", "--image", "disk", "--wait")
    assert (session["status"], session["portal"]) == ("PENDING", site.portal)
    row: Any = SimpleNamespace(**session)
    assert read_disk(row, read).returncode == 0
    assert subprocess.run(["cmp", disks / "disk.raw", read], check=False).returncode == 0
    machine = LoggedIn(row)
    try:
        wait_for(lambda: ggnet.json("session", "show", "PC-01")["status"] == "ACTIVE", "it is seen")
    finally:
        machine.end()
    assert ggnet.json("session", "stop", "PC-01")["status"] == "STOPPED"


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_the_main_job_over_a_shared_server_shows_no_secret_to_anybody(
    site: Site, disks: Path, tmp_path: Path
) -> None:
    with Onlooker(site.server) as onlooker:
        site.prepare()
        said = site.ggnet.works(
            *("init", "--admin", "anna", "--owner-dsn", site.owner_dsn, "--password-stdin"),
            stdin=f"{ANNA}\n",
        )
        assert said.startswith("Made the admin anna")
        said = site.connect()
        assert said.startswith("The server answers, its certificate is right, and its database")
        assert "readable by you alone (this machine has no keyring)" in said
        main_job(site, disks, tmp_path / "read")
        assert f"is {site.ggnet.json('db', 'status')['revision']} already" in site.ggnet.works(
            "db", "upgrade", "--owner-dsn", site.owner_dsn
        )

    assert not site.tree.cluster.exists(), "nobody started a private server"
    encrypted = site.server.execute(
        "SELECT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE usename LIKE 'ggnet%%'"
    )
    assert ("ggnet_agent_store1", True) in encrypted
    assert all(tls for _, tls in encrypted)

    state = site.folder / "state" / "ggnet"
    [kept] = [json.loads(file.read_text()) for file in state.glob("sign-in-*.json")]
    roles = ("ggnet_console", "ggnet_agent_store1")
    secrets = {ANNA, PASSWORD, kept["secret"], *map(site.password_of, roles)}
    logs = [site.server.log, *site.tree.logs.iterdir(), *(state / "logs").glob("*")]
    texts = {str(file): file.read_text(errors="replace") for file in logs if file.is_file()}
    assert any("login(" in text for text in texts.values())
    assert any("ggnet-agent" in name for name in texts)
    texts |= {line: line for line in onlooker.seen}
    assert any("setup-server" in line for line in onlooker.seen), "it sees command lines"
    assert any("procrastinate" in line for line in onlooker.seen), "it sees statements"
    configuration = site.folder / "settings" / "ggnet" / "config.toml"
    texts["config"] = configuration.read_text()
    assert "verify-full" not in texts["config"], "what is the default is not written down"
    assert "dbname=ggnet" in texts["config"]
    leaks = [(name, secret) for name, text in texts.items() for secret in secrets if secret in text]
    assert leaks == []


def test_files_with_passwords_are_for_one_user_alone(site: Site) -> None:
    site.prepare()
    site.connect()
    kept = [site.passwords, *(site.folder / "state" / "ggnet").glob("connection-*.json")]
    assert len(kept) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    sentence = site.ggnet.refused(
        *("db", "setup-server", "--owner-dsn", f"{site.where} user=postgres"),
        *("--passwords", str(site.passwords)),
    )
    assert "cannot be written to" in sentence
    assert site.password_of("ggnet_console"), "what was there stays"
    unused = site.folder / "unused"
    wrong = f"{site.where} user=postgres sslmode=disable"
    site.ggnet.refused("db", "setup-server", "--owner-dsn", wrong, "--passwords", str(unused))
    assert not unused.exists(), "no empty file stays where nothing was made"


def test_a_password_on_the_command_line_is_refused(site: Site) -> None:
    spelled = f"{site.where} user=postgres dbname=ggnet password=hunter2"
    for command in (
        ("db", "setup-server", "--owner-dsn", spelled),
        ("db", "add-host", "store2", "--owner-dsn", spelled),
        ("db", "upgrade", "--owner-dsn", spelled),
        ("init", "--admin", "anna", "--owner-dsn", spelled),
        ("db", "connect", spelled),
        ("--database-url", spelled, "machine", "list"),
    ):
        sentence = site.ggnet.refused(*command)
        assert "Every user of this computer can read a password" in sentence
        assert "hunter2" not in sentence


def test_a_new_host_s_password_is_shown_once(site: Site) -> None:
    site.ggnet.works(
        *("db", "setup-server", "--owner-dsn", f"{site.where} user=postgres", "--name", "lab")
    )
    lab = f"{site.where} user=postgres dbname=lab"
    said = site.ggnet.works("db", "add-host", "store7", "--owner-dsn", lab)
    [password] = re.findall(r"^ *\*:\*:lab:ggnet_agent_store7:(\S{32})$", said, re.MULTILINE)
    site.server.admit(*re.findall(r"^ *(hostssl .*)$", said, re.MULTILINE))
    psycopg.connect(
        site.server.dsn(dbname="lab", user="ggnet_agent_store7", password=password)
    ).close()
    again = site.ggnet.works("db", "add-host", "store7", "--owner-dsn", lab)
    assert "New passwords" not in again


def test_without_the_owner_s_connection_string_it_is_asked_for(site: Site) -> None:
    shared = site.ggnet.with_(GGNET_DATABASE_URL=f"{site.where} dbname=ggnet")
    for command in (("db", "upgrade"), ("init", "--admin", "eve", "--password-stdin")):
        assert "--owner-dsn" in shared.refused(*command)


def test_another_database_is_refused_as_ggnet_s(site: Site) -> None:
    wrong = f"{site.where} user=postgres dbname=postgres"
    for command in (
        ("db", "upgrade", "--owner-dsn", wrong),
        ("db", "add-host", "store8", "--owner-dsn", wrong),
        ("init", "--admin", "eve", "--password-stdin", "--owner-dsn", wrong),
    ):
        sentence = site.ggnet.refused(*command)
        assert "“postgres” was not made for GGnet Console" in sentence


def test_a_server_that_refuses_is_not_remembered(site: Site) -> None:
    empty = site.ggnet.with_(XDG_CONFIG_HOME=site.folder / "none", XDG_STATE_HOME=site.folder)
    dsn = f"{site.where} dbname=ggnet"
    sentence = empty.refused("db", "connect", dsn, "--password-stdin", stdin="wrong\n")
    assert "its password is another one" in sentence or "pg_hba.conf" in sentence
    assert not (site.folder / "none").exists()
    assert list((site.folder / "ggnet").glob("connection*")) == []
