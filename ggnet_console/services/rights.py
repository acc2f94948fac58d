# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix in the words of the field: what each role may do, from what is granted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..db.rights import MATRIX, Holder
from ..enums import Role
from ..errors import sentence

_HOLDERS = {Role.VIEWER: Holder.VIEWER, Role.OPERATOR: Holder.OPERATOR, Role.ADMIN: Holder.ADMIN}

_MACHINES = sentence("Machines")
_IMAGES = sentence("Images")
_TARGETS = sentence("Targets")
_SESSIONS = sentence("Sessions")
_JOBS = sentence("Jobs")
_STORAGE_HOSTS = sentence("Storage hosts")
_SETTINGS = sentence("Settings")
_USERS = sentence("Users")
_SIGN_INS = sentence("Sign-ins")
_AUDIT_TRAIL = sentence("Audit trail")
_YOURSELF = sentence("Yourself")

_NOUNS = {
    "machines": _MACHINES,
    "images": _IMAGES,
    "image_versions": _IMAGES,
    "targets": _TARGETS,
    "luns": _TARGETS,
    "target_reports": _TARGETS,
    "boot_sessions": _SESSIONS,
    "jobs": _JOBS,
    "hosts": _STORAGE_HOSTS,
    "settings": _SETTINGS,
    "users": _USERS,
    "sign_ins": _SIGN_INS,
    "audit": _AUDIT_TRAIL,
}
_VERBS = {
    "SELECT": sentence("See"),
    "INSERT": sentence("Add"),
    "UPDATE": sentence("Change"),
    "DELETE": sentence("Delete"),
}
_DEEDS = {
    "machines_delete": (_MACHINES, sentence("Delete")),
    "image_start": (_IMAGES, sentence("Import")),
    "image_import_entry": (_IMAGES, sentence("Import")),
    "upload_progress": (_IMAGES, sentence("Import")),
    "upload_done": (_IMAGES, sentence("Import")),
    "upload_failed": (_IMAGES, sentence("Import")),
    "image_job": (_IMAGES, sentence("Verify, export, delete")),
    "session_start": (_SESSIONS, sentence("Start")),
    "session_stop": (_SESSIONS, sentence("Stop")),
    "target_create": (_TARGETS, sentence("Prepare")),
    "target_remove": (_TARGETS, sentence("Remove")),
    "targets_compare": (_TARGETS, sentence("Compare with what runs")),
    "targets_reconcile": (_TARGETS, sentence("Apply, repair, undo")),
    "targets_repair": (_TARGETS, sentence("Apply, repair, undo")),
    "targets_undo": (_TARGETS, sentence("Apply, repair, undo")),
    "target_chap_on": (_TARGETS, sentence("Turn CHAP on, off")),
    "target_chap_off": (_TARGETS, sentence("Turn CHAP on, off")),
    "target_test": (_TARGETS, sentence("Test login")),
    "target_adopt": (_TARGETS, sentence("Adopt, release")),
    "target_release": (_TARGETS, sentence("Adopt, release")),
    "host_choose_backend": (_STORAGE_HOSTS, sentence("Choose the iSCSI target")),
    "job_cancel": (_JOBS, sentence("Cancel")),
    "job_retry": (_JOBS, sentence("Try again")),
    "failed_sign_ins": (_USERS, sentence("See failed sign-ins")),
    "user_create": (_USERS, sentence("Add")),
    "user_set_role": (_USERS, sentence("Change role")),
    "user_set_locked": (_USERS, sentence("Lock, unlock")),
    "user_set_disabled": (_USERS, sentence("Disable, enable")),
    "user_reset_password": (_USERS, sentence("Reset password")),
    "user_revoke": (_SIGN_INS, sentence("Revoke")),
    "sign_in_revoke": (_SIGN_INS, sentence("Revoke")),
    "end_stale_connections": (_SIGN_INS, sentence("Revoke")),
    "audit_verify": (_AUDIT_TRAIL, sentence("Verify")),
    "audit_head": (_AUDIT_TRAIL, sentence("Copy chain head")),
    "audit_prune": (_AUDIT_TRAIL, sentence("Remove old entries")),
    "objects_open_elsewhere": (_MACHINES, sentence("See who has one open")),
    "object_open": (_MACHINES, sentence("Edit together with others")),
    "object_close": (_MACHINES, sentence("Edit together with others")),
    "last_changes": (_MACHINES, sentence("Edit together with others")),
    "change_password": (_YOURSELF, sentence("Change password")),
    "password_cost": (_YOURSELF, sentence("Change password")),
    "renew_sign_in": (_YOURSELF, sentence("Sign in and out")),
    "sign_out": (_YOURSELF, sentence("Sign in and out")),
    "who_am_i": (_YOURSELF, sentence("Sign in and out")),
}
_HISTORY = tuple(
    (noun, sentence("See history"))
    for noun in (
        _MACHINES,
        _IMAGES,
        _TARGETS,
        _SESSIONS,
        _JOBS,
        _SETTINGS,
        _STORAGE_HOSTS,
    )
)
PLUMBING = frozenset({"schema_objects", "schema_revision", "installation_id"})
"""What every program reads and calls that is nobody's right to speak of."""


@dataclass(frozen=True)
class RightRow:
    """An action and who may take it; its words are sentences that the window can translate."""

    noun: str
    action: str
    roles: frozenset[Role]


def _actions(verb: str, name: str) -> Iterable[tuple[str, str]]:
    if name == "object_history":
        return _HISTORY
    if name in PLUMBING:
        return ()
    if verb == "EXECUTE":
        return (_DEEDS[name],)
    return ((_NOUNS[name], _VERBS[verb]),)


def list_rights() -> list[RightRow]:
    """All actions by noun, in the order of the declared matrix; KeyError for one without words."""
    holders: dict[tuple[str, str], set[Role]] = {}
    for right in MATRIX:
        roles = {
            role
            for role, holder in _HOLDERS.items()
            if not set(holder.inherits).isdisjoint(right.holders)
        }
        if roles:
            for name in right.objects:
                for action in _actions(right.verb, name):
                    holders.setdefault(action, set()).update(roles)
    order = list(dict.fromkeys(noun for noun, _deed in holders))
    rows = [RightRow(*action, frozenset(roles)) for action, roles in holders.items()]
    return sorted(rows, key=lambda row: order.index(row.noun))
