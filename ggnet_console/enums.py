# SPDX-License-Identifier: GPL-3.0-or-later
"""The field's enumerations, used by every layer; each value is its own name in the database."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person may do: see, work, or also manage users."""

    VIEWER = "VIEWER"
    OPERATOR = "OPERATOR"
    ADMIN = "ADMIN"


class BootMode(StrEnum):
    """Firmware a machine boots with."""

    BIOS = "BIOS"
    UEFI = "UEFI"
    UEFI_SECURE = "UEFI_SECURE"


class MachineStatus(StrEnum):
    """Whether a machine may be given sessions; only ACTIVE ones may."""

    ACTIVE = "ACTIVE"
    MAINTENANCE = "MAINTENANCE"
    RETIRED = "RETIRED"


class ImageType(StrEnum):
    """What an image is for."""

    SYSTEM = "SYSTEM"
    DATA = "DATA"
    TEMPLATE = "TEMPLATE"


class ImageStatus(StrEnum):
    """UPLOADING (copied in by the uploader) → PROCESSING (checked, converted) → READY, or ERROR."""

    UPLOADING = "UPLOADING"
    PROCESSING = "PROCESSING"
    READY = "READY"
    ERROR = "ERROR"


class ImageFormat(StrEnum):
    """Disk image formats read; RAW is the only one stored and served."""

    RAW = "RAW"
    QCOW2 = "QCOW2"
    VHDX = "VHDX"
    VHD = "VHD"
    VMDK = "VMDK"


class SessionType(StrEnum):
    """Why a machine gets its disk."""

    DISKLESS_BOOT = "DISKLESS_BOOT"
    TESTING = "TESTING"


class SessionStatus(StrEnum):
    """PENDING (target made, nobody came yet) → ACTIVE (a login was observed) → STOPPED.

    TIMEOUT: nobody came in time. ERROR: the target or LUN could not be made.
    """

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STOPPED = "STOPPED"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"


class TargetStatus(StrEnum):
    """What the storage host last reported of a wanted target.

    WANTED: not made yet. CLOSED: made, refuses everybody. OPEN: made, its machine may log in.
    ERROR: could not be made.
    """

    WANTED = "WANTED"
    CLOSED = "CLOSED"
    OPEN = "OPEN"
    ERROR = "ERROR"


class TargetOrigin(StrEnum):
    """Why a target is on the Targets page.

    MACHINE: wanted for a machine. ADOPTED: made by hand, and wanted since an admin adopted it.
    LEFTOVER: carries a name of ours, but nobody wants it. FOREIGN: made by others; never touched.
    """

    MACHINE = "MACHINE"
    ADOPTED = "ADOPTED"
    LEFTOVER = "LEFTOVER"
    FOREIGN = "FOREIGN"


class Drift(StrEnum):
    """How what a storage host runs, and has saved, compares with what is wanted there.

    EXTRA: runs, or is saved, without being wanted. DIFFERENT: see its differences field by field.
    """

    IN_STEP = "IN_STEP"
    MISSING = "MISSING"
    EXTRA = "EXTRA"
    DIFFERENT = "DIFFERENT"


class FoundIn(StrEnum):
    """Which side differs from what is wanted: the targets that run, or those saved for the next start."""

    RUNNING = "RUNNING"
    SAVED = "SAVED"


class PlanAction(StrEnum):
    """What ``apply`` would do with a target; LEAVE: nothing, it was made by others."""

    ADD = "ADD"
    CHANGE = "CHANGE"
    REMOVE = "REMOVE"
    LEAVE = "LEAVE"


class BackendChoice(StrEnum):
    """Which iSCSI target a storage host is to run; AUTO: LIO where it can run, else tgt."""

    AUTO = "AUTO"
    LIO = "LIO"
    TGT = "TGT"


class JobStatus(StrEnum):
    """The life of a job; the last three are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobKind(StrEnum):
    """``noun.verb`` of each kind of job."""

    IMAGE_IMPORT = "image.import"
    IMAGE_VERIFY = "image.verify"
    IMAGE_CONVERT = "image.convert"
    IMAGE_REMOVE = "image.remove"
    TARGET_APPLY = "target.apply"
    TARGET_REMOVE = "target.remove"
    TARGET_COMPARE = "target.compare"
    TARGET_RECONCILE = "target.reconcile"
    TARGET_REPAIR = "target.repair"
    TARGET_ADOPT = "target.adopt"
    TARGET_UNDO = "target.undo"
    TARGET_TEST = "target.test"


class Severity(StrEnum):
    """Weight of an audit entry."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class TlsMode(StrEnum):
    """How far a server's identity is checked (libpq's ``sslmode``)."""

    VERIFY_FULL = "verify-full"
    VERIFY_CA = "verify-ca"
    REQUIRE = "require"
