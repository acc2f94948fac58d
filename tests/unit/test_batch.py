# SPDX-License-Identifier: GPL-3.0-or-later
"""The same done to many targets: what fails one does not stop the others, what fails all does."""

from __future__ import annotations

import pytest

from ggnet_console.errors import ConsoleError
from ggnet_console.tools.target_backend import (
    BackendDownError,
    LockedError,
    PortalTakenError,
    SavedFileError,
    TryLaterError,
)
from ggnet_console.workers.agent.batch import for_each, raise_for

NAMES = ["a", "b", "c", "d"]


class Target:
    """Fails at these names with this error, and notes what it was asked for."""

    def __init__(self, error: ConsoleError, *names: str) -> None:
        self.error, self.names = error, names
        self.asked: list[str] = []

    def apply(self, name: str) -> None:
        self.asked.append(name)
        if name in self.names:
            raise self.error


@pytest.mark.parametrize("error", [ConsoleError("broken"), PortalTakenError("taken")])
def test_one_that_fails_does_not_stop_the_others(error: ConsoleError) -> None:
    target = Target(error, "b")
    assert for_each(NAMES, str, target.apply) == {"b": error}
    assert target.asked == NAMES


@pytest.mark.parametrize("error", [LockedError("held"), SavedFileError("empty")])
def test_what_fails_all_is_waited_for_once(error: ConsoleError) -> None:
    target = Target(error, "b")
    assert for_each(NAMES, str, target.apply) == {"b": error, "c": error, "d": error}
    assert target.asked == ["a", "b"]


def test_a_dead_service_goes_on_to_whoever_starts_it_again() -> None:
    with pytest.raises(BackendDownError):
        for_each(NAMES, str, Target(BackendDownError("dead"), "b").apply)


def test_how_far_it_is_is_told_and_may_stop_it() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    target = Target(ConsoleError(""))
    with pytest.raises(KeyboardInterrupt):
        for_each(NAMES, str, target.apply, tell)
    assert told == [(0, 4), (1, 4), (2, 4)]
    assert target.asked == ["a", "b"]


def test_the_first_failure_is_told_with_how_many_there_are() -> None:
    raise_for({}, 4)
    with pytest.raises(LockedError, match=r"held"):
        raise_for({"a": LockedError("held")}, 1)
    with pytest.raises(TryLaterError, match="2 of 4 targets were left as they were: held"):
        raise_for({"a": LockedError("held"), "b": ConsoleError("broken")}, 4)
    with pytest.raises(ConsoleError, match="1 of 4") as caught:
        raise_for({"b": ConsoleError("broken")}, 4)
    assert not isinstance(caught.value, TryLaterError)
