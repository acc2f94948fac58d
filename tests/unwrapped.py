# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.unwrapped [FOLDER …]``: texts of the program that no translation can reach.

In the window (``ui``, and what composes it) whatever looks like a text must be the argument of
``tr``; below it, what is raised for people must be a ``sentence``. A literal that looks like a text
and is none says so at the end of its line: ``# no text``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "ggnet_console"
WINDOW = ("ui", "app.py", "demo/runner.py", "demo/window.py", "lifecycle.py", "signed_in.py")
BELOW = (
    "config.py",
    "db",
    "demo",
    "errors.py",
    "locks.py",
    "log.py",
    "services",
    "tools",
    "values.py",
    "workers",
)
WRAPPERS = {"tr", "sentence"}
SILENT = {
    # Nobody sees what these are given.
    *("debug", "info", "warning", "error", "exception", "critical", "log"),
    *("setObjectName", "setProperty", "property", "value", "setValue", "setStyleSheet"),
    *(
        "getattr",
        "hasattr",
        "QKeySequence",
        "TypeVar",
        "Signal",
        "strftime",
        "cast",
        "fromisoformat",
    ),
    *("icon", "pixmap", "removeprefix", "removesuffix", "split", "partition", "rpartition", "join"),
    *("startswith", "endswith", "getLogger", "QFont", "setFamily", "load", "encode", "decode"),
    *("add_argument", "ArgumentParser", "setApplicationName", "setDesktopFileName", "set_process"),
    *(
        "AssertionError",
        "NotImplementedError",
        "RuntimeError",
        "ValueError",
        "TypeError",
        "KeyError",
    ),
}
MARK = "# no text"
NO_TEXTS = {"ui/kit/theme.py", "ui/kit/tokens.py"}
"""Style sheets and tokens."""
_LETTERS = re.compile(r"[^\W\d_]{2}")
_NAME = re.compile(r"[a-z0-9_.:/\-]+|[A-Z0-9_.:/\-]+|[A-Z][a-z]+(?:\+[^ ]+)+|F\d+|#[0-9a-f]+")
"""Keys, constants, paths, shortcuts, colours: no text."""


def looks_like_text(value: str) -> bool:
    """Whether somebody would read it."""
    return bool(_LETTERS.search(value)) and not _NAME.fullmatch(value.strip())


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _docstrings(tree: ast.AST) -> set[int]:
    """Texts that stand as statements: of modules, classes, functions and attributes."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def in_window(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of what looks like a text and is not given to ``tr``."""
    tree, lines = ast.parse(source), source.splitlines()
    passed = _docstrings(tree)

    def visit(node: ast.AST, *, within: bool) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.Call):
            name = _called(node)
            if name in WRAPPERS:
                if not (
                    node.args and isinstance(node.args[0], ast.Constant | ast.Name | ast.Attribute)
                ):
                    yield node.lineno, ast.unparse(node)
                return
            if name in SILENT:
                return
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in passed
        ):
            # In an f-string even one small word is shown beside the values.
            shown = bool(_LETTERS.search(node.value)) if within else looks_like_text(node.value)
            if (
                shown
                and MARK not in lines[node.lineno - 1]
                and MARK not in lines[node.end_lineno - 1]
            ):
                yield node.lineno, node.value
        if isinstance(node, ast.FormattedValue):
            yield from visit(node.value, within=False)
            return
        for child in ast.iter_child_nodes(node):
            yield from visit(child, within=within or isinstance(node, ast.JoinedStr))

    for node in ast.iter_child_nodes(tree):
        yield from visit(node, within=False)


def below(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of errors for people that are no ``sentence``; and of f-strings given to one."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or MARK in lines[node.lineno - 1]:
            continue
        name = _called(node)
        if name in WRAPPERS and node.args and not isinstance(node.args[0], ast.Constant):
            yield node.lineno, ast.unparse(node)
        if name.endswith("Error") and name not in SILENT:
            for argument in (
                *node.args[:2],
                *(each.value for each in node.keywords if each.arg == "summary"),
            ):
                literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                if isinstance(argument, ast.JoinedStr) or (
                    literal and looks_like_text(argument.value)
                ):
                    yield argument.lineno, ast.unparse(argument)


def files(places: tuple[str, ...]) -> list[Path]:
    """The modules of these places in the package."""
    found: list[Path] = []
    for place in places:
        path = PACKAGE / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [path for path in found if path.relative_to(PACKAGE).as_posix() not in NO_TEXTS]


def unwrapped() -> Iterator[tuple[Path, int, str]]:
    """Everything that no translation can reach, by file and line."""
    for check, places in ((in_window, WINDOW), (below, BELOW)):
        for path in files(places):
            for line, text in check(path.read_text("utf-8")):
                yield path.relative_to(CHECKOUT), line, text


if __name__ == "__main__":
    for path, line, text in unwrapped():
        if not sys.argv[1:] or any(str(path).startswith(each) for each in sys.argv[1:]):
            print(f"{path}:{line}: {text!r}")
