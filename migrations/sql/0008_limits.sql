-- How much one account may ask of the storage hosts.

INSERT INTO settings (name, value, minimum, maximum, description) VALUES
    ('user_jobs_per_minute', 60, 1, 100000,
     'Jobs a minute that one account may start; starting many machines at once is one job');
CREATE INDEX ix_jobs_created_by_created_at ON jobs (created_by, created_at);

CREATE OR REPLACE FUNCTION new_job(
    job_kind job_kind, host bigint, name text, image bigint, machine bigint, job_params jsonb,
    first_status job_status
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job bigint;
    wait_from timestamptz;
BEGIN
    SELECT created_at INTO wait_from FROM jobs
    WHERE created_by = signed_in_user() AND created_at > clock_timestamp() - interval '1 minute'
    ORDER BY created_at DESC OFFSET setting_value('user_jobs_per_minute') - 1 LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(format('You have started too many jobs within a minute; %s.',
                              wait_for(wait_from + interval '1 minute')));
    END IF;
    INSERT INTO jobs (kind, host_id, status, object_name, image_id, machine_id, params, created_by,
                      created_by_name, started_at, heartbeat_at)
    VALUES (job_kind, host, first_status, name, image, machine, job_params, signed_in_user(),
            actor_name(), CASE WHEN first_status = 'RUNNING' THEN clock_timestamp() END,
            clock_timestamp())
    RETURNING id INTO job;
    IF first_status = 'QUEUED' THEN
        PERFORM enqueue(job);
    END IF;
    RETURN job;
END
$$;
