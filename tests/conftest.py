# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all layers share: one real PostgreSQL for the whole run, cloned databases."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from keyring.backends import fail
from minutes import Minutes
from places import short_folder
from PySide6.QtWidgets import QApplication
from qt_time import PatientQtBot
from real_database import HOST, RealDatabase, Server, Template

from ggnet_console.db.cluster import SUPERUSER, Cluster
from ggnet_console.paths import Home
from ggnet_console.ui.kit import translate

_EXAMPLES = {"gate": 40, "long": 3000}
"""Of each property; ``--hypothesis-profile`` chooses."""

for _name, _most in _EXAMPLES.items():
    settings.register_profile(
        _name,
        max_examples=_most,
        derandomize=_name == "gate",  # the same values in every run: it must not depend on luck
        deadline=None,
        # What a fixture made lives as long as all examples of a test; what they do is rolled back.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
settings.load_profile("gate")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Minutes())


def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``make test`` uses: half of them wait for a program at any moment.

    Each may need 1 GiB, with its server, its agents and its guest. On a server that
    ``GGNET_TEST_DSN`` names it is one: all databases of a server share the console's role.
    """
    if os.environ.get("GGNET_TEST_DSN"):
        return 1
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**30
    return max(1, min(len(os.sched_getaffinity(0)) * 2, memory_gib))


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


@pytest.fixture(scope="session")
def qapp(qapp: QApplication) -> QApplication:
    """As the program has it, with the plural forms of its texts."""
    translate.install(qapp)
    return qapp


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> PatientQtBot:
    """pytest-qt's, with our patience."""
    return PatientQtBot(request)


@pytest.fixture(scope="module", autouse=True)
def _garbage() -> Iterator[None]:
    """What the tests of a module leave behind is collected where no other thread is."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster in a folder of its own, without fsync; tests make databases in it.

    Of the programs in ``GGNET_PG_BIN``, else of the newest server installed.
    """
    with short_folder() as root:
        programs = os.environ.get("GGNET_PG_BIN")
        with Cluster(Home(root), HOST, Path(programs) if programs else None) as running:
            with psycopg.connect(running.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
                for setting in ("fsync = off", "autovacuum = off", "max_wal_size = '128MB'"):
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
            yield running


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
