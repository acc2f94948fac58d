# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all layers share: one real PostgreSQL for the whole run, cloned databases."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keyring
import psycopg
import pytest
from keyring.backends import fail
from real_database import HOST, RealDatabase, Server, Template

from ggnet_console.db.cluster import SUPERUSER, Cluster
from ggnet_console.paths import Home


@pytest.fixture(scope="session", autouse=True)
def _no_automatic_garbage() -> None:
    """Widgets that go in another thread than the main one take the process with them."""
    gc.disable()


@pytest.fixture(scope="session", autouse=True)
def _no_keyring() -> None:
    """As on a server, and never the developer's own.

    Left to itself, the library would take the first backend that any test module has defined.
    """
    keyring.set_keyring(fail.Keyring())


@pytest.fixture(scope="module", autouse=True)
def _garbage() -> Iterator[None]:
    """What the tests of a module leave behind is collected where no other thread is."""
    yield
    gc.collect()


def _fast_folder() -> Path:
    """Where a database per test costs no disk writes, if there is enough of it."""
    memory = Path("/dev/shm")
    fits = memory.is_dir() and shutil.disk_usage(memory).free > 2**30
    return memory if fits else Path("/tmp")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster in a folder of its own, without fsync; tests make databases in it.

    Of the programs in ``GGNET_PG_BIN``, else of the newest server installed.
    """
    root = Path(tempfile.mkdtemp(prefix="ggnet-", dir=_fast_folder()))
    root.chmod(0o711)  # as root, the server runs as another user
    try:
        programs = os.environ.get("GGNET_PG_BIN")
        with Cluster(Home(root), HOST, Path(programs) if programs else None) as running:
            with psycopg.connect(running.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
                for setting in ("fsync = off", "autovacuum = off", "max_wal_size = '128MB'"):
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
            yield running
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """The server that ``GGNET_TEST_DSN`` (a superuser's) names, else our own cluster."""
    given = os.environ.get("GGNET_TEST_DSN")
    if given:
        return Server.existing(given)
    return Server.of_cluster(request.getfixturevalue("cluster"))


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[Template]:
    """The migrated database that each test gets a clone of."""
    with server.template() as template:
        yield template


@pytest.fixture
def database(template: Template) -> Iterator[RealDatabase]:
    """A migrated database of the test's own, on the storage host ``testhost``."""
    with template.clone() as clone:
        yield clone
