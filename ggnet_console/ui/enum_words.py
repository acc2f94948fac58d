# SPDX-License-Identifier: GPL-3.0-or-later
"""The words and signs of the enums, as every page shows them."""

from __future__ import annotations

from enum import Enum

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

_WORDS: tuple[tuple[Enum, str], ...] = (
    (Role.VIEWER, "Viewer"),
    (Role.OPERATOR, "Operator"),
    (Role.ADMIN, "Admin"),
    (BootMode.BIOS, "BIOS"),
    (BootMode.UEFI, "UEFI"),
    (BootMode.UEFI_SECURE, "UEFI with Secure Boot"),
    (MachineStatus.ACTIVE, "Active"),
    (MachineStatus.MAINTENANCE, "Maintenance"),
    (MachineStatus.RETIRED, "Retired"),
    (ImageType.SYSTEM, "System"),
    (ImageType.DATA, "Data"),
    (ImageType.TEMPLATE, "Template"),
    (ImageStatus.UPLOADING, "Uploading"),
    (ImageStatus.PROCESSING, "Processing"),
    (ImageStatus.READY, "Ready"),
    (ImageStatus.ERROR, "Failed"),
    (ImageFormat.RAW, "Raw"),
    (ImageFormat.QCOW2, "QCOW2"),
    (ImageFormat.VHDX, "VHDX"),
    (ImageFormat.VHD, "VHD"),
    (ImageFormat.VMDK, "VMDK"),
    (SessionType.DISKLESS_BOOT, "Diskless boot"),
    (SessionType.TESTING, "Testing"),
    (SessionStatus.PENDING, "Waiting for boot"),
    (SessionStatus.ACTIVE, "Running"),
    (SessionStatus.STOPPED, "Stopped"),
    (SessionStatus.TIMEOUT, "Did not boot in time"),
    (SessionStatus.ERROR, "Failed"),
    (TargetStatus.WANTED, "Being made"),
    (TargetStatus.CLOSED, "Closed"),
    (TargetStatus.OPEN, "Open"),
    (TargetStatus.ERROR, "Failed"),
    (TargetOrigin.MACHINE, "Made for its machine"),
    (TargetOrigin.ADOPTED, "Adopted"),
    (TargetOrigin.LEFTOVER, "Left over"),
    (TargetOrigin.FOREIGN, "Made by hand"),
    (Drift.IN_STEP, "In step"),
    (Drift.MISSING, "Missing"),
    (Drift.EXTRA, "Not wanted"),
    (Drift.DIFFERENT, "Different"),
    (FoundIn.RUNNING, "Running"),
    (FoundIn.SAVED, "Saved"),
    (PlanAction.ADD, "Add"),
    (PlanAction.CHANGE, "Change"),
    (PlanAction.REMOVE, "Remove"),
    (PlanAction.LEAVE, "Leave alone"),
    (BackendChoice.AUTO, "Automatic"),
    (BackendChoice.LIO, "LIO (in the kernel)"),
    (BackendChoice.TGT, "tgt"),
    (JobStatus.QUEUED, "Waiting"),
    (JobStatus.RUNNING, "Running"),
    (JobStatus.SUCCEEDED, "Done"),
    (JobStatus.FAILED, "Failed"),
    (JobStatus.CANCELLED, "Cancelled"),
    (JobKind.IMAGE_IMPORT, "Import"),
    (JobKind.IMAGE_VERIFY, "Verify"),
    (JobKind.IMAGE_CONVERT, "Export"),
    (JobKind.IMAGE_REMOVE, "Delete"),
    (JobKind.TARGET_APPLY, "Set up target"),
    (JobKind.TARGET_REMOVE, "Remove target"),
    (JobKind.TARGET_COMPARE, "Compare targets"),
    (JobKind.TARGET_RECONCILE, "Apply plan"),
    (JobKind.TARGET_REPAIR, "Repair targets"),
    (JobKind.TARGET_ADOPT, "Adopt target"),
    (JobKind.TARGET_UNDO, "Undo apply"),
    (JobKind.TARGET_TEST, "Test login"),
    (Severity.INFO, "Info"),
    (Severity.WARNING, "Warning"),
    (Severity.CRITICAL, "Critical"),
    (TlsMode.VERIFY_FULL, "Check certificate and name (verify-full)"),
    (TlsMode.VERIFY_CA, "Check the certificate alone (verify-ca)"),
    (TlsMode.REQUIRE, "Encrypt, check nothing (require)"),
)

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


# Members of different StrEnums that share a name are equal and hash alike: the type tells them apart.
_WORD_OF = {(type(member), member): text for member, text in _WORDS}
_STATE_OF = {(type(member), member): sign for member, sign in _STATES}


def word(value: Enum | None) -> str:
    """The word people use for an enum's member."""
    return fmt.NONE if value is None else _WORD_OF[type(value), value]


def sign(value: Enum) -> State:
    """The sign beside a status."""
    return _STATE_OF[type(value), value]
