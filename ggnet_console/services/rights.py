# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix in the words of the field: what each role may do, from what is granted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..db.rights import MATRIX, Holder
from ..enums import Role

_HOLDERS = {Role.VIEWER: Holder.VIEWER, Role.OPERATOR: Holder.OPERATOR, Role.ADMIN: Holder.ADMIN}

_NOUNS = {
    "machines": "Machines",
    "images": "Images",
    "image_versions": "Images",
    "targets": "Targets",
    "luns": "Targets",
    "target_reports": "Targets",
    "boot_sessions": "Sessions",
    "jobs": "Jobs",
    "hosts": "Storage hosts",
    "settings": "Settings",
    "users": "Users",
    "sign_ins": "Sign-ins",
    "audit": "Audit trail",
}
_VERBS = {"SELECT": "See", "INSERT": "Add", "UPDATE": "Change", "DELETE": "Delete"}
_DEEDS = {
    "machines_delete": ("Machines", "Delete"),
    "image_start": ("Images", "Import"),
    "image_import_entry": ("Images", "Import"),
    "upload_progress": ("Images", "Import"),
    "upload_done": ("Images", "Import"),
    "upload_failed": ("Images", "Import"),
    "image_job": ("Images", "Verify, export, delete"),
    "session_start": ("Sessions", "Start"),
    "session_stop": ("Sessions", "Stop"),
    "target_create": ("Targets", "Prepare"),
    "target_remove": ("Targets", "Remove"),
    "targets_compare": ("Targets", "Compare with what runs"),
    "targets_reconcile": ("Targets", "Apply, repair, undo"),
    "targets_repair": ("Targets", "Apply, repair, undo"),
    "targets_undo": ("Targets", "Apply, repair, undo"),
    "target_chap_on": ("Targets", "Turn CHAP on, off"),
    "target_chap_off": ("Targets", "Turn CHAP on, off"),
    "target_test": ("Targets", "Test login"),
    "target_adopt": ("Targets", "Adopt, release"),
    "target_release": ("Targets", "Adopt, release"),
    "host_choose_backend": ("Storage hosts", "Choose the iSCSI target"),
    "job_cancel": ("Jobs", "Cancel"),
    "job_retry": ("Jobs", "Try again"),
    "failed_sign_ins": ("Users", "See failed sign-ins"),
    "user_create": ("Users", "Add"),
    "user_set_role": ("Users", "Change role"),
    "user_set_locked": ("Users", "Lock, unlock"),
    "user_set_disabled": ("Users", "Disable, enable"),
    "user_reset_password": ("Users", "Reset password"),
    "user_revoke": ("Sign-ins", "Revoke"),
    "sign_in_revoke": ("Sign-ins", "Revoke"),
    "end_stale_connections": ("Sign-ins", "Revoke"),
    "audit_verify": ("Audit trail", "Verify"),
    "audit_head": ("Audit trail", "Copy chain head"),
    "audit_prune": ("Audit trail", "Remove old entries"),
    "objects_open_elsewhere": ("Machines", "See who has one open"),
    "object_open": ("Machines", "Edit together with others"),
    "object_close": ("Machines", "Edit together with others"),
    "last_changes": ("Machines", "Edit together with others"),
    "change_password": ("Yourself", "Change password"),
    "password_cost": ("Yourself", "Change password"),
    "renew_sign_in": ("Yourself", "Sign in and out"),
    "sign_out": ("Yourself", "Sign in and out"),
    "who_am_i": ("Yourself", "Sign in and out"),
}
_HISTORY = tuple(
    (noun, "See history")
    for noun in (
        "Machines",
        "Images",
        "Targets",
        "Sessions",
        "Jobs",
        "Settings",
        "Storage hosts",
    )
)
PLUMBING = frozenset({"schema_objects", "schema_revision", "installation_id"})
"""What every program reads and calls that is nobody's right to speak of."""


@dataclass(frozen=True)
class RightRow:
    """An action and who may take it."""

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
