# SPDX-License-Identifier: GPL-3.0-or-later
"""No password and no secret of a sign-in reaches a log, a crash report or what is printed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from command_line import CommandLine, clean_environment
from places import short_folder
from psycopg.conninfo import make_conninfo
from real_database import RealDatabase
from sqlalchemy import func, select

from ggnet_console import config, log
from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER
from ggnet_console.db.engine import Database
from ggnet_console.db.installation import Installation
from ggnet_console.errors import ConsoleError
from ggnet_console.services import users
from ggnet_console.tools.secret_store import KeptSignIn
from ggnet_console.ui.window.crash_dialog import report

PASSWORD = "pa%55 word'-of-anna"
OTHER = "another 'word-of-anna"
THIRD = "word of ben"
FOURTH = "another word of ben"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of this process at its most talkative; logging is as before afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(log, "_process", {})
    yield log.start(tmp_path / "logs", "test", "DEBUG")
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def told(error: BaseException, file: Path) -> str:
    """All that a fault leaves behind: the log, the crash report, the sentence and its details."""
    logging.getLogger("test").error("a fault", exc_info=error)
    details = error.details if isinstance(error, ConsoleError) else ""
    text = "\n".join((file.read_text("utf-8"), report(error), str(error), repr(error), details))
    assert type(error).__name__ in text  # there is something to find it in
    return text


def signing_in(database: RealDatabase, file: Path) -> str:
    """The server has no such function: a fault while the password is a parameter."""
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("ALTER FUNCTION login(text, text, text, text) RENAME TO gone")
    with pytest.raises(Exception) as caught, database.console.begin() as session:
        users.sign_in(session, "viewer", PASSWORD, "tests")
    return told(caught.value, file)


def changing_it(database: RealDatabase, file: Path) -> str:
    """The server fails in the middle of the function that got both passwords."""
    viewer = database.sign_in(users.Role.VIEWER)
    with psycopg.connect(database.owner.dsn) as owner:
        owner.execute("ALTER FUNCTION check_password(users, text, text) RENAME TO gone")
    with pytest.raises(Exception) as caught, viewer.begin() as session:
        users.change_password(session, PASSWORD, OTHER)
    return told(caught.value, file)


def a_parameter_of_a_wrong_statement(database: RealDatabase, file: Path) -> str:
    with pytest.raises(Exception) as caught, database.console.begin() as session:
        session.execute(select(func.no_such_function(PASSWORD, OTHER)))
    return told(caught.value, file)


def a_connection_that_is_refused(database: RealDatabase, file: Path) -> str:
    dsn = make_conninfo(
        database.server.dsn("ggnet_s_nobody", database.name), password=PASSWORD, connect_timeout=5
    )
    with pytest.raises(ConsoleError) as caught, Database(dsn, program="t").begin() as session:
        users.has_users(session)
    return told(caught.value, file)


def a_connection_string_that_is_none(_database: RealDatabase, file: Path) -> str:
    wrong = f"postgresql://anna:{PASSWORD}%zz@db.example.net/ggnet?x"
    environment = {"GGNET_HOME": str(file.parent), "GGNET_DATABASE_URL": wrong}
    with pytest.raises(ConsoleError) as caught, Installation(config.load(environment)) as opened:
        opened.require_schema()
    return told(caught.value, file)


@pytest.mark.parametrize(
    "fault",
    [
        signing_in,
        changing_it,
        a_parameter_of_a_wrong_statement,
        a_connection_that_is_refused,
        a_connection_string_that_is_none,
    ],
)
def test_a_fault_while_a_password_is_in_play_does_not_tell_it(
    database: RealDatabase, written: Path, fault
) -> None:
    text = fault(database, written)
    for secret in (PASSWORD, OTHER, "word-of-anna", "pa%55"):
        assert secret not in text


def test_a_fault_with_a_sign_in_at_hand_does_not_tell_its_secret(
    database: RealDatabase, written: Path
) -> None:
    signed_in = database.log_in("viewer")
    kept = KeptSignIn("viewer", signed_in.role_name, signed_in.secret)
    mine = Database(database.dsn(signed_in), program="tests")
    faults: list[BaseException] = [KeyError(signed_in), ValueError(kept), TypeError(mine)]
    database.rows("SELECT end_sign_ins(%s, NULL, NULL)", signed_in.user_id)
    with pytest.raises(ConsoleError) as caught, mine.begin() as session:
        users.who_am_i(session)
    mine.close()
    for fault in (*faults, caught.value):
        text = told(fault, written)
        assert signed_in.secret not in text
    assert signed_in.role_name in text  # which sign-in it was, is told


@pytest.fixture
def ggnet() -> Iterator[CommandLine]:
    """A new installation with the admin anna, whose programs log all they can."""
    with short_folder() as folder:
        environment = {
            "GGNET_HOME": str(folder / "home"),
            "GGNET_HOST": "clihost",
            "GGNET_LOG_LEVEL": "DEBUG",
        }
        ggnet = CommandLine({**clean_environment(folder), **environment}, folder)
        ggnet.works("init", "--admin", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
        with Installation(config.load(environment)):
            yield ggnet


@pytest.mark.slow("runs dozens of commands, each a program that starts anew")
def test_what_the_programs_and_the_server_write_holds_no_secret(ggnet: CommandLine) -> None:
    folder = ggnet.folder
    said = ggnet.works("login", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
    [kept] = (folder / "state" / "ggnet").glob("*sign-in*.json")
    secret = json.loads(kept.read_text())["secret"]
    wrong = ggnet.run("login", "anna", "--password-stdin", stdin=f"{OTHER}\n")
    settings = config.load(ggnet.environment)
    dsn = Installation(settings).cluster.dsn(SUPERUSER)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET log_min_messages = 'debug1'")
        owner.execute("ALTER SYSTEM SET log_statement = 'all'")
        owner.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
        owner.execute("SELECT pg_reload_conf()")
    change = ("user", "password", "--password-stdin")
    said += ggnet.works(*change, stdin=f"{PASSWORD}\n{OTHER}\n")
    said += ggnet.works(
        "user", "add", "ben", "--role", "VIEWER", "--password-stdin", stdin=f"{THIRD}\n"
    )
    said += ggnet.works("user", "reset", "ben", "--password-stdin", stdin=f"{FOURTH}\n")
    # A fault on the way in, with the password in its hands.
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("ALTER FUNCTION login(text, text, text, text) RENAME TO gone")
    fault = ggnet.run("--verbose", "login", "anna", "--password-stdin", stdin=f"{OTHER}\n")
    assert fault.returncode == 1
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("ALTER FUNCTION gone(text, text, text, text) RENAME TO login")
        hashes = [
            password_hash for (password_hash,) in owner.execute("SELECT password_hash FROM users")
        ]
        trail = str(owner.execute("SELECT array_agg(a::text) FROM audit a").fetchall())
        activity = str(owner.execute("SELECT array_agg(query) FROM pg_stat_activity").fetchall())
    again = ggnet.run("login", "anna", "--password-stdin", stdin=f"{OTHER}\n")
    assert (again.returncode, again.stderr) == (0, "")
    said += wrong.stdout + wrong.stderr + fault.stdout + fault.stderr + again.stdout
    logs = [
        file
        for file in folder.rglob("*")
        if file.is_file() and (file.suffix in {".jsonl", ".log"} or "log" in file.parent.name)
    ]
    assert any("login" in file.read_text("utf-8", "replace") for file in logs)
    for text in (said, trail, activity, *(file.read_text("utf-8", "replace") for file in logs)):
        for each in (PASSWORD, OTHER, THIRD, FOURTH, "word-of-anna", secret, *hashes):
            assert each not in text
    assert "change_password(" in "".join(file.read_text("utf-8", "replace") for file in logs)
    assert CONSOLE_ROLE in "".join(file.read_text("utf-8", "replace") for file in logs)
