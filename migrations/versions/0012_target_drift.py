# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted, running and saved targets compared; CHAP; adopted targets; the backend of a host."""

from __future__ import annotations

from support import grant, restore, run, run_file, track, untrack

revision = "0012"
down_revision = "0011"

_KINDS = (
    "target.compare",
    "target.reconcile",
    "target.repair",
    "target.adopt",
    "target.undo",
    "target.test",
)
_OBSERVED_OF_HOSTS = (
    "portal,backend,backend_reason,problem,heartbeat_at,saved_problem,undoable,compared_at"
)


def upgrade() -> None:
    for kind in _KINDS:
        run(f"ALTER TYPE job_kind ADD VALUE '{kind}'")
    run_file("0012_target_drift.sql")
    track("target_reports", versioned=False, seen_as=[("targets", "id")])
    # Reports are nobody's deed; who chose the backend is.
    for verb, tables in (
        ("INSERT", "NEW TABLE AS changed"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS changed"),
        ("DELETE", "OLD TABLE AS changed"),
    ):
        run(
            f"CREATE TRIGGER audit_{verb.lower()} AFTER {verb} ON hosts REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION audit_rows('host', '{_OBSERVED_OF_HOSTS}')"
        )
    grant(revision)


def downgrade() -> None:
    for verb in ("insert", "update", "delete"):
        run(f"DROP TRIGGER audit_{verb} ON hosts")
    untrack("target_reports", noun=False, seen_as=["targets"], versioned=False)
    run_file("0012_target_drift_down.sql")
    restore("0003_rights.sql", "host_report")
    restore("0004_jobs.sql", "target_remove")
    _take_back_kinds()
    grant(down_revision)


def _take_back_kinds() -> None:
    """Enum values cannot be dropped: a type without them takes the place of this one."""
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    run(f"""
        DELETE FROM jobs WHERE kind IN ({kinds});
        DROP TRIGGER one_image_job ON jobs;
        DROP INDEX uq_jobs_open_image;
        DROP FUNCTION new_job(job_kind, bigint, text, bigint, bigint, jsonb, job_status);
        ALTER TYPE job_kind RENAME TO job_kind_0012;
        DO $$ BEGIN EXECUTE (
            SELECT format('CREATE TYPE job_kind AS ENUM (%s)',
                string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder))
            FROM pg_enum WHERE enumtypid = 'job_kind_0012'::regtype
                AND enumlabel NOT IN ({kinds})
        ); END $$;
        ALTER TABLE jobs ALTER COLUMN kind TYPE job_kind USING kind::text::job_kind;
        DROP TYPE job_kind_0012;
        CREATE TRIGGER one_image_job BEFORE INSERT ON jobs
            FOR EACH ROW WHEN (NEW.image_id IS NOT NULL AND NEW.kind::text LIKE 'image.%')
            EXECUTE FUNCTION one_image_job();
        CREATE UNIQUE INDEX uq_jobs_open_image ON jobs (image_id, kind)
            WHERE status IN ('QUEUED', 'RUNNING')
                AND kind IN ('image.import', 'image.verify', 'image.convert', 'image.remove');
    """)
    restore("0008_limits.sql", "new_job")
