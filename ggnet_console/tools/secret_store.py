# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the secrets of sign-ins and connections in the desktop's keyring, or in a file readable by its owner alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConsoleError, Sentence, sentence

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_SERVICE = "GGnet Console"


@dataclass(frozen=True)
class KeptSignIn:
    """What ``ggnet login`` remembers between calls."""

    user: str
    role_name: str
    secret: str = field(repr=False)


class _Kept:
    """One secret text of this OS user's, for one installation.

    ``installation`` tells installations apart; ``folder`` holds the file where there is no
    keyring, as on a server without a desktop session.
    """

    _what: str
    """What is kept, as the file's name begins."""
    _not_kept: Sentence
    _open_to_others: Sentence

    def __init__(self, installation: str, folder: Path) -> None:
        name = hashlib.sha256(installation.encode()).hexdigest()[:16]
        self._name = f"{self._what}-{name}"
        self._file = folder / f"{self._name}.json"

    def _save(self, text: str) -> str:
        """Keep ``text``; returns where, in words for the user."""
        import keyring.errors  # noqa: PLC0415

        backend = _backend()
        if backend is not None:
            with contextlib.suppress(keyring.errors.KeyringError):
                backend.set_password(_SERVICE, self._name, text)
                self._file.unlink(missing_ok=True)
                return sentence("the keyring ({name})", name=backend.name)
        self._write(text)
        return sentence(
            "the file {file}, readable by you alone (this machine has no keyring)", file=self._file
        )

    def _load(self) -> str | bytes | None:
        """What is kept, None when nothing is."""
        text: str | bytes | None = self._read()
        if text is None:
            import keyring.errors  # noqa: PLC0415

            backend = _backend()
            if backend is not None:
                with contextlib.suppress(keyring.errors.KeyringError):
                    text = backend.get_password(_SERVICE, self._name)
        return text

    def forget(self) -> None:
        """Remove what was remembered, wherever it is."""
        import keyring.errors  # noqa: PLC0415

        self._file.unlink(missing_ok=True)
        backend = _backend()
        if backend is not None:
            with contextlib.suppress(keyring.errors.KeyringError):
                backend.delete_password(_SERVICE, self._name)

    def _write(self, text: str) -> None:
        part = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(text)
            part.rename(self._file)
        except OSError as error:
            raise ConsoleError(
                self._not_kept.with_values(file=self._file, reason=error.strerror), str(error)
            ) from error

    def _read(self) -> bytes | None:
        try:
            status = self._file.stat()
            if status.st_mode & 0o077 or status.st_uid != os.geteuid():
                raise ConsoleError(self._open_to_others.with_values(file=self._file))
            return self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConsoleError(
                sentence("{file} cannot be read: {reason}.", file=self._file, reason=error.strerror)
            ) from error


class SecretStore(_Kept):
    """The one remembered sign-in of this OS user for one installation."""

    _what = "sign-in"
    _not_kept = sentence("The sign-in cannot be kept in {file}: {reason}.")
    _open_to_others = sentence(
        "{file} is readable by others or belongs to somebody else, so the sign-in in it is not "
        "used; remove the file and sign in again."
    )

    def save(self, kept: KeptSignIn) -> str:
        """Remember ``kept``; returns where, in words for the user."""
        return self._save(json.dumps(asdict(kept)))

    def load(self) -> KeptSignIn | None:
        """The remembered sign-in, None when there is none."""
        text = self._load()
        if text is None:
            return None
        try:
            return KeptSignIn(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise ConsoleError(
                sentence(
                    "The remembered sign-in is damaged; run “ggnet logout” and sign in again."
                ),
                str(error),
            ) from error


class ConsolePassword(_Kept):
    """The password of a shared server's console role, which its connection string leaves out."""

    _what = "connection"
    _not_kept = sentence("The connection cannot be kept in {file}: {reason}.")
    _open_to_others = sentence(
        "{file} is readable by others or belongs to somebody else, so the connection in it is not "
        "used; remove the file and choose the server again."
    )

    def save(self, password: str) -> str:
        """Remember ``password``; returns where, in words for the user."""
        return self._save(json.dumps(password))

    def load(self) -> str | None:
        """The remembered password, None when there is none."""
        text = self._load()
        try:
            return None if text is None else str(json.loads(text))
        except ValueError as error:
            raise ConsoleError(
                sentence(
                    "The remembered password of the server is damaged; choose the server again."
                ),
                str(error),
            ) from error


def _backend() -> KeyringBackend | None:
    """The desktop's keyring; None where there is none."""
    import keyring  # noqa: PLC0415 - 70 ms
    from keyring.backends import fail, null  # noqa: PLC0415

    backend = keyring.get_keyring()
    return None if isinstance(backend, fail.Keyring | null.Keyring) else backend
