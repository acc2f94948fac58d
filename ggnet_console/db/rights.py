# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights matrix: which role may do what to which object; the grants are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString

from .bootstrap import group_role
from .cluster import CONSOLE_ROLE


class Holder(StrEnum):
    """Whom rights are granted to; ADMIN holds OPERATOR's rights too, OPERATOR those of VIEWER."""

    CONSOLE = "console"
    NEWCOMER = "newcomer"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AGENT = "agents"
    BROKER = "broker"
    EVERYBODY = "everybody"

    def role_name(self, installation: str) -> str:
        """The PostgreSQL role of this holder in the installation with this id."""
        match self:
            case Holder.CONSOLE:
                return CONSOLE_ROLE
            case Holder.EVERYBODY:
                return "PUBLIC"
        return group_role(self, installation)

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
    """``verb`` on ``objects`` (or only ``columns`` of them) for ``holders``.

    Objects outside of ``public`` carry their schema.
    """

    verb: LiteralString
    objects: tuple[str, ...]
    holders: tuple[Holder, ...]
    columns: tuple[str, ...] = ()


CONSOLE, NEWCOMER, VIEWER, OPERATOR, ADMIN, AGENT, BROKER, EVERYBODY = Holder
CONNECTING = (CONSOLE, NEWCOMER, VIEWER, OPERATOR, ADMIN, AGENT)
"""The holders that connect; the broker only lends its rights to its functions."""

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
_QUEUE = "procrastinate.procrastinate"

MATRIX = (
    # See.
    Right("SELECT", _SEEN, (VIEWER, AGENT)),
    Right("SELECT", ("users",), (VIEWER,), ("id", "name", "role", "disabled")),
    Right("SELECT", ("users",), (VIEWER,), ("locked",)),
    Right("SELECT", ("users",), (ADMIN,), ("created_at", "last_sign_in_at", "version")),
    Right("SELECT", ("users",), (ADMIN,), ("must_change_password", "unlocked_at")),
    Right("SELECT", ("sign_ins", "audit"), (ADMIN,)),
    # Sign in.
    Right("EXECUTE", ("login", "has_users"), (CONSOLE,)),
    Right("EXECUTE", ("schema_revision", "installation_id"), (CONSOLE, VIEWER, AGENT)),
    Right("SELECT", ("schema_objects",), (CONSOLE, VIEWER, AGENT)),
    Right("EXECUTE", ("renew_sign_in", "sign_out", "who_am_i"), (VIEWER,)),
    Right("EXECUTE", ("change_password",), (NEWCOMER, VIEWER)),
    Right("EXECUTE", ("schema_revision", "sign_out", "who_am_i"), (NEWCOMER,)),
    Right("EXECUTE", ("password_cost",), (NEWCOMER, VIEWER)),
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
    Right("EXECUTE", ("objects_open_elsewhere",), (VIEWER,)),
    Right("EXECUTE", ("object_open", "object_close", "last_changes"), (OPERATOR,)),
    Right("EXECUTE", ("object_history",), (VIEWER,)),
    # See what runs, and have it compared; make it as wanted; CHAP.
    Right("SELECT", ("target_reports",), (VIEWER, AGENT)),
    Right("EXECUTE", ("targets_compare",), (VIEWER,)),
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
    ),
    Right("EXECUTE", ("end_stale_connections",), (ADMIN,)),
    Right("EXECUTE", ("audit_verify", "audit_head", "audit_prune"), (ADMIN,)),
    Right("EXECUTE", ("failed_sign_ins",), (ADMIN,)),
    Right(
        "EXECUTE",
        ("target_adopt", "target_release", "host_choose_backend"),
        (ADMIN,),
    ),
    # Report, as the agent of a storage host.
    Right("INSERT", ("target_reports",), (AGENT,)),
    Right("UPDATE", ("target_reports",), (AGENT,)),
    Right("DELETE", ("target_reports",), (AGENT,)),
    Right(
        "EXECUTE",
        ("own_hosts", "host_compared", "host_secrets", "target_adopted"),
        (AGENT,),
    ),
    Right("EXECUTE", ("host_report",), (AGENT,)),
    Right("EXECUTE", ("end_holders", "tend_sign_ins"), (AGENT,)),
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
    # Work the queue off; what waits in it is put there by the functions above.
    Right("SELECT", tuple(f"{_QUEUE}_{name}" for name in ("events", "jobs", "workers")), (AGENT,)),
    Right("INSERT", (f"{_QUEUE}_events", f"{_QUEUE}_workers"), (AGENT,)),
    Right("UPDATE", (f"{_QUEUE}_jobs", f"{_QUEUE}_workers"), (AGENT,)),
    Right("DELETE", (f"{_QUEUE}_workers",), (AGENT,)),
    Right("USAGE", (f"{_QUEUE}_events_id_seq", f"{_QUEUE}_workers_id_seq"), (AGENT,)),
    Right(
        "EXECUTE",
        (
            f"{_QUEUE}_fetch_job_v2",
            f"{_QUEUE}_finish_job_v1",
            f"{_QUEUE}_prune_stalled_workers_v1",
            f"{_QUEUE}_register_worker_v1",
            f"{_QUEUE}_retry_job_v2",
            f"{_QUEUE}_unregister_worker_v1",
            f"{_QUEUE}_update_heartbeat_v1",
        ),
        (AGENT,),
    ),
)

INNER = (
    # What belongs to the server's administrator is granted when the database is made.
    Right("CONNECT", ("DATABASE",), (CONSOLE, NEWCOMER, VIEWER, AGENT)),
    Right("USAGE", ("SCHEMA public",), (EVERYBODY,)),
    Right("USAGE", ("SCHEMA procrastinate",), (AGENT,)),
    Right("USAGE", ("SCHEMA attempts",), (BROKER,)),
    Right("SELECT", ("users", "settings"), (BROKER,)),
    Right(
        "UPDATE",
        ("users",),
        (BROKER,),
        ("last_sign_in_at", "password_hash", "must_change_password"),
    ),
    *(Right(verb, ("sign_ins",), (BROKER,)) for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *(
        Right(
            verb,
            ("attempts.address_N", "attempts.failures", "attempts.name_N", "attempts.refused"),
            (BROKER,),
        )
        for verb in ("SELECT", "UPDATE")
    ),
    Right("INSERT", ("attempts.failed",), (BROKER,)),
    Right(
        "EXECUTE",
        (
            "account_for_failures",
            "attempt_key",
            "attempt_place",
            "attempt_read",
            "attempt_write",
            "bcrypt_salt",
            "checked_hash",
            "crypt",
            "end_connections",
            "epoch_ms",
            "gen_random_bytes",
            "group_of",
            "hash_cost",
            "hidden_connections",
            "hmac",
            "installation_id",
            "refuse_as",
            "refuse_with",
            "renew_hash",
            "sentence",
            "sentence_until",
            "setting_value",
            "signed_in_user",
            "spend",
            "stand_in_hash",
            "tend_sign_ins",
        ),
        (BROKER,),
    ),
)
"""What makes the matrix work; ``_N`` stands for the number of a counter."""

NOBODY = frozenset(
    {
        "alembic_version",
        "attempts.accounted",
        "attempts.rates",
        "attempts.secret",
        "audit_chain",
        "audit_links",
        "open_objects",
        "target_secrets",
        f"{_QUEUE}_periodic_defers",
        # Called by definer functions, whose owners own these as well.
        "actor_name()",
        "attempt()",
        "attempt_was_right()",
        "attempt_count()",
        "attempts_lock()",
        "audit_digests()",
        "audit_event()",
        "audit_link()",
        "audit_link_hash()",
        "check_iqn()",
        "check_password()",
        "clear_sign_ins()",
        "disarm()",
        "end_sign_ins()",
        "end_regrouped()",
        "end_blockers()",
        "end_excess()",
        "enqueue()",
        "forgive_attempts()",
        f"{_QUEUE}_cancel_job_v1()",
        f"{_QUEUE}_defer_jobs_v1()",
        f"{_QUEUE}_defer_periodic_job_v2()",
        f"{_QUEUE}_retry_job_v1()",
        "host_job()",
        "initiators_of()",
        "is_present()",
        "machine_iqn()",
        "new_job()",
        "note_failure()",
        "open_sign_in()",
        "own_upload()",
        "refuse()",
        "refuse_until()",
        "refused_until()",
        "require_sign_in()",
        "regroup_sign_ins()",
        "some_machines()",
        "target_job()",
        "the_user()",
        "the_host()",
        "the_chap_target()",
        "the_target()",
        "want_target()",
        # Called by triggers alone, which ask nobody for a right.
        "audit_close_link()",
        "audit_open_link()",
        "audit_rows()",
        "bump_version()",
        "keep_mac()",
        "notify_rows()",
        "one_image_job()",
        f"{_QUEUE}_notify_queue_abort_job_v1()",
        f"{_QUEUE}_notify_queue_job_inserted_v1()",
        f"{_QUEUE}_trigger_abort_requested_events_procedure_v1()",
        f"{_QUEUE}_trigger_function_scheduled_events_v1()",
        f"{_QUEUE}_trigger_function_status_events_insert_v1()",
        f"{_QUEUE}_trigger_function_status_events_update_v1()",
        f"{_QUEUE}_unlink_periodic_defers_v1()",
    }
)
"""Everything else: objects to which no holder has any right. A test fails for a new object that is
neither here nor above; only the sequence that numbers a table's rows goes with its table."""
