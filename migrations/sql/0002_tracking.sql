-- What happens by itself when a row changes: its version, a hint to every window, the audit trail.

CREATE FUNCTION signed_in_user() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT user_id FROM sign_ins WHERE role_name = session_user
$$;
COMMENT ON FUNCTION signed_in_user IS
    'The account behind this connection, also when its sign-in is over; NULL for the agent and the installation''s owner.';

-- A connection that has said SET ROLE keeps the group's rights when its sign-in ends or expires.
CREATE FUNCTION require_sign_in() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF session_user LIKE 'ggnet\_s\_%' AND NOT EXISTS (
        SELECT FROM sign_ins
        WHERE role_name = session_user AND ended_at IS NULL AND expires_at > clock_timestamp())
    THEN
        RAISE EXCEPTION USING ERRCODE = 'GG005', MESSAGE = 'The sign-in has ended; sign in again.';
    END IF;
END
$$;
COMMENT ON FUNCTION require_sign_in IS
    'Raises for a person whose sign-in has ended or expired; everything that is audited or enqueued calls it.';

CREATE FUNCTION actor_name() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(
        (SELECT name FROM users WHERE id = signed_in_user()),
        session_user::text)
$$;

CREATE FUNCTION bump_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

-- A hint, never data: {"table", "id", "version"} per row, or {"table"} alone for a large change.
-- Arguments: the table people look at, and the column that holds its id.
CREATE FUNCTION notify_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    many constant integer := 50;
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM changed LIMIT many + 1) AS few) > many THEN
        PERFORM pg_notify('ggnet', json_build_object('table', TG_ARGV[0])::text);
    ELSE
        PERFORM pg_notify('ggnet', json_build_object(
            'table', TG_ARGV[0],
            'id', r -> TG_ARGV[1],
            'version', r -> 'version')::text)
        FROM (SELECT to_jsonb(changed) AS r FROM changed) AS rows
        WHERE r ->> TG_ARGV[1] IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;

-- One entry per changed row. Arguments: the noun, and the columns that are observations
-- (progress, counters, last seen), whose change is no deed of anybody.
CREATE FUNCTION audit_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    observed text[] := string_to_array(TG_ARGV[1], ',') || ARRAY['version'];
    who text := actor_name();
    who_id bigint := signed_in_user();
    job bigint;
BEGIN
    -- Only an agent works for a job; anybody could set the variable.
    IF session_user LIKE 'ggnet\_agent\_%' THEN
        job := nullif(current_setting('ggnet.job_id', true), '')::bigint;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO audit (user_id, user_name, client_address, program, verb, noun, object_id,
                           object_name, changes, job_id, severity)
        SELECT who_id, who, inet_client_addr(), current_setting('application_name'), 'update',
               TG_ARGV[0], n ->> 'id',
               coalesce(n ->> 'name', n ->> 'object_name', n ->> 'iqn', n ->> 'image_name', ''),
               difference.changes, job,
               (CASE WHEN TG_ARGV[0] IN ('user', 'setting') THEN 'WARNING' ELSE 'INFO' END)::audit_severity
        FROM (SELECT to_jsonb(before) - observed AS o, to_jsonb(changed) - observed AS n
              FROM before JOIN changed USING (id)) AS pairs
        CROSS JOIN LATERAL (
            SELECT jsonb_object_agg(key, CASE WHEN key = 'password_hash'
                       THEN '["(hidden)", "(hidden)"]'::jsonb
                       ELSE jsonb_build_array(o -> key, n -> key) END) AS changes
            FROM jsonb_object_keys(n) AS keys (key)
            WHERE o -> key IS DISTINCT FROM n -> key
        ) AS difference
        WHERE difference.changes IS NOT NULL;
    ELSE
        INSERT INTO audit (user_id, user_name, client_address, program, verb, noun, object_id,
                           object_name, changes, job_id, severity)
        SELECT who_id, who, inet_client_addr(), current_setting('application_name'), lower(TG_OP),
               TG_ARGV[0], r ->> 'id',
               coalesce(r ->> 'name', r ->> 'object_name', r ->> 'iqn', r ->> 'image_name', ''),
               (SELECT coalesce(jsonb_object_agg(key,
                           CASE WHEN TG_OP = 'INSERT' THEN jsonb_build_array(NULL, value)
                                ELSE jsonb_build_array(value, NULL) END), '{}')
                FROM jsonb_each(r - 'password_hash')
                WHERE value NOT IN ('null', '""')),
               job,
               (CASE WHEN TG_OP = 'DELETE' OR TG_ARGV[0] IN ('user', 'setting')
                     THEN 'WARNING' ELSE 'INFO' END)::audit_severity
        FROM (SELECT to_jsonb(changed) - observed AS r FROM changed) AS rows;
    END IF;
    RETURN NULL;
END
$$;
