# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo file: what the last apply changed, as it was before; the agent's user alone reads it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConsoleError, sentence
from ...tools.target_backend import Chap, RunningTarget, TargetBackend, WantedLun, WantedTarget
from ...tools.target_comparison import Finding

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreviousState:
    """A target as it was; ``target`` None: there was none, or (``is_lost``) nothing brings it back.

    ``lost`` says in words what of it cannot be brought back.
    """

    target: WantedTarget | None
    lost: tuple[str, ...] = ()
    is_lost: bool = False


PreviousStates = Mapping[str, PreviousState]
"""By IQN."""


def backing_size(path: Path) -> int:
    """The bytes of a file or block device; ConsoleError when it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "The disk file {path} cannot be opened: {reason}.", path=path, reason=error.strerror
            )
        ) from error


def as_wanted(found: RunningTarget, known: Chap | None = None) -> WantedTarget:
    """A target as it runs, as something that can be applied; ``known`` is a secret that it may have.

    Raises ConsoleError when a file is gone, or its CHAP secret is told by nobody.
    """
    chap = found.chap
    if chap is not None and not chap.secret:
        if known is None or known.user != chap.user:
            raise ConsoleError(
                sentence(
                    "It asks for the CHAP secret of {user}, which nobody tells. Take that account "
                    "away first.",
                    user=chap.user,
                )
            )
        chap = known
    luns = tuple(
        WantedLun(
            lun.lun,
            lun.path,
            backing_size(lun.path),
            lun.read_only,
            lun.serial,
            lun.write_back,
            lun.store,
        )
        for lun in found.luns
    )
    return WantedTarget(found.iqn, luns, found.initiators, chap)


def previous_state(backend: TargetBackend, finding: Finding) -> PreviousState:
    """What can be brought back of this target after it was made as wanted."""
    found, wanted = finding.running, finding.wanted
    lost = ["what was saved of it for the host's next start"] if finding.saved_differences else []
    if found is None:
        return PreviousState(None, tuple(lost))
    try:
        target = as_wanted(found, wanted.chap if wanted is not None else None)
    except ConsoleError as error:
        return PreviousState(None, (error.summary,), is_lost=True)
    lost += [f"{one.field}: {one.found}" for one in backend.differences(target, found)]
    if not found.enabled:  # it let nobody in: what comes nearest is a target without initiators
        target = replace(target, initiators=frozenset())
    return PreviousState(target, tuple(lost))


def remember(file: Path, job_id: int, before: PreviousStates) -> None:
    """Keep this instead of what was kept; of a job that begins anew, what it kept first stays.

    Atomic, 0600. Raises ConsoleError when it cannot be written.
    """
    kept_by, kept = _load(file)
    _write(file, job_id, {**before, **kept} if kept_by == job_id else before)


def read(file: Path) -> PreviousStates:
    """What is kept; {} when nothing is. A file that is not one of ours is set aside."""
    return _load(file)[1]


def keep(file: Path, iqns: Collection[str]) -> None:
    """Forget all but these."""
    job_id, before = _load(file)
    if before.keys() - set(iqns):
        _write(file, job_id, {iqn: one for iqn, one in before.items() if iqn in iqns})


def forget(file: Path, iqns: Iterable[str]) -> None:
    """These have been made otherwise for a session meanwhile: nothing is to bring them back.

    Never fails: a session is not to go on for a file that cannot be written.
    """
    try:
        keep(file, read(file).keys() - set(iqns))
    except ConsoleError as error:
        _log.warning("%s (%s)", error, error.details)


def _load(file: Path) -> tuple[int | None, PreviousStates]:
    try:
        document = json.loads(file.read_text("utf-8", "surrogateescape"))
        before = {
            iqn: PreviousState(
                one["target"] and _target(one["target"]), tuple(one["lost"]), one["is_lost"]
            )
            for iqn, one in document["targets"].items()
        }
        return document["job"], before
    except FileNotFoundError:
        return None, {}
    except OSError as error:
        _log.warning("what the last apply changed cannot be read from %s: %s", file, error)
        return None, {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning(
            "what the last apply changed cannot be made out; see %s.damaged: %r", file, error
        )
        file.replace(file.with_name(f"{file.name}.damaged"))
        return None, {}


def _write(file: Path, job_id: int | None, before: PreviousStates) -> None:
    document = {
        "job": job_id,
        "targets": {
            iqn: {
                "target": one.target and _plain(one.target),
                "lost": one.lost,
                "is_lost": one.is_lost,
            }
            for iqn, one in before.items()
        },
    }
    part = file.with_suffix(".part")
    try:
        if not before:
            file.unlink(missing_ok=True)
            return
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            json.dump(document, stream, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(file)
    except OSError as error:
        raise ConsoleError(
            sentence(
                "What targets were before cannot be kept in {file}: {reason}. Nothing is changed "
                "that could not be undone.",
                file=file,
                reason=error.strerror,
            ),
        ) from error


def _plain(target: WantedTarget) -> dict[str, Any]:
    return {
        "iqn": target.iqn,
        "luns": [{**asdict(lun), "path": str(lun.path)} for lun in target.luns],
        "initiators": sorted(target.initiators),
        "chap": target.chap and asdict(target.chap),
    }


def _target(plain: dict[str, Any]) -> WantedTarget:
    return WantedTarget(
        plain["iqn"],
        tuple(WantedLun(**{**lun, "path": Path(lun["path"])}) for lun in plain["luns"]),
        frozenset(plain["initiators"]),
        plain["chap"] and Chap(**plain["chap"]),
    )
