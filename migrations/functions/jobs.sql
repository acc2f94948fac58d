-- Work for the storage hosts: what operators may ask for. Each function checks, writes the wanted
-- state and enqueues the job in one transaction; the queue's tables are nobody's but the agents'.

CREATE FUNCTION new_job(
    job_kind job_kind, host bigint, name text, image bigint, machine bigint, job_params jsonb,
    first_status job_status
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    me constant bigint := signed_in_user();
    -- Machines that get or lose their disk by it.
    machines constant bigint := CASE WHEN job_kind IN ('target.apply', 'target.remove')
        THEN jsonb_array_length(coalesce(job_params -> 'session_ids', job_params -> 'target_ids')) END;
    most constant bigint := setting_value('user_power_actions_per_minute');
    job bigint;
    again_at timestamptz;
BEGIN
    PERFORM require_sign_in();
    again_at := CASE WHEN me IS NOT NULL THEN spend(me, 'user_jobs_per_minute', 1) END;
    IF again_at IS NOT NULL THEN
        PERFORM refuse_until(again_at,
            'You have started too many jobs within a minute; try again in %s seconds.',
            'You have started too many jobs within a minute; try again in %s minutes.');
    END IF;
    IF me IS NOT NULL AND machines > most THEN
        PERFORM refuse('No more than %s machines can be started or stopped within a minute; choose fewer.',
                       most::text);
    END IF;
    again_at := CASE WHEN me IS NOT NULL AND machines > 0
                     THEN spend(me, 'user_power_actions_per_minute', machines) END;
    IF again_at IS NOT NULL THEN
        PERFORM refuse_until(again_at,
            'You have started or stopped too many machines within a minute; try again in %s seconds.',
            'You have started or stopped too many machines within a minute; try again in %s minutes.');
    END IF;
    INSERT INTO jobs (kind, host_id, status, object_name, image_id, machine_id, params, created_by,
                      created_by_name, started_at, heartbeat_at)
    VALUES (job_kind, host, first_status, name, image, machine, job_params, me,
            actor_name(), CASE WHEN first_status = 'RUNNING' THEN clock_timestamp() END,
            clock_timestamp())
    RETURNING id INTO job;
    IF first_status = 'QUEUED' THEN
        PERFORM enqueue(job);
    END IF;
    RETURN job;
END
$$;

CREATE FUNCTION enqueue(job_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = procrastinate, public, pg_catalog, pg_temp
AS $$
DECLARE
    job jobs;
    queue text;
    lock_name text;
    queue_ids bigint[];
BEGIN
    SELECT * INTO STRICT job FROM jobs WHERE id = job_id;
    SELECT name INTO STRICT queue FROM hosts WHERE id = job.host_id;
    lock_name := CASE WHEN job.kind::text LIKE 'image.%' THEN 'image:' || coalesce(job.image_id, 0)
                      ELSE 'targets:' || job.host_id END;
    queue_ids := procrastinate_defer_jobs_v1(ARRAY[ROW(
        queue, 'ggnet.run', 0, lock_name, NULL, jsonb_build_object('job_id', job_id), NULL
    )::procrastinate_job_to_defer_v1]);
    UPDATE jobs SET queue_job_id = queue_ids[1] WHERE id = job_id;
END
$$;

CREATE FUNCTION job_cancel(job_id bigint) RETURNS job_status
LANGUAGE plpgsql SECURITY DEFINER SET search_path = procrastinate, public, pg_catalog, pg_temp
AS $$
DECLARE
    job jobs;
    stopped bigint;
BEGIN
    SELECT * INTO job FROM jobs WHERE id = job_id FOR UPDATE;
    IF job.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This job no longer exists.');
    END IF;
    IF job.status NOT IN ('QUEUED', 'RUNNING') THEN
        PERFORM refuse('This job has already ended.');
    END IF;
    IF job.kind IN ('target.apply', 'target.remove') THEN
        PERFORM refuse('Changes of targets take moments and cannot be cancelled; stop the session instead.');
    END IF;
    UPDATE jobs SET cancel_requested = true WHERE id = job_id;
    IF job.queue_job_id IS NOT NULL THEN
        stopped := procrastinate_cancel_job_v1(job.queue_job_id, true, false);
        IF (SELECT status FROM procrastinate_jobs WHERE id = job.queue_job_id) = 'cancelled' THEN
            UPDATE jobs SET status = 'CANCELLED', finished_at = clock_timestamp(),
                error = format('Cancelled by %s.', actor_name()) WHERE id = job_id;
            UPDATE images SET status = 'ERROR', error = format('The import was cancelled by %s.', actor_name())
            WHERE id = job.image_id AND job.kind = 'image.import' AND status IN ('UPLOADING', 'PROCESSING');
            RETURN 'CANCELLED';
        END IF;
    END IF;
    RETURN job.status;
END
$$;
COMMENT ON FUNCTION job_cancel IS
    'Cancels a queued job at once, asks a running one to stop; answers the status right after.';

CREATE FUNCTION job_retry(job_id bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs;
BEGIN
    SELECT * INTO job FROM jobs WHERE id = job_id FOR UPDATE;
    IF job.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This job no longer exists.');
    END IF;
    IF job.status NOT IN ('FAILED', 'CANCELLED') THEN
        PERFORM refuse('Only a job that failed or was cancelled can be tried again.');
    END IF;
    IF job.kind = 'image.import' THEN
        PERFORM refuse('An import that failed keeps nothing; import the file again.');
    END IF;
    IF job.kind = 'target.apply' THEN
        PERFORM refuse('Start the session again instead.');
    END IF;
    -- What was agreed to then, such as whose disk may be taken, need not hold for what runs now.
    IF job.kind::text LIKE 'target.%' THEN
        PERFORM refuse('Work on targets is not tried again later; ask for it anew.');
    END IF;
    RETURN image_job(job.image_id, split_part(job.kind::text, '.', 2), job.params);
END
$$;
