# SPDX-License-Identifier: GPL-3.0-or-later
"""The login test's file: what test logins did with the accesses of machines.

``login_test`` logs in as a machine; the observer (``login_observer``) keeps here what that did, so
that it, and the next agent's, takes none of it for the machine's. Only the observer uses this file,
with the keeper held.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from ...tools.target_backend import Connection, LunTraffic

_log = logging.getLogger(__name__)

Used = Mapping[str, tuple[LunTraffic, ...]]
"""By the key of an access nobody is logged in with: what had been done with it."""


def used(connections: Iterable[Connection]) -> Used:
    """What was done with the accesses nobody is logged in with now."""
    return {one.key: one.luns for one in connections if not one.logged_in}


def read(file: Path) -> Used:
    """What test logins did, as last kept; nothing when the file is not there or not one of ours."""
    try:
        document = json.loads(file.read_text("utf-8"))
        return {key: tuple(LunTraffic(**lun) for lun in luns) for key, luns in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _log.warning("which logins were tests cannot be read from %s: %r", file, error)
        return {}


def add(file: Path, tested: Used, there: Used) -> None:
    """Keep what was ``tested``, too; what is not ``there`` any more is forgotten."""
    known = {key: luns for key, luns in read(file).items() if key in there} | dict(tested)
    part = file.with_suffix(".part")
    try:
        part.write_text(
            json.dumps({key: [asdict(lun) for lun in luns] for key, luns in known.items()}), "utf-8"
        )
        part.rename(file)
    except OSError as error:
        _log.warning("after a restart a test login may count as the machine's: %s", error)
