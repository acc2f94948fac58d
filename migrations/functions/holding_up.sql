-- One person's connections do not keep everybody else waiting, or out, for ever: they are cut off.

CREATE FUNCTION end_blockers() RETURNS TABLE (role_name text, reason text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot();
    WITH waiting AS MATERIALIZED (
        SELECT DISTINCT pid FROM pg_locks
        WHERE NOT granted AND waitstart < clock_timestamp() - interval '5 s'
    ), blocking AS MATERIALIZED (
        -- Who has waited as long in turn is blocked, and not to blame; who waits now and then is.
        SELECT DISTINCT b.pid FROM waiting w CROSS JOIN unnest(pg_blocking_pids(w.pid)) AS b (pid)
        WHERE b.pid NOT IN (SELECT pid FROM waiting)
    ), guilty AS MATERIALIZED (
        SELECT a.pid, coalesce(a.usename::text, '') AS role_name, CASE
            WHEN a.usename IS NULL THEN 'Its sign-in was over.'
            WHEN b.pid IS NOT NULL THEN 'Others had waited for it for more than 5 seconds.'
            WHEN a.xact_start < clock_timestamp() - interval '10 minutes'
                THEN 'A transaction was open for more than 10 minutes.'
            ELSE 'It kept the server from clearing its queue of notifications.' END AS reason
        FROM pg_stat_activity a LEFT JOIN blocking b ON b.pid = a.pid
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
            -- Without a name: its role was dropped while it connected.
            AND (a.usename IS NULL AND a.backend_type = 'client backend'
                OR (a.usename LIKE 'ggnet\_s\_%' OR a.usename = 'ggnet_console') AND (b.pid IS NOT NULL
                    OR a.xact_start < clock_timestamp() - interval '10 minutes'
                    -- A listener takes nothing in while its transaction is open or its program stopped.
                    OR pg_notification_queue_usage() > 0.02 AND (
                        a.xact_start < clock_timestamp() - interval '15 s' OR a.wait_event = 'ClientWrite'
                        AND a.state_change < clock_timestamp() - interval '15 s')))
    )
    SELECT g.role_name, g.reason FROM guilty g WHERE pg_terminate_backend(g.pid, 0)
$$;
COMMENT ON FUNCTION end_blockers IS
    'Ends connections of people, and of consoles before sign-in, that hold up others; answers whose and why.';
ALTER FUNCTION end_blockers OWNER TO <<signaller>>;

CREATE FUNCTION end_excess() RETURNS TABLE (role_name text, reason text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot();
    -- The newest of whoever has most; not those by which admins mend it.
    WITH connected AS MATERIALIZED (
        SELECT a.pid, a.usename::text AS role_name, u.role,
            row_number() OVER (PARTITION BY coalesce(u.id::text, a.usename) ORDER BY a.backend_start) AS nth
        FROM pg_stat_activity a LEFT JOIN sign_ins s ON s.role_name = a.usename
            LEFT JOIN users u ON u.id = s.user_id
        WHERE a.datname = current_database()
            AND (a.usename LIKE 'ggnet\_s\_%' OR a.usename = 'ggnet_console')
    ), lacking AS (
        SELECT 10 + count(*) + current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true)::int, 0) -- since PostgreSQL 16
            - current_setting('max_connections')::int AS amount
        FROM pg_stat_activity WHERE backend_type = 'client backend'
    ), greedy AS MATERIALIZED (
        SELECT pid FROM connected WHERE role IS DISTINCT FROM 'ADMIN' AND nth > 2
        ORDER BY nth DESC LIMIT (SELECT greatest(amount, 0) FROM lacking)
    ), excess AS MATERIALIZED (
        SELECT pid, role_name, CASE WHEN nth > 32 THEN 'One person had more than 32 connections.'
            ELSE 'The server had fewer than 10 connections left for others.' END AS reason
        FROM connected WHERE nth > 32 OR pid IN (SELECT pid FROM greedy)
    )
    SELECT e.role_name, e.reason FROM excess e WHERE pg_terminate_backend(e.pid, 0)
$$;
COMMENT ON FUNCTION end_excess IS
    'Ends connections of a person who has more than 32, and of those who have most while the server has fewer than 10 left; answers whose and why.';

-- With a long post_auth_delay a connection works as its role before it shows itself: role and rights
-- may be gone by then, and nobody sees whose it is. Its locks show that it is there.
CREATE FUNCTION hidden_connections() RETURNS SETOF int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot();
    SELECT pid FROM pg_lock_status() WHERE locktype = 'virtualxid' AND pid IS NOT NULL
    EXCEPT SELECT pid FROM pg_stat_get_activity(NULL)
$$;
COMMENT ON FUNCTION hidden_connections IS 'Backends that are connecting, and do not show themselves yet.';
ALTER FUNCTION hidden_connections OWNER TO <<signaller>>;

-- To be called in a transaction of its own: once the server has no lock left, others get no further.
CREATE FUNCTION end_holders(hidden_before int[]) RETURNS int[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    hidden constant int[] := ARRAY(SELECT hidden_connections());
    holder int;
BEGIN
    FOR holder IN
        SELECT unnest(hidden) INTERSECT SELECT unnest(hidden_before)
        UNION
        SELECT l.pid FROM pg_lock_status() l JOIN pg_stat_get_activity(NULL) a USING (pid)
        WHERE NOT l.fastpath
            AND (pg_get_userbyid(a.usesysid) LIKE 'ggnet\_s\_%' OR pg_get_userbyid(a.usesysid) = 'ggnet_console')
        GROUP BY l.pid HAVING count(*) > 500
    LOOP
        BEGIN
            PERFORM pg_terminate_backend(holder, 0);
            RAISE LOG 'ggnet: backend % was ended: it held too many locks, or did not show itself', holder;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- a superuser's, who may
        END;
    END LOOP;
    RETURN hidden;
END
$$;
COMMENT ON FUNCTION end_holders IS
    'Ends connections that hold more than 500 locks, and of those that do not show themselves what did not at the last look either; answers who does not now.';
ALTER FUNCTION end_holders OWNER TO <<signaller>>;

CREATE FUNCTION tend_sign_ins() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    ended record;
BEGIN
    FOR ended IN SELECT * FROM end_blockers() UNION SELECT * FROM end_excess() LOOP
        RAISE LOG 'ggnet: a connection of % was ended: %', ended.role_name, ended.reason;
        PERFORM audit_event('cut', 'sign-in', coalesce(s.id::text, ''), coalesce(u.name, ended.role_name),
            jsonb_build_object('reason', jsonb_build_array(NULL, ended.reason)))
        FROM (SELECT) AS one LEFT JOIN sign_ins s ON s.role_name = ended.role_name
            LEFT JOIN users u ON u.id = s.user_id;
    END LOOP;
    PERFORM end_stale_connections();
END
$$;
COMMENT ON FUNCTION tend_sign_ins IS
    'Ends connections whose sign-in is over, and those that hold up others; the latter enter the trail.';
