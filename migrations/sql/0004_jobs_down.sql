DROP TRIGGER keep_mac ON machines;
DROP FUNCTION keep_mac(), job_retry(bigint), job_cancel(bigint), target_remove(bigint),
    target_create(bigint, bigint), session_stop(bigint[]),
    session_start(bigint[], bigint, session_type), some_machines(text[]),
    want_target(machines, bigint, boolean), machine_iqn(text, macaddr),
    image_job(bigint, text, jsonb), upload_failed(bigint, text, boolean),
    upload_done(bigint, bigint, text),
    upload_progress(bigint, double precision, bigint, bigint, bigint, integer), own_upload(bigint),
    image_import_entry(text, image_type, text, text, text, text),
    image_start(text, image_type, text, text, bigint), the_host(text),
    new_job(job_kind, bigint, text, bigint, bigint, jsonb, job_status), enqueue(bigint),
    refuse(text, text), machines_delete(bigint[]);
DROP SCHEMA procrastinate CASCADE;
