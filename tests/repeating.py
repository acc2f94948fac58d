# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what an operator does with the details of an error: runs their first line in a shell."""

from __future__ import annotations

import subprocess

from patience import PATIENCE_S


def repeat(details: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of the first line."""
    return subprocess.run(
        ["bash", "-c", details.splitlines()[0]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )


def assert_fails_again(details: str) -> None:
    """The first line, repeated, ends and says as the lines behind it tell."""
    again = repeat(details)
    _, end, *said = details.splitlines()
    assert end == f"exit code {again.returncode}", again
    assert (again.stderr.strip() or again.stdout.strip()).splitlines() == said
