-- Nobody who is signed in keeps everybody else waiting. SET CONSTRAINTS ALL IMMEDIATE, row locks and
-- transactions that stay open are anybody's to use and cannot be forbidden, but they can be ended.

CREATE FUNCTION end_blockers() RETURNS TABLE (role_name text, reason text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH waiting AS MATERIALIZED (
        SELECT DISTINCT pid FROM pg_locks
        WHERE NOT granted AND waitstart < clock_timestamp() - interval '5 s'
    ), blocking AS MATERIALIZED (
        -- Who waits in turn is blocked, and not to blame.
        SELECT DISTINCT b.pid FROM waiting w CROSS JOIN unnest(pg_blocking_pids(w.pid)) AS b (pid)
        WHERE NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = b.pid AND NOT l.granted)
    ), guilty AS MATERIALIZED (
        SELECT a.pid, a.usename::text AS role_name, CASE WHEN b.pid IS NULL
            THEN 'A transaction was open for more than 10 minutes.'
            ELSE 'Others had waited for it for more than 5 seconds.' END AS reason
        FROM pg_stat_activity a LEFT JOIN blocking b ON b.pid = a.pid
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
            AND (a.usename LIKE 'ggnet\_s\_%' OR a.usename = 'ggnet_console')
            AND (b.pid IS NOT NULL OR a.xact_start < clock_timestamp() - interval '10 minutes')
    )
    SELECT g.role_name, g.reason FROM guilty g WHERE pg_terminate_backend(g.pid, 0)
$$;
COMMENT ON FUNCTION end_blockers IS
    'Ends connections of people, and of consoles before sign-in, that hold up others; answers whose and why.';

CREATE FUNCTION tend_sign_ins() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    ended record;
BEGIN
    FOR ended IN SELECT DISTINCT b.role_name, b.reason FROM end_blockers() AS b LOOP
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

GRANT CREATE ON SCHEMA public TO <<signaller>>;
ALTER FUNCTION end_blockers() OWNER TO <<signaller>>;
REVOKE CREATE ON SCHEMA public FROM <<signaller>>;
GRANT EXECUTE ON FUNCTION tend_sign_ins() TO <<broker>>;
