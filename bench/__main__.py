# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: all figures, or those whose part is named: images, rights, tables, targets, window."""

from __future__ import annotations

import sys

from . import images, rights, tables, targets, window
from .figures import table

PARTS = {
    "window": window.run,
    "tables": tables.run,
    "images": images.run,
    "rights": rights.run,
    "targets": targets.run,
}


def main() -> None:
    """Measure the parts named on the command line, else all; print one table.

    Exits 1 when a limit is missed.
    """
    wanted = sys.argv[1:] or list(PARTS)
    unknown = set(wanted) - PARTS.keys()
    if unknown:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    figures = [figure for name in wanted for figure in PARTS[name]()]
    print(table(figures))
    sys.exit(any(figure.is_missed for figure in figures))


if __name__ == "__main__":
    main()
