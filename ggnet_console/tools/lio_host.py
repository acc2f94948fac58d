# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host can run the kernel's iSCSI target LIO, and seeing to it that it does."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConsoleError, sentence
from .process import Completed, run

_MODULES = ("target_core_mod", "target_core_file", "target_core_iblock", "iscsi_target_mod")
_CONFIGFS = Path("/sys/kernel/config")
_ISCSI = _CONFIGFS / "target" / "iscsi"
_TIMEOUT_S = 30.0


def lio_available() -> str:
    """Why LIO cannot be used here, in a sentence; "" when it can. Changes nothing."""
    if os.geteuid() != 0:
        return sentence("LIO, the kernel's iSCSI target, needs an agent that runs as root.")
    for module in _MODULES:
        if not _is_loaded(module):
            try:
                found = _modprobe("--dry-run", "--quiet", module)
            except ConsoleError as error:
                return sentence(
                    "The kernel module {module} is not loaded. {reason}",
                    module=module,
                    reason=error.summary,
                )
            if found.returncode:
                return sentence(
                    "This computer's kernel has no iSCSI target (module {module}).", module=module
                )
    return ""


def load() -> bool:
    """Load the kernel's target; True when it was not there yet. Cheap when it is.

    Raises ConsoleError when it is not to be had.
    """
    if _ISCSI.is_dir():
        return False
    if os.geteuid() != 0:
        raise ConsoleError(lio_available())
    for module in ("configfs", *_MODULES):
        _load_module(module)
    if not _CONFIGFS.is_mount():
        done = run(["mount", "-t", "configfs", "none", str(_CONFIGFS)], timeout_s=_TIMEOUT_S)
        if done.returncode:
            raise ConsoleError(
                sentence(
                    "configfs cannot be mounted on {folder}; LIO is set up there.", folder=_CONFIGFS
                ),
                done.details,
            )
    try:
        _ISCSI.mkdir()
    except OSError as error:
        raise ConsoleError(
            sentence("The kernel does not take up its iSCSI target. Look at its messages (dmesg)."),
            str(error),
        ) from error
    return True


def _load_module(module: str) -> None:
    if _is_loaded(module):
        return
    done = _modprobe(module)
    if done.returncode:
        raise ConsoleError(
            sentence(
                "The kernel module {module} cannot be loaded. Install the kernel's full package "
                "of modules, or choose tgt as the target of this host.",
                module=module,
            ),
            done.details,
        )


def _is_loaded(module: str) -> bool:
    return Path("/sys/module", module).is_dir()


def _modprobe(*arguments: str) -> Completed:
    return run(["modprobe", *arguments], timeout_s=_TIMEOUT_S)
