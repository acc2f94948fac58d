DROP FUNCTION target_test(bigint), target_release(bigint),
    target_adopted(bigint, text, text[], jsonb, text, text), target_adopt(bigint, text),
    targets_undo(bigint, text[]), targets_repair(bigint, boolean),
    targets_reconcile(bigint, text[], text[]), initiators_of(text[]), check_iqn(text), targets_compare(bigint),
    host_job(text, bigint, jsonb), host_secrets(), target_chap_off(bigint), target_chap_on(bigint),
    target_job(text, targets, jsonb), the_target(bigint),
    host_choose_backend(bigint, backend_choice), host_compared(bigint, text, integer),
    host_report(text, text, text, text, text);
DROP TABLE target_reports, target_secrets;
DROP FUNCTION own_hosts();
-- What this revision alone can express goes.
DELETE FROM targets WHERE machine_id IS NULL;
DROP INDEX uq_luns_serial;
ALTER TABLE luns
    DROP CONSTRAINT ck_luns_source,
    DROP CONSTRAINT ck_luns_read_only,
    ADD CONSTRAINT ck_luns_read_only CHECK (read_only),
    ADD CONSTRAINT uq_luns_serial UNIQUE (serial),
    DROP COLUMN store,
    DROP COLUMN write_back,
    DROP COLUMN size_bytes,
    DROP COLUMN path,
    ALTER COLUMN image_version_id SET NOT NULL;
ALTER TABLE targets
    DROP CONSTRAINT ck_targets_machine,
    DROP COLUMN chap_user,
    DROP COLUMN initiators,
    ALTER COLUMN initiator_iqn SET NOT NULL,
    ALTER COLUMN machine_id SET NOT NULL;
ALTER TABLE hosts
    DROP COLUMN compared_at,
    DROP COLUMN undoable,
    DROP COLUMN saved_problem,
    DROP COLUMN backend_reason,
    DROP COLUMN backend_choice;
DROP TYPE backend_choice;
DROP TYPE drift;
