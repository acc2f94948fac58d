# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: what wins over what, and what is said about a wrong one."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from ggnet_console import config
from ggnet_console.errors import ConsoleError


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path, 'portal = "10.0.0.1:1"\nhost = "from-file"\nlog_level = "DEBUG"\nuser = "ada"\n'
    )
    environ = {"GGNET_PORTAL": "10.0.0.2:2", "GGNET_HOST": "from-environ"}
    loaded = config.load(environ, file, portal="10.0.0.3:3", host=None, user=None)
    assert loaded.portal == "10.0.0.3:3"
    assert loaded.host == "from-environ"
    assert loaded.log_level == "DEBUG"
    assert loaded.user == "ada"


def test_nothing_configured_means_an_embedded_installation_on_loopback(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    loaded = config.load(environ, written(tmp_path, ""))
    assert loaded.embedded
    assert loaded.portals == (("127.0.0.1", 3260),)
    assert loaded.host
    root = os.geteuid() == 0
    assert loaded.home == (Path("/var/lib/ggnet") if root else tmp_path / "data" / "ggnet")
    assert loaded.tree.root == loaded.home


def test_the_file_is_the_user_s_own_or_the_one_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "ggnet").mkdir()
    written(tmp_path / "ggnet", 'host = "users-own"')
    named = written(tmp_path, 'host = "named"')
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert config.load(environ).host == "users-own"
    assert config.load(environ | {"GGNET_CONFIG": str(named)}).host == "named"


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    file = written(tmp_path, 'host = "from-file"')
    assert config.load({"GGNET_HOST": "", "GGNET_DATABASE_URL": ""}, file).host == "from-file"


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    loaded = config.load(
        {"GGNET_HOME": "here", "GGNET_PASSWORD_FILE": "~/secret"}, written(tmp_path, "")
    )
    assert loaded.home == tmp_path / "here"
    assert loaded.password_file == Path("/home/ada/secret")


def test_a_named_server_means_a_shared_installation(tmp_path: Path) -> None:
    environ = {"GGNET_DATABASE_URL": "host=db dbname=ggnet"}
    assert not config.load(environ, written(tmp_path, "")).embedded


def test_an_agent_s_connection_alone_means_a_shared_installation_as_well(tmp_path: Path) -> None:
    environ = {"GGNET_AGENT_DATABASE_URL": "host=db dbname=ggnet"}
    assert not config.load(environ, written(tmp_path, "")).embedded


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("portl = '10.0.0.1:1'", "“portl” is not a setting .* known are .*portal"),
        ("portal = 3260", "“portal” is not a setting with a text value"),
        ("portal = ", "cannot be read"),
        ("[portal]\nport = '1'", "“portal” is not a setting with a text value"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConsoleError, match=sentence) as caught:
        config.load({}, file)
    assert str(file) in caught.value.summary


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConsoleError, match="cannot be read"):
        config.load({}, file)
    with pytest.raises(ConsoleError, match="cannot be read"):
        config.load({}, tmp_path)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    for missing in (
        lambda: config.load({}, tmp_path / "none.toml"),
        lambda: config.load({"GGNET_CONFIG": str(tmp_path / "none.toml")}),
    ):
        with pytest.raises(ConsoleError, match=r"none\.toml does not exist"):
            missing()


@pytest.mark.parametrize(
    ("portal", "address"),
    [
        ("10.0.0.1:3260", ("10.0.0.1", 3260)),
        ("[fd00::1]:860", ("fd00::1", 860)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_a_portal_is_an_address_and_a_port(portal: str, address: tuple[str, int]) -> None:
    assert config.Config(Path("/x"), portal=portal).portals == (address,)


@pytest.mark.parametrize(
    "portal", ["", "3260", "10.0.0.1", "10.0.0.1:", ":3260", "a:0", "a:65536", "a:b", "a:²"]
)
def test_anything_else_is_no_portal(portal: str) -> None:
    with pytest.raises(ConsoleError, match="not of the form address:port"):
        _ = config.Config(Path("/x"), portal=portal).portals


def test_what_is_remembered_is_read_again_beside_what_was_there(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    awkward = "host=/run dbname=\"a\\b\" 'c' # é\t😀"
    assert config.remember(environ, host="one", portal="10.0.0.1:1") == (
        tmp_path / "ggnet" / "config.toml"
    )
    file = config.remember(environ, host="two", database_url=awkward)
    assert tomllib.loads(file.read_text("utf-8")) == {
        "host": "two",
        "portal": "10.0.0.1:1",
        "database_url": awkward,
    }
    assert config.load(environ).database_url == awkward
    assert [entry.name for entry in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("name", ["database_url", "agent_database_url"])
@pytest.mark.parametrize(
    "dsn",
    [
        "host=db password=hunter2",
        "password = 'hunter2' host=db",
        "postgresql://ggnet:hunter2@db/ggnet",
        "postgresql://db/ggnet?sslmode=verify-full&password=hunter2",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_said(
    tmp_path: Path, name: str, dsn: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{name} = "{dsn}"\n', "utf-8")
    with pytest.raises(ConsoleError, match=f"take the password out of {name}") as caught:
        config.load({}, file)
    assert "hunter2" not in caught.value.summary


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db passfile=/etc/ggnet/agent.pgpass user=ggnet_console",
        "postgresql://ggnet@one:5432,two:5433/ggnet?passfile=/x",
        "host=/run dbname=nopassword",
    ],
)
def test_a_connection_string_without_a_password_is_taken(tmp_path: Path, dsn: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'database_url = "{dsn}"\n', "utf-8")
    assert config.load({}, file).database_url == dsn


def test_what_is_remembered_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    for _ in range(2):
        file = config.remember(environ, host="one")
        assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_taken_back_is_gone_from_the_file(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    config.remember(environ, host="one", database_url="host=db")
    file = config.remember(environ, database_url=None)
    assert tomllib.loads(file.read_text("utf-8")) == {"host": "one"}
    assert config.load(environ).embedded


def test_what_cannot_be_remembered_is_said(tmp_path: Path) -> None:
    (tmp_path / "ggnet").write_text("in the way")
    with pytest.raises(ConsoleError, match="configuration file"):
        config.remember({"XDG_CONFIG_HOME": str(tmp_path)}, host="one")


def test_what_is_remembered_goes_into_the_file_that_is_read(tmp_path: Path) -> None:
    named = written(tmp_path, 'portal = "10.0.0.1:1"')
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "GGNET_CONFIG": str(named)}
    assert config.remember(environ, host="one") == named
    assert (config.load(environ).host, config.load(environ).portal) == ("one", "10.0.0.1:1")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("portal", "10.0.0.1", "not of the form address:port"),
        ("portal", "10.0.0.1:1,nonsense", "not of the form address:port"),
        ("backend", "scst", "“scst” is not one of auto, lio, tgt"),
        ("host", "a b", "cannot be the name of a storage host"),
        ("log_level", "LOUD", "not one of DEBUG, INFO"),
    ],
)
def test_a_value_of_no_use_is_said_before_anything_begins(
    tmp_path: Path, setting: str, value: str, sentence: str
) -> None:
    with pytest.raises(ConsoleError, match=sentence):
        config.load({f"GGNET_{setting.upper()}": value}, written(tmp_path, ""))


def test_a_private_installation_keeps_its_host_s_name_when_the_computer_is_renamed(
    tmp_path: Path,
) -> None:
    (tmp_path / "host").write_text("store1\n")
    environ = {"GGNET_HOME": str(tmp_path)}
    empty = written(tmp_path, "")
    assert config.load(environ, empty).host == "store1"
    assert config.load({**environ, "GGNET_HOST": "other"}, empty).host == "other"
    assert config.load({**environ, "GGNET_DATABASE_URL": "host=db"}, empty).host != "store1"


def test_a_child_finds_the_same_configuration_whatever_else_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GGNET_DATABASE_URL", "host=elsewhere")
    mine = config.load({"GGNET_HOME": str(tmp_path)}, written(tmp_path, 'portal = "10.0.0.1:1"'))
    assert config.load(mine.environment) == mine
