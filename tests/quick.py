# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.quick``: the tests that answer in two minutes, for ``make test-quick``.

All that needs no server, and of ``tests/db`` what belongs to the files that differ from what has
landed (the upstream branch, else the last commit): tests of the same noun, tests that import the
file, and all of them when what every database is made of has changed.
"""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
ALWAYS = ("tests/unit", "tests/ui")
EVERY_DATABASE = (
    "migrations/",
    "ggnet_console/db/",
    "ggnet_console/models/",
    "tests/conftest.py",
    "tests/db/conftest.py",
    "tests/real_database.py",
)
"""Where a change may be felt in any test of ``tests/db``."""


def git(*arguments: str) -> list[str]:
    """The lines that git prints; none when it refuses."""
    done = subprocess.run(
        ["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed() -> set[str]:
    """Paths that differ from what has landed, new files too."""
    landed = next(iter(git("merge-base", "HEAD", "@{upstream}")), "HEAD")
    return {
        *git("diff", "--name-only", landed),
        *git("ls-files", "--others", "--exclude-standard"),
    }


def imports(source: str) -> set[str]:
    """What a test module imports, as it may be named: ``ggnet_console.services.machines``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def chosen(paths: set[str], tests: dict[str, str]) -> list[str]:
    """Of ``tests`` (path and source) those that belong to the changed ``paths``."""
    if any(path.startswith(EVERY_DATABASE) for path in paths):
        return sorted(tests)
    modules = {
        Path(path).with_suffix("").as_posix().replace("/", ".").removeprefix("tests.db.")
        for path in paths
        if path.endswith(".py")
    }
    nouns = {part.removeprefix("test_") for module in modules for part in module.split(".")[-2:]}
    return sorted(
        test
        for test, source in tests.items()
        if test in paths
        or Path(test).stem.removeprefix("test_") in nouns
        or imports(source) & modules
    )


def main() -> None:
    """Print the arguments for pytest."""
    tests = {
        path.relative_to(CHECKOUT).as_posix(): path.read_text("utf-8")
        for path in (CHECKOUT / "tests" / "db").glob("test_*.py")
    }
    print(*ALWAYS, *chosen(changed(), tests))


if __name__ == "__main__":
    main()
