# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain as an ordinary user, when the tests run as root; else all of them are that already."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from real_host import CHECKOUT, short_folder

pytestmark = pytest.mark.slow(
    "runs tests of two whole modules as another user, with a Python of that user's own"
)

AGENT = (
    "test_agent_chain.py",
    "test_agent_crashes.py::test_an_agent_killed_in_any_phase_finishes_the_import_after_its_restart"
    "[Converting]",
    "test_agent_crashes.py::test_a_raw_image_that_was_sealed_but_not_recorded_is_taken_up_again",
    "test_agent_hostile.py::test_a_file_the_importer_may_not_read_is_refused",
    "test_agent_hostile.py::test_a_file_of_the_host_that_others_may_not_read_is_not_imported",
    "test_agent_hostile.py::test_hostile_images_end_as_errors_and_no_byte_of_the_host_comes_in",
    "test_agent_images.py::test_an_image_larger_than_a_file_may_be_is_an_error_and_leaves_nothing",
    "test_agent_makes_targets.py::test_a_running_tgtd_is_adopted_and_a_logged_in_machine_notices_nothing",
)
PROGRAMS = ("test_main_job_cli.py", "window/test_window_chain.py")


class OrdinaryUser:
    """The user nobody, with a Python and the code in a folder that user can reach."""

    def __init__(self, folder: Path) -> None:
        account = pwd.getpwnam("nobody")
        self.folder = folder
        home = folder / "user"
        home.mkdir()
        os.chown(home, account.pw_uid, account.pw_gid)
        self._options: dict[str, Any] = {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "cwd": home,
        }
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "QT_QPA_PLATFORM": "offscreen",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *argv: object, seconds: float = 800) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, argv)),
            check=False,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=seconds,
            **self._options,
        )

    @cached_property
    def python(self) -> Path:
        """The interpreter of this run where that user can reach it, else a copy of it.

        Not simply the system's Python: compiled packages fit one minor version only.
        """
        here = Path(sys.executable)
        if (
            self._can_pass(here)
            and not self.run(here, "-I", "-c", "import ggnet_console").returncode
        ):
            return here
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        prefix = self.folder / "python"
        standard = prefix / "lib" / version
        original = Path(sys.base_prefix) / "bin" / version
        if self._can_pass(original):
            subprocess.run([original, "-m", "venv", "--without-pip", prefix], check=True)
        else:
            self._copy_python(version, prefix)
        found = [self.code(), self._reachable(Path(sysconfig.get_path("purelib")))]
        (standard / "site-packages" / "found.pth").write_text(
            "".join(f"{path}\n" for path in found)
        )
        for name in ("ggnet", "ggnet-agent"):
            program = prefix / "bin" / name
            _, _, text = here.with_name(name).read_text().partition("\n")
            program.write_text(f"#!{prefix}/bin/python\n{text}")
            program.chmod(0o755)
        return prefix / "bin" / "python"

    def _copy_python(self, version: str, prefix: Path) -> None:
        standard = prefix / "lib" / version
        shutil.copytree(
            sysconfig.get_path("stdlib"),
            standard,
            ignore=shutil.ignore_patterns("test", "site-packages", "dist-packages", "config-*"),
            ignore_dangling_symlinks=True,
        )
        base = Path(sys.base_prefix)
        for library in (base / "lib").glob("libpython*.so*"):
            shutil.copy2(library, prefix / "lib")
            self._environment["LD_LIBRARY_PATH"] = str(prefix / "lib")
        (prefix / "bin").mkdir()
        shutil.copy2(base / "bin" / version, prefix / "bin" / "python")
        (standard / "site-packages").mkdir()

    def code(self) -> Path:
        """The checkout, or a copy of what the tests need of it."""
        if self._can_pass(CHECKOUT):
            return CHECKOUT
        for name in ("ggnet_console", "migrations", "resources", "tests", "pyproject.toml"):
            source, copy = CHECKOUT / name, self.folder / "code" / name
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            else:
                shutil.copy2(source, copy)
        return self.folder / "code"

    def _reachable(self, path: Path) -> Path:
        if self._can_pass(path):
            return path
        return Path(shutil.copytree(path, self.folder / path.name))

    def _can_pass(self, path: Path) -> bool:
        return self.run("test", "-r", path).returncode == 0


if os.geteuid() == 0:

    @pytest.fixture(scope="module")
    def user() -> Iterator[OrdinaryUser]:
        with short_folder() as folder:
            yield OrdinaryUser(folder)

    @pytest.mark.parametrize(
        ("tests", "passing"),
        [
            pytest.param(AGENT, len(AGENT) + 1, id="agent"),  # one of them twice
            pytest.param(PROGRAMS, len(PROGRAMS), id="programs"),
        ],
    )
    def test_the_chain_works_as_an_ordinary_user(
        user: OrdinaryUser, tests: tuple[str, ...], passing: int
    ) -> None:
        python, code = user.python, user.code()
        done = user.run(
            *(python, "-m", "pytest", "-p", "no:cacheprovider", "-c", code / "pyproject.toml"),
            *(f"--basetemp={user.folder}/user/pytest", "-rA"),
            *(code / "tests" / "app" / test for test in tests),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("\nPASSED ") == passing, done.stdout
