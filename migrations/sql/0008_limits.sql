-- How much one account may ask for within a minute.

INSERT INTO settings (name, value, minimum, maximum, description) VALUES
    ('user_jobs_per_minute', 60, 1, 100000,
     'Jobs a minute that one account may start; starting many machines at once is one job'),
    ('user_power_actions_per_minute', 1000, 1, 100000,
     'Machines a minute that one account may start or stop');

-- What accounts have asked for since a minute began; the row is also the lock under which it is
-- counted, so that transactions side by side count each other.
CREATE TABLE attempts.rates (
    user_id BIGINT NOT NULL,
    setting TEXT NOT NULL,
    since timestamptz NOT NULL,
    done BIGINT NOT NULL,
    CONSTRAINT pk_rates PRIMARY KEY (user_id, setting),
    CONSTRAINT fk_rates_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE FUNCTION spend(account bigint, of_setting text, amount bigint) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    now_at constant timestamptz := clock_timestamp();
    rate attempts.rates;
BEGIN
    INSERT INTO attempts.rates AS r (user_id, setting, since, done)
    VALUES (account, of_setting, now_at, amount)
    ON CONFLICT (user_id, setting) DO UPDATE SET
        since = CASE WHEN r.since > now_at - interval '1 minute' THEN r.since ELSE now_at END,
        done = CASE WHEN r.since > now_at - interval '1 minute' THEN r.done ELSE 0 END + amount
    RETURNING * INTO rate;
    RETURN CASE WHEN rate.done > setting_value(of_setting) THEN rate.since + interval '1 minute' END;
END
$$;
COMMENT ON FUNCTION spend IS
    'Counts what an account asks for against a setting of so many a minute; NULL: granted; a time: refused until then.';
GRANT EXECUTE ON FUNCTION spend(bigint, text, bigint) TO <<broker>>;

CREATE OR REPLACE FUNCTION new_job(
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
        PERFORM refuse(format('You have started too many jobs within a minute; %s.', wait_for(again_at)));
    END IF;
    IF me IS NOT NULL AND machines > most THEN
        PERFORM refuse(format('No more than %s machines can be started or stopped within a minute; choose fewer.', most));
    END IF;
    again_at := CASE WHEN me IS NOT NULL AND machines > 0
                     THEN spend(me, 'user_power_actions_per_minute', machines) END;
    IF again_at IS NOT NULL THEN
        PERFORM refuse(format('You have started or stopped too many machines within a minute; %s.',
                              wait_for(again_at)));
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
