# SPDX-License-Identifier: GPL-3.0-or-later
"""A shared PostgreSQL with TLS for tests: own certificates, a free port, gone with its test."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from patience import PATIENCE_S, wait_for
from places import short_folder
from psycopg.conninfo import make_conninfo

SUPERUSER = "postgres"
PASSWORD = "of-the-superuser"

_BINARIES = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
_HBA = "local all postgres scram-sha-256\nhostssl all postgres all scram-sha-256\n"
_CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
ssl = on
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
fsync = off
max_locks_per_transaction = 256
lc_messages = 'C.UTF-8'
timezone = 'UTC'
"""


class Authority:
    """A certificate authority of a test's own, in ``<folder>/<name>.crt``."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.crt"
        certificate = (
            _certificate(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, certificate_file: Path, key_file: Path) -> None:
        """A server's certificate for the host name ``host``, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = (
            _certificate(name, self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


class TlsServer:
    """Make it with ``tls_server()``; its certificate is for ``localhost``, not for 127.0.0.1."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.authority = Authority(folder, "authority")
        self.port = free_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        password_file = self.folder / "password"
        password_file.write_text(f"{PASSWORD}\n")
        self.authority.issue("localhost", self.folder / "server.crt", self.folder / "server.key")
        for file in ("password", "server.crt", "server.key"):
            os.chown(self.folder / file, *_server_user())
        os.chown(self.folder, *_server_user())
        self._run(
            *("initdb", "-D", self.data, "-U", SUPERUSER, "--pwfile", password_file),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync"),
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION.format(port=self.port, folder=self.folder))
            file.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
        (self.data / "pg_hba.conf").write_text(_HBA)
        self._launch()

    def _launch(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [_BINARIES / "postgres", "-D", self.data],
                stdout=output,
                stderr=output,
                **_as_user(),
            )
        wait_for(lambda: self._answers() or self._process.poll() is not None, str(self.log))
        assert self._process.poll() is None, self.log.read_text()

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE_S)

    def _run(self, program: str, *arguments: object) -> None:
        argv = [str(_BINARIES / program), *map(str, arguments)]
        subprocess.run(argv, check=True, capture_output=True, **_as_user())

    # Ways in

    def dsn(self, **values: object) -> str:
        """Over TCP to ``localhost``, trusting its authority; keywords replace and add."""
        known = {
            "host": "localhost",
            "port": self.port,
            "dbname": "postgres",
            "user": SUPERUSER,
            "password": PASSWORD,
            "sslrootcert": self.authority.file,
            **values,
        }
        return make_conninfo("", **{key: str(v) for key, v in known.items() if v is not None})

    def execute(self, statement: str, *values: object, dbname: str = "postgres") -> list[Any]:
        """Run one statement as superuser, over the socket."""
        dsn = self.dsn(host=self.folder, dbname=dbname)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def admit(self, *lines: str) -> None:
        """Put lines at the end of pg_hba.conf, as its administrator would."""
        with (self.data / "pg_hba.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.reload()
        wrong = self.execute("SELECT line_number, error FROM pg_hba_file_rules WHERE error <> ''")
        assert wrong == []

    @contextmanager
    def admitting(self, *lines: str) -> Iterator[None]:
        """These lines in pg_hba.conf for a while."""
        rules = self.data / "pg_hba.conf"
        before = rules.read_text()
        self.admit(*lines)
        try:
            yield
        finally:
            rules.write_text(before)
            self.reload()

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.reload()

    @contextmanager
    def standing_by(self) -> Iterator[None]:
        """A hot standby for a while: it waits for what a primary would send it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE_S)
        sign = self.data / "standby.signal"
        sign.touch()
        os.chown(sign, *_server_user())
        self._launch()
        try:
            yield
        finally:
            assert self.execute("SELECT pg_promote()") == [(True,)]

    def reload(self) -> None:
        """Read the configuration again and wait until new connections follow it."""
        loaded = self.execute("SELECT pg_conf_load_time()")
        self.execute("SELECT pg_reload_conf()")
        wait_for(
            lambda: self.execute("SELECT pg_conf_load_time()") != loaded,
            "the configuration is read again",
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _server_user() -> tuple[int, int]:
    """The uid and gid the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam("postgres")
    return entry.pw_uid, entry.pw_gid


def _as_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    uid, gid = _server_user()
    return {"user": uid, "group": gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def tls_server(**settings: str) -> Iterator[TlsServer]:
    """A running server; keywords are lines of its postgresql.conf."""
    with short_folder() as folder:
        server = TlsServer(folder, **settings)
        try:
            server.start()
            yield server
        finally:
            server.end()
