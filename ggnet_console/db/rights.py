# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix: which role may do what to which object; migrations make the grants from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from .bootstrap import group_role
from .cluster import CONSOLE_ROLE

if TYPE_CHECKING:
    import psycopg


class Holder(StrEnum):
    """Whom rights are granted to; ADMIN holds OPERATOR's rights too, OPERATOR those of VIEWER."""

    CONSOLE = "console"
    NEWCOMER = "newcomer"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AGENT = "agents"

    def role_name(self, installation: str) -> str:
        """The PostgreSQL role of this holder in the installation with this id."""
        return CONSOLE_ROLE if self is Holder.CONSOLE else group_role(self, installation)

    @property
    def inherits(self) -> tuple[Holder, ...]:
        """The holders whose rights this one has, itself first."""
        match self:
            case Holder.ADMIN:
                return (self, Holder.OPERATOR, Holder.VIEWER)
            case Holder.OPERATOR:
                return (self, Holder.VIEWER)
        return (self,)


@dataclass(frozen=True)
class Right:
    """``verb`` on ``objects`` of schema ``public`` (or only ``columns`` of them) for ``holders``.

    ``since`` is the revision whose migration grants it.
    """

    verb: LiteralString
    objects: tuple[str, ...]
    holders: tuple[Holder, ...]
    columns: tuple[str, ...] = ()
    since: str = "0004"


CONSOLE, NEWCOMER, VIEWER, OPERATOR, ADMIN, AGENT = Holder
_SEEN = (
    "boot_sessions",
    "hosts",
    "image_versions",
    "images",
    "jobs",
    "luns",
    "machines",
    "settings",
    "targets",
)
_MACHINE = (
    "name",
    "mac",
    "ip",
    "boot_mode",
    "status",
    "location",
    "room",
    "asset_tag",
    "notes",
)

MATRIX = (
    # See.
    Right("SELECT", _SEEN, (VIEWER, AGENT)),
    Right("SELECT", ("users",), (VIEWER,), ("id", "name", "role", "disabled")),
    Right("SELECT", ("users",), (VIEWER,), ("locked",), since="0005"),
    Right("SELECT", ("users",), (ADMIN,), ("created_at", "last_sign_in_at", "version")),
    Right("SELECT", ("users",), (ADMIN,), ("must_change_password", "unlocked_at"), since="0005"),
    Right("SELECT", ("sign_ins", "audit"), (ADMIN,)),
    # Sign in.
    Right("EXECUTE", ("login", "has_users"), (CONSOLE,)),
    Right("EXECUTE", ("schema_revision",), (CONSOLE, VIEWER, AGENT)),
    Right("EXECUTE", ("installation_id",), (VIEWER, AGENT)),
    Right("EXECUTE", ("renew_sign_in", "sign_out", "who_am_i"), (VIEWER,)),
    Right("EXECUTE", ("change_password",), (NEWCOMER, VIEWER), since="0006"),
    Right("EXECUTE", ("schema_revision", "sign_out", "who_am_i"), (NEWCOMER,), since="0006"),
    Right("EXECUTE", ("password_cost",), (NEWCOMER, VIEWER), since="0010"),
    # Work.
    Right("INSERT", ("machines",), (OPERATOR,), _MACHINE),
    Right("UPDATE", ("machines",), (OPERATOR,), _MACHINE),
    Right("EXECUTE", ("machines_delete",), (OPERATOR,)),
    Right("UPDATE", ("images",), (OPERATOR,), ("name", "type", "notes")),
    Right(
        "EXECUTE",
        (
            "image_start",
            "image_import_entry",
            "upload_progress",
            "upload_done",
            "upload_failed",
            "image_job",
            "session_start",
            "session_stop",
            "target_create",
            "target_remove",
            "job_cancel",
            "job_retry",
        ),
        (OPERATOR,),
    ),
    Right("EXECUTE", ("objects_open_elsewhere",), (VIEWER,), since="0009"),
    Right("EXECUTE", ("object_open", "object_close", "last_changes"), (OPERATOR,), since="0009"),
    Right("EXECUTE", ("object_history",), (VIEWER,), since="0011"),
    # See what runs, and have it compared; make it as wanted; CHAP.
    Right("SELECT", ("target_reports",), (VIEWER, AGENT), since="0012"),
    Right("EXECUTE", ("targets_compare",), (VIEWER,), since="0012"),
    Right(
        "EXECUTE",
        (
            "targets_reconcile",
            "targets_repair",
            "targets_undo",
            "target_chap_on",
            "target_chap_off",
            "target_test",
        ),
        (OPERATOR,),
        since="0012",
    ),
    # Manage.
    Right("UPDATE", ("settings",), (ADMIN,), ("value",)),
    Right("EXECUTE", ("user_create",), (ADMIN,)),
    Right(
        "EXECUTE",
        (
            "user_set_role",
            "user_set_locked",
            "user_set_disabled",
            "user_reset_password",
            "user_revoke",
            "sign_in_revoke",
        ),
        (ADMIN,),
        since="0006",
    ),
    Right("EXECUTE", ("end_stale_connections",), (ADMIN,), since="0006"),
    Right("EXECUTE", ("audit_verify", "audit_head", "audit_prune"), (ADMIN,), since="0007"),
    Right("EXECUTE", ("failed_sign_ins",), (ADMIN,), since="0011"),
    Right(
        "EXECUTE",
        ("target_adopt", "target_release", "host_choose_backend"),
        (ADMIN,),
        since="0012",
    ),
    # Report, as the agent of a storage host.
    Right("INSERT", ("target_reports",), (AGENT,), since="0012"),
    Right("UPDATE", ("target_reports",), (AGENT,), since="0012"),
    Right("DELETE", ("target_reports",), (AGENT,), since="0012"),
    Right(
        "EXECUTE",
        ("own_hosts", "host_compared", "host_secrets", "target_adopted"),
        (AGENT,),
        since="0012",
    ),
    Right("EXECUTE", ("host_report",), (AGENT,)),
    Right("EXECUTE", ("tend_sign_ins",), (AGENT,), since="0010"),
    Right("UPDATE", ("machines",), (AGENT,), ("online", "last_seen_at")),
    Right(
        "UPDATE",
        ("images",),
        (AGENT,),
        (
            "status",
            "upload_id",
            "source_name",
            "source_format",
            "source_size_bytes",
            "source_sha256",
            "error",
        ),
    ),
    Right("INSERT", ("image_versions",), (AGENT,)),
    Right("UPDATE", ("image_versions",), (AGENT,), ("verified_at",)),
    Right("UPDATE", ("targets",), (AGENT,), ("status", "error")),
    Right("DELETE", ("images", "targets"), (AGENT,)),
    Right(
        "UPDATE",
        ("boot_sessions",),
        (AGENT,),
        (
            "status",
            "portal",
            "client_address",
            "connected",
            "bytes_read",
            "bytes_written",
            "error",
            "ready_at",
            "active_at",
            "last_seen_at",
            "expires_at",
            "ended_at",
            "stop_requested",
        ),
    ),
    Right(
        "UPDATE",
        ("jobs",),
        (AGENT,),
        (
            "status",
            "phase",
            "percent",
            "bytes_done",
            "bytes_total",
            "bytes_per_s",
            "seconds_left",
            "error",
            "error_details",
            "result",
            "attempts",
            "started_at",
            "heartbeat_at",
            "finished_at",
        ),
    ),
)


@dataclass(frozen=True)
class Grant:
    """One cell of the matrix; ``column`` is "" where the right is on the whole object."""

    object: str
    column: str
    verb: str
    role: str


def declared(revision: str, installation: str) -> set[Grant]:
    """The grants that the matrix asks for up to ``revision``."""
    return {
        Grant(name, column, right.verb, holder.role_name(installation))
        for right in MATRIX
        if right.since <= revision
        for name in right.objects
        for holder in right.holders
        for column in right.columns or ("",)
    }


# Functions carry their arguments in statements, but not in the matrix: no two share a name.
_FOUND = """
    SELECT relname::text, '' AS col, acl.privilege_type, acl.grantee, quote_ident(relname), 'TABLE'
    FROM pg_class, aclexplode(relacl) AS acl
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT relname, attname, acl.privilege_type, acl.grantee, quote_ident(relname), 'TABLE'
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped,
        aclexplode(attacl) AS acl
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT proname, '', acl.privilege_type, acl.grantee, p.oid::regprocedure::text, 'FUNCTION'
    FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
    WHERE pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def found(connection: psycopg.Connection, installation: str) -> dict[Grant, str]:
    """What is granted in the database to holders and to PUBLIC, with the name it is revoked by."""
    roles = {holder.role_name(installation) for holder in Holder} | {"PUBLIC"}
    rows = connection.execute(
        f"SELECT f.*, coalesce(rolname::text, 'PUBLIC') FROM ({_FOUND}) AS f "  # noqa: S608
        "LEFT JOIN pg_roles r ON r.oid = grantee"
    )
    return {
        Grant(name, column, verb, role): f"{kind} {target}"
        for name, column, verb, _, target, kind, role in rows
        if role in roles
    }


def apply(connection: psycopg.Connection, revision: str, installation: str) -> None:
    """Make the grants in the database those of the matrix at ``revision``, as the owner role."""
    present = found(connection, installation)
    wanted = declared(revision, installation)
    functions: dict[str, str] = dict(
        connection.execute(
            "SELECT proname::text, oid::regprocedure::text FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace"
        ).fetchall()
    )
    for statement in _statements(present, wanted, functions):
        connection.execute(statement)


def _statements(
    present: dict[Grant, str], wanted: set[Grant], functions: dict[str, str]
) -> Iterator[sql.Composed]:
    for grant in sorted(present.keys() - wanted, key=repr):
        yield _statement("REVOKE", grant, present[grant])
    for grant in sorted(wanted - present.keys(), key=repr):
        if grant.verb == "EXECUTE":
            target = f"FUNCTION {functions[grant.object]}"
        else:
            target = f"TABLE {grant.object}"
        yield _statement("GRANT", grant, target)


def _statement(action: LiteralString, grant: Grant, target: str) -> sql.Composed:
    column = sql.SQL("({})").format(sql.Identifier(grant.column)) if grant.column else sql.SQL("")
    return sql.SQL("{} {} {} ON {} {} {}").format(
        sql.SQL(action),
        sql.SQL(grant.verb),
        column,
        sql.SQL(target),
        sql.SQL("TO" if action == "GRANT" else "FROM"),
        sql.SQL("PUBLIC") if grant.role == "PUBLIC" else sql.Identifier(grant.role),
    )
