# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapped classes: columns, constraints, enums; no Qt, no I/O."""

from .audit import SEARCHED, AuditChain, AuditEntry, AuditLink
from .base import Base
from .boot_session import BootSession
from .host import Host
from .image import Image, ImageVersion
from .job import Job
from .machine import Machine
from .open_object import OpenObject
from .schema_object import SchemaObject
from .setting import Setting
from .target import Lun, Target, TargetReport, TargetSecret
from .user import SignIn, User

__all__ = [
    "SEARCHED",
    "AuditChain",
    "AuditEntry",
    "AuditLink",
    "Base",
    "BootSession",
    "Host",
    "Image",
    "ImageVersion",
    "Job",
    "Lun",
    "Machine",
    "OpenObject",
    "SchemaObject",
    "Setting",
    "SignIn",
    "Target",
    "TargetReport",
    "TargetSecret",
    "User",
]
