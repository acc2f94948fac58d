# SPDX-License-Identifier: GPL-3.0-or-later
"""The remembered sign-in: in a keyring, else in a file of the user's own."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked, PasswordDeleteError

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.secret_store import ConsolePassword, KeptSignIn, SecretStore

KEPT = KeptSignIn("ada", "ggnet_s_1", 'secret "with" quotes \\ é')


class MemoryKeyring(KeyringBackend):
    """A keyring in memory, used through the real keyring library.

    A fake, because a real one cannot be made to refuse on demand. Its twin on a real Secret
    Service is ``tests/tools/test_keyring.py``.
    """

    priority = 1  # type: ignore[assignment]
    name = "Memory"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("the user said no")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("not there")


@pytest.fixture
def restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.fixture
def no_keyring(restored: None) -> None:
    """As on a server: the keyring library's own answer where there is no backend."""
    keyring.set_keyring(fail.Keyring())


@pytest.fixture
def desktop(restored: None) -> MemoryKeyring:
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    return backend


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore("host=db", tmp_path / "state")


def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "state"
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_a_file_of_one_s_own_keeps_it(store: SecretStore, tmp_path: Path) -> None:
    assert store.load() is None
    where = store.save(KEPT)
    [file] = files(tmp_path)
    assert str(file) in where
    assert "readable by you alone" in where
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert store.load() == KEPT
    store.save(KeptSignIn("bob", "ggnet_s_2", "another"))
    assert store.load() == KeptSignIn("bob", "ggnet_s_2", "another")
    assert len(files(tmp_path)) == 1
    store.forget()
    assert (store.load(), files(tmp_path)) == (None, [])
    store.forget()


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_file_is_closed_whatever_the_umask(
    store: SecretStore, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        store.save(KEPT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(files(tmp_path)[0].stat().st_mode) == 0o600


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_others_can_reach_is_not_used(store: SecretStore, tmp_path: Path, mode: int) -> None:
    store.save(KEPT)
    [file] = files(tmp_path)
    file.chmod(mode)
    with pytest.raises(ConsoleError, match=r"readable by others .* remove the file") as caught:
        store.load()
    assert str(file) in caught.value.summary
    store.save(KEPT)
    assert store.load() == KEPT, "signing in again makes a new file"


@pytest.mark.usefixtures("no_keyring")
def test_a_link_left_in_the_way_is_replaced_and_not_followed(
    store: SecretStore, tmp_path: Path
) -> None:
    store.save(KEPT)
    [file] = files(tmp_path)
    for name in (file, file.with_suffix(".part")):
        name.unlink(missing_ok=True)
        name.symlink_to(tmp_path / "elsewhere")
    store.save(KEPT)
    assert not (tmp_path / "elsewhere").exists()
    assert not file.is_symlink()


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"user": "ada"}', "null", "7"])
def test_a_damaged_file_says_how_to_go_on(store: SecretStore, tmp_path: Path, text: str) -> None:
    store.save(KEPT)
    files(tmp_path)[0].write_text(text)
    with pytest.raises(ConsoleError, match="damaged; run “ggnet logout”"):
        store.load()
    store.forget()
    assert store.load() is None


@pytest.mark.usefixtures("no_keyring")
def test_a_file_that_is_not_text_is_a_sentence(store: SecretStore, tmp_path: Path) -> None:
    store.save(KEPT)
    files(tmp_path)[0].write_bytes(b"\xff\xfe")
    with pytest.raises(ConsoleError, match="damaged; run “ggnet logout”"):
        store.load()


@pytest.mark.usefixtures("no_keyring")
def test_a_folder_that_cannot_be_made_is_a_sentence(store: SecretStore, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(ConsoleError, match="The sign-in cannot be kept in"):
        store.save(KEPT)


@pytest.mark.usefixtures("no_keyring")
def test_installations_do_not_share_what_is_remembered(tmp_path: Path) -> None:
    one, other = (SecretStore(name, tmp_path / "state") for name in ("host=one", "host=other"))
    one.save(KEPT)
    assert other.load() is None
    other.forget()
    assert one.load() == KEPT


def test_a_desktop_s_keyring_keeps_it_and_no_file_does(
    store: SecretStore, tmp_path: Path, desktop: MemoryKeyring
) -> None:
    assert store.save(KEPT) == "the keyring (Memory)"
    assert files(tmp_path) == []
    [text] = desktop.kept.values()
    assert json.loads(text)["secret"] == KEPT.secret
    assert store.load() == KEPT
    store.forget()
    assert (store.load(), desktop.kept) == (None, {})
    store.forget()


def test_a_sign_in_kept_in_the_keyring_replaces_the_one_in_a_file(
    store: SecretStore, tmp_path: Path, desktop: MemoryKeyring
) -> None:
    keyring.set_keyring(fail.Keyring())
    store.save(KeptSignIn("old", "ggnet_s_0", "old"))
    keyring.set_keyring(desktop)
    store.save(KEPT)
    assert files(tmp_path) == []
    assert store.load() == KEPT


def test_a_locked_keyring_falls_back_to_the_file(
    store: SecretStore, tmp_path: Path, desktop: MemoryKeyring
) -> None:
    desktop.locked = True
    where = store.save(KEPT)
    [file] = files(tmp_path)
    assert str(file) in where
    assert store.load() == KEPT
    desktop.locked = False
    assert store.load() == KEPT
    store.forget()
    assert store.load() is None


@pytest.mark.usefixtures("no_keyring")
def test_a_server_s_password_is_kept_beside_the_sign_in(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    sign_in, connection = (kind("host=db", folder) for kind in (SecretStore, ConsolePassword))
    sign_in.save(KEPT)
    assert "readable by you alone" in connection.save('pass "word" é')
    assert (sign_in.load(), connection.load()) == (KEPT, 'pass "word" é')
    assert {stat.S_IMODE(file.stat().st_mode) for file in files(tmp_path)} == {0o600}
    assert ConsolePassword("host=other", folder).load() is None
    for file in files(tmp_path):
        file.write_text("{")
    with pytest.raises(ConsoleError, match="choose the server again"):
        connection.load()
    connection.forget()
    assert connection.load() is None
    assert len(files(tmp_path)) == 1


def test_a_desktop_s_keyring_keeps_a_server_s_password(
    tmp_path: Path, desktop: MemoryKeyring
) -> None:
    connection = ConsolePassword("host=db", tmp_path / "state")
    assert connection.save("secret") == "the keyring (Memory)"
    SecretStore("host=db", tmp_path / "state").save(KEPT)
    assert files(tmp_path) == []
    assert len(desktop.kept) == 2
    assert connection.load() == "secret"
