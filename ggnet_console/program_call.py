# SPDX-License-Identifier: GPL-3.0-or-later
"""An external program's call in words for people: its command line, how it ended, no secrets.

The one place that masks: what is shown of a call, in an error's details or the log, comes from here.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

MASK = "***"
_VARIABLE = re.compile(r"PASSWORD|SECRET")
"""In the name of a variable whose value is a secret."""
_OPTIONS = ("--password", "--secret")
"""The word behind it is a secret."""
_IN_WORDS = (
    # postgresql://user:secret@host, and libiscsi's iscsi://user%secret@host
    re.compile(r"(://[^/\s:@%]{0,256}[:%])([^\s@]{1,2048}+)(?=@)"),
    # a connection string, or parameters such as tgt's user=a,password=b
    re.compile(
        r"((?:password|secret)\s*=\s*)('(?:\\.|[^'\\])*+'|(?:\\.|[^\s,&\\])++)", re.IGNORECASE
    ),
)
"""What a secret follows inside a word, and the secret. A hostile image may choose what is searched:
nothing is tried again and again."""


@dataclass(frozen=True, repr=False)
class ProgramCall:
    """One call of a program, as bash takes it; ``str()`` is a single line to be copied."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables that it is given for this call."""
    files: Mapping[int, str] = field(default_factory=dict)
    """Open files that it is given, see ``open_files``: shown as redirections, so that what names
    them by number can be repeated as it is."""
    stdin: str | None = None
    """What it reads; None: nothing that matters."""
    secrets: Collection[str] = ()
    """What is never shown, wherever it stands; besides what is known for a secret by its place."""

    def __str__(self) -> str:
        variables = (f"{name}={self._shown(value)}" for name, value in self.env.items())
        words = map(self._shown, self.argv)
        files = (f"{fd}{way}" for fd, way in sorted(self.files.items()))
        return " ".join((*variables, *words, *files, *self._input()))

    __repr__ = __str__

    def masked(self, text: str) -> str:
        """``text``, such as what the program said, without secrets."""
        for secret in sorted(self._secrets(), key=len, reverse=True):  # one may be part of another
            text = text.replace(secret, MASK)
        for pattern in _IN_WORDS:
            text = pattern.sub(rf"\1{MASK}", text)
        return text

    def details(self, end: int | str, output: str) -> str:
        """For a ConsoleError: the command line, how it ended, and what it said.

        ``end`` is an exit code, -N when signal N ended it, or words.
        """
        how = end if isinstance(end, str) else _how(end)
        # What a client has put into it may spell no letters, and goes into the database.
        said = self.masked(output).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return "\n".join(filter(None, (str(self), how, said.strip())))

    def _secrets(self) -> set[str]:
        known = {*self.secrets}
        known |= {value for name, value in self.env.items() if _VARIABLE.search(name)}
        known |= {word for option, word in pairwise(self.argv) if option in _OPTIONS}
        for pattern in _IN_WORDS:
            known |= {found[2].strip("'") for word in self.argv for found in pattern.finditer(word)}
        return known - {""}

    def _shown(self, word: str) -> str:
        return _quoted(self.masked(word))

    def _input(self) -> Iterator[str]:
        if self.stdin:  # a here-string adds the last line's end
            yield "<<<"
            yield self._shown(self.stdin.removesuffix("\n"))
        elif self.stdin is not None:
            yield "</dev/null"


def open_files(fds: Collection[int]) -> dict[int, str]:
    """Redirections that open the same files again, by descriptor; without what has no path."""
    found = {}
    for fd in fds:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_absolute() and _is_there(path, fd):
            reads = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
            found[fd] = f"{'<' if reads else '<>'}{_quoted(os.fspath(path))}"
    return found


def _is_there(path: Path, fd: int) -> bool:
    """Whether a file can still be opened by this name, and is the one that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except OSError:
        return False


def _quoted(word: str) -> str:
    """A word for bash in one line; what cannot be printed is escaped as ``$'\\x0a'``."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        name = f" ({signal.Signals(-returncode).name})"
    except ValueError:  # a real-time signal
        name = ""
    return f"ended by signal {-returncode}{name}"
