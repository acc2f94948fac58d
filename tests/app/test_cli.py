# SPDX-License-Identifier: GPL-3.0-or-later
"""``ggnet`` without an agent: exit status, sentences, JSON, sign-ins, hostile names, Ctrl+C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_installation import (
    HOST,
    PASSWORD,
    as_owner,
    fresh_installation,
    home,
    installation,
    log_of,
)
from command_line import CommandLine, clean_environment
from patience import PATIENCE_S
from real_host import wait_for

from ggnet_console.cli import job_waiter
from ggnet_console.db import schema
from ggnet_console.enums import Role, SessionStatus
from ggnet_console.errors import ConsoleError
from ggnet_console.services import users

pytestmark = pytest.mark.xdist_group("command line")


@pytest.fixture(scope="module")
def ggnet() -> Iterator[CommandLine]:
    with fresh_installation() as ggnet:
        yield ggnet
        logs = list(log_of(ggnet).parent.glob("ggnet.jsonl*"))
        assert logs
        assert PASSWORD not in "".join(log.read_text() for log in logs)


@pytest.fixture
def spoilt() -> Iterator[CommandLine]:
    """An installation whose database a test may spoil."""
    with fresh_installation() as ggnet:
        yield ggnet


@pytest.fixture
def viewer(ggnet: CommandLine, tmp_path: Path) -> CommandLine:
    """Signs in for each call with a user that may only look."""
    name = f"viewer{os.urandom(4).hex()}"
    with (
        installation(ggnet) as opened,
        closing(opened.owner("test")) as owner,
        owner.begin() as session,
    ):
        users.create_user(session, name, Role.VIEWER, PASSWORD)
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return ggnet.with_(GGNET_USER=name, GGNET_PASSWORD_FILE=file)


@pytest.fixture
def not_ours(ggnet: CommandLine, tmp_path: Path) -> CommandLine:
    """A user of the computer for whom nothing is kept yet."""
    return ggnet.with_(XDG_STATE_HOME=tmp_path / "state")


# Help and usage


def test_help_is_there_without_loading_what_only_verbs_need() -> None:
    heavy = "{'sqlalchemy', 'psycopg', 'alembic', 'keyring', 'PySide6', 'rich'}"
    program = f"import sys, ggnet_console.cli; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


def test_help_names_every_noun_and_needs_no_installation(tmp_path: Path) -> None:
    ggnet = CommandLine(clean_environment(tmp_path), tmp_path)
    answer = ggnet.works("--help")
    for noun in ("machine", "image", "session", "target", "job", "user", "db", "login", "init"):
        assert f"\n  {noun} " in answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("machine", "add", "PC-1"),
        ("machine", "add", "PC-1", "--mac", "52:54:00:00:00:01", "--boot-mode", "FLOPPY"),
        ("session", "stop"),
        ("job", "show", "one"),
        ("image", "convert", "win11", "--format", "ISO"),
        ("user", "add", "bert", "--role", "KING"),
    ],
)
def test_wrong_usage_ends_with_2(ggnet: CommandLine, arguments: tuple[str, ...]) -> None:
    done = ggnet.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_a_configuration_file_that_is_missing_is_a_sentence(ggnet: CommandLine) -> None:
    assert ggnet.refused("--config", "/nowhere.toml", "whoami") == (
        "The configuration file /nowhere.toml does not exist."
    )


# Users


def test_a_second_init_is_refused(ggnet: CommandLine) -> None:
    sentence = ggnet.refused("init", "--admin", "eve", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert sentence.startswith("This installation has users already; sign in with ")


def test_login_keeps_its_secret_in_a_file_of_mode_0600_until_logout(
    not_ours: CommandLine, tmp_path: Path
) -> None:
    assert not_ours.refused("whoami") == "Nobody is signed in; run “ggnet login NAME”."
    assert not_ours.refused("login", "anna", "--password-stdin", stdin="wrong\n") == (
        "The name or the password is wrong."
    )
    assert list(tmp_path.rglob("*.json")) == []

    answer = not_ours.works("login", "ANNA", "--password-stdin", stdin=f"{PASSWORD}\n")
    (file,) = tmp_path.rglob("*.json")
    assert answer.startswith("Signed in as anna (ADMIN) until ")
    assert f"the file {file}, readable by you alone" in answer
    assert file.stat().st_mode & 0o777 == 0o600
    me = not_ours.json("whoami")
    assert (me["name"], me["role"]) == ("anna", "ADMIN")
    assert me["expires_at"].endswith("+00:00")

    kept = file.read_text()
    assert not_ours.works("logout") == "Signed out anna.\n"
    assert not file.exists()
    assert not_ours.works("logout") == "Nobody was signed in.\n"
    file.touch(0o600)
    file.write_text(kept)
    assert not_ours.refused("whoami").endswith("sign in again.")  # the secret is worth nothing now


def test_a_secret_that_others_could_read_is_not_used(not_ours: CommandLine, tmp_path: Path) -> None:
    not_ours.works("login", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
    (file,) = tmp_path.rglob("*.json")
    file.chmod(0o644)
    assert "is readable by others" in not_ours.refused("whoami")
    not_ours.works("logout")
    assert not file.exists()


def test_without_a_terminal_the_password_must_come_by_stdin(ggnet: CommandLine) -> None:
    assert ggnet.refused("login", "anna") == (
        "There is no terminal to ask for the password; use --password-stdin."
    )


def test_a_script_signs_in_by_environment_and_leaves_no_sign_in_behind(
    ggnet: CommandLine, viewer: CommandLine
) -> None:
    name = viewer.environment["GGNET_USER"]
    assert viewer.json("whoami")["name"] == name
    left = f"SELECT 1 FROM sign_ins s JOIN users u ON u.id = s.user_id WHERE u.name = '{name}'"
    assert len(as_owner(ggnet, left)) == 1
    assert as_owner(ggnet, f"{left} AND s.ended_at IS NULL") == []


def test_a_script_is_told_what_is_wrong_with_its_sign_in(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    script = ggnet.with_(GGNET_USER="anna")
    assert script.refused("whoami") == "GGNET_USER is set, but GGNET_PASSWORD_FILE is not."
    file = tmp_path / "password"
    script = script.with_(GGNET_PASSWORD_FILE=file)
    assert "cannot be read: No such file or directory" in script.refused("whoami")
    file.write_text("wrong\n")
    assert script.refused("whoami") == "The name or the password is wrong."


def test_a_viewer_sees_but_may_not_change(viewer: CommandLine) -> None:
    assert isinstance(viewer.json("machine", "list"), list)
    for arguments in (
        ("machine", "add", "PC-V", "--mac", "52:54:00:aa:00:01"),
        ("setting", "set", "sign_in_hours", "1"),
        ("job", "cancel", "1"),
    ):
        assert viewer.refused(*arguments) == "Your role does not allow this; ask an admin."
    assert viewer.refused(
        "user", "add", "eve", "--role", "ADMIN", "--password-stdin", stdin=f"{PASSWORD}\n"
    ) == ("Your role does not allow this; ask an admin.")


def test_an_admin_adds_accounts(ggnet: CommandLine) -> None:
    add = ("user", "add", "otto", "--role", "operator", "--password-stdin")
    assert "at least 8 characters" in ggnet.refused(*add, stdin="short\n")
    assert ggnet.works(*add, stdin=f"{PASSWORD}\n") == ("Added otto (OPERATOR).\n")
    assert ggnet.refused(*add, stdin=f"{PASSWORD}\n") == "Another user already has this name."
    rows = {row["name"]: row for row in ggnet.json("user", "list")}
    assert (rows["otto"]["role"], rows["otto"]["disabled"]) == ("OPERATOR", False)


# Machines and settings


def test_a_machine_is_added_changed_and_removed(ggnet: CommandLine) -> None:
    ggnet.works("machine", "add", "PC-07", "--mac", "5254.0012.3407", "--ip", "10.0.2.7")
    row = ggnet.json("machine", "show", "pc-07")
    assert (row["mac"], row["ip"], row["boot_mode"]) == ("52:54:00:12:34:07", "10.0.2.7", "UEFI")
    changes = ("--boot-mode", "bios", "--ip", "", "--room", "B12", "--asset-tag", "A 7")
    after = ggnet.json("machine", "edit", "PC-07", *changes)
    assert after == {
        **row,
        "boot_mode": "BIOS",
        "ip": None,
        "room": "B12",
        "asset_tag": "A 7",
        "version": 2,
    }
    assert after in ggnet.json("machine", "list")
    assert ggnet.works("machine", "remove", "PC-07") == "Removed PC-07.\n"
    assert ggnet.refused("machine", "show", "PC-07") == "There is no machine “PC-07”."


def test_wrong_and_taken_values_of_a_machine_are_sentences(ggnet: CommandLine) -> None:
    ggnet.works("machine", "add", "PC-08", "--mac", "52:54:00:12:34:08", "--ip", "10.0.2.8")
    for arguments, sentence in (
        (("pc-08", "--mac", "52:54:00:12:34:18"), "The name pc-08 already belongs to the machine"),
        (("PC-18", "--mac", "52-54-00-12-34-08"), "The MAC address 52:54:00:12:34:08 already"),
        (("PC-18", "--mac", "52:54:00:12:34"), "“52:54:00:12:34” is not a MAC address"),
        (("PC-18", "--mac", "52:54:00:12:34:18", "--ip", "300.1.1.1"), "“300.1.1.1” is not an IP"),
    ):
        assert ggnet.refused("machine", "add", *arguments).startswith(sentence)


def test_of_several_machines_all_are_removed_or_none(ggnet: CommandLine) -> None:
    ggnet.works("machine", "add", "PC-09", "--mac", "52:54:00:12:34:09")
    assert ggnet.refused("machine", "remove", "PC-09", "ghost") == "There is no machine “ghost”."
    assert ggnet.json("machine", "show", "PC-09")["name"] == "PC-09"


def test_control_characters_from_the_database_never_reach_the_terminal(ggnet: CommandLine) -> None:
    evil = "red \x1b[31m\r bell\x07 \x9b2J \u202e\x7f"
    ggnet.works("machine", "add", "PC-10", "--mac", "52:54:00:12:34:10", "--notes", evil)
    for answer in (
        ggnet.works("machine", "show", "PC-10"),
        ggnet.works("machine", "show", "PC-10", "--json"),
    ):
        assert not set("\x1b\r\x07\x9b\u202e") & set(answer)
    assert ggnet.json("machine", "show", "PC-10")["notes"] == evil


def test_settings_stay_in_their_range(ggnet: CommandLine) -> None:
    assert ggnet.refused("setting", "set", "session_timeout_s", "0") == (
        "session_timeout_s must lie between 1 and 86400, not 0."
    )
    ggnet.works("setting", "set", "session_timeout_s", "900")
    assert {"session_timeout_s": 900}.items() <= {
        row["name"]: row["value"] for row in ggnet.json("setting", "list")
    }.items()
    assert ggnet.refused("setting", "set", "colour", "1") == "There is no setting “colour”."


# Every reading verb


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_reading_verbs_print_json_arrays_and_aligned_columns(ggnet: CommandLine) -> None:
    for noun in ("machine", "image", "target", "session", "job", "host", "user", "setting"):
        assert isinstance(ggnet.json(noun, "list"), list)
        heading = ggnet.works(noun, "list").splitlines()[0]
        assert heading == heading.upper()
    stats = ggnet.json("session", "stats")
    assert [row["status"] for row in stats] == list(SessionStatus)


@pytest.mark.parametrize("noun", ["machine", "image", "target", "session"])
def test_what_does_not_exist_is_a_sentence(ggnet: CommandLine, noun: str) -> None:
    assert "There is no " in ggnet.refused(noun, "show", "nothing")


def test_numbers_beyond_every_id_are_told_apart_from_faults(ggnet: CommandLine) -> None:
    assert ggnet.refused("job", "show", "99") == "There is no job 99."
    assert "There is no session" in ggnet.refused("session", "show", "9" * 40)
    for verb in ("show", "cancel", "wait"):
        assert ggnet.run("job", verb, "9" * 40).returncode == 2


# The database's schema


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_functions_of_another_version_are_refused_and_mended_by_upgrade(
    spoilt: CommandLine,
) -> None:
    assert spoilt.json("db", "status")["up_to_date"] is True
    as_owner(spoilt, "UPDATE schema_objects SET definition = 'older' WHERE name = 'machines.sql'")
    as_owner(spoilt, "DROP FUNCTION machines_delete(bigint[])")
    status = spoilt.json("db", "status")
    assert (status["kind"], status["up_to_date"]) == ("embedded", False)
    assert status["revision"] == status["needed_revision"] == schema.HEAD
    assert "run “ggnet db upgrade”" in status["problem"]
    assert spoilt.refused("machine", "list") == status["problem"]
    assert "are as they have to be again" in spoilt.works("db", "upgrade")
    assert spoilt.json("machine", "list") == []
    status = spoilt.json("db", "status")
    assert (status["has_admin"], status["problem"], status["changed_by_hand"]) == (True, "", [])
    assert spoilt.works("db", "upgrade").endswith("nothing to do.\n")


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_tables_changed_by_hand_are_told_and_no_upgrade_says_they_are_right(
    spoilt: CommandLine,
) -> None:
    as_owner(spoilt, "DROP INDEX uq_jobs_open_image")
    status = spoilt.json("db", "status")
    assert (
        "changed by hand since its last upgrade: index uq_jobs_open_image is missing"
        in (status["problem"])
    )
    [lost] = status["changed_by_hand"]
    assert lost.startswith("missing index uq_jobs_open_image: CREATE UNIQUE INDEX")
    assert status["up_to_date"] is True
    assert spoilt.json("machine", "list") == []
    assert "no upgrade mends it: index uq_jobs_open_image" in spoilt.refused("db", "upgrade")
    as_owner(spoilt, lost.partition(": ")[2])
    assert spoilt.works("db", "upgrade").endswith("nothing to do.\n")


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_a_newer_schema_is_refused_by_every_verb(spoilt: CommandLine) -> None:
    as_owner(spoilt, "UPDATE alembic_version SET version_num = '9999'")
    sentence = spoilt.refused("machine", "list")
    assert "install the newer GGnet Console" in sentence
    assert spoilt.refused("db", "upgrade") == sentence
    assert spoilt.json("db", "status")["problem"] == sentence


def test_a_server_that_does_not_answer_is_a_sentence_and_details_only_when_asked_for(
    ggnet: CommandLine,
) -> None:
    shared = ggnet.with_(GGNET_DATABASE_URL="host=127.0.0.1 port=1 dbname=ggnet")
    sentence = shared.refused("machine", "list")
    assert sentence.startswith("Nothing answers at the server 127.0.0.1:1; check host and port")
    done = shared.run("--verbose", "machine", "list")
    assert done.stderr.startswith(f"{sentence}\n")
    assert "refused" in done.stderr


def test_a_fault_in_the_program_names_the_log_and_shows_no_traceback(spoilt: CommandLine) -> None:
    as_owner(spoilt, "ALTER TABLE luns RENAME TO lost")
    log = log_of(spoilt)
    assert spoilt.refused("target", "list") == (
        f"This is a fault in ggnet itself (ProgrammingError); the report is in {log}."
    )
    record = json.loads(log.read_text().splitlines()[-1])
    assert (record["levelname"], record["user"]) == ("ERROR", "anna")
    assert "Traceback" in record["exc_info"]
    as_owner(spoilt, "ALTER TABLE lost RENAME TO luns")


def test_a_reader_that_ends_early_gets_no_traceback(ggnet: CommandLine) -> None:
    process = ggnet.start("setting", "list")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(PATIENCE_S) == 1


# Images, as far as they go without an agent


def test_names_of_files_that_are_no_images_are_refused_with_a_sentence(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    real = tmp_path / "real.raw"
    real.write_bytes(bytes(512))
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe")
    hostile = os.fsencode(tmp_path) + b"/\xff\xfe\n\x1b]0;x\x07$(id)'\".raw"
    for file, said in (
        (os.fsencode(tmp_path / "link"), "is a symbolic link"),
        (os.fsencode(tmp_path / "pipe"), "is a pipe"),
        (os.fsencode(tmp_path), "is a folder"),
        (b"/dev/zero", "is a device"),
        (hostile, "/\\xff\\xfe\\n\\x1b]0;x\\x07$(id)'\".raw” does not exist."),
    ):
        assert said in ggnet.refused("image", "import", file, "--name", "no")
    assert "There is no image" in ggnet.refused("image", "show", "no")
    dashed = ggnet.run("image", "import", "-x.raw", "--name", "no")
    assert dashed.returncode == 2


def test_a_file_with_a_hostile_name_is_taken_by_its_bytes(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    file = os.fsencode(tmp_path) + b"/-\xff\n\x1b$(id).raw"
    Path(os.fsdecode(file)).write_bytes(b"disk" * 1024)
    answer = ggnet.works("image", "import", "--name", "hostile", "--json", "--", file)
    image = json.loads(answer)
    assert (image["status"], image["source_size_bytes"]) == ("PROCESSING", 4096)
    assert image["source_name"] == "-\\xff\\n\\x1b$(id).raw"


def test_an_import_with_another_checksum_fails_and_its_image_says_so(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"disk" * 1024)
    done = ggnet.run("image", "import", str(file), "--name", "md", "--md5", "0" * 32, "--json")
    assert done.returncode == 1
    assert "expected was 00000" in done.stderr
    image = json.loads(done.stdout)
    assert image["status"] == "ERROR"
    assert image["error"] == done.stderr.strip()


def test_ctrl_c_while_copying_leaves_nothing_but_an_image_that_says_so(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "big.raw"
    file.touch()
    os.truncate(file, 2**40)
    process = ggnet.start("image", "import", str(file), "--name", "big", "--wait")
    wait_for(
        lambda: "big" in {row["name"] for row in ggnet.json("image", "list")}, "the copy begins"
    )
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "")
    image = ggnet.json("image", "show", "big")
    assert (image["status"], image["error"]) == ("ERROR", "The import was cancelled.")
    sizes = [part.stat().st_size for part in (home(ggnet) / "incoming").iterdir()]
    assert max(sizes, default=0) < 2**30


def test_ctrl_c_while_waiting_for_the_agent_cancels_the_import(
    ggnet: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"disk" * 1024)
    process = ggnet.start("image", "import", str(file), "--name", "waiting", "--wait")
    assert process.stderr is not None
    assert process.stderr.readline() == f"Waiting for the agent on {HOST} …\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "Cancelling …\n")
    assert ggnet.json("image", "show", "waiting")["error"] == "The import was cancelled by anna."


def test_a_host_without_an_agent_is_waited_for_no_longer_than_promised(
    ggnet: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"disk" * 1024)
    ggnet.works("image", "import", str(file), "--name", "stuck")
    job = next(row for row in ggnet.json("job", "list") if row["object_name"] == "stuck")
    done = ggnet.run("job", "wait", str(job["id"]), "--timeout", "0")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            f"Waiting for the agent on {HOST} …",
            f"Job {job['id']} is still QUEUED after 0 s; it goes on.",
        ],
    )
    monkeypatch.setattr(job_waiter, "NO_AGENT_S", 0.1)
    with (
        installation(ggnet) as opened,
        closing(opened.owner("test")) as owner,
        pytest.raises(ConsoleError, match="start ggnet-agent or the console there"),
    ):
        job_waiter.ended_job(owner, job["id"])
    assert capsys.readouterr().err == f"Waiting for the agent on {HOST} …\n"
