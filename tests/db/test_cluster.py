# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded cluster: a real server, real processes, real kills."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from participant import (
    AS_ROOT,
    CHECKOUT,
    kill_server,
    line_of,
    postmaster,
    take_part,
    temporary_home,
)
from patience import wait_for
from repeating import assert_fails_again, repeat

from ggnet_console.db.cluster import CONSOLE_ROLE, SUPERUSER, Cluster, agent_role
from ggnet_console.errors import ConsoleError
from ggnet_console.locks import FileLock
from ggnet_console.paths import Home

HOST = "room-12"


@pytest.fixture
def home() -> Iterator[Home]:
    with temporary_home() as made:
        yield made


def query(
    cluster: Cluster, statement: str, role: str = SUPERUSER, database: str = "postgres"
) -> list[tuple[Any, ...]]:
    with psycopg.connect(cluster.dsn(role, database), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def refusal(dsn: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(dsn)
    return str(caught.value)


# Shared use


def test_the_first_one_in_makes_the_cluster_and_the_last_one_out_stops_it(home: Home) -> None:
    first, second = Cluster(home, HOST), Cluster(home, HOST)
    with first:
        assert first.created
        server = postmaster(home)
        with second:
            assert not second.created
            assert postmaster(home) == server
        assert query(first, "SELECT 1") == [(1,)]
    assert postmaster(home) is None
    with Cluster(home, HOST) as third:
        assert not third.created
        assert query(third, "SELECT 1") == [(1,)]


def test_the_first_one_in_may_leave_first(home: Home) -> None:
    first, second = Cluster(home, HOST), Cluster(home, HOST)
    first.acquire()
    second.acquire()
    first.release()
    assert query(second, "SELECT 1") == [(1,)]
    second.release()
    assert postmaster(home) is None


def test_two_simultaneous_first_starts_share_one_cluster(home: Home) -> None:
    with take_part(home) as one, take_part(home) as other:
        assert sorted([line_of(one), line_of(other)]) == ["found", "made"]
        for process in (one, other):
            with psycopg.connect(line_of(process)) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        one.communicate()
        assert postmaster(home) is not None
        assert other.communicate()[0] == "left\n"
        assert postmaster(home) is None


def test_a_new_cluster_is_utf8_with_checksums_and_off_the_network(cluster: Cluster) -> None:
    names = ("server_encoding", "data_checksums", "listen_addresses", "password_encryption")
    values = [query(cluster, f"SHOW {name}")[0][0] for name in names]
    assert values == ["UTF8", "on", "", "scram-sha-256"]


def test_variables_meant_for_other_servers_do_not_count(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("PGHOST", "/nonexistent")
    with Cluster(home, HOST) as cluster:
        assert query(cluster, "SELECT 1") == [(1,)]


def test_a_home_with_spaces_and_apostrophes_works(home: Home) -> None:
    odd = Home(home.root / "it's Ana's über %d home")
    with Cluster(odd, HOST) as cluster:
        assert query(cluster, "SELECT 1") == [(1,)]
        assert postmaster(odd) is not None
    assert postmaster(odd) is None


# Kills


def test_the_server_of_a_killed_process_is_adopted_and_its_lock_is_free(home: Home) -> None:
    with take_part(home) as process:
        assert line_of(process) == "made"
        server = postmaster(home)
        process.kill()
    users = FileLock(home.users_lock)
    assert users.try_exclusive(), "the server inherited the lock"
    users.release()
    with Cluster(home, HOST):
        assert postmaster(home) == server
    assert postmaster(home) is None


def test_a_killed_server_recovers_what_was_committed(home: Home) -> None:
    with take_part(home) as process:
        assert line_of(process) == "made"
        with psycopg.connect(line_of(process), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
    kill_server(home)
    with Cluster(home, HOST) as cluster:
        assert not cluster.created
        assert query(cluster, "SELECT answer FROM kept") == [(42,)]


def test_a_server_killed_in_use_is_revived(home: Home) -> None:
    with Cluster(home, HOST) as cluster:
        query(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
        cluster.revive()
        assert query(cluster, "SELECT answer FROM kept") == [(42,)]
        kill_server(home)
        cluster.revive()
        assert query(cluster, "SELECT answer FROM kept") == [(42,)]
    assert postmaster(home) is None


def test_leaving_a_killed_server_is_no_error(home: Home) -> None:
    with Cluster(home, HOST):
        kill_server(home)
    assert postmaster(home) is None


def test_a_stale_pid_that_is_now_another_programs_does_not_stop_the_start(home: Home) -> None:
    with Cluster(home, HOST) as cluster:
        kill_server(home)
        user = cluster.server_user if AS_ROOT else None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=user) as stranger:
        for file in (home.cluster / "postmaster.pid", home.sockets / ".s.PGSQL.5432.lock"):
            _, *rest = file.read_text().splitlines()
            file.write_text("".join(f"{line}\n" for line in (stranger.pid, *rest)))
        with Cluster(home, HOST) as again:
            assert query(again, "SELECT 1") == [(1,)]
        assert stranger.poll() is None


@pytest.mark.parametrize(
    "moment", ["cluster.part-*", "cluster.part-*/base", "cluster", "cluster/postmaster.pid"]
)
def test_a_first_start_killed_at_any_moment_leaves_a_home_that_starts(
    home: Home, moment: str
) -> None:
    with take_part(home) as process:
        wait_for(lambda: home.root.exists() and any(home.root.glob(moment)), "the moment has come")
        process.kill()
    with Cluster(home, HOST) as cluster:
        assert query(cluster, "SELECT 1") == [(1,)]
        assert not list(home.root.glob("cluster.part-*"))
    assert postmaster(home) is None


# Who may come in


def test_the_owner_is_the_three_named_roles_and_everybody_else_needs_a_password(
    cluster: Cluster,
) -> None:
    assert query(
        cluster,
        "SELECT type, database, user_name, auth_method, options FROM pg_hba_file_rules",
    ) == [
        ("local", ["all"], [SUPERUSER], "peer", ["map=ggnet"]),
        ("local", ["postgres", "template1"], ["all"], "reject", None),
        ("local", ["all"], [CONSOLE_ROLE, agent_role("testhost")], "peer", ["map=ggnet"]),
        ("local", ["all"], ["all"], "scram-sha-256", None),
    ]
    users = {pwd.getpwuid(os.geteuid()).pw_name, cluster.server_user}
    assert {user for (user,) in query(cluster, "SELECT sys_name FROM pg_ident_file_mappings")} == (
        users
    )


@pytest.fixture
def rooms(cluster: Cluster) -> Iterator[str]:
    """A database of ours."""
    query(cluster, "CREATE DATABASE rooms")
    yield "rooms"
    query(cluster, "DROP DATABASE rooms WITH (FORCE)")


def test_the_agents_role_comes_in_as_the_owner_without_a_password(
    cluster: Cluster, rooms: str
) -> None:
    role = agent_role("testhost")
    # Other tests' databases on this server may have made it, and go on to need it.
    if not query(cluster, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
        query(cluster, f'CREATE ROLE "{role}" LOGIN')
    assert query(cluster, "SELECT session_user", role, rooms) == [(role,)]
    # Where nothing is ours, everybody might have tables of their own.
    for other in ("postgres", "template1"):
        assert "pg_hba.conf rejects connection" in refusal(cluster.dsn(role, other))


def test_any_other_role_needs_its_own_password(cluster: Cluster, rooms: str) -> None:
    query(cluster, "CREATE ROLE sign_in_1 LOGIN PASSWORD 'right'")
    try:
        dsn = cluster.dsn("sign_in_1", rooms)
        assert "no password supplied" in refusal(dsn)
        assert "password authentication failed" in refusal(f"{dsn} password=wrong")
        with psycopg.connect(f"{dsn} password=right") as connection:
            assert connection.execute("SELECT session_user").fetchone() == ("sign_in_1",)
    finally:
        query(cluster, "DROP ROLE sign_in_1")


def test_the_data_and_the_socket_are_closed_to_other_users(home: Home) -> None:
    with Cluster(home, HOST) as cluster:
        for path in (home.cluster, home.sockets, home.sockets / ".s.PGSQL.5432"):
            found = path.stat()
            assert found.st_mode & 0o777 == 0o700
            assert pwd.getpwuid(found.st_uid).pw_name == cluster.server_user
        assert home.root.stat().st_mode & 0o777 == 0o711
        assert home.users_lock.stat().st_mode & 0o777 == 0o600


# Refusals


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(home: Home) -> None:
    long = Home(home.root / ("x" * 100))
    with pytest.raises(ConsoleError, match="set GGNET_HOME to a folder with a shorter path"):
        Cluster(long, HOST).acquire()
    assert not home.root.exists()


def test_the_longest_path_a_socket_can_have_works(home: Home) -> None:
    room = 107 - len(str(home.sockets / ".s.PGSQL.5432")) - 1
    with Cluster(Home(home.root / ("x" * room)), HOST) as cluster:
        assert query(cluster, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ['a"b', "a$(touch b)", "a`b`", "a\\b", "a\nb", "a,b"])
def test_a_path_that_a_shell_or_libpq_would_split_is_refused(home: Home, name: str) -> None:
    with pytest.raises(ConsoleError, match="set GGNET_HOME to a folder without"):
        Cluster(Home(home.root / name), HOST).acquire()
    assert not home.root.exists()


@pytest.mark.parametrize("host", ["", "Room", "a b", 'x"', "all,x", "x" * 51])
def test_a_host_name_no_role_can_carry_is_refused(home: Home, host: str) -> None:
    with pytest.raises(ConsoleError, match="GGNET_HOST"):
        Cluster(home, host)


def test_missing_server_programs_are_a_sentence(home: Home) -> None:
    empty = home.root.parent / "empty"
    empty.mkdir()
    with pytest.raises(ConsoleError, match=f"not in {empty}; run “make install”"):
        Cluster(home, HOST, empty).acquire()
    assert not home.cluster.exists()


def test_data_of_another_major_version_is_a_sentence(home: Home) -> None:
    with Cluster(home, HOST):
        pass
    (home.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConsoleError, match=r"was made by PostgreSQL 9, but .* is version \d+"):
        Cluster(home, HOST).acquire()


def test_a_server_that_cannot_start_is_a_sentence_with_its_own_words(home: Home) -> None:
    with Cluster(home, HOST):
        pass
    (home.cluster / "global" / "pg_control").unlink()
    with pytest.raises(ConsoleError, match="could not be started") as caught:
        Cluster(home, HOST).acquire()
    assert "pg_control" in caught.value.details
    command, end, *_ = caught.value.details.splitlines()
    assert f"pg_ctl start --wait --silent --timeout=120 --pgdata={home.cluster} " in command
    assert end == f"exit code {repeat(command).returncode}" != "exit code 0"
    users = FileLock(home.users_lock)
    assert users.try_exclusive(), "the failed start kept its lock"
    users.release()


def test_settings_that_cannot_be_written_are_told_with_what_would_write_them(home: Home) -> None:
    with Cluster(home, HOST):
        pass
    settings = home.cluster / "pg_hba.conf"
    written = settings.read_text()
    settings.unlink()
    settings.mkdir()
    with pytest.raises(ConsoleError, match=r"settings below .* could not be written") as caught:
        Cluster(home, HOST).acquire()
    assert f"tee {settings} <<< " in caught.value.details.splitlines()[0]
    assert_fails_again(caught.value.details)
    settings.rmdir()
    assert repeat(caught.value.details).returncode == 0
    assert settings.read_text() == written


def test_a_folder_in_the_way_is_left_alone(home: Home) -> None:
    home.cluster.mkdir(parents=True)
    (home.cluster / "somebodys.txt").write_text("precious")
    with pytest.raises(ConsoleError, match="Directory not empty"):
        Cluster(home, HOST).acquire()
    assert (home.cluster / "somebodys.txt").read_text() == "precious"
    assert not list(home.root.glob("cluster.part-*"))


def test_a_cluster_that_fails_half_way_leaves_nothing_behind(home: Home) -> None:
    with take_part(home, "1000000") as process:
        assert "could not be made" in line_of(process)
        assert "DETAILS" in line_of(process)
        process.communicate()
    assert sorted(path.name for path in home.root.iterdir()) == ["start.lock", "users.lock"]
    with Cluster(home, HOST) as cluster:
        assert cluster.created


# Users of the operating system


def test_an_ordinary_user_runs_a_cluster_of_their_own() -> None:
    """As root this becomes nobody, with the system's Python, which that user can reach."""
    user: dict[str, Any] = {}
    with temporary_home() as home:
        package = home.root.parent / "code"
        shutil.copytree(CHECKOUT / "ggnet_console", package / "ggnet_console")
        if AS_ROOT:
            nobody = pwd.getpwnam("nobody")
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            home.root.mkdir()
            os.chown(home.root, nobody.pw_uid, nobody.pw_gid)
        python = "/usr/bin/python3" if AS_ROOT else sys.executable
        options = {"python": python, "cwd": package, "env": {"PYTHONDONTWRITEBYTECODE": "1"}}
        with take_part(home, **options, **user) as process:
            assert line_of(process) == "made"
            dsn = line_of(process)
            answer = subprocess.run(
                ["psql", "-XAt", dsn, "-c", "SELECT session_user"],
                check=False,
                capture_output=True,
                text=True,
                **user,
            )
            assert answer.stdout == "ggnet_dba\n", answer.stderr
            assert home.cluster.stat().st_uid == (user["user"] if AS_ROOT else os.geteuid())
            assert process.communicate()[0] == "left\n"
        assert postmaster(home) is None


if AS_ROOT:  # an ordinary user can become nobody else

    def test_another_user_is_refused_even_with_the_folders_open(home: Home) -> None:
        with Cluster(home, HOST) as cluster:
            argv = ["psql", "-XAtw", cluster.dsn(SUPERUSER, "postgres"), "-c", "SELECT 1"]

            def ask(user: str) -> subprocess.CompletedProcess[str]:
                return subprocess.run(
                    argv,
                    check=False,
                    capture_output=True,
                    text=True,
                    cwd="/",
                    user=user,
                    extra_groups=[],
                )

            assert "Permission denied" in ask("nobody").stderr
            home.sockets.chmod(0o755)
            (home.sockets / ".s.PGSQL.5432").chmod(0o777)
            assert "Peer authentication failed" in ask("nobody").stderr
            assert ask("postgres").stdout == "1\n"

    def test_a_home_below_a_closed_folder_is_refused_and_left_closed(home: Home) -> None:
        closed = home.root.parent / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(ConsoleError, match=f"may not pass the folder {closed};"):
            Cluster(Home(closed / "deep" / "home"), HOST).acquire()
        assert closed.stat().st_mode & 0o777 == 0o700
        assert not list(closed.iterdir())

    def test_a_socket_folder_not_yet_handed_to_the_servers_user_is_handed_over(home: Home) -> None:
        home.sockets.mkdir(parents=True, mode=0o700)  # its maker was killed before chown
        with Cluster(home, HOST) as cluster:
            assert query(cluster, "SELECT 1") == [(1,)]

    def test_a_closed_home_itself_is_refused_and_left_closed(home: Home) -> None:
        home.root.mkdir(mode=0o700)
        with pytest.raises(ConsoleError, match=f"may not pass the folder {home.root};"):
            Cluster(home, HOST).acquire()
        assert home.root.stat().st_mode & 0o777 == 0o700

    def test_a_home_of_another_user_is_refused_by_that_users_name(home: Home) -> None:
        home.root.mkdir(mode=0o711)
        shutil.chown(home.root, "nobody")
        with pytest.raises(ConsoleError, match="belongs to the user nobody, not to root"):
            Cluster(home, HOST).acquire()
        assert not list(home.root.iterdir())

    def test_a_full_disk_is_a_sentence_and_leaves_nothing(home: Home) -> None:
        home.root.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "none", str(home.root)], check=True
        )
        try:
            with pytest.raises(ConsoleError, match="the disk is not full") as caught:
                Cluster(home, HOST).acquire()
            assert "No space left on device" in caught.value.details
            assert "initdb --pgdata=" in caught.value.details.splitlines()[0]
            assert sorted(path.name for path in home.root.iterdir()) == ["start.lock", "users.lock"]
        finally:
            subprocess.run(["umount", str(home.root)], check=True)
