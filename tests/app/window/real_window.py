# SPDX-License-Identifier: GPL-3.0-or-later
"""Real consoles for tests: one in this process to look into, others as processes of their own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from command_line import clean_environment
from patience import wait_for
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from qemu_gate import QemuGate, is_running
from qt_time import pass_time
from real_database import CHEAP, HASH
from real_host import free_port
from window_hands import PAGES, Key, W, dialogs, is_shown, open_every_page, press, tables

from ggnet_console import config
from ggnet_console.app import Console
from ggnet_console.db.cluster import SUPERUSER, Cluster
from ggnet_console.db.installation import Installation
from ggnet_console.enums import Role
from ggnet_console.lifecycle import Lifecycle
from ggnet_console.services.boot_sessions import BootSessionRow
from ggnet_console.tools.tgtd import Daemon, Tgtd
from ggnet_console.ui.kit.form_dialog import FormDialog
from ggnet_console.ui.kit.page import Page
from ggnet_console.ui.page_context import Feeds
from ggnet_console.ui.window.sign_in_pages import EntryPage, ProblemPage

HERE = Path(__file__).parent


def spin(condition: Callable[[], Any], what: str) -> Any:
    """Let the window live until ``condition`` is true; its answer."""
    return wait_for(condition, what, between=lambda: pass_time(5))


class Premises(QemuGate):
    """A folder, a portal and an environment for the consoles of one installation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.portal = f"127.0.0.1:{free_port()}"
        file = folder / "config.toml"
        file.write_text(
            f'home = "{folder / "home"}"\nhost = "testhost"\nbackend = "tgt"\n'
            f'portal = "{self.portal}"\n'
        )
        self.make_gate()
        self.environment = {
            **clean_environment(folder),
            "GGNET_CONFIG": str(file),
            "PATH": f"{folder}:{os.environ['PATH']}",
            "QT_QPA_PLATFORM": "offscreen",
        }
        self.config = config.load(self.environment)
        self.tree = self.config.tree
        self.cluster = Cluster(self.tree, self.config.host)
        self.processes: list[SecondConsole] = []

    def install(self) -> None:
        """Make the database with a user per role, and leave it stopped."""
        with Installation(self.config):
            self.psql("ALTER SYSTEM SET fsync = off")
            self.psql(CHEAP)
            for role in Role:
                self.psql("SELECT user_create(%s, %s, %s)", role.lower(), role, HASH)

    def install_copy(self, of: Path) -> None:
        """The same by copying the home of another, whose server does not run."""
        subprocess.run(["cp", "-a", of, self.tree.root], check=True)

    def set_revision(self, revision: str) -> None:
        """Let the schema say that it is another."""
        self.psql("UPDATE alembic_version SET version_num = %s", revision)

    def add_users(self) -> None:
        """A user for each role, named after it; their password is ``real_database.PASSWORD``."""
        self.psql(CHEAP)
        for role in Role:
            self.psql("SELECT user_create(%s, %s, %s)", role.lower(), role, HASH)

    def psql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the owner does or asks by hand."""
        dsn = self.cluster.dsn(SUPERUSER)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def quietly(self, statement: str) -> None:
        """A change without the NOTIFY and the audit that triggers make."""
        with psycopg.connect(self.cluster.dsn(SUPERUSER)) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(statement)

    def postmaster(self) -> int | None:
        """The pid of the private server, None when it does not run."""
        try:
            pid = int((self.tree.cluster / "postmaster.pid").read_text().split()[0])
        except FileNotFoundError:
            return None
        return pid if is_running(pid) else None

    def tgtd(self) -> Daemon | None:
        return Tgtd(self.tree.tgt_socket, self.config.portals, Path(os.devnull)).find()

    def agents(self) -> list[int]:
        """Detached agents of this installation."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_bytes()
            except OSError:  # ended meanwhile
                continue
            if b"ggnet_console.agent" in arguments and os.fsencode(self.tree.root) in arguments:
                found.append(int(process.name))
        return [pid for pid in found if is_running(pid)]

    def second_console(self, user: str, password: str) -> SecondConsole:
        """Another console, in a process of its own, signed in."""
        console = SecondConsole(self, user, password)
        self.processes.append(console)
        return console

    def end(self) -> None:
        """Kill what is left."""
        for console in self.processes:
            console.kill()
        for pid in self.agents():
            os.kill(pid, signal.SIGKILL)
        if (daemon := self.tgtd()) is not None:
            os.kill(daemon.pid, signal.SIGKILL)
        if (server := self.postmaster()) is not None:
            os.kill(server, signal.SIGQUIT)
            spin(lambda: not is_running(server), "the server ends")


class SecondConsole:
    """``second_console.py`` as a process."""

    def __init__(self, premises: Premises, user: str, password: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "second_console.py", user, password],
            env={**premises.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self.states: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.states.append(json.loads(line))

    @property
    def shown(self) -> dict[str, list[dict[str, str]]]:
        """What its tables show now."""
        return self.states[-1]["tables"] if self.states else {}

    @property
    def banner(self) -> str:
        return str(self.states[-1]["banner"]) if self.states else ""

    @property
    def forms(self) -> list[dict[str, str]]:
        """What is typed in its open forms."""
        return self.states[-1]["forms"] if self.states else []

    def order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()


class RealConsole:
    """The console of this process, on the loop that pytest-qt spins."""

    def __init__(self, app: QApplication, premises: Premises) -> None:
        self.premises = premises
        remembered = QSettings(str(premises.folder / "window.ini"), QSettings.Format.IniFormat)
        self._hooks = sys.excepthook, threading.excepthook
        self._handlers = list(logging.getLogger().handlers)
        self._level = logging.getLogger().level
        self.console = Console(app, premises.config, remembered)
        self.main_window = self.console.window
        self.crashes: list[BaseException] = []
        self.has_ended = False
        self.console.ended.connect(self._on_ended)
        self.console.show()
        spin(
            lambda: self.console.lifecycle or isinstance(self.console.entry.page, ProblemPage),
            "what stands behind the window is imported",
        )
        if self.console.lifecycle is not None:
            self.lifecycle.crashes.crashed.connect(lambda crash: self.crashes.append(crash[0]))

    @property
    def lifecycle(self) -> Lifecycle:
        """What stands behind the window."""
        assert self.console.lifecycle is not None
        return self.console.lifecycle

    def _on_ended(self) -> None:
        self.has_ended = True

    # Pages

    def entry_page(self, kind: type[W]) -> W:
        """Wait for a page before the workspace."""
        return spin(
            lambda: next((g for g in self.main_window.findChildren(kind) if g.isVisible()), None),
            f"a {kind.__name__}",
        )

    def sign_in(self, user: str, password: str) -> None:
        """Sign in by keyboard and open every page once."""
        entry_page = self.entry_page(EntryPage)
        assert not isinstance(entry_page, ProblemPage)
        entry_page.form.boxes["user"].set_raw("")
        QTest.keyClicks(entry_page.form.boxes["user"].editor, user)
        QTest.keyClicks(entry_page.form.boxes["password"].editor, password)
        QTest.keyClick(entry_page.form.boxes["password"].editor, "\r")
        self.open_pages()

    def open_pages(self) -> None:
        """Wait for the workspace and open every page once, by keys."""
        spin(lambda: tables(self.main_window), "the workspace opens")
        self.activate()
        open_every_page(self.main_window)
        assert len(tables(self.main_window)) == len(PAGES) - 1
        spin(
            lambda: all(feed.loaded for feed in self.feeds.all() if not feed.on_demand),
            "everything is read",
        )

    def activate(self) -> None:
        """The keyboard is at the window itself."""
        self.main_window.activateWindow()
        spin(self.main_window.isActiveWindow, "the window is active")

    def turn_to(self, key: str) -> None:
        """Open a page by Ctrl and its number."""
        self.activate()
        press(self.main_window, Qt.Key(Key.Key_1 + PAGES.index(key)))

    def page(self, key: str) -> Page[Any]:
        """Turn to the page of a noun."""
        self.turn_to(key)
        page = next(page for page in self.main_window.findChildren(Page) if page._key == key)
        assert page.isVisible()
        return page

    def dialog(self, kind: type[W]) -> W:
        """The one dialog of a kind, with the keyboard."""
        (found,) = spin(lambda: dialogs(kind), f"a {kind.__name__}")
        spin(found.isActiveWindow, "it has the keyboard")
        return found

    def form_closes(self) -> None:
        """What was typed has been accepted."""
        spin(lambda: not dialogs(FormDialog), "the form closes")
        self.activate()

    @property
    def shown(self) -> dict[str, list[dict[str, str]]]:
        """What the tables show."""
        return tables(self.main_window)

    @property
    def feeds(self) -> Feeds:
        assert self.lifecycle.signed_in is not None
        return self.lifecycle.signed_in.workspace.context.feeds

    def session_of(self, machine: str) -> BootSessionRow:
        """The newest session of a machine, as the window has read it."""
        found = [row for row in self.feeds.sessions.rows.values() if row.machine == machine]
        return max(found, key=lambda row: row.id)

    def shows(self, key: str, where: str, **texts: Callable[[str], bool]) -> None:
        """Wait until a row has these cells."""
        spin(
            lambda: is_shown(self.shown, key, where, **texts),
            f"{key}: {where} as wanted",
        )

    # The end

    def end(self) -> None:
        """Leave as one who keeps nothing; whatever the test left open."""
        for dialog in QApplication.topLevelWidgets():
            if dialog is not self.main_window and dialog.isVisible():
                dialog.close()
        if not self.has_ended:
            self.lifecycle._quit()
            spin(lambda: self.has_ended, "the console ends")
        self.remove()

    def remove(self) -> None:
        """Take the remains of the window out of this process."""
        for widget in (self.main_window, *dialogs(QWidget)):
            widget.deleteLater()
        self.console.theme.deleteLater()
        self.console.deleteLater()
        pass_time(0)
        sys.excepthook, threading.excepthook = self._hooks
        root = logging.getLogger()
        for handler in set(root.handlers) - set(self._handlers):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(self._level)
