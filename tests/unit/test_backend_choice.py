# SPDX-License-Identifier: GPL-3.0-or-later
"""Which iSCSI target serves a host: the configuration's word, an admin's, or what can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ggnet_console.config import Config
from ggnet_console.enums import BackendChoice
from ggnet_console.errors import ConsoleError
from ggnet_console.workers.agent import backend_choice
from ggnet_console.workers.agent.backend_choice import Selection, select, select_at_start

AUTO, LIO, TGT = BackendChoice.AUTO, BackendChoice.LIO, BackendChoice.TGT
PROBLEM = "LIO, the kernel's iSCSI target, needs an agent that runs as root."


@pytest.mark.parametrize(
    ("pinned", "chosen", "problem", "serves", "reason"),
    [
        ("", AUTO, "", LIO, "found by itself"),
        ("", AUTO, PROBLEM, TGT, PROBLEM),
        ("", TGT, "", TGT, "an admin chose it"),
        ("", LIO, "", LIO, "an admin chose it"),
        ("", LIO, PROBLEM, TGT, PROBLEM),
        ("tgt", LIO, "", TGT, "this host's configuration says so"),
        ("lio", TGT, "", LIO, "this host's configuration says so"),
        ("auto", TGT, "", LIO, "found by itself"),
    ],
)
def test_the_backend_is_selected_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
    pinned: str,
    chosen: BackendChoice,
    problem: str,
    serves: BackendChoice,
    reason: str,
) -> None:
    # Whether this computer's kernel has LIO must not decide: both cases are tried everywhere.
    monkeypatch.setattr(backend_choice, "lio_available", lambda: problem)
    selection = select(Config(Path("/x"), backend=pinned), chosen)
    assert selection.backend is serves
    assert selection.reason.startswith(reason)


@pytest.mark.parametrize(
    ("former", "serves", "reason"),
    [
        (None, LIO, "an admin chose it"),
        (LIO, LIO, "an admin chose it"),
        (TGT, TGT, "lio takes over when no target is in use"),
    ],
)
def test_an_agent_that_starts_goes_on_with_what_served_before(
    monkeypatch: pytest.MonkeyPatch,
    former: BackendChoice | None,
    serves: BackendChoice,
    reason: str,
) -> None:
    monkeypatch.setattr(backend_choice, "lio_available", lambda: "")
    chosen = Selection(LIO, "an admin chose it")
    assert select_at_start(chosen, former) == Selection(serves, reason)


def test_what_can_run_no_more_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_choice, "lio_available", lambda: PROBLEM)
    chosen = Selection(TGT, PROBLEM)
    assert select_at_start(chosen, LIO) == chosen


def test_where_lio_saves_is_configured_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_choice, "lio_available", lambda: "")
    config = Config(Path("/x"), saved_config=Path("/srv/saveconfig.json"))
    assert select(config, LIO).reason == "an admin chose it; it saves in /srv/saveconfig.json"
    assert "saveconfig.json" in select(Config(Path("/x")), AUTO).reason


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConsoleError, match="auto, lio, tgt"):
        _ = Config(Path("/x"), backend="iet").backend_choice


def test_several_portals_are_split_at_commas() -> None:
    config = Config(Path("/x"), portal="10.0.0.1:3260, [fd00::1]:3261")
    assert config.portals == (("10.0.0.1", 3260), ("fd00::1", 3261))
