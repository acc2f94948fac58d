-- Boot sessions: machines that are to get an image's disk, and those that are to lose it.

CREATE FUNCTION session_start(machine_ids bigint[], image bigint, session_type session_type,
                              OUT session_ids bigint[], OUT job_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    machine machines;
    target targets;
    target_ids bigint[] := '{}';
    names text[] := '{}';
    host hosts;
    new_session bigint;
    image_name text := (SELECT i.name FROM images i WHERE i.id = image);
BEGIN
    session_ids := '{}';
    FOR machine IN SELECT * FROM machines WHERE id = ANY (machine_ids) ORDER BY id FOR UPDATE LOOP
        IF machine.status = 'MAINTENANCE' THEN
            PERFORM refuse('%s is in maintenance; set it to active before starting a session.', machine.name);
        ELSIF machine.status <> 'ACTIVE' THEN
            PERFORM refuse('%s is retired; set it to active before starting a session.', machine.name);
        END IF;
        IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = machine.id
                   AND status IN ('PENDING', 'ACTIVE')) THEN
            PERFORM refuse('%s already has a session; stop it first.', machine.name);
        END IF;
        target := want_target(machine, image, false);
        SELECT * INTO host FROM hosts WHERE id = target.host_id;
        INSERT INTO boot_sessions (host_id, machine_id, image_version_id, image_name, type, status,
                                   target_iqn, initiator_iqn, portal, lun, started_by)
        SELECT target.host_id, machine.id, l.image_version_id, image_name, session_type, 'PENDING',
               target.iqn, target.initiator_iqn, host.portal, l.lun, signed_in_user()
        FROM luns l WHERE l.target_id = target.id
        RETURNING id INTO new_session;
        session_ids := session_ids || new_session;
        target_ids := target_ids || target.id;
        names := names || machine.name;
    END LOOP;
    IF cardinality(session_ids) <> cardinality(ARRAY(SELECT DISTINCT unnest(machine_ids)))
       OR cardinality(session_ids) = 0 THEN
        PERFORM refuse_as('GG002', 'One of the machines no longer exists; nothing was started.');
    END IF;
    job_id := new_job('target.apply', host.id, some_machines(names), image,
        CASE WHEN cardinality(names) = 1 THEN machine_ids[1] END,
        jsonb_build_object('target_ids', target_ids), 'QUEUED');
END
$$;
COMMENT ON FUNCTION session_start IS
    'Gives each machine the image: wanted target, LUN and PENDING session, and the job that makes them real; all or none.';

CREATE FUNCTION session_stop(stop_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint;
    job bigint;
    names text[];
    open_ids bigint[];
BEGIN
    PERFORM FROM boot_sessions WHERE id = ANY (stop_ids) ORDER BY id FOR UPDATE;
    FOR host IN SELECT DISTINCT host_id FROM boot_sessions
                WHERE id = ANY (stop_ids) AND status IN ('PENDING', 'ACTIVE') LOOP
        SELECT array_agg(s.id), array_agg(m.name ORDER BY m.name) INTO open_ids, names
        FROM boot_sessions s JOIN machines m ON m.id = s.machine_id
        WHERE s.id = ANY (stop_ids) AND s.status IN ('PENDING', 'ACTIVE') AND s.host_id = host;
        UPDATE boot_sessions SET stop_requested = true WHERE id = ANY (open_ids);
        job := new_job('target.remove', host, some_machines(names), NULL,
            (SELECT machine_id FROM boot_sessions WHERE id = open_ids[1] AND cardinality(open_ids) = 1),
            jsonb_build_object('session_ids', open_ids), 'QUEUED');
    END LOOP;
    RETURN job;
END
$$;
COMMENT ON FUNCTION session_stop IS
    'Asks the storage hosts to refuse these machines from now on; NULL when no session was open.';
