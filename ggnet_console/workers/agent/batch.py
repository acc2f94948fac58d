# SPDX-License-Identifier: GPL-3.0-or-later
"""The same done to many targets: one that fails does not stop the others, what fails all does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ... import log
from ...errors import ConsoleError, sentence
from ...tools.target_backend import BackendDownError, LockedError, SavedFileError, TryLaterError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Is told how many are done, and of how many; may raise to end the batch."""


def for_each(
    items: Sequence[_T],
    name: Callable[[_T], str],
    action: Callable[[_T], None],
    progress: Progress = lambda _done, _total: None,
    machine: Callable[[_T], str] = lambda _item: "",
) -> dict[str, ConsoleError]:
    """Why ``action`` failed, by name, in the order of ``items``; the log names each ``machine``.

    A lock that is held, or a saved configuration that cannot be read, fails all that follow: it is
    waited for once, and those after it fail with the same error untried. BackendDownError goes on.
    """
    failures: dict[str, ConsoleError] = {}
    hindrance: ConsoleError | None = None
    for number, item in enumerate(items):
        progress(number, len(items))
        if hindrance is not None:
            failures[name(item)] = hindrance
            continue
        with log.context(target=name(item), machine=machine(item)):
            try:
                action(item)
            except BackendDownError:
                raise
            except ConsoleError as error:
                _log.warning("target %s: %s (%s)", name(item), error, error.details)
                failures[name(item)] = error
                if isinstance(error, LockedError | SavedFileError):
                    hindrance = error
    return failures


def raise_for(failures: Mapping[str, ConsoleError], total: int) -> None:
    """Raise ConsoleError that says how many of ``total`` targets failed, and why the first did.

    It is a TryLaterError when that one was.
    """
    if not failures:
        return
    first = next(iter(failures.values()))
    if total == 1:
        raise first
    kind = TryLaterError if isinstance(first, TryLaterError) else ConsoleError
    raise kind(
        sentence(
            "{failed} of {total} targets were left as they were: {reason}",
            failed=len(failures),
            total=total,
            reason=first.summary,
        ),
        "\n".join(f"{iqn}: {error}" for iqn, error in failures.items()),
    )
