# SPDX-License-Identifier: GPL-3.0-or-later
"""The words and signs of the enums, as every page shows them."""

from __future__ import annotations

from enum import Enum
from functools import cache

from ..enums import (
    BackendChoice,
    BootMode,
    Drift,
    FoundIn,
    ImageFormat,
    ImageStatus,
    ImageType,
    JobKind,
    JobStatus,
    MachineStatus,
    PlanAction,
    Role,
    SessionStatus,
    SessionType,
    Severity,
    TargetOrigin,
    TargetStatus,
    TlsMode,
)
from .kit import format as fmt
from .kit.tokens import State
from .kit.translate import tr


@cache
def _words() -> dict[tuple[type[Enum], Enum], str]:
    """Made when first asked for: the language is known then.

    Members of different StrEnums that share a name are equal and hash alike: the type tells them
    apart.
    """
    words: tuple[tuple[Enum, str], ...] = (
        (Role.VIEWER, tr("Viewer")),
        (Role.OPERATOR, tr("Operator")),
        (Role.ADMIN, tr("Admin")),
        (BootMode.BIOS, "BIOS"),
        (BootMode.UEFI, "UEFI"),
        (BootMode.UEFI_SECURE, tr("UEFI with Secure Boot")),
        (MachineStatus.ACTIVE, tr("Active")),
        (MachineStatus.MAINTENANCE, tr("Maintenance")),
        (MachineStatus.RETIRED, tr("Retired")),
        (ImageType.SYSTEM, tr("System", "of an image")),
        (ImageType.DATA, tr("Data")),
        (ImageType.TEMPLATE, tr("Template")),
        (ImageStatus.UPLOADING, tr("Uploading")),
        (ImageStatus.PROCESSING, tr("Processing")),
        (ImageStatus.READY, tr("Ready")),
        (ImageStatus.ERROR, tr("Failed", "of an image")),
        (ImageFormat.RAW, tr("Raw")),
        (ImageFormat.QCOW2, "QCOW2"),
        (ImageFormat.VHDX, "VHDX"),
        (ImageFormat.VHD, "VHD"),
        (ImageFormat.VMDK, "VMDK"),
        (SessionType.DISKLESS_BOOT, tr("Diskless boot")),
        (SessionType.TESTING, tr("Testing")),
        (SessionStatus.PENDING, tr("Waiting for boot")),
        (SessionStatus.ACTIVE, tr("Running", "of a session")),
        (SessionStatus.STOPPED, tr("Stopped")),
        (SessionStatus.TIMEOUT, tr("Did not boot in time")),
        (SessionStatus.ERROR, tr("Failed", "of a session")),
        (TargetStatus.WANTED, tr("Being made")),
        (TargetStatus.CLOSED, tr("Closed", "of a target")),
        (TargetStatus.OPEN, tr("Open", "of a target")),
        (TargetStatus.ERROR, tr("Failed", "of a target")),
        (TargetOrigin.MACHINE, tr("Made for its machine")),
        (TargetOrigin.ADOPTED, tr("Adopted")),
        (TargetOrigin.LEFTOVER, tr("Left over")),
        (TargetOrigin.FOREIGN, tr("Made by hand")),
        (Drift.IN_STEP, tr("In step")),
        (Drift.MISSING, tr("Missing")),
        (Drift.EXTRA, tr("Not wanted")),
        (Drift.DIFFERENT, tr("Different")),
        (FoundIn.RUNNING, tr("Running", "of a target")),
        (FoundIn.SAVED, tr("Saved", "of a target")),
        (PlanAction.ADD, tr("Add", "in a plan")),
        (PlanAction.CHANGE, tr("Change", "in a plan")),
        (PlanAction.REMOVE, tr("Remove", "in a plan")),
        (PlanAction.LEAVE, tr("Leave alone")),
        (BackendChoice.AUTO, tr("Automatic")),
        (BackendChoice.LIO, tr("LIO (in the kernel)")),
        (BackendChoice.TGT, "tgt"),
        (JobStatus.QUEUED, tr("Waiting")),
        (JobStatus.RUNNING, tr("Running", "of a job")),
        (JobStatus.SUCCEEDED, tr("Done")),
        (JobStatus.FAILED, tr("Failed", "of a job")),
        (JobStatus.CANCELLED, tr("Cancelled")),
        (JobKind.IMAGE_IMPORT, tr("Import", "a job")),
        (JobKind.IMAGE_VERIFY, tr("Verify", "a job")),
        (JobKind.IMAGE_CONVERT, tr("Export", "a job")),
        (JobKind.IMAGE_REMOVE, tr("Delete", "a job")),
        (JobKind.TARGET_APPLY, tr("Set up target")),
        (JobKind.TARGET_REMOVE, tr("Remove target")),
        (JobKind.TARGET_COMPARE, tr("Compare targets")),
        (JobKind.TARGET_RECONCILE, tr("Apply plan")),
        (JobKind.TARGET_REPAIR, tr("Repair targets")),
        (JobKind.TARGET_ADOPT, tr("Adopt target")),
        (JobKind.TARGET_UNDO, tr("Undo apply")),
        (JobKind.TARGET_TEST, tr("Test login")),
        (Severity.INFO, tr("Info")),
        (Severity.WARNING, tr("Warning")),
        (Severity.CRITICAL, tr("Critical")),
        (TlsMode.VERIFY_FULL, tr("Check certificate and name (verify-full)")),
        (TlsMode.VERIFY_CA, tr("Check the certificate alone (verify-ca)")),
        (TlsMode.REQUIRE, tr("Encrypt, check nothing (require)")),
    )
    return {(type(member), member): text for member, text in words}


_STATES: tuple[tuple[Enum, State], ...] = (
    (MachineStatus.ACTIVE, State.OFF),
    (MachineStatus.MAINTENANCE, State.ATTENTION),
    (MachineStatus.RETIRED, State.OFF),
    (ImageStatus.UPLOADING, State.WORKING),
    (ImageStatus.PROCESSING, State.WORKING),
    (ImageStatus.READY, State.RUNNING),
    (ImageStatus.ERROR, State.FAILED),
    (SessionStatus.PENDING, State.WORKING),
    (SessionStatus.ACTIVE, State.RUNNING),
    (SessionStatus.STOPPED, State.OFF),
    (SessionStatus.TIMEOUT, State.ATTENTION),
    (SessionStatus.ERROR, State.FAILED),
    (TargetStatus.WANTED, State.WORKING),
    (TargetStatus.CLOSED, State.OFF),
    (TargetStatus.OPEN, State.RUNNING),
    (TargetStatus.ERROR, State.FAILED),
    (JobStatus.QUEUED, State.OFF),
    (JobStatus.RUNNING, State.WORKING),
    (JobStatus.SUCCEEDED, State.RUNNING),
    (JobStatus.FAILED, State.FAILED),
    (JobStatus.CANCELLED, State.OFF),
)


_STATE_OF = {(type(member), member): sign for member, sign in _STATES}


def word(value: Enum | None) -> str:
    """The word people use for an enum's member."""
    return fmt.NONE if value is None else _words()[type(value), value]


def sign(value: Enum) -> State:
    """The sign beside a status."""
    return _STATE_OF[type(value), value]
