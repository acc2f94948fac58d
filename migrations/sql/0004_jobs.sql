-- Work for the storage hosts: what operators may ask for. Each function checks, writes the wanted
-- state and enqueues the job in one transaction; the queue's tables are nobody's but the agents'.
-- ERRCODE GG001: refused, the message is the sentence for the operator. GG002: not found.

GRANT USAGE ON SCHEMA procrastinate TO <<agents>>;

CREATE FUNCTION refuse(message text, code text DEFAULT 'GG001') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The log is all that a transaction rolled back leaves. The role is that of the sign-in.
    RAISE LOG 'ggnet: refused % from %: %',
        session_user, coalesce(host(inet_client_addr()), 'local'), left(message, 1000);
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
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

CREATE FUNCTION new_job(
    job_kind job_kind, host bigint, name text, image bigint, machine bigint, job_params jsonb,
    first_status job_status
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job bigint;
BEGIN
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

CREATE FUNCTION the_host(host_name text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint;
BEGIN
    SELECT id INTO host FROM hosts WHERE name = host_name;
    IF host IS NULL THEN
        PERFORM refuse(format('There is no storage host “%s”; its agent has never been started.',
                              host_name), 'GG002');
    END IF;
    RETURN host;
END
$$;

-- Whoever may DELETE may also LOCK TABLE, and keep everybody from looking at machines.
CREATE FUNCTION machines_delete(machine_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM machines WHERE id = ANY (machine_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION machines_delete IS
    'Removes machines and their ended sessions, all or none; answers how many there were.';

-- Images in ------------------------------------------------------------------------------------

CREATE FUNCTION image_start(image_name text, image_type image_type, host_name text, file_name text,
                            size_bytes bigint,
                            OUT image_id bigint, OUT job_id bigint, OUT upload_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    host bigint := the_host(host_name);
BEGIN
    -- A failed import gives its name to the next one.
    DELETE FROM images i WHERE lower(i.name) = lower(image_name) AND i.status = 'ERROR'
        AND NOT EXISTS (SELECT FROM image_versions v WHERE v.image_id = i.id)
        AND NOT EXISTS (SELECT FROM jobs j WHERE j.image_id = i.id AND j.status IN ('QUEUED', 'RUNNING'));
    -- Never the caller's to choose: whoever named another one's upload would be given its file.
    upload_id := gen_random_uuid();
    INSERT INTO images (host_id, name, type, status, upload_id, source_name, source_size_bytes, created_by)
    VALUES (host, image_name, image_type, 'UPLOADING', upload_id, left(file_name, 255), size_bytes,
            signed_in_user())
    RETURNING id INTO image_id;
    job_id := new_job('image.import', host, image_name, image_id, NULL,
        jsonb_build_object('upload_id', upload_id), 'RUNNING');
END
$$;
COMMENT ON FUNCTION image_start IS
    'Begins an import: an UPLOADING image and its RUNNING job; the caller''s process copies the file.';

CREATE FUNCTION image_import_entry(image_name text, image_type image_type, host_name text,
                                   entry text, sha256 text, md5 text,
                                   OUT image_id bigint, OUT job_id bigint, OUT upload_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF entry = '' OR entry IN ('.', '..') OR entry ~ '[/[:cntrl:]]' THEN
        PERFORM refuse('An entry of the import folder is a bare file name, without a path.');
    END IF;
    SELECT s.* INTO image_id, job_id, upload_id
    FROM image_start(image_name, image_type, host_name, entry, NULL) AS s;
    UPDATE jobs SET status = 'QUEUED', started_at = NULL,
        params = params || jsonb_build_object('entry', entry, 'sha256', sha256, 'md5', md5)
    WHERE id = job_id;
    PERFORM enqueue(job_id);
END
$$;
COMMENT ON FUNCTION image_import_entry IS
    'Begins an import of a file that lies in the import folder the storage host''s configuration names.';

-- The uploader's own running job; raises for anybody else's.
CREATE FUNCTION own_upload(job_id bigint) RETURNS jobs
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs;
BEGIN
    PERFORM require_sign_in();
    SELECT * INTO job FROM jobs
    WHERE id = job_id AND kind = 'image.import' AND queue_job_id IS NULL AND status = 'RUNNING'
        AND created_by = signed_in_user()
    FOR UPDATE;
    IF job.id IS NULL THEN
        PERFORM refuse('This upload is no longer running.', 'GG002');
    END IF;
    RETURN job;
END
$$;

CREATE FUNCTION upload_progress(job_id bigint, done_fraction double precision, done bigint,
                                total bigint, speed bigint, left_s integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE jobs SET phase = 'Copying', percent = least(greatest(done_fraction, 0), 1) * 100,
        bytes_done = done, bytes_total = total, bytes_per_s = speed, seconds_left = left_s,
        heartbeat_at = clock_timestamp()
    WHERE id = job_id;
    RETURN job.cancel_requested;
END
$$;
COMMENT ON FUNCTION upload_progress IS 'Notes how far the upload is; answers whether to stop.';

CREATE FUNCTION upload_done(job_id bigint, size_bytes bigint, sha256 text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE images SET status = 'PROCESSING', source_size_bytes = size_bytes, source_sha256 = sha256
    WHERE id = job.image_id AND status = 'UPLOADING';
    UPDATE jobs SET status = 'QUEUED' WHERE id = job_id;
    PERFORM enqueue(job_id);
END
$$;

CREATE FUNCTION upload_failed(job_id bigint, message text, was_cancelled boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    job jobs := own_upload(job_id);
BEGIN
    UPDATE images SET status = 'ERROR', error = left(message, 2000)
    WHERE id = job.image_id AND status = 'UPLOADING';
    UPDATE jobs SET status = CASE WHEN was_cancelled THEN 'CANCELLED' ELSE 'FAILED' END::job_status,
        error = left(message, 2000), finished_at = clock_timestamp()
    WHERE id = job_id;
END
$$;

CREATE FUNCTION image_job(image bigint, verb text, job_params jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row images;
    user_of text;
BEGIN
    SELECT * INTO row FROM images WHERE id = image FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse('This image no longer exists.', 'GG002');
    END IF;
    IF verb NOT IN ('verify', 'convert', 'remove') THEN
        PERFORM refuse(format('There is no image job “%s”.', verb));
    END IF;
    IF EXISTS (SELECT FROM jobs WHERE image_id = image AND kind = 'image.remove'
               AND status IN ('QUEUED', 'RUNNING')) THEN
        PERFORM refuse(format('The image “%s” is being removed.', row.name));
    END IF;
    IF verb <> 'remove' AND row.status <> 'READY' THEN
        PERFORM refuse(format('The image “%s” is not ready, so there is nothing to %s.', row.name, verb));
    END IF;
    IF verb = 'remove' THEN
        IF row.status IN ('UPLOADING', 'PROCESSING') THEN
            PERFORM refuse(format('The image “%s” is being imported; cancel the job first.', row.name));
        END IF;
        SELECT m.name INTO user_of FROM luns l JOIN image_versions v ON v.id = l.image_version_id
            JOIN targets t ON t.id = l.target_id JOIN machines m ON m.id = t.machine_id
        WHERE v.image_id = image ORDER BY m.name LIMIT 1;
        IF user_of IS NOT NULL THEN
            PERFORM refuse(format('The image “%s” is served to %s; stop its session or remove its target first.',
                                  row.name, user_of));
        END IF;
    END IF;
    RETURN new_job(('image.' || verb)::job_kind, row.host_id, row.name, image, NULL, job_params, 'QUEUED');
END
$$;

-- Targets and sessions -------------------------------------------------------------------------

CREATE FUNCTION machine_iqn(part text, mac macaddr) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT 'iqn.2026-11.net.ggnet:' || part || '.' || replace(mac::text, ':', '') $$;
COMMENT ON FUNCTION machine_iqn IS
    'IQN (RFC 3720, 3.2.6.3.1) of a machine''s target or initiator; the MAC is what stays with a PC.';

-- A target and its initiator are named after the MAC, and may be running under these names.
CREATE FUNCTION keep_mac() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM targets WHERE machine_id = NEW.id) THEN
        PERFORM refuse(format('%s has a target named after its MAC address; stop its session and '
                              'remove the target before changing the address.', OLD.name));
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_mac BEFORE UPDATE OF mac ON machines
    FOR EACH ROW WHEN (OLD.mac IS DISTINCT FROM NEW.mac) EXECUTE FUNCTION keep_mac();

-- Make the machine's target show the image's newest version; refuses what is in use.
CREATE FUNCTION want_target(machine machines, image bigint, keep boolean) RETURNS targets
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    img images;
    newest image_versions;
    target targets;
    shown bigint;
BEGIN
    SELECT * INTO img FROM images WHERE id = image FOR SHARE;
    IF img.id IS NULL THEN
        PERFORM refuse('This image no longer exists.', 'GG002');
    END IF;
    SELECT * INTO newest FROM image_versions v WHERE v.image_id = image ORDER BY number DESC LIMIT 1;
    IF img.status <> 'READY' OR newest.id IS NULL THEN
        PERFORM refuse(format('The image “%s” is not ready to be served.', img.name));
    END IF;
    IF EXISTS (SELECT FROM jobs WHERE image_id = image AND kind = 'image.remove'
               AND status IN ('QUEUED', 'RUNNING')) THEN
        PERFORM refuse(format('The image “%s” is being removed.', img.name));
    END IF;
    SELECT * INTO target FROM targets WHERE machine_id = machine.id FOR UPDATE;
    IF target.id IS NULL THEN
        INSERT INTO targets (host_id, machine_id, iqn, initiator_iqn, kept)
        VALUES (img.host_id, machine.id, machine_iqn('target', machine.mac),
                machine_iqn('initiator', machine.mac), keep)
        RETURNING * INTO target;
    ELSE
        IF target.host_id <> img.host_id THEN
            PERFORM refuse(format('The target of %s is on another storage host; remove it first.', machine.name));
        END IF;
        UPDATE targets SET status = 'WANTED', error = '', kept = kept OR keep
        WHERE id = target.id RETURNING * INTO target;
    END IF;
    SELECT image_version_id INTO shown FROM luns WHERE target_id = target.id AND lun = 1;
    IF shown IS DISTINCT FROM newest.id THEN
        DELETE FROM luns WHERE target_id = target.id;
        INSERT INTO luns (target_id, lun, image_version_id, serial)
        VALUES (target.id, 1, newest.id,
                -- Unique among installations, too: one initiator may see disks of several.
                'gg' || installation_id() || lpad(to_hex(machine.id), 7, '0')
                || lpad(to_hex(newest.id), 7, '0'));
    END IF;
    RETURN target;
END
$$;

CREATE FUNCTION some_machines(names text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT CASE WHEN cardinality(names) = 1 THEN names[1]
                  ELSE cardinality(names) || ' machines' END $$;

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
        IF machine.status <> 'ACTIVE' THEN
            PERFORM refuse(format('%s is %s; set it to active before starting a session.', machine.name,
                CASE machine.status WHEN 'MAINTENANCE' THEN 'in maintenance' ELSE 'retired' END));
        END IF;
        IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = machine.id
                   AND status IN ('PENDING', 'ACTIVE')) THEN
            PERFORM refuse(format('%s already has a session; stop it first.', machine.name));
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
        PERFORM refuse('One of the machines no longer exists; nothing was started.', 'GG002');
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

CREATE FUNCTION target_create(machine bigint, image bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row machines;
    target targets;
BEGIN
    SELECT * INTO row FROM machines WHERE id = machine FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse('This machine no longer exists.', 'GG002');
    END IF;
    IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = machine AND status IN ('PENDING', 'ACTIVE')) THEN
        PERFORM refuse(format('%s has a session; stop it before changing its target.', row.name));
    END IF;
    target := want_target(row, image, true);
    RETURN new_job('target.apply', target.host_id, row.name, image, machine,
                   jsonb_build_object('target_ids', ARRAY[target.id]), 'QUEUED');
END
$$;

CREATE FUNCTION target_remove(target bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    row targets;
    machine_name text;
BEGIN
    SELECT * INTO row FROM targets WHERE id = target FOR UPDATE;
    IF row.id IS NULL THEN
        PERFORM refuse('This target no longer exists.', 'GG002');
    END IF;
    SELECT name INTO machine_name FROM machines WHERE id = row.machine_id;
    IF EXISTS (SELECT FROM boot_sessions WHERE machine_id = row.machine_id
               AND status IN ('PENDING', 'ACTIVE')) THEN
        PERFORM refuse(format('%s has a session; stop it before removing its target.', machine_name));
    END IF;
    RETURN new_job('target.remove', row.host_id, machine_name, NULL, row.machine_id,
                   jsonb_build_object('target_ids', ARRAY[target]), 'QUEUED');
END
$$;

-- Jobs -----------------------------------------------------------------------------------------

CREATE FUNCTION job_cancel(job_id bigint) RETURNS job_status
LANGUAGE plpgsql SECURITY DEFINER SET search_path = procrastinate, public, pg_catalog, pg_temp
AS $$
DECLARE
    job jobs;
    stopped bigint;
BEGIN
    SELECT * INTO job FROM jobs WHERE id = job_id FOR UPDATE;
    IF job.id IS NULL THEN
        PERFORM refuse('This job no longer exists.', 'GG002');
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
        PERFORM refuse('This job no longer exists.', 'GG002');
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
