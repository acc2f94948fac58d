# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet user`` and ``ggnet audit`` as an admin and a script use them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine, clean_environment
from places import short_folder

from ggnet_console import config
from ggnet_console.db.installation import Installation

pytestmark = pytest.mark.slow("runs dozens of commands, each a program that starts anew")

FIRST = "known to the admin"
PASSWORD = "a long enough password"
NEW = "another long password"


@pytest.fixture
def ggnet() -> Iterator[CommandLine]:
    """A new installation with the admin anna, signed in, and the operator otto."""
    with short_folder() as folder:
        environment = {"GGNET_HOME": str(folder / "home"), "GGNET_HOST": "clihost"}
        ggnet = CommandLine({**clean_environment(folder), **environment}, folder)
        ggnet.works("init", "--admin", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
        with Installation(config.load(environment)):
            ggnet.works("login", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
            add = ("user", "add", "otto", "--role", "OPERATOR", "--password-stdin", "--must-change")
            assert "must choose a new password" in ggnet.works(*add, stdin=f"{FIRST}\n")
            yield ggnet


def otto(ggnet: CommandLine, folder: Path) -> CommandLine:
    """The same installation as otto's computer sees it."""
    return ggnet.with_(XDG_STATE_HOME=str(folder / "otto"))


def test_an_account_goes_through_all_that_an_admin_does(ggnet: CommandLine, tmp_path: Path) -> None:
    theirs = otto(ggnet, tmp_path)
    login = ("login", "otto", "--password-stdin")
    assert "choose your own with “ggnet user password”" in theirs.works(*login, stdin=f"{FIRST}\n")
    theirs.refused("machine", "list")
    theirs.works("user", "password", "--password-stdin", stdin=f"{FIRST}\n{PASSWORD}\n")
    assert theirs.json("machine", "list") == []
    [row] = ggnet.json("user", "sign-ins", "OTTO")
    assert (row["name"], row["program"], row["ended_at"]) == ("otto", "ggnet", None)
    assert ggnet.works("user", "revoke", "otto", "--sign-in", row["id"]) == (
        "Ended 1 sign-in of otto.\n"
    )
    assert "sign in again" in theirs.refused("whoami")
    assert ggnet.works("user", "role", "otto", "viewer") == "otto is VIEWER now.\n"
    assert ggnet.works("user", "lock", "otto") == "Locked otto.\n"
    assert theirs.refused(*login, stdin=f"{PASSWORD}\n") == (
        "This user is locked; an admin can unlock it."
    )
    assert ggnet.works("user", "unlock", "otto") == "Unlocked otto.\n"
    assert ggnet.works("user", "disable", "otto") == "Disabled otto.\n"
    assert ggnet.works("user", "enable", "otto") == "Enabled otto.\n"
    ggnet.works("user", "reset", "otto", "--password-stdin", stdin=f"{NEW}\n")
    assert "choose your own with “ggnet user password”" in theirs.works(*login, stdin=f"{NEW}\n")
    theirs.refused("machine", "list")
    theirs.works("user", "password", "--password-stdin", stdin=f"{NEW}\n{PASSWORD}\n")
    assert theirs.json("machine", "list") == []
    [row] = [row for row in ggnet.json("user", "list") if row["name"] == "otto"]
    assert (row["role"], row["must_change_password"], row["open_sign_ins"]) == ("VIEWER", False, 1)
    for _ in range(5):  # as many as the setting failed_sign_ins_max allows
        theirs.refused(*login, stdin="wrong\n")
    heading, *lines = ggnet.works("user", "list").splitlines()
    assert heading.endswith("FAILED SIGN INS  LOCKED OUT")
    [line] = [line for line in lines if line.startswith("otto")]
    assert line.split()[-2:] == ["5", "yes"]
    assert "last admin" in ggnet.refused("user", "lock", "anna")
    assert ggnet.refused("user", "lock", "nobody") == "There is no user “nobody”."


def test_the_trail_is_listed_exported_and_proved(ggnet: CommandLine, tmp_path: Path) -> None:
    ggnet.works("machine", "add", "=HYPERLINK(1)", "--mac", "52:54:00:00:00:01")
    [entry] = ggnet.json("audit", "list", "--noun", "machine")
    assert (entry["user_name"], entry["verb"]) == ("anna", "insert")
    lines = ggnet.works("audit", "export", "--noun", "machine").splitlines()
    assert [json.loads(line)["object_name"] for line in lines] == ["=HYPERLINK(1)"]
    [row] = csv.DictReader(
        ggnet.works("audit", "export", "--format", "csv", "--noun", "machine").splitlines()
    )
    assert row["object_name"] == "'=HYPERLINK(1)"
    ggnet.works("machine", "add", "pc-02", "--mac", "52:54:00:00:00:02")
    of_one = ("--noun", "machine", "--object", entry["object_id"])
    assert ggnet.json("audit", "list", *of_one) == [entry]
    assert len(ggnet.works("audit", "export", *of_one).splitlines()) == 1
    head = tmp_path / "head.json"
    head.write_text(ggnet.works("audit", "head"))
    assert "is whole up to link" in ggnet.works("audit", "verify", "--head", str(head))
    head.write_text(json.dumps({"number": 1, "hash": "00" * 32}))
    assert ggnet.json("user", "list")
    done = ggnet.run("audit", "verify", "--head", str(head))
    assert done.returncode == 1
    assert "does not follow from the exported head" in done.stdout
    assert "tampered" in done.stderr
    head.write_text("[]")
    assert "is not what “ggnet audit head” printed" in ggnet.refused(
        "audit", "verify", "--head", str(head)
    )
    assert "cannot be removed" in ggnet.refused("audit", "prune", "--keep-days", "10")
