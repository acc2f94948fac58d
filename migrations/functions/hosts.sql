-- Storage hosts: an agent announces its own, and writes rows of no other.

-- The storage hosts of the agent that calls; nobody else has any.
CREATE FUNCTION own_hosts() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT id FROM hosts WHERE agent_role = session_user $$;

CREATE FUNCTION the_host(host_name text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint;
BEGIN
    SELECT id INTO host FROM hosts WHERE name = host_name;
    IF host IS NULL THEN
        PERFORM refuse_as('GG002', 'There is no storage host “%s”; its agent has never been started.',
                          host_name);
    END IF;
    RETURN host;
END
$$;

-- An agent announces its host and how it does; the host belongs to the role that made it.
CREATE FUNCTION host_report(host_name text, host_portal text, host_backend text, host_reason text,
                            host_problem text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint;
BEGIN
    IF char_length(host_name) > 64 THEN
        PERFORM refuse('The name of a storage host has at most 64 characters.');
    END IF;
    INSERT INTO hosts AS h (name, agent_role, portal, backend, backend_reason, problem, heartbeat_at)
    VALUES (host_name, session_user, host_portal, host_backend, host_reason, host_problem,
            clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET portal = excluded.portal, backend = excluded.backend,
        backend_reason = excluded.backend_reason, problem = excluded.problem,
        heartbeat_at = excluded.heartbeat_at
        WHERE h.agent_role = session_user
    RETURNING id INTO host;
    IF host IS NULL THEN
        PERFORM refuse('The storage host %s belongs to another agent.', host_name);
    END IF;
    RETURN host;
END
$$;

CREATE FUNCTION host_compared(host bigint, problem_of_saved text, can_undo integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE hosts SET saved_problem = problem_of_saved, undoable = can_undo,
        compared_at = clock_timestamp()
    WHERE id = host AND agent_role = session_user
$$;
COMMENT ON FUNCTION host_compared IS 'An agent has compared its targets with what is wanted.';

CREATE FUNCTION host_choose_backend(host bigint, choice backend_choice) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row hosts;
    machine text;
    adopted text;
BEGIN
    SELECT * INTO row FROM hosts WHERE id = host FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This storage host no longer exists.');
    END IF;
    SELECT m.name INTO machine FROM boot_sessions s JOIN machines m ON m.id = s.machine_id
    WHERE s.host_id = host AND s.status IN ('PENDING', 'ACTIVE') ORDER BY m.name LIMIT 1;
    IF machine IS NOT NULL THEN
        PERFORM refuse('%s serves %s; stop its sessions before changing what serves them.', row.name, machine);
    END IF;
    SELECT iqn INTO adopted FROM targets t WHERE t.host_id = host AND t.machine_id IS NULL
    ORDER BY iqn LIMIT 1;
    IF adopted IS NOT NULL THEN
        PERFORM refuse('%s serves %s, which was adopted as it runs; release it before changing what serves the targets.',
                       row.name, adopted);
    END IF;
    UPDATE hosts SET backend_choice = choice WHERE id = host AND backend_choice <> choice;
END
$$;
COMMENT ON FUNCTION host_choose_backend IS
    'Which iSCSI target a storage host is to run; refused while it has sessions or adopted targets.';

CREATE FUNCTION host_secrets() RETURNS TABLE (target_id bigint, chap_user text, secret text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.id, t.chap_user, s.secret
    FROM target_secrets s JOIN targets t ON t.id = s.target_id
    WHERE t.host_id IN (SELECT own_hosts())
$$;
COMMENT ON FUNCTION host_secrets IS 'The CHAP secrets of the calling agent''s own targets.';

CREATE FUNCTION host_job(verb text, host bigint, job_params jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row hosts;
BEGIN
    SELECT * INTO row FROM hosts WHERE id = host;
    IF row.id IS NULL THEN
        PERFORM refuse_as('GG002', 'This storage host no longer exists.');
    END IF;
    RETURN new_job(('target.' || verb)::job_kind, host, row.name, NULL, NULL, job_params, 'QUEUED');
END
$$;

-- People's rights are grants alone. The agent of one host reads what concerns all of them, but
-- writes rows of its own (a compromised one shall not report, or wake windows, in the name of
-- others); a host is its agent's by the role that host_report() noted.
DO $$
DECLARE
    own constant text := '(SELECT own_hosts())';
    written record;
BEGIN
    FOR written IN SELECT * FROM (VALUES
        ('jobs', 'host_id IN ' || own),
        ('images', 'host_id IN ' || own),
        ('image_versions', 'image_id IN (SELECT i.id FROM images i WHERE i.host_id IN ' || own || ')'),
        ('targets', 'host_id IN ' || own),
        ('target_reports', 'host_id IN ' || own),
        ('boot_sessions', 'host_id IN ' || own),
        -- Where it was started last.
        ('machines', '(SELECT s.host_id FROM boot_sessions s WHERE s.machine_id = machines.id '
                     'ORDER BY s.id DESC LIMIT 1) IN ' || own)
    ) AS t (name, its_own) LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', written.name);
        EXECUTE format('CREATE POLICY people ON %I TO <<viewer>> USING (true)', written.name);
        EXECUTE format('CREATE POLICY agents_read ON %I FOR SELECT TO <<agents>> USING (true)', written.name);
        EXECUTE format('CREATE POLICY agents_write ON %I TO <<agents>> USING (%s)', written.name, written.its_own);
    END LOOP;
END
$$;
ALTER TABLE procrastinate.procrastinate_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY agents_own ON procrastinate.procrastinate_jobs TO <<agents>>
    USING (queue_name IN (SELECT h.name FROM public.hosts h WHERE h.agent_role = session_user));
