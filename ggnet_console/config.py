# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: built-in defaults < configuration file < environment < command line."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .enums import BackendChoice
from .errors import ConsoleError, sentence
from .paths import Home

SYSTEM_FILE = Path("/etc/ggnet/config.toml")
DEFAULT_PORTAL = "127.0.0.1:3260"


@dataclass(frozen=True)
class Config:
    """What this process was told; every field has an environment variable ``GGNET_<FIELD>``."""

    home: Path
    database_url: str | None = field(default=None, repr=False)
    """libpq DSN of a shared server; without one, the embedded cluster below ``home``."""
    agent_database_url: str | None = field(default=None, repr=False)
    """DSN with which ``ggnet-agent`` signs in on a shared server; all that it needs there."""
    portal: str = DEFAULT_PORTAL
    """``address:port`` on which this host's iSCSI targets listen; several with commas, of which
    machines are told the first."""
    backend: str = ""
    """Which iSCSI target runs, ``lio`` or ``tgt``; default: what an admin chose for the host."""
    saved_config: Path | None = None
    """File from which this host restores its LIO targets at boot; default: its targetcli's."""
    host: str = ""
    """Name of this storage host; default: the machine's host name."""
    import_folder: Path | None = None
    """Folder on the storage host whose entries may be imported by name."""
    pg_bin: Path | None = None
    """Folder with initdb and pg_ctl; default: the newest below /usr/lib/postgresql."""
    user: str | None = None
    """User to sign in with, for scripts."""
    password_file: Path | None = None
    """File whose first line is that user's password."""
    log_level: str = "INFO"

    @property
    def embedded(self) -> bool:
        """Whether this installation runs its own private PostgreSQL."""
        return self.database_url is None and self.agent_database_url is None

    @property
    def kept_host(self) -> str:
        """The name that a private installation was made for; empty where there is none yet."""
        if not self.embedded:
            return ""
        try:
            return self.tree.host_name.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""  # none yet, or not ours to read: the database says the rest

    def check(self) -> None:
        """Raise ConsoleError for a value that nothing could be done with."""
        require_host_name(self.host)
        _ = self.portals, self.backend_choice
        if self.log_level.upper() not in logging.getLevelNamesMapping():
            raise ConsoleError(
                sentence(
                    "The log level “{level}” is not one of DEBUG, INFO, WARNING, ERROR; correct "
                    "GGNET_LOG_LEVEL.",
                    level=self.log_level,
                )
            )

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a child that is to find this configuration, and nothing else."""
        outside = {name: each for name, each in os.environ.items() if not name.startswith("GGNET_")}
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **outside,
            **{f"GGNET_{name.upper()}": str(value) for name, value in told.items() if value},
            "GGNET_CONFIG": os.devnull,
        }

    @property
    def server(self) -> str:
        """The installation, as people call it."""
        if self.database_url is None:
            return sentence("this computer")
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - not before the first frame

        host = conninfo_to_dict(self.database_url).get("host")
        return str(host) if host else sentence("this computer")

    @property
    def tree(self) -> Home:
        """The folders below ``home``."""
        return Home(self.home)

    @property
    def portals(self) -> tuple[tuple[str, int], ...]:
        """The portals, each as address (IPv6 without brackets) and TCP port."""
        return tuple(_portal(text.strip()) for text in self.portal.split(","))

    @property
    def backend_choice(self) -> BackendChoice | None:
        """The backend that is pinned here; None: the database decides."""
        if not self.backend:
            return None
        try:
            return BackendChoice(self.backend.upper())
        except ValueError:
            raise ConsoleError(
                sentence(
                    "The backend “{backend}” is not one of {known}; correct GGNET_BACKEND.",
                    backend=self.backend,
                    known=", ".join(BackendChoice).lower(),
                )
            ) from None


def require_usable(folder: Path) -> None:
    """Raise ConsoleError when ``folder`` cannot hold an installation, without making anything."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise ConsoleError(
            sentence("{existing} is a file; choose another folder.", existing=existing)
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConsoleError(
            sentence("You may not write to {existing}; choose another folder.", existing=existing)
        )


def require_host_name(host: str) -> None:
    """Raise ConsoleError for a name that no role, and no line of pg_hba.conf, could carry."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,49}", host):  # identifiers have 63 bytes
        raise ConsoleError(
            sentence(
                "“{host}” cannot be the name of a storage host: it takes up to 50 small letters, "
                "digits and hyphens; set GGNET_HOST to such a name.",
                host=host,
            )
        )


def _portal(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not address or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ConsoleError(
            sentence(
                "The portal “{text}” is not of the form address:port; set it like 127.0.0.1:3260 "
                "or [fd00::1]:3260, several with commas.",
                text=text,
            )
        )
    return address.strip("[]"), int(port)


# libpq's key words, and URIs with user:password@ (PostgreSQL manual, 34.1.1).
_PASSWORD = re.compile(r"(?:^|[\s?&])(?:ssl)?password\s*=|://[^/@]*:[^/@]*@")
_PATHS = {"home", "saved_config", "import_folder", "pg_bin", "password_file"}


def load(
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
    **command_line: Any,
) -> Config:
    """Read the configuration; ``command_line`` entries that are None count as not given.

    Raises ConsoleError when the file cannot be read, names a setting that does not exist, or when
    a value is of no use.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    file = file or _named_file(environ)
    for candidate in [SYSTEM_FILE, _user_file(environ)] if file is None else [file]:
        values |= _read(candidate, required=file is not None)
    names = {setting.name for setting in fields(Config)}
    values |= {
        name: environ[f"GGNET_{name.upper()}"]
        for name in names
        if environ.get(f"GGNET_{name.upper()}")
    }
    values |= {name: value for name, value in command_line.items() if value is not None}
    for name, value in values.items():
        _require_text(name, str(value))
    for name in _PATHS & values.keys():
        values[name] = Path(values[name]).expanduser().absolute()
    config = Config(home=values.pop("home", None) or _default_home(environ))
    config = replace(config, **values)
    if not config.host:
        config = replace(config, host=config.kept_host or _host_name())
    config.check()
    return config


def _require_text(name: str, value: str) -> None:
    """Refuse what no program could be given; the value is not told, it may hold a password."""
    if name in _PATHS:  # whose bytes may be any but NUL
        value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        value.encode()
    except UnicodeEncodeError:
        value = "\0"
    if "\0" in value:
        raise ConsoleError(
            sentence("The setting “{name}” is no text in UTF-8; correct it.", name=name)
        )


def _read(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise ConsoleError(
            sentence("The configuration file {file} does not exist.", file=file)
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConsoleError(
            sentence(
                "The configuration file {file} cannot be read: {error}.",
                file=file,
                error=str(error),
            )
        ) from error
    known = {setting.name for setting in fields(Config)}
    for name, value in values.items():
        if name not in known or not isinstance(value, str):
            raise ConsoleError(
                sentence(
                    "{file}: “{name}” is not a setting with a text value; known are {known}.",
                    file=file,
                    name=name,
                    known=", ".join(sorted(known)),
                )
            )
        if name.endswith("database_url") and _PASSWORD.search(value):
            raise ConsoleError(
                sentence(
                    "{file}: take the password out of {name} and have it changed; whoever gets "
                    "hold of the file has it. “ggnet db connect” keeps it in the keyring, an "
                    "agent names a passfile.",
                    file=file,
                    name=name,
                )
            )
    return values


def _default_home(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/ggnet")
    data = environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "ggnet"


def _named_file(environ: Mapping[str, str]) -> Path | None:
    name = environ.get("GGNET_CONFIG")
    return Path(name) if name else None


def _user_file(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "ggnet" / "config.toml"


def _host_name() -> str:
    """The host name in the letters a PostgreSQL role and a queue can carry."""
    name = socket.gethostname().split(".")[0].lower()
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in name)
    return name.strip("-")[:50] or "host"


def _for_me_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def remember(environ: Mapping[str, str] | None = None, **values: str | None) -> Path:
    """Write ``values`` into the configuration file this process reads, keeping its other settings.

    That is GGNET_CONFIG, else the user's own. None takes a setting out of it.
    """
    environ = os.environ if environ is None else environ
    file = _named_file(environ) or _user_file(environ)
    merged = {**_read(file, required=False), **values}
    # TOML's basic strings escape as JSON's do.
    text = "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in sorted(merged.items())
        if value is not None
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(part, "x", encoding="utf-8", opener=_for_me_alone) as written:
            written.write(text)
        part.rename(file)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The configuration file {file} cannot be written: {reason}.",
                file=file,
                reason=error.strerror,
            )
        ) from error
    return file
