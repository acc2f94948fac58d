# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that targetcli restores, without a kernel: what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.lio_saved import SavedConfiguration
from ggnet_console.tools.lio_tree import Acl, Mapped, Store, Tree
from ggnet_console.tools.target_backend import Chap
from ggnet_console.values import target_iqn

IQN = target_iqn("525400000001")
BY_HAND = {
    "storage_objects": [{"plugin": "ramdisk", "name": "theirs", "size": 1, "wwn": "x"}],
    "targets": [
        {"fabric": "loopback", "wwn": "naa.5001405", "tpgs": []},
        {"fabric": "iscsi", "wwn": "iqn.2003-01.org.example:x", "tpgs": [{"tag": 1, "odd": 1.5}]},
    ],
    "fabric_modules": [{"name": "iscsi", "discovery_password": "ü"}],
}


@pytest.fixture
def file(tmp_path: Path) -> SavedConfiguration:
    """A configuration that somebody made by hand."""
    path = tmp_path / "saveconfig.json"
    path.write_text(json.dumps(BY_HAND))
    return SavedConfiguration(path)


def _tree(**changed: object) -> Tree:
    attributes = {"emulate_tpu": 1, "emulate_write_cache": 0}
    store = Store("fileio", "ggnet_5a", Path("/a b/ü.raw"), 4096, "5a", False, attributes)
    acl = Acl("iqn.2003-01.org.example:pc", (Mapped(1, 1, False),), Chap("user", "s3cret\"'"))
    tree = Tree(IQN, 1, True, frozenset(["[fd00::1]:3260"]), {1: store}, (acl,))
    return Tree(**{**vars(tree), "attributes": {"authentication": 1}, **changed})


def test_what_is_put_is_read_back(file: SavedConfiguration) -> None:
    file.load().put(_tree())
    assert file.load().trees()[IQN] == _tree()
    assert set(file.load().trees()) == {IQN, "iqn.2003-01.org.example:x"}


def test_entries_of_others_keep_their_values(file: SavedConfiguration) -> None:
    file.load().put(_tree())
    file.load().put(_tree(enabled=False))
    written = json.loads(file.path.read_text())
    assert written["fabric_modules"] == BY_HAND["fabric_modules"]
    for name in ("storage_objects", "targets"):
        assert written[name][:-1] == BY_HAND[name]
    file.load().drop(IQN)
    assert json.loads(file.path.read_text()) == BY_HAND


def test_putting_the_same_again_writes_nothing(file: SavedConfiguration) -> None:
    assert file.load().put(_tree()) is not None
    before = file.path.stat().st_ino
    assert file.load().put(_tree()) is None
    assert file.path.stat().st_ino == before


def test_what_was_written_can_be_undone_to_the_letter(file: SavedConfiguration) -> None:
    before = file.path.read_bytes()
    for undo in (file.load().put(_tree()), file.load().drop(IQN)):
        assert undo is not None
    file.path.write_bytes(before)
    undo = file.load().put(_tree())
    assert undo is not None
    undo()
    assert file.path.read_bytes() == before
    file.path.unlink()
    undo = file.load().put(_tree())
    assert undo is not None
    undo()
    assert not file.path.exists()


def test_a_link_in_place_of_the_file_stays_one(file: SavedConfiguration, tmp_path: Path) -> None:
    real = file.path.rename(tmp_path / "real.json")
    file.path.symlink_to(real)
    file.load().put(_tree())
    assert file.path.is_symlink()
    assert IQN in real.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"targets": {}}', '{"targets": [1]}', "null"])
def test_a_file_that_is_no_configuration_is_never_taken_for_an_empty_one(
    file: SavedConfiguration, text: str
) -> None:
    file.path.write_text(text)
    with pytest.raises(ConsoleError, match="Repair it"):
        file.load()
    assert file.path.read_text() == text


def test_an_entry_of_ours_that_makes_no_sense_is_told(file: SavedConfiguration) -> None:
    odd = {"fabric": "iscsi", "wwn": IQN, "tpgs": [{"tag": "one"}]}
    file.path.write_text(json.dumps({**BY_HAND, "targets": [odd]}))
    for read in (lambda: file.load().trees(), lambda: file.load().put(_tree())):
        with pytest.raises(ConsoleError, match="is damaged"):
            read()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = SavedConfiguration(tmp_path / "file" / "saveconfig.json")
    with pytest.raises(ConsoleError, match="cannot be"):
        file.load().put(_tree())
