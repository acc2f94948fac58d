-- What was done to one object, for all who see it; and whose sign-ins fail, for admins.

-- The trail itself is the admins'. Everybody who sees an object may know what was done to it, but
-- not from where; accounts are seen by admins alone.
CREATE FUNCTION object_history(of_noun text, object text, most integer)
RETURNS TABLE (id bigint, at timestamptz, severity audit_severity, user_id bigint, user_name text,
               program text, verb text, object_name text, changes jsonb, job_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT a.id, a.at, a.severity, a.user_id, a.user_name, a.program, a.verb, a.object_name,
        (SELECT coalesce(jsonb_object_agg(key, CASE WHEN key ~ '^password|secret'
             THEN '["(hidden)", "(hidden)"]' ELSE value END), '{}')
         FROM jsonb_each(a.changes)),
        a.job_id
    FROM audit a
    WHERE a.noun = of_noun AND a.object_id = object
        AND (of_noun IN ('machine', 'image', 'image version', 'target', 'lun', 'session', 'job', 'setting',
                         'host')
             OR of_noun = 'user'
                AND pg_has_role(session_user, 'ggnet_admin_' || installation_id(), 'USAGE'))
    ORDER BY a.id DESC LIMIT least(greatest(most, 0), 200)
$$;
COMMENT ON FUNCTION object_history IS
    'The newest audit entries of one object, 200 at most, without addresses and secrets; of accounts for admins alone.';

CREATE FUNCTION refused_until(user_name text, client_address inet, forgiven_at timestamptz)
RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Where check_password() counts, and as attempt() reads it.
    SELECT CASE WHEN lasts_s = 0 THEN 'infinity' ELSE began + make_interval(secs => lasts_s) END
    FROM setting_value('lock_out_s') AS lasts_s
    CROSS JOIN LATERAL attempt_place(
        'name', lower(user_name) || '@' || coalesce(host(client_address), 'local'), lasts_s) AS place
    CROSS JOIN LATERAL attempt_read(place.counter) AS seen
    CROSS JOIN LATERAL to_timestamp(seen.began_ms / 1000.0) AS began
    WHERE seen.failures >= setting_value('failed_sign_ins_max')
        AND (began <= forgiven_at) IS NOT TRUE
        AND (lasts_s = 0 OR began + make_interval(secs => lasts_s) > clock_timestamp())
$$;
COMMENT ON FUNCTION refused_until IS
    'Until when this name is locked out from this computer (infinity: until it is unlocked); NULL: it is not.';

-- Guesses that were rolled back leave no record, but the lock-out: so every computer that an
-- account was ever signed in from is looked at as well.
CREATE FUNCTION failed_sign_ins()
RETURNS TABLE (account bigint, client_address text, workstation text, failures bigint,
               last_at timestamptz, refused boolean, until timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH failed AS MATERIALIZED (
        SELECT lower(f.name) AS name, f.client_address, f.workstation, f.at FROM attempts.failed f
        UNION ALL
        SELECT lower(a.object_name), a.client_address, a.changes -> 'workstation' ->> 1, a.at
        FROM audit a WHERE a.user_name = '' AND a.noun = 'sign-in' AND a.verb = 'fail'
    ), signed_in AS MATERIALIZED (
        SELECT s.user_id, s.client_address, max(s.created_at) AS at FROM sign_ins s GROUP BY 1, 2
    ), places AS (
        SELECT u.id, f.client_address FROM users u JOIN failed f ON f.name = lower(u.name)
        UNION SELECT s.user_id, s.client_address FROM signed_in s
        UNION SELECT u.id, NULL FROM users u
    )
    SELECT u.id, host(p.client_address), seen.workstation, seen.failures, seen.last_at,
        lock.until IS NOT NULL, nullif(lock.until, 'infinity')
    FROM places p JOIN users u ON u.id = p.id
    LEFT JOIN signed_in s ON s.user_id = u.id AND s.client_address IS NOT DISTINCT FROM p.client_address
    CROSS JOIN LATERAL (
        SELECT count(*) AS failures, max(f.at) AS last_at,
            (array_agg(f.workstation ORDER BY f.at DESC))[1] AS workstation
        FROM failed f
        WHERE f.name = lower(u.name) AND f.client_address IS NOT DISTINCT FROM p.client_address
            AND f.at > greatest(clock_timestamp() - interval '1 day', u.unlocked_at, s.at)
    ) AS seen
    CROSS JOIN LATERAL (SELECT refused_until(u.name, p.client_address, u.unlocked_at)) AS lock (until)
    WHERE seen.failures > 0 OR lock.until IS NOT NULL
    ORDER BY u.id, seen.last_at DESC NULLS LAST
$$;
COMMENT ON FUNCTION failed_sign_ins IS
    'For each account and computer: sign-ins that failed within a day and since the last right one, and whether it is locked out.';

-- Windows that show accounts look again. Only a hint, and only where the failure was committed.
CREATE TRIGGER notify_failed_sign_ins_insert AFTER INSERT ON attempts.failed
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
    EXECUTE FUNCTION notify_rows('failed_sign_ins', 'number');
